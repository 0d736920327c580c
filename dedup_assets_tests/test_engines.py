"""What an engine promises: results in order, shards drawn as needed, and the same tables whoever does the work."""

import pickle
import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dedup_assets.core.detection import comparing
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets.core.errors import SettingsError
from dedup_assets.core.run import Run
from dedup_assets.core.steps import inputs
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.pictures import exif, photo, put


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_shards(workers):
    assert list(LocalEngine(workers).each(lambda number: number * 2, range(50))) == list(range(0, 100, 2))


@pytest.mark.parametrize("workers", [1, 3])
def test_shards_are_drawn_as_they_are_needed(workers):
    drawn = []
    results = LocalEngine(workers).each(str, (drawn.append(number) or number for number in range(100)))
    assert next(results) == "0"
    assert len(drawn) <= 2 * workers
    results.close()


def test_what_keeps_all_cores_busy_by_itself_is_done_in_one_thread():
    threads = set(LocalEngine(3).each(lambda _: threading.get_ident(), range(20), alone=True))
    assert threads == {threading.get_ident()}


def test_several_threads_do_not_each_start_threads_of_torch():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert set(LocalEngine(2).each(lambda _: torch.get_num_threads(), range(8))) == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("workers", "alone"), [(1, False), (2, False), (2, True)])
def test_work_never_starts_threads_of_blas(workers, alone):
    def blas_threads(_):
        return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")

    with threadpool_limits(3, user_api="blas"):
        assert set(LocalEngine(workers).each(blas_threads, range(8), alone=alone)) == {1}
        assert blas_threads(None) == 3


def test_a_failure_in_a_shard_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(LocalEngine(2).each(lambda number: 1 // number, [1, 0, 1]))


def test_an_unknown_engine_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(SettingsError, match="there is no engine 'cloud'; there are local, ray"):
        assert chain_in(tmp_path, engine="cloud").project
    assert isinstance(inputs.engine_of(chain_in(tmp_path).project, Run(), "neighbours"), LocalEngine)


def test_pairs_are_compared_block_by_block_with_the_same_tables(tmp_path, monkeypatch):
    images = tmp_path / "images"
    for level in range(8):
        put(photo(1).point(lambda light, level=level: light * (1 - level / 50)), images / f"{level}.png")
    at_once = chain_in(tmp_path / "at_once", images)
    at_once.run()
    monkeypatch.setattr(comparing, "_BLOCK", 5)
    monkeypatch.setattr(comparing, "_CHUNK", 2)
    by_block, told = chain_in(tmp_path / "by_block", images), []
    by_block.run(progress=lambda what, done, total: told.append((done, total)) if "candidate" in what else None)
    assert by_block.results() == at_once.results()
    count = at_once.project.store.read(schema.CONTENT_PAIRS).shape[0]
    assert count > 10
    assert told[-1] == (count, count)
    assert told == sorted(told)
    put(photo(9), images / "other.png")
    told.clear()
    by_block.run(progress=lambda what, done, total: told.append(done) if "candidate" in what else None)
    assert not told, "no pair is compared twice"


class Elsewhere:
    """Sends everything through pickle, as an engine of many processes does."""

    def __init__(self):
        self.works = set()

    def each(self, work, shards, *, alone=False):
        sent = pickle.dumps(work)
        for shard in shards:
            self.works.add(type(work).__name__)
            yield pickle.loads(pickle.dumps(pickle.loads(sent)(pickle.loads(pickle.dumps(shard)))))


def test_work_that_travels_gives_the_same_tables(chain, tmp_path, monkeypatch):
    large = photo(7, (600, 400))
    put(large, chain.images / "large.jpg")
    put(large, chain.images / "large_too.jpg", exif=exif(text="the same pixels"))
    put(photo(1).point(lambda level: level * 0.9), chain.images / "darker.png")
    here = chain_in(tmp_path / "here", chain.images)
    here.run()
    engine = Elsewhere()
    for step in ("raw_images", "embeddings", "neighbours", "uniqueness_scores"):
        monkeypatch.setattr(f"dedup_assets.core.steps.{step}.engine_of", lambda *_: engine)
    chain.run()
    assert chain.results() == here.results()
    assert engine.works == {"ReadFiles", "HashPixels", "EmbedPictures", "ViewSearch", "FrameSearch", "Comparer"}

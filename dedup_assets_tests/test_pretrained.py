"""Pretrained embedders, on weights made here: published, fetched and checked as torchvision's own are."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights

from dedup_assets.core.detection.embedders import load_embedder
from dedup_assets.core.detection.pretrained import BACKBONES, TorchScriptEmbedder, TorchvisionEmbedder
from dedup_assets.core.errors import EmbedderError

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")


def publish(name, folder):
    """Random weights under the name that torchvision would give them; their URL."""
    torch.manual_seed(0)
    stem = get_model_weights(name).DEFAULT.url.rpartition("/")[2].rpartition("-")[0]
    made = folder / "made.pth"
    torch.save(get_model(name).state_dict(), made)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    return made.rename(folder / f"{stem}-{digest[:8]}.pth").as_uri()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder for files of a hundred megabytes, gone after this module."""
    yield (folder := tmp_path_factory.mktemp("weights"))
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def resnet_url(shared):
    return publish("resnet50", shared)


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    """An empty one."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    yield tmp_path / "torch"
    shutil.rmtree(tmp_path / "torch", ignore_errors=True)


@pytest.fixture
def resnet(resnet_url, shared, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(shared / "torch"))
    monkeypatch.setattr(get_model_weights("resnet50").DEFAULT.value, "url", resnet_url)
    return TorchvisionEmbedder("resnet50")


def pictures(count, side, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(side // 8, axis=1).repeat(side // 8, axis=2))


def script(module, path):
    torch.jit.script(module).save(path)
    return path


class Means(nn.Module):
    """A vector of 12 numbers: the means of a 2x2 grid of each channel."""

    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


class Nested(nn.Module):
    def forward(self, x):
        return ((x.mean((2, 3)), x), x)


class FeatureMap(nn.Module):
    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x, 7)


class Named(nn.Module):
    def forward(self, x):
        return {"features": x.mean((2, 3))}


class OneSizeOnly(nn.Module):
    def forward(self, x):
        return x.reshape(-1, 3, 224 * 224).mean(2)


class NotFinite(nn.Module):
    def forward(self, x):
        return torch.log(x.mean((2, 3)) - 100)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_unit_vectors_of_its_dimension(name, tmp_path, torch_home, monkeypatch):
    url = publish(name, tmp_path)
    monkeypatch.setattr(get_model_weights(name).DEFAULT.value, "url", url)
    embedder = TorchvisionEmbedder(name)
    vectors = embedder.embed(pictures(2, embedder.picture_size))
    Path(url.removeprefix("file://")).unlink()
    assert vectors.shape == (2, embedder.views, embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-6)


def test_vectors_are_the_features_before_the_classifier_of_normalised_pictures(resnet, resnet_url):
    model = get_model("resnet50").eval()
    model.load_state_dict(torch.load(resnet_url.removeprefix("file://"), weights_only=True))
    seen = []
    model.fc.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    picture = pictures(1, 224)
    preset = get_model_weights("resnet50").DEFAULT.transforms(crop_size=224, resize_size=224)
    with torch.inference_mode():
        model(preset(torch.from_numpy(picture).permute(0, 3, 1, 2)))
    expected = nn.functional.normalize(seen[0]).numpy()
    np.testing.assert_allclose(resnet.embed(picture)[:, 0], expected, atol=1e-6)


def test_weights_are_fetched_into_torch_home_and_nothing_is_printed_to_stdout(resnet, torch_home, capsys):
    resnet.embed(pictures(1, 224))
    (kept,) = (torch_home / "hub" / "checkpoints").iterdir()
    assert kept.name.startswith("resnet50-")
    assert capsys.readouterr().out == ""


def test_weights_put_there_by_hand_are_used_without_the_network(resnet_url, torch_home, monkeypatch):
    source = Path(resnet_url.removeprefix("file://"))
    checkpoints = torch_home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / source.name).symlink_to(source)
    monkeypatch.setattr(get_model_weights("resnet50").DEFAULT.value, "url", f"file:///nowhere/{source.name}")
    assert TorchvisionEmbedder("resnet50").embed(pictures(1, 224)).shape == (1, 1, 2048)


def test_version_names_the_published_weights_and_needs_none(torch_home):
    weights = get_model_weights("resnet50").DEFAULT
    version = TorchvisionEmbedder("resnet50").version
    assert version.startswith(f"{weights!r}-11ad3fa6")
    assert not torch_home.exists()


def test_weights_that_cannot_be_fetched_are_named_with_the_folder_to_put_them_in(torch_home, monkeypatch):
    monkeypatch.setattr(get_model_weights("resnet50").DEFAULT.value, "url", "file:///nowhere/resnet50-0a1b2c3d.pth")
    with pytest.raises(EmbedderError) as caught:
        TorchvisionEmbedder("resnet50").embed(pictures(1, 224))
    message = str(caught.value)
    assert "put resnet50-0a1b2c3d.pth" in message
    assert str(torch_home / "hub" / "checkpoints") in message
    assert "the default embedder, 'thumbnail', needs no weights" in message
    assert "\n" not in message


def test_downloaded_weights_with_another_hash_are_refused(tmp_path, torch_home, monkeypatch):
    wrong = tmp_path / "resnet50-00000000.pth"
    wrong.write_bytes(b"something else")
    monkeypatch.setattr(get_model_weights("resnet50").DEFAULT.value, "url", wrong.as_uri())
    with pytest.raises(EmbedderError, match=r"cannot be fetched .*invalid hash value"):
        TorchvisionEmbedder("resnet50").embed(pictures(1, 224))


def test_a_cached_file_that_is_not_the_published_one_is_refused(torch_home):
    cached = torch_home / "hub" / "checkpoints" / "resnet50-11ad3fa6.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half a download")
    with pytest.raises(EmbedderError, match=r"resnet50-11ad3fa6\.pth' is not the published weights of resnet50"):
        TorchvisionEmbedder("resnet50").embed(pictures(1, 224))


def test_a_vector_depends_on_neither_its_batch_nor_the_instance(resnet):
    batch = pictures(3, 224)
    together = resnet.embed(batch)
    np.testing.assert_array_equal(resnet.embed(batch[2:]), together[2:])
    np.testing.assert_array_equal(TorchvisionEmbedder("resnet50").embed(batch[:1]), together[:1])


def test_the_same_picture_has_cosine_1_and_another_has_less(resnet):
    a, b = pictures(2, 224)
    vectors = resnet.embed(np.stack([a, b, a]))[:, 0]
    assert vectors[0] @ vectors[2] == pytest.approx(1, abs=1e-6)
    assert vectors[0] @ vectors[1] < 0.9999


def test_a_change_at_the_border_changes_the_vector(resnet):
    picture = pictures(1, 224)
    edged = picture.copy()
    edged[:, :, :6] = 255 - edged[:, :, :6]
    vectors = resnet.embed(np.concatenate([picture, edged]))[:, 0]
    assert vectors[0] @ vectors[1] < 1 - 1e-5


def test_no_pictures_give_no_vectors(resnet):
    assert resnet.embed(pictures(0, 224)).shape == (0, 1, 2048)


def test_a_torchscript_file_tells_its_dimension_and_gives_unit_vectors(tmp_path):
    embedder = TorchScriptEmbedder(script(Means(), tmp_path / "means.pt"))
    vectors = embedder.embed(pictures(3, 288))
    assert (embedder.picture_size, embedder.dimension, vectors.shape) == (288, 12, (3, 1, 12))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-6)


def test_torchscript_pictures_are_normalised_as_imagenet_is(tmp_path):
    embedder = TorchScriptEmbedder(script(Means(), tmp_path / "means.pt"))
    white = embedder.embed(np.full((1, 288, 288, 3), 255, np.uint8))[0, 0].reshape(3, 4)
    expected = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(white, np.repeat(expected / np.linalg.norm(expected) / 2, 4).reshape(3, 4), rtol=1e-3)


def test_the_first_of_nested_outputs_is_the_vector(tmp_path):
    assert TorchScriptEmbedder(script(Nested(), tmp_path / "nested.pt")).embed(pictures(2, 288)).shape == (2, 1, 3)


def test_a_network_for_one_size_gets_that_size(tmp_path):
    assert TorchScriptEmbedder(script(OneSizeOnly(), tmp_path / "one.pt")).picture_size == 224


def test_a_torchscript_version_is_its_content(tmp_path):
    first = script(Means(), tmp_path / "first.pt")
    again = tmp_path / "again.pt"
    again.write_bytes(first.read_bytes())
    other = script(Nested(), tmp_path / "other.pt")
    versions = [TorchScriptEmbedder(path).version for path in (first, again, other)]
    assert versions[0] == versions[1] != versions[2]
    assert versions[0].startswith(hashlib.sha256(first.read_bytes()).hexdigest()[:12])


def test_load_embedder_finds_a_torchscript_file_by_its_name(tmp_path):
    path = script(Means(), tmp_path / "means.pt")
    embedder = load_embedder(f"torchscript:{path}")
    assert (embedder.name, embedder.dimension) == (f"torchscript:{path}", 12)


@pytest.mark.parametrize("ask", [lambda e: e.version, lambda e: e.dimension, lambda e: e.embed(pictures(1, 288))])
def test_a_missing_torchscript_file_is_one_sentence(tmp_path, ask):
    with pytest.raises(EmbedderError, match=r"none\.pt' cannot be read \(No such file or directory\)"):
        ask(TorchScriptEmbedder(tmp_path / "none.pt"))


@pytest.mark.parametrize("make", [lambda p: p.write_text("words"), lambda p: torch.save({"weight": 1}, p)])
def test_a_file_that_is_no_torchscript_is_one_sentence(tmp_path, make):
    make(tmp_path / "other.pt")
    with pytest.raises(EmbedderError, match=r"other\.pt' is not a TorchScript file; save the network with") as caught:
        _ = TorchScriptEmbedder(tmp_path / "other.pt").dimension
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (FeatureMap(), r"gives a tensor of shape \(2, 3, 7, 7\) for 2 pictures; an embedder takes"),
        (Named(), r"fails on pictures of 288x288 pixels \(its output is a dict, not a tensor\)"),
        (nn.Linear(5, 2), r"fails on pictures of 288x288 pixels \(RuntimeError: .*shapes cannot be multiplied"),
    ],
)
def test_a_network_that_gives_no_vectors_is_one_sentence(tmp_path, module, problem):
    with pytest.raises(EmbedderError, match=problem) as caught:
        _ = TorchScriptEmbedder(script(module, tmp_path / "odd.pt")).dimension
    assert "\n" not in str(caught.value)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(EmbedderError, match="not finite"):
        TorchScriptEmbedder(script(NotFinite(), tmp_path / "log.pt")).embed(pictures(1, 288))

"""How fast the Explorer answers with 100,000 images, and how fast 50 groups are reviewed by keyboard.

    python -m dedup_assets_tests.benchmarks.explorer [--images 100000] [--requests 200] [--groups 50]

The store is made up: rows and thumbnails without image files. The server runs in a process of its own.
"""

import argparse
import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from PIL import Image

from dedup_assets.core.project import Project
from dedup_assets.core.run import now_utc
from dedup_assets.core.sources import source_of
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import StepRecord, Store

SERVE = (
    "import sys; from dedup_assets.core.storage.store import Store; from dedup_assets.explorer.server import serve; "
    "serve(Store(sys.argv[1]), port=0, on_ready=lambda address: print(address, flush=True))"
)
THUMBNAILS = 2000
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def make_store(folder, count):
    """A store with `count` images: 8 % duplicates, 4 % in near pairs, the rest unique."""
    store, now = Store(folder / "store"), now_utc()
    rng = np.random.default_rng(1)
    ids = np.array([f"{('train', 'val', 'test')[n % 3]}/part{n % 97:02d}/image_{n:06d}.jpg" for n in range(count)])
    hashes = np.array([f"{n:064x}" for n in range(count)])
    duplicates, near = int(count * 0.08), int(count * 0.04) // 2 * 2
    keeper = np.full(count, None, object)
    nearest, group = np.roll(ids, 1).astype(object), np.full(count, None, object)
    label, unique = np.full(count, None, object), rng.beta(3, 8, count) * 0.9 + 0.06
    content = hashes.copy()
    of = duplicates + near + np.arange(duplicates) % (count - duplicates - near)
    keeper[:duplicates], nearest[:duplicates], group[:duplicates] = ids[of], ids[of], ids[of]
    content[:duplicates] = hashes[of]
    label[:duplicates], unique[:duplicates] = "Duplicate image", 0.0
    first = np.arange(duplicates, duplicates + near, 2)
    distance = rng.uniform(0.0003, 0.05, len(first))
    for one, other in ((first, first + 1), (first + 1, first)):
        nearest[one], group[one], unique[one], label[one] = ids[other], ids[first], distance, "Near duplicate image"
    images = pd.DataFrame(
        {
            "image_id": ids,
            "status": "ok",
            "error": None,
            "size_bytes": rng.integers(20_000, 900_000, count),
            "modified_at": now,
            "modified_ns": 0,
            "file_hash": hashes,
            "pixel_hash": None,
            "content_id": content,
            "width": 1024,
            "height": 768,
            "format": "JPEG",
            "mode": "RGB",
            "frames": 1,
            "scaled": True,
            "sketch_hash": hashes,
            "split": [image.partition("/")[0] for image in ids],
            "first_seen_at": now,
            "etag": None,
            "label_count": None,
        }
    )
    distances = np.where(keeper != None, 0.0, np.nan)  # noqa: E711 (elementwise)
    scores = pd.DataFrame(
        {"image_id": ids, "uniqueness": unique, "label": label, "keeper_id": keeper, "nearest_id": nearest}
        | {
            "group_id": group,
            "keeper_distance": distances,
            "keeper_reason": np.where(distances == 0, "first by name", None),
        }
    )
    one, other = ids[first], ids[first + 1]
    a, b = np.where(one < other, one, other), np.where(one < other, other, one)
    pairs = pd.DataFrame({"image_a": a, "image_b": b, "distance": distance, "agreement": 0.9, "vector_distance": 0.01})
    compared = pd.DataFrame(
        {"content_a": hashes[first], "content_b": hashes[first + 1], "distance": distance}
        | {"agreement": 0.9, "vector_distance": 0.01}
    )
    removed = pd.DataFrame({"image_id": ids[:duplicates], "keeper_id": keeper[:duplicates], "reason": "identical"})
    removed = removed.assign(
        **{"distance": 0.0, "duplicate_threshold": 0.0001, "near_duplicate_threshold": 0.05, "embedder": "x"},
        **{"decided_by": "rule", "decided_at": now, "note": None, "run_id": "run", "removed_at": now},
        **{"restored_at": pd.NaT, "content_hash": hashes[:duplicates], "keeper_reason": None, "superseded_at": pd.NaT},
        dataset_version=None,
    )
    tags = pd.DataFrame({"image_id": ids[:duplicates], "tag": "Duplicates", "reason": "identical", "run_id": "run"})
    store.replace(
        {
            schema.IMAGES: images,
            schema.SCORES: scores,
            schema.PAIRS: pairs,
            schema.CONTENT_PAIRS: compared,
            schema.REMOVALS: removed,
            schema.TAGS: tags.assign(tagged_at=now),
        }
    )
    mine = pd.DataFrame({"image_id": ids[::3], "tag": "every third", "reason": "by hand", "run_id": "x"})
    store.append(schema.TAGS, mine.assign(tagged_at=now))
    notes = {
        "raw_images": ({}, {}),
        "neighbours": ({}, {"limit": 0.1}),
        "uniqueness_scores": ({"thresholds": {"duplicate": 0.0001, "near_duplicate": 0.05}}, {}),
        "duplicates": ({}, {"waiting_pairs": len(first)}),
    }
    for step, (settings, summary) in notes.items():
        store.replace({}, StepRecord(step, "in", "out", json.dumps(settings), json.dumps(summary), "run", now))
    Project(images=source_of(folder / "images"), store=store).remember()
    nearest_pairs = first[np.argsort(distance)][: THUMBNAILS // 2]
    put_thumbnails(store, hashes[np.concatenate([np.arange(THUMBNAILS), nearest_pairs, nearest_pairs + 1])])
    return store


def put_thumbnails(store, hashes):
    """The same picture under every hash, in both sizes."""
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (12, 16, 3), dtype=np.uint8))
    for side in (320, 1280):
        buffer = io.BytesIO()
        noise.resize((side, side * 3 // 4), Image.Resampling.BICUBIC).save(buffer, "JPEG")
        for content in hashes:
            path = store.folder / "thumbnails" / str(side) / content[:2] / f"{content}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(buffer.getvalue())


def kinds_of_request(store):
    """What a person asks for, by name: addresses that differ from one request to the next."""
    ids = store.read(schema.IMAGES)["image_id"].tolist()
    rng = np.random.default_rng(3)
    chosen = iter(rng.choice(ids, 10_000))

    def view(**query):
        return lambda: "/api/images?" + urlencode({"limit": 120, **{name: value() for name, value in query.items()}})

    return {
        "overview": lambda: "/",
        "grid page": lambda: "/grid",
        "range": view(max=lambda: rng.uniform(0.01, 0.9)),
        "range far down": view(max=lambda: rng.uniform(0.3, 0.9), offset=lambda: int(rng.integers(0, 30_000))),
        "text": view(q=lambda: str(rng.integers(100, 999))),
        "folder and split": view(folder=lambda: f"train/part{rng.integers(0, 97):02d}", split=lambda: "train"),
        "collections": view(
            tag=lambda: "every third", **{"not": lambda: "Duplicates"}, min=lambda: rng.uniform(0, 0.3)
        ),
        "by size, backwards": view(sort=lambda: "size", order=lambda: "desc", max=lambda: rng.uniform(0.1, 1)),
        "image page": lambda: "/image?" + urlencode({"id": next(chosen)}),
        "review list": lambda: "/api/review",
        "collections page": lambda: "/collections",
        "what if": lambda: f"/api/whatif?duplicate={rng.uniform(0.0001, 0.01):.5f}&near=0.05",
        "audit search": lambda: f"/audit?q={rng.integers(100, 999)}",
        "thumbnail": lambda: f"/thumb/320/{int(rng.integers(0, THUMBNAILS)):064x}",
    }


def measure(address, make, requests):
    """Milliseconds of each request after three to warm up."""
    times = []
    for number in range(requests + 3):
        start = time.perf_counter()
        with urllib.request.urlopen(address.rstrip("/") + make()) as answer:
            answer.read()
        if number >= 3:
            times.append((time.perf_counter() - start) * 1000)
    return times


def review_by_keyboard(address, groups):
    """Seconds to decide groups in Chromium by pressing a key for each; None without a browser."""
    path = shutil.which("chromium")
    if path is None:
        return None
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.goto(address + "review")
        tab.wait_for_selector("[data-members] [aria-current=true]")
        start = time.perf_counter()
        for number in range(groups):
            tab.keyboard.press(("Enter", "r", "n", "d")[number % 4])
            expect(tab.locator("[data-done]")).to_have_text(str(number + 1), timeout=10_000)
        seconds = time.perf_counter() - start
        browser.close()
        return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--groups", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), options.images)
        command = [sys.executable, "-c", SERVE, str(store.folder)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            start = time.perf_counter()
            address = server.stdout.readline().strip()
            print(f"ready after {time.perf_counter() - start:.1f} s with {options.images:,} images")  # noqa: T201
            for name, make in kinds_of_request(store).items():
                times = measure(address, make, options.requests)
                p95 = statistics.quantiles(times, n=20)[-1]
                print(f"{name:20} median {statistics.median(times):6.1f} ms   p95 {p95:6.1f} ms")  # noqa: T201
            seconds = review_by_keyboard(address, options.groups)
            if seconds is not None:
                print(f"{options.groups} groups reviewed by keyboard in {seconds:.1f} s")  # noqa: T201
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()

"""A small store made by the chain, an Explorer over it, and a browser that drives it."""

import contextlib
import csv
import re
import shutil
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from dedup_assets.core.exploring.decision_file import DecisionFile, NewDecision
from dedup_assets.core.exploring.identity import identity
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.sources import source_of
from dedup_assets.core.steps import (
    collect_duplicates,
    embed_images,
    find_neighbours,
    scan_images,
    score_uniqueness,
    write_dataset,
)
from dedup_assets.core.storage.store import Store
from dedup_assets.explorer.app import create_app
from dedup_assets.explorer.security import STORE_HEADER, TOKEN_HEADER
from dedup_assets_tests.pictures import put

HOSTILE = "train/<img src=x onerror=window.hacked=1>.jpg"
BROKEN = "train/broken.jpg"
GROUPS = 4
COPIES = ("train/0.png", "train/1_copy.png", "train/1_copy_again.png")
_SERVE = (
    "import sys; from dedup_assets.core.storage.store import Store; from dedup_assets.explorer.server import serve; "
    "serve(Store(sys.argv[1]), port=int(sys.argv[2]), on_ready=lambda address: print(address, flush=True))"
)
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # the first with half the work
CHROMIUM_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def scene(seed, size=(320, 240)):
    """A colourful picture with structure of several sizes."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).resize(
                size, Image.Resampling.BICUBIC
            ),
            np.float64,
        )
        for height, width in ((3, 4), (9, 12), (27, 36))
    ]
    return Image.fromarray(np.clip(0.5 * layers[0] + 0.3 * layers[1] + 0.2 * layers[2], 0, 255).astype(np.uint8))


def altered(seed):
    """The scene cropped a little and lighter."""
    return scene(seed).crop((12, 9, 308, 231)).point(lambda value: min(255, round(value * 1.1)))


def make_images(root):
    """Eight scenes; three identical copies; four groups of near duplicates, one of three images; a broken file."""
    for seed in range(8):
        put(scene(seed), root / "train" / f"{seed}.png")
    put(scene(0), root / "test" / "0_copy.png")
    put(scene(1), root / COPIES[1])
    put(scene(1), root / COPIES[2])
    put(altered(2), root / "test" / "2_again.png")
    put(altered(3), root / "test" / "3_again.png")
    put(altered(3).resize((200, 150)), root / "test" / "3_small.png")
    put(altered(4), root / "test" / "4_again.png")
    put(altered(5), root / HOSTILE, quality=90)
    (root / BROKEN).write_bytes(b"\xff\xd8\xff\xe0 no picture")


def run_chain(images, store, thresholds=None):
    """Every step of the chain; the project."""
    project = Project(images=source_of(images), store=store)
    run = Run()
    scan_images(project, run)
    embed_images(project, run)
    find_neighbours(project, run)
    score_uniqueness(project, thresholds or Thresholds(), run)
    apply_decisions(project)
    return project


def apply_decisions(project):
    """What the chain does once decisions changed; the dataset's summary."""
    collect_duplicates(project, Run())
    return write_dataset(project, Run())


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The images and a store that the chain made of them; not to be changed."""
    folder = tmp_path_factory.mktemp("explorer")
    make_images(folder / "images")
    run_chain(folder / "images", Store(folder / "store"))
    return folder


@pytest.fixture
def store(made, tmp_path):
    """A copy of the store, a test's own."""
    shutil.copytree(made / "store", tmp_path / "store", symlinks=True)
    return Store(tmp_path / "store")


class Page:
    """An HTTP client that writes as the Explorer's page does."""

    def __init__(self, store):
        self.app = create_app(store)
        self.http = TestClient(self.app, base_url="http://127.0.0.1:8765")
        own = {TOKEN_HEADER: self.app.state.explorer.token, STORE_HEADER: identity(store)}
        self.headers = {**own, "origin": "http://127.0.0.1:8765"}

    def get(self, path, **query):
        return self.http.get(path, params=query)

    def post(self, path, **body):
        return self.http.post(path, json=body, headers=self.headers)

    def ids(self, **query):
        return [tile["id"] for tile in self.get("/api/images", limit=400, **query).json()["tiles"]]


@pytest.fixture
def page(store):
    """The Explorer of the store, asked in this process."""
    return Page(store)


@contextlib.contextmanager
def serving(store, port=0):
    """The Explorer in a process of its own, killed at the end of the block: its address and port."""
    command = [sys.executable, "-c", _SERVE, str(store.folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            yield address, int(address.rstrip("/").rpartition(":")[2])
        finally:
            process.kill()


def record(path, *decisions, reviewer="ann"):
    """Write decisions, the cells of each, as the Explorer does."""
    DecisionFile(path).record([NewDecision(*cells) for cells in decisions], reviewer, "2026-01-02T03:04:05Z")


def decisions(store):
    """The decisions file: the word for each image."""
    if not store.decisions_file.exists():
        return {}
    with store.decisions_file.open(encoding="utf-8", newline="") as file:
        return {row["image_id"]: row["decision"] for row in csv.DictReader(file)}


def wait_for_done(tab, groups):
    """Wait until the page says that so many groups are decided, and shows the group it goes on with."""
    tab.locator("[data-done]", has_text=re.compile(f"^{groups}$")).wait_for()
    tab.locator("[data-stage]:not([aria-busy])").wait_for()


@contextlib.contextmanager
def served(store, port=0):
    """The Explorer in a thread of this process until the end of the block: its address and port."""
    listener = socket.create_server(("127.0.0.1", port))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create_app(store), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/", port
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(store):
    """Where the Explorer of the store is served."""
    with served(store) as (address, _):
        yield address


@pytest.fixture(scope="module")  # as long as it is there, its event loop keeps others from starting theirs
def chromium():
    """A browser, or the test is skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("there is no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium, address):
    """A fresh tab at the Explorer; the test fails when the page reported an error."""
    context = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(8000)
    tab = context.new_page()
    problems = []
    tab.on("pageerror", lambda error: problems.append(error.stack or str(error)))
    yield tab
    context.close()
    if problems:
        pytest.fail("the page reported: " + "; ".join(problems))

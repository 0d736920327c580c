"""Fixtures that several test modules share."""

import contextlib
import os
import shutil
import stat
import sys
import uuid

import fsspec
import pytest
from hypothesis import settings

from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.pictures import photo, put, put_photos

NOBODY = 65534

# What the tests start imports some two thousand modules: each is compiled once, not in every process.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# There are more processes than cores: threads of theirs that wait for one another would only take time from the rest.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("unhurried", deadline=None)  # how long an example takes is no matter on a busy machine
settings.load_profile("unhurried")


def pytest_xdist_auto_num_workers():
    """One process more than there are cores: one of them waits for servers, daemons and browsers most of the time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that none of them is begun when all other processes are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def unprivileged(tmp_path):
    """A context in which this process has no special rights, so that file permissions count, for root too."""
    if os.name != "posix":
        pytest.skip("file permissions are those of POSIX here")

    @contextlib.contextmanager
    def drop():
        if os.geteuid() != 0:
            yield
            return
        closed = [folder for folder in (tmp_path, *tmp_path.parents) if not folder.stat().st_mode & stat.S_IXOTH]
        modes = [folder.stat().st_mode for folder in closed]
        groups, group = os.getgroups(), os.getegid()
        for folder in closed:
            folder.chmod(0o755)
        os.setgroups([])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(group)
            os.setgroups(groups)
            for folder, mode in zip(closed, modes, strict=True):
                folder.chmod(mode)

    return drop


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """A chain that ran once, to look at.

    Five photos 000 to 004; z/ holds a copy of 001 and of 002, the latter in another format; one broken file.
    """
    chain = chain_in(tmp_path_factory.mktemp("once"))
    put_photos(chain.images, range(5))
    put(photo(1), chain.images / "z" / "copy.png")
    put(photo(2), chain.images / "z" / "other.bmp")
    (chain.images / "broken.jpg").write_text("text")
    chain.run()
    return chain


@pytest.fixture
def chain(once, tmp_path):
    """The same images with a store of their own that is empty."""
    shutil.copytree(once.images, tmp_path / "images")
    return chain_in(tmp_path)


@pytest.fixture
def ran(chain, once):
    """The same after the first run."""
    shutil.copytree(once.store.folder, chain.store.folder, symlinks=True)
    return chain


@pytest.fixture
def memory_root():
    """A fresh place in memory, as text without its protocol."""
    root = f"test/{uuid.uuid4().hex}"
    yield root
    memory = fsspec.filesystem("memory")
    if memory.exists(f"/{root}"):
        memory.rm(f"/{root}", recursive=True)

"""Fixtures that several test modules share."""

import contextlib
import os
import stat

import pytest

NOBODY = 65534


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

"""Places behind a URI, for tests: memory, and memory whose connection breaks."""

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class FlakyFileSystem(MemoryFileSystem):
    """Memory whose connection breaks as a test says: `broken(what, path)` raises, or does nothing."""

    protocol = "flaky"
    store = MemoryFileSystem.store
    broken = staticmethod(lambda what, path: None)

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(str(path).removeprefix("flaky://"))

    def ls(self, path, detail=True, **kwargs):
        type(self).broken("ls", path)
        return super().ls(path, detail, **kwargs)

    def info(self, path, **kwargs):
        type(self).broken("info", path)
        return super().info(path, **kwargs)

    def cat_file(self, path, **kwargs):
        type(self).broken("cat", path)
        return super().cat_file(path, **kwargs)


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)


def upload(folder, uri):
    """Put every file of a folder behind a URI."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    for path in folder.rglob("*"):
        if path.is_file():
            filesystem.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())

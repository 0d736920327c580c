"""The errors a person can cause and mend. Each message names the value, the place and the remedy."""


class DedupError(Exception):
    """Anything that the command line prints as one line, with exit code 1."""


class SettingsError(DedupError, ValueError):
    """A setting is out of its range."""


class NoImagesError(DedupError):
    """The image folder is missing, cannot be listed, or holds nothing readable."""


class SourceError(DedupError):
    """The place of the images does not answer any more, or no longer lets us in."""


class UnreachableFileError(SourceError):
    """One file cannot be had, though the place of the images answers."""


class ChangedFileError(DedupError):
    """A file has other bytes than those that were scanned."""


class StoreError(DedupError):
    """The store cannot be opened, locked or written."""


class DecisionError(DedupError, ValueError):
    """The reviewed file cannot be applied; nothing was changed."""


class NoSurvivorError(DecisionError):
    """Decisions would remove every copy of a picture."""


class DecidedError(DedupError):
    """Another decision about the same images stands already; nothing was changed."""


class EmbedderError(DedupError):
    """An embedder is unknown, or its weights cannot be had."""


class ProtectedError(DedupError):
    """Two images that may not be removed are one picture."""


class LabelError(DedupError, ValueError):
    """An annotation file cannot be read, or labels cannot be written as asked."""


class EngineError(DedupError):
    """The engine that was asked for cannot be had, or could not do its work."""

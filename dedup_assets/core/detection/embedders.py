"""The embedders there are, by name."""

from dedup_assets.core.detection.base import DEFAULT_EMBEDDER, TURNED_EMBEDDER, Embedder
from dedup_assets.core.errors import EmbedderError


def load_embedder(name: str = DEFAULT_EMBEDDER) -> Embedder:
    """The embedder of that name: `thumbnail`, `thumbnail-turned`, a torchvision backbone, or `torchscript:FILE`.

    Raises EmbedderError naming what there is.
    """
    check_name(name)
    if name in (DEFAULT_EMBEDDER, TURNED_EMBEDDER):
        from dedup_assets.core.detection.descriptor import ThumbnailEmbedder

        return ThumbnailEmbedder(turned=name == TURNED_EMBEDDER)
    from dedup_assets.core.detection import pretrained

    if name.startswith(pretrained.TORCHSCRIPT_PREFIX):
        return pretrained.TorchScriptEmbedder(name.removeprefix(pretrained.TORCHSCRIPT_PREFIX))
    return pretrained.TorchvisionEmbedder(name)


def check_name(name: str) -> None:
    """Raise EmbedderError, naming what there is, unless `name` can be that of an embedder. Loads nothing."""
    from dedup_assets.core.detection import pretrained

    known = (DEFAULT_EMBEDDER, TURNED_EMBEDDER, *pretrained.BACKBONES)
    if name not in known and not name.startswith(pretrained.TORCHSCRIPT_PREFIX):
        there = ", ".join((*known, f"{pretrained.TORCHSCRIPT_PREFIX}FILE"))
        raise EmbedderError(f"there is no embedder '{name}'; there are {there}")

"""Vectors from trained networks: torchvision's backbones with their published weights, and any TorchScript file.

Both see the whole picture, squashed and never cropped, and load their weights at the first use. A vector depends on
its own picture alone: on the CPU pictures go through one by one, which costs nothing there; on CUDA in chunks of one
fixed shape, without TF32 and with deterministic kernels. Another device, number of threads or release of torch may
still change the last digits.
"""

import contextlib
import hashlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.base import DEFAULT_EMBEDDER, Calibration
from dedup_assets.core.errors import EmbedderError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torchvision.models import WeightsEnum

TORCHSCRIPT_PREFIX = "torchscript:"

_CUDA_CHUNK = 32
_CANDIDATE_DISTANCE = 0.12
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TORCHSCRIPT_SIDES = (288, 224, 256, 384)  # SSCD's first, then those of networks traced for one size only
_RECIPE = "squashed"  # part of the version: how pictures are prepared
_DEFAULT_HINT = f"the default embedder, '{DEFAULT_EMBEDDER}', needs no weights"


@dataclass(frozen=True, slots=True)
class Backbone:
    """A torchvision classifier: the layer that is left out, and the length of what reaches it."""

    head: str
    dimension: int


BACKBONES: Mapping[str, Backbone] = {
    "resnet50": Backbone("fc", 2048),
    "convnext_base": Backbone("classifier.2", 1024),
    "swin_v2_b": Backbone("head", 1024),
}


class TorchvisionEmbedder:
    """The penultimate features of a torchvision backbone, with its best published weights.

    The weights are looked for in torch's cache ($TORCH_HOME/hub/checkpoints), else downloaded there. Raises
    EmbedderError when they cannot be had, or when the file there is not the published one.
    """

    views = 1
    turns = (0,)
    calibration = Calibration()
    candidate_distance = _CANDIDATE_DISTANCE

    def __init__(self, name: str) -> None:
        self.name = name
        self.dimension = BACKBONES[name].dimension

    @cached_property
    def version(self) -> str:
        """The weights' name in torchvision, and the hash in the name of their file."""
        return f"{self._weights!r}-{_published_hash(self._weights.url)}-{_RECIPE}"

    @cached_property
    def picture_size(self) -> int:
        """Side of the squashed square pictures it wants, in pixels: the crop size of the weights."""
        return int(self._weights.transforms().crop_size[0])

    def embed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, picture_size, picture_size, 3) uint8 RGB -> (n, 1, dimension) float32, rows L2-normalised."""
        return self._network.embed(pictures)

    @cached_property
    def _weights(self) -> "WeightsEnum":
        from torchvision.models import get_model_weights

        return get_model_weights(self.name).DEFAULT

    @cached_property
    def _network(self) -> "_Network":
        from torch import nn
        from torchvision.models import get_model

        state = _published_state(self.name, self._weights)
        module: nn.Module = get_model(self.name)
        module.load_state_dict(state)
        parent, _, layer = BACKBONES[self.name].head.rpartition(".")
        setattr(module.get_submodule(parent), layer, nn.Identity())
        preset = self._weights.transforms()
        return _Network(self.name, module, self.dimension, tuple(preset.mean), tuple(preset.std))


class TorchScriptEmbedder:
    """Any TorchScript file that turns (n, 3, s, s) RGB pictures, ImageNet-normalised, into (n, d) vectors.

    s is 288 as SSCD wants it, or the first of 224, 256 and 384 that a network traced for one size accepts. Of nested
    outputs the first is taken. Raises EmbedderError when the file is missing, no TorchScript, or gives anything else.
    """

    views = 1
    turns = (0,)
    calibration = Calibration()
    candidate_distance = _CANDIDATE_DISTANCE

    def __init__(self, path: str | Path) -> None:
        self.name = f"{TORCHSCRIPT_PREFIX}{path}"
        self._path = Path(path).expanduser()

    @cached_property
    def version(self) -> str:
        """The first 12 hex digits of the file's SHA-256."""
        with _readable(self._path):
            return f"{_sha256(self._path)[:12]}-{_RECIPE}"

    @property
    def picture_size(self) -> int:
        """Side of the squashed square pictures it wants, in pixels; loads the file."""
        return self._trial[1]

    @property
    def dimension(self) -> int:
        """Length of one vector, from a trial; loads the file."""
        return self._trial[0].dimension

    def embed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, picture_size, picture_size, 3) uint8 RGB -> (n, 1, dimension) float32, rows L2-normalised."""
        return self._trial[0].embed(pictures)

    @cached_property
    def _trial(self) -> tuple["_Network", int]:
        """The network, and the first picture size that it takes."""
        module = _load_torchscript(self._path)
        network = _Network(self.name, module, 0, _IMAGENET_MEAN, _IMAGENET_STD)
        problem = ""
        for side in _TORCHSCRIPT_SIDES:
            try:
                features = network.features(np.full((2, side, side, 3), 128, np.uint8))
            except (RuntimeError, TypeError) as error:
                problem = problem or f"fails on pictures of {side}x{side} pixels ({_last_line(error)})"
                continue
            if features.ndim == 2 and len(features) == 2 and features.shape[1] > 0:
                network.dimension = features.shape[1]
                return network, side
            problem = f"gives a tensor of shape {tuple(features.shape)} for 2 pictures"
            break
        raise EmbedderError(
            f"the TorchScript file '{self._path}' {problem}; an embedder takes (n, 3, s, s) pictures with s one of "
            f"{', '.join(map(str, _TORCHSCRIPT_SIDES))} and gives (n, d) numbers"
        )


class _Network:
    """A module on its device, in evaluation mode, with the numbers that its pictures are normalised by."""

    def __init__(
        self, name: str, module: "nn.Module", dimension: int, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        import torch

        self.dimension = dimension
        self._name = name
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._module = module.eval().to(self._device)
        self._mean = torch.tensor(mean, device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self._device).view(1, 3, 1, 1)

    def features(self, pictures: NDArray[np.uint8]) -> "Tensor":
        """What the module gives for (n, s, s, 3) uint8 pictures, the first part if it gives several.

        Raises TypeError when that is no tensor, and what the module raises.
        """
        import torch

        exact = torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False)
        # an optimising TorchScript executor changes the arithmetic after its first runs
        plain = torch.jit.optimized_execution(False)  # type: ignore[attr-defined]  # public, but not in its __all__
        with exact, plain, torch.inference_mode():
            values = torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2).float() / 255
            features = self._module((values - self._mean) / self._std)
        while isinstance(features, tuple | list) and features:
            features = features[0]
        if not isinstance(features, torch.Tensor):
            raise TypeError(f"its output is a {type(features).__name__}, not a tensor")
        return features

    def embed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, s, s, 3) uint8 -> (n, 1, dimension) float32, rows L2-normalised."""
        chunk = _CUDA_CHUNK if self._device.type == "cuda" else 1
        raw = np.empty((len(pictures), self.dimension))
        block = np.zeros((chunk, *pictures.shape[1:]), np.uint8)
        for start in range(0, len(pictures), chunk):
            part = pictures[start : start + chunk]
            block[: len(part)] = part
            raw[start : start + chunk] = self.features(block)[: len(part)].double().cpu().numpy()
        if not np.isfinite(raw).all():
            raise EmbedderError(f"the embedder '{self._name}' gives numbers that are not finite; {_DEFAULT_HINT}")
        lengths = np.linalg.norm(raw, axis=1, keepdims=True)
        return np.asarray(raw / np.maximum(lengths, 1e-12), np.float32)[:, None]


def _published_state(name: str, weights: "WeightsEnum") -> "dict[str, Tensor]":
    """The published weights, from torch's cache or the network; never a file that is not what its name says."""
    import torch

    path = Path(torch.hub.get_dir(), "checkpoints", PurePosixPath(urlparse(weights.url).path).name)
    try:
        if path.exists() and not _sha256(path).startswith(_published_hash(weights.url)):
            raise EmbedderError(
                f"'{path}' is not the published weights of {name} (its SHA-256 does not begin as its name ends); "
                f"delete it to have it fetched again, or get it from {weights.url}; {_DEFAULT_HINT}"
            )
        with contextlib.redirect_stdout(sys.stderr):  # torch.hub prints, and the output may be read by a script
            state: dict[str, Tensor] = weights.get_state_dict(check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise EmbedderError(
            f"the weights of {name} cannot be fetched ({_last_line(error)}): put {path.name} from {weights.url} into "
            f"'{path.parent}' by hand; {_DEFAULT_HINT}"
        ) from error
    return state


def _published_hash(url: str) -> str:
    """The first digits of a file's SHA-256, as torch's file names end in them."""
    return PurePosixPath(urlparse(url).path).stem.rpartition("-")[2]


def _load_torchscript(path: Path) -> "nn.Module":
    import torch

    try:
        with _readable(path), path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that torch prefers another format helps nobody here
            module: nn.Module = torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise EmbedderError(
            f"'{path}' is not a TorchScript file; save the network with torch.jit.trace or torch.jit.script, then "
            f"torch.jit.save; {_DEFAULT_HINT}"
        ) from error
    return module


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbedderError(
            f"the TorchScript file '{path}' cannot be read ({error.strerror}); give {TORCHSCRIPT_PREFIX}FILE the path "
            f"of a network saved with torch.jit.save; {_DEFAULT_HINT}"
        ) from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _last_line(error: Exception) -> str:
    """What went wrong, without the traceback that TorchScript puts before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]

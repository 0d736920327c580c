"""What the evidence of candidate pairs is worth: small fitted networks rule most of them out, and judge the rest."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.evidence import Float64, flat
from dedup_assets.core.detection.glancing import featureless
from dedup_assets.core.detection.outlines import Float32

_WEIGHTS = Path(__file__).with_name("screen.npz")
_REVISION = 2  # of the code here and of what is seen; the weights add their own hash to the version

_OVERLOOKED = -5.0  # log odds at a glance under which a pair is ruled out
_RULED_OUT = -1.5  # and by the evidence
_KNOTS_ODDS, _KNOTS_AGREEMENT = (-12.0, -2.0, 3.0, 12.0), (0.0, 0.7, 0.873, 1.0)
_LESS, _MORE = 0.1, 0.15  # how far sketches may move the agreement of an aligned pair


Layers = list[tuple[Float64, Float64]]


class Screen:
    """What the evidence of a pair is worth. Fitted by `dedup_assets_tests.benchmarks.fit_screen`."""

    def __init__(self, weights: Path = _WEIGHTS) -> None:
        with np.load(weights) as stored:
            arrays = [stored[name] for name in sorted(stored.files)]
            layers = {name: stored[name].astype(np.float64) for name in stored.files}
        self._glance, self._looks, self._verdict = (
            [(layers[f"{network}_weight{k}"], layers[f"{network}_bias{k}"]) for k in range(3)]
            for network in ("glance", "looks", "verdict")
        )
        digest = hashlib.sha256(b"".join(part.tobytes() for part in arrays)).hexdigest()
        self.version = f"{_REVISION}-{digest[:8]}"

    def worth_a_look(self, glanced: Float32) -> NDArray[np.bool_]:
        """(GLANCE, p) -> (p,) whether the pictures may be one. Where there is hardly structure, they may."""
        return (_odds(self._glance, glanced) >= _OVERLOOKED) | featureless(glanced)

    def worth_aligning(self, seen: Float32) -> NDArray[np.bool_]:
        """(EVIDENCE, p) -> (p,) whether the pictures may be one. Where there is hardly structure, they may."""
        return (_odds(self._looks, seen) >= _RULED_OUT) | flat(seen)

    def verdict(self, seen: Float32, agreement: Float64) -> Float64:
        """(p,) agreement of aligned pairs, 0..1, moved a little by what their sketches say."""
        odds = _odds(self._verdict, np.concatenate([seen, agreement[None].astype(np.float32)]))
        moved = np.clip(np.interp(odds, _KNOTS_ODDS, _KNOTS_AGREEMENT), agreement - _LESS, agreement + _MORE)
        return np.where(flat(seen), agreement, np.clip(moved, 0, 1))


def _odds(layers: Layers, seen: Float32) -> Float64:
    values: Float64 = seen.astype(np.float64)
    for number, (weight, bias) in enumerate(layers):
        if number:
            np.maximum(values, 0, out=values)
        summed = np.repeat(bias[:, None], values.shape[1], axis=1)
        for column, value in zip(weight.T, values, strict=True):
            summed += column[:, None] * value  # not a matrix product: its order of summation varies
        values = summed
    return np.asarray(values[0])

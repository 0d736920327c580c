"""A small network fitted by numpy alone: two hidden layers, Adam, a steady seed."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]

_STEP, _DECAY = 3e-3, 1e-2
_BATCH = 256
_FIRST, _SECOND = 0.9, 0.999  # Adam's moments
_SIGNAL = 1e-8


def fit_network(
    evidence: NDArray[np.float32],
    same: NDArray[np.bool_],
    hidden: int = 24,
    turns: int = 40,
    seed: int = 0,
    noise: float = 0.0,
) -> Layers:
    """Weights (out, in) and biases (out,) of layers that give the log odds of `same` from rows of `evidence` (n, f).

    Between layers stands a rectifier. The scale of the evidence is part of the first layer. `noise`: what is added to
    the evidence at every look, in standard deviations, so that no single number is relied on.
    """
    random = np.random.default_rng(seed)
    mean, deviation = evidence.mean(axis=0), evidence.std(axis=0) + 1e-6
    values, target = (evidence - mean) / deviation, same.astype(np.float32)
    sizes = (evidence.shape[1], hidden, hidden, 1)
    weights: list[NDArray[np.float32]] = []
    for fan_in, fan_out in pairwise(sizes):
        scale = 1 / np.sqrt(fan_in)
        weights.append(random.uniform(-scale, scale, (fan_out, fan_in)).astype(np.float32))
        weights.append(random.uniform(-scale, scale, fan_out).astype(np.float32))
    moments = [(np.zeros_like(part), np.zeros_like(part)) for part in weights]
    count = 0
    for turn in range(turns):
        step = _STEP * (1 - turn / turns)
        order = random.permutation(len(values))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            looked_at = values[rows]
            if noise:
                looked_at = looked_at + np.float32(noise) * random.standard_normal(looked_at.shape, np.float32)
            count += 1
            for part, slope, (first, second) in zip(
                weights, _slopes(weights, looked_at, target[rows]), moments, strict=True
            ):
                first += (1 - _FIRST) * (slope - first)
                second += (1 - _SECOND) * (slope * slope - second)
                part *= np.float32(1 - step * _DECAY)
                size = np.sqrt(second / (1 - _SECOND**count)) + _SIGNAL
                part -= np.float32(step / (1 - _FIRST**count)) * (first / size).astype(np.float32)
    weights[1] -= weights[0] @ (mean / deviation)
    weights[0] /= deviation
    return list(zip(weights[::2], weights[1::2], strict=True))


def _slopes(
    weights: list[NDArray[np.float32]], values: NDArray[np.float32], target: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """The slope of the mean cross entropy along every weight."""
    seen = [values]
    for weight, bias in zip(weights[::2], weights[1::2], strict=True):
        summed = seen[-1] @ weight.T + bias
        seen.append(np.maximum(summed, 0))
    odds = np.clip(summed[:, 0], -30, 30)
    blame = ((1 / (1 + np.exp(-odds)) - target) / len(values)).astype(np.float32)[:, None]
    slopes: list[NDArray[np.float32]] = []
    for layer in reversed(range(len(weights) // 2)):
        slopes = [blame.T @ seen[layer], blame.sum(axis=0), *slopes]
        if layer:
            blame = (blame @ weights[2 * layer]) * (seen[layer] > 0)
    return slopes

"""Blends as parts of a Keras model, for networks that leave mlob: the same numbers as `Blend.predict`, in float32.

To let a blend leave, write its function below and name it in GRAPHS. Only built-in operations of Keras are used.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import ops

from mlob.ensemble import blend as means
from mlob.ensemble import calibration, stacking
from mlob.ensemble.linear import Linear
from mlob.ensemble.means import HarmonicMean, Mean, MeanByLabel, MeanOfLogits
from mlob.ensemble.methods import Blend

Tensor = Any  # of Keras, float32 (n, labels)
Members = Mapping[int, Tensor]  # probabilities by the number of the member; those that count nothing are missing


def counting(blend: Blend, members: int) -> list[int]:
    """List the numbers of the members that count anything in a blend of so many."""
    if blend.weights is None:
        return list(range(members))
    return np.flatnonzero(blend.weights.reshape(members, -1).any(axis=1)).tolist()


def _weighted(weights: np.ndarray, members: Members) -> Tensor:
    """Give the weighted mean; `weights` (members,), or (members, labels), sum to 1."""
    parts = [member * np.float32(weights[number]) for number, member in members.items()]
    return ops.minimum(sum(parts[1:], parts[0]), 1.0)


def _mean(blend: Mean, members: Members) -> Tensor:
    return _weighted(blend.weights / blend.weights.sum(), members)


def _mean_by_label(blend: MeanByLabel, members: Members) -> Tensor:
    return _weighted(blend.weights, members)


def _harmonic_mean(blend: HarmonicMean, members: Members) -> Tensor:
    stacked = ops.stack([*members.values()])
    inverse = ops.sum(1 / ops.maximum(stacked, means.SMALLEST), axis=0)
    return ops.minimum(ops.maximum(len(members) / inverse, ops.min(stacked, axis=0)), ops.max(stacked, axis=0))


def _mean_of_logits(blend: MeanOfLogits, members: Members) -> Tensor:
    parts = [_log(member) - _log(1 - member) for member in members.values()]
    return ops.sigmoid(sum(parts[1:], parts[0]) / len(parts))


def _log(probability: Tensor) -> Tensor:
    return ops.log(ops.maximum(probability, np.float32(calibration.EDGE)))


def _linear(blend: Linear, members: Members) -> Tensor:
    """As `Linear.predict`: what labels of one block compete with is "none of them"."""
    blocks = np.eye(blend.block.max() + 1, dtype=np.float32)[blend.block]
    shares = blend.base_weights / blend.base_weights.sum()
    side_by_side = ops.concatenate([_stacked_logits(member) for member in members.values()], axis=1)
    inputs = ops.matmul(side_by_side - blend.centre, blend.axes)
    learned = ops.matmul(inputs, np.float32(blend.coefficients[:-1])) + np.float32(blend.coefficients[-1])
    outputs = _start(_weighted(shares, members), blocks) + learned
    top = ops.maximum(ops.max(outputs, axis=1, keepdims=True), 0.0)
    odds = ops.exp(outputs - top)
    sums = ops.matmul(odds, blocks) + ops.exp(-top)
    return odds / ops.matmul(sums, blocks.T)


def _start(blended: Tensor, blocks: np.ndarray) -> Tensor:
    least = np.float32(stacking.SMALLEST)
    blended = ops.clip(blended, least, 1 - least)
    none = ops.maximum(1 - ops.matmul(blended, blocks), least)
    return ops.log(blended) - ops.matmul(ops.log(none), blocks.T)


def _stacked_logits(probabilities: Tensor) -> Tensor:
    clipped = ops.clip(probabilities, np.float32(stacking.SMALLEST), np.float32(1 - stacking.SMALLEST))
    return ops.log(clipped / (1 - clipped))


GRAPHS: dict[type, Callable[[Any, Members], Tensor]] = {
    Mean: _mean,
    MeanByLabel: _mean_by_label,
    HarmonicMean: _harmonic_mean,
    MeanOfLogits: _mean_of_logits,
    Linear: _linear,
}

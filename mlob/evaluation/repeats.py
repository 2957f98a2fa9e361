"""Trainings repeated with other seeds: their mean, with an interval over photos and seeds.

A figure of one training holds the luck of its seed. A draw takes photos with replacement, as in `bootstrap`, and
trainings with replacement: the interval says how the mean varies with both.
"""

import dataclasses

import numpy as np

from mlob.evaluation import bootstrap
from mlob.evaluation.bootstrap import Interval, Keys
from mlob.recipes import Judging


@dataclasses.dataclass(frozen=True)
class Repeated(Interval):
    """A mean over trainings; `deviation` is their standard deviation, 0 of a single one."""

    deviation: float


def mean(right: np.ndarray, judging: Judging, keys: Keys = None) -> Repeated:
    """Give the share of photos that trainings answer rightly.

    Args:
        right: bool (trainings, n).
        judging: draws and seed of the bootstrap.
        keys: one a photo, equal for photos of equal content, which are drawn together.
    """
    shares = right.mean(axis=1)
    found = bootstrap.interval(shares.mean(), _draws(right, judging, keys))
    return Repeated(found.value, found.low, found.high, float(shares.std(ddof=1)) if len(shares) > 1 else 0.0)


def gain(right: np.ndarray, others: np.ndarray, judging: Judging, keys: Keys = None) -> Interval:
    """Give the share of photos that trainings answer rightly, less that of others, on the same draws of photos."""
    value = right.mean() - others.mean()
    return bootstrap.interval(value, _draws(right, judging, keys) - _draws(others, judging, keys, seed=1))


def _draws(right: np.ndarray, judging: Judging, keys: Keys, seed: int = 0) -> np.ndarray:
    """Give the mean of each draw, float64 (draws,); `seed` tells the draws of trainings apart."""
    columns = np.column_stack([right.T, np.ones(right.shape[1])]).astype(np.float32)
    resamples = bootstrap.resamples(right.shape[1], judging.draws, judging.seed, keys)
    drawn = np.concatenate([times @ columns for times in resamples]).astype(np.float64)
    shares = drawn[:, :-1] / drawn[:, -1:]
    chosen = np.random.default_rng((judging.seed, seed)).integers(len(right), size=shares.shape)
    return np.take_along_axis(shares, chosen, axis=1).mean(axis=1)

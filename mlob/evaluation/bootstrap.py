"""Intervals over photos: the percentile bootstrap (Efron and Tibshirani 1993, chapter 13).

A draw takes n of the n different photos with replacement: equal photos, whose keys are equal, come together, since a
photo that stands twice tells no more than once. It is kept as how often each photo comes, so that the counts
behind a figure are a product of matrices; float32 holds them exactly up to 16.7 million. Targets and decisions are 0/1
(n, labels); what is unknown takes no part (`metrics`). The draws follow from the keys (None takes all photos as
different) and the seed alone: two methods judged on the same photos share them.

An interval says how the figure varies with the photos that happened to be drawn, not with a network's seed.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from mlob.data.splits import places
from mlob.ensemble import draws as drawn
from mlob.ensemble.measures import MICRO_F1, Measure
from mlob.labels import count_known
from mlob.metrics import counts, f1

Keys = Sequence | None  # one a photo, equal for photos of equal bytes; None takes all photos as different
BLOCK = 64  # draws in hand at once: 256 bytes a photo


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure with the ends of its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3f} to {self.high:.3f}"


def image_f1_draws(
    targets: np.ndarray, decided: np.ndarray, *, keys: Keys = None, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """Mean over photos of each photo's F1, of each draw, float64 (draws,)."""
    return drawn.of_photos(f1, targets, decided, resamples(len(targets), draws, seed, keys))


def macro_f1_draws(
    targets: np.ndarray, decided: np.ndarray, *, keys: Keys = None, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """Macro-F1 of each draw, moved so that their mean is the figure itself (`draws.of_labels`), float64 (draws,)."""
    return drawn.of_labels(f1, targets, decided, resamples(len(targets), draws, seed, keys))


def micro_f1_draws(
    targets: np.ndarray, *decided: np.ndarray, keys: Keys = None, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """Micro-F1 of each draw for each of several decisions, float64 (decisions, draws), all on the same draws.

    A row less another is the draws of their difference: its interval is much narrower than two intervals side by side,
    since an easy draw is easy for both.
    """
    counted = count_draws(targets, *decided, keys=keys, draws=draws, seed=seed)
    return f1(*counted[:, :3].swapaxes(0, 1))


def draws_of(
    measure: Measure, targets: np.ndarray, *answers: np.ndarray, keys: Keys = None, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """Give what a measure makes of each draw for each of several answers, float64 (answers, draws), on the same draws.

    Args:
        answers: what the measure judges, each (n, labels): decisions, or probabilities where it ranks.
    """
    if measure is MICRO_F1:  # one product of matrices for all
        return micro_f1_draws(targets, *answers, keys=keys, draws=draws, seed=seed)
    blocks = list(resamples(len(targets), draws, seed, keys))
    return np.stack([measure.draws(targets, each, blocks) for each in answers])


def count_draws(
    targets: np.ndarray, *decided: np.ndarray, keys: Keys = None, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """What `metrics.POOLED` is made from, of each draw: float32 (decisions, 4 counts, draws)."""
    cells = count_known(targets, axis=1)
    photos = np.stack([(*counts(targets, each, axis=1), cells) for each in decided]).astype(np.float32)
    flat = photos.reshape(-1, len(targets)).T
    counted = np.concatenate([times @ flat for times in resamples(len(targets), draws, seed, keys)])
    return counted.T.reshape(len(decided), 4, -1)


def interval(value: float, of_draws: np.ndarray, *, level: float = 0.95) -> Interval:
    """Give a figure with the ends between which the share `level` of its draws lies, as many below as above."""
    low, high = np.quantile(of_draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def resamples(n: int, draws: int, seed: int, keys: Keys = None) -> Iterator[np.ndarray]:
    """Blocks float32 (up to BLOCK, n): how often each photo comes in each of `draws` draws of the different photos."""
    place, generator = places(n, keys), np.random.default_rng(seed)
    different = int(place.max(initial=-1)) + 1
    for start in range(0, draws, BLOCK):
        rows = min(BLOCK, draws - start)
        cells = generator.integers(different, size=(rows, different)) + different * np.arange(rows)[:, np.newaxis]
        times = np.bincount(cells.ravel(), minlength=rows * different).reshape(rows, different)
        yield times[:, place].astype(np.float32)

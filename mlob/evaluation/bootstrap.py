"""Intervals over photos: the percentile bootstrap (Efron and Tibshirani 1993, chapter 13).

A draw takes n of the n different photos with replacement: equal photos, whose keys are equal, come together, since a
photo that stands twice tells no more than once. It is held as how often each photo comes, so that the counts
behind a figure are a product of matrices; float32 holds them exactly up to 16.7 million. Targets and
decisions are 0/1 (n, labels). The draws follow from the keys (None takes all photos as different) and the seed alone:
two methods judged on the same photos share them.

An interval says how the figure varies with the photos that happened to be drawn, not with a network's seed.
"""

import numpy as np

from mlob.data.splits import places
from mlob.metrics import counts, f1, ratio

BLOCK = 64  # draws in hand at once: 256 bytes a photo


def micro_f1_interval(targets, predicted, *, keys=None, draws=1000, seed=0, level=0.95):
    """Low and high end of micro-F1's interval."""
    return interval(micro_f1_draws(targets, predicted, keys=keys, draws=draws, seed=seed)[0], level=level)


def image_f1_interval(targets, predicted, *, keys=None, draws=1000, seed=0, level=0.95):
    """Low and high end of the interval of the mean over photos of each photo's F1."""
    photos = f1(*counts(targets, predicted, axis=1))
    drawn = [times @ photos / times.sum(axis=1) for times in resamples(len(photos), draws, seed, keys)]
    return interval(np.concatenate(drawn), level=level)


def macro_f1_interval(targets, predicted, *, keys=None, draws=1000, seed=0, level=0.95):
    """Low and high end of macro-F1's interval.

    A label on a single photo is missing from a third of the draws, which say nothing of it: it keeps the F1 that it
    has on all photos there, so that a perfect answer is perfect in every draw. What distance is left of the draws' mean
    from the figure is added to the interval, which then says where the figure of n other photos would lie.
    """
    targets, predicted = np.asarray(targets, bool), np.asarray(predicted, bool)
    both, sums = (targets & predicted).astype(np.float32), targets.astype(np.float32) + predicted
    own = f1(*counts(targets, predicted, axis=0))
    drawn = np.concatenate([_macro(times, both, sums, own) for times in resamples(len(targets), draws, seed, keys)])
    low, high = interval(drawn + own.mean() - drawn.mean(), level=level)
    return max(low, 0.0), min(high, 1.0)


def _macro(times, both, sums, own):
    """Macro-F1 of draws; a label of which a draw has no photo counts as `own` says."""
    drawn = times @ sums
    return np.where(drawn > 0, ratio(2 * (times @ both), drawn), own).mean(axis=1)


def micro_f1_difference(targets, predicted, other, *, keys=None, draws=1000, seed=0, level=0.95):
    """Low and high end of the interval of micro-F1 of `predicted` less that of `other`, on the same draws.

    Much narrower than two intervals side by side, since an easy draw is easy for both.
    """
    drawn = micro_f1_draws(targets, predicted, other, keys=keys, draws=draws, seed=seed)
    return interval(np.subtract(*drawn), level=level)


def micro_f1_draws(targets, *decided, keys=None, draws=1000, seed=0):
    """Micro-F1 of each draw for each of several decisions, float64 (decisions, draws), all on the same draws.

    A row less another is the draws of their difference.
    """
    photos = np.stack([counts(targets, one, axis=1) for one in decided]).astype(np.float32)  # (decisions, 3, n)
    flat = photos.reshape(-1, len(targets)).T
    drawn = np.concatenate([times @ flat for times in resamples(len(targets), draws, seed, keys)])
    return f1(*drawn.T.reshape(len(decided), 3, -1).swapaxes(0, 1))


def interval(values, *, level=0.95):
    """Low and high end between which the share `level` of the draws lies, as many of the rest below as above."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resamples(n, draws, seed, keys=None):
    """Blocks float32 (up to BLOCK, n): how often each photo comes in each of `draws` draws of the different photos."""
    place, generator = places(n, keys), np.random.default_rng(seed)
    different = int(place.max(initial=-1)) + 1
    for start in range(0, draws, BLOCK):
        rows = min(BLOCK, draws - start)
        cells = generator.integers(different, size=(rows, different)) + different * np.arange(rows)[:, np.newaxis]
        times = np.bincount(cells.ravel(), minlength=rows * different).reshape(rows, different)
        yield times[:, place].astype(np.float32)

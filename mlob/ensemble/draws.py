"""Figures of photos that were drawn anew, as the bootstrap draws them: of counts, and of probabilities.

Targets and decisions are 0/1 (n, labels); what is unknown takes no part. `blocks` says how often each photo comes in
each draw, float32 (up to some draws, n) at a time; the figures of all draws come back, float64 (draws,). float32 holds
counts exactly up to 16.7 million.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from mlob import metrics
from mlob.labels import count_known, positives
from mlob.metrics import Figure, counts, ratio

Blocks = Iterable[np.ndarray]


def pooled(figure: Figure, targets: np.ndarray, decided: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Give a figure of the counts of all decisions."""
    photos = np.stack(counts(targets, decided, axis=1), axis=1).astype(np.float32)
    return figure(*np.concatenate([times @ photos for times in blocks]).T)


def of_photos(figure: Figure, targets: np.ndarray, decided: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Give the mean of the photos' own figures."""
    photos, judged = figure(*counts(targets, decided, axis=1)), count_known(targets, axis=1) > 0
    return np.concatenate([ratio(times @ photos, times @ judged) for times in blocks])


def of_labels(figure: Figure, targets: np.ndarray, decided: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Give the mean over labels of each draw, moved so that the draws' mean is the figure itself.

    A label on a single photo is missing from a third of the draws, which say nothing of it: it keeps the figure that it
    has on all photos there, so that a perfect answer is perfect in every draw. What distance is left of the draws' mean
    from the figure is added to the draws, whose interval then says where the figure of n other photos would lie.
    """
    judged = count_known(targets, axis=0) > 0
    targets, decided = targets[:, judged], np.asarray(decided, bool)[:, judged]
    true, given = positives(targets), decided & (targets <= 1)
    parts = [each.astype(np.float32) for each in (true & given, given, true)]
    own = figure(*counts(targets, decided, axis=0))

    def of_block(times: np.ndarray) -> np.ndarray:
        drawn = [times @ part for part in parts]
        return np.where(drawn[1] + drawn[2] > 0, figure(*drawn), own)

    return _moved([of_block(times) for times in blocks], own)


def _moved(drawn: Sequence[np.ndarray], own: np.ndarray) -> np.ndarray:
    """Give the means over labels of draws (draws, labels), in blocks, moved to the mean of the labels' own figures."""
    means = np.concatenate([block.mean(axis=1) if own.size else np.zeros(len(block)) for block in drawn])
    return np.clip(means + (own.mean() if own.size else 0) - means.mean(), 0, 1)


def average_precision(targets: np.ndarray, probabilities: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Give the mean average precision of each draw, moved as `of_labels` moves them."""
    judged = count_known(targets, axis=0) > 0
    columns = list(zip(targets.T[judged], np.asarray(probabilities).T[judged], strict=True))
    own = np.array([metrics.average_precision(truth[:, None], scores[:, None]) for truth, scores in columns])
    drawn = [_drawn_precision(truth, scores, was) for (truth, scores), was in zip(columns, own, strict=True)]
    if not drawn:
        return np.zeros(sum(len(times) for times in blocks))
    return _moved([np.stack([label(times) for label in drawn], axis=1) for times in blocks], own)


def _drawn_precision(truth: np.ndarray, scores: np.ndarray, own: float) -> Callable[[np.ndarray], np.ndarray]:
    """Give the function of a block that gives a label's average precision in each draw, `own` without positives."""
    rows = np.flatnonzero(truth <= 1)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    true, last = truth[rows] == 1, np.append(np.diff(scores[rows]) != 0, True)  # of the rows of one score
    if not true.any():
        return lambda times: np.full(len(times), own)
    run = np.append(0, np.cumsum(last)[:-1])
    ends = np.flatnonzero(last & np.isin(run, run[true])) + 1  # nothing is gained where a score has no positive
    starts = np.append(0, ends[:-1])

    def of_block(times: np.ndarray) -> np.ndarray:
        drawn = times[:, rows[: ends[-1]]]
        predicted = np.add.reduceat(drawn, starts, axis=1).cumsum(axis=1)
        gained = np.add.reduceat(drawn * true[: ends[-1]], starts, axis=1)
        positive = gained.sum(axis=1)
        summed = (gained * ratio(gained.cumsum(axis=1), predicted)).sum(axis=1)
        return np.where(positive > 0, ratio(summed, positive), own)

    return of_block

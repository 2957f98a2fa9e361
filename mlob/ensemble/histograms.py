"""What many blends reach of a mean over labels or photos, about: by histograms of the scores of each.

Members are float32 (members, rows, columns) in [0, 1], targets (rows, columns), of which unknown ones take no part. The
mean goes over the rows: photos, or, of arrays that were turned round, labels. Weights are float64 (particles, members).
"""

from collections.abc import Callable

import numpy as np

from mlob.labels import count_known, is_known, positives
from mlob.metrics import Figure, ratio

BINS = 256  # of a row that has thresholds of its own
FEW_BINS = 64  # of each of many rows that share them: a quarter of the seconds


def means(
    members: np.ndarray, targets: np.ndarray, reduce: Callable[..., float], *, scaled: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """Give a function of weights (particles, members) that gives what `reduce` makes of each blend's counts.

    Args:
        members, targets: see above.
        reduce: a function of true positives and predicted positives, (judged rows, 1 + bins), at thresholds that fall
            from the highest to 0, and of positives (judged rows, 1), over the rows of which something is known.
        scaled: each row has thresholds of its own, up to its highest score. Else all have the same.
    """
    bins = BINS if scaled else FEW_BINS
    rows_known = count_known(targets, axis=1)
    judged = rows_known > 0
    if not judged.any():
        return lambda weights: np.zeros(len(weights))
    members, targets = members[:, judged], targets[judged]
    true, photos = positives(targets), rows_known[judged][:, np.newaxis]
    highest = members.max(axis=0)
    top = np.maximum(highest.max(axis=1, keepdims=True) if scaled else highest.max(), np.finfo(np.float32).tiny)
    relevant = (highest * bins >= top) & (True if (known := is_known(targets)) is None else known)
    rows = np.nonzero(relevant)[0]
    cells = members[:, relevant] * (bins / np.broadcast_to(top, (len(targets), 1))[rows, 0])
    first, bears, count = rows * (bins + 1), true[relevant], true.sum(axis=1, keepdims=True)

    def at_least(places: np.ndarray, everything: np.ndarray) -> np.ndarray:
        histogram = np.bincount(places, minlength=len(targets) * (bins + 1)).reshape(len(targets), bins + 1)
        return np.append(histogram[:, :0:-1].cumsum(axis=1), everything, axis=1)

    def reached(weights: np.ndarray) -> float:
        places = first + np.minimum((weights.astype(np.float32) @ cells).astype(np.int64), bins)
        return reduce(at_least(places[bears], count), at_least(places, photos), count)

    return lambda weights: np.array([reached(each) for each in weights])


def own_thresholds(figure: Figure) -> Callable[..., float]:
    """Give the reduction of the mean over rows, each at the threshold where its figure is highest."""
    return lambda right, predicted, count: float(figure(right, predicted, count).max(axis=1).mean())


def one_threshold(figure: Figure) -> Callable[..., float]:
    """Give the reduction of the highest mean over rows at one threshold for all."""
    return lambda right, predicted, count: float(figure(right, predicted, count).mean(axis=0).max())


def average_precision(right: np.ndarray, predicted: np.ndarray, count: np.ndarray) -> float:
    """Reduce to the mean over rows of average precision."""
    gained = np.diff(right, axis=1, prepend=0)
    return float(ratio((gained * ratio(right, predicted)).sum(axis=1), count[:, 0]).mean())

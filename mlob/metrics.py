"""How good decisions and probabilities are.

Targets and decisions are 0/1 arrays (n, labels). Targets that are not known (`labels.UNKNOWN`) take no part, whatever
was decided or how likely it is; nor does a label or a photo of which nothing is known in a mean over all. A ratio
whose denominator is 0 counts as 0 (scikit-learn's zero_division=0): a label that neither occurs nor is predicted has
F1 0 and stays in the mean, and so has a photo without labels for which none is predicted.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from mlob.labels import count_known, is_known, known_entries, positives

Figure = Callable[..., np.ndarray]  # of three counts as `counts` gives them, numbers or arrays
ROUNDING = 1e-9  # of a share of a count: 0.55 * 20 is above 11


def micro_f1(targets: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of all decisions pooled: the measure of iMaterialist Fashion 2018."""
    return float(f1(*counts(targets, predicted)))


def macro_f1(targets: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over all labels of each label's F1."""
    return mean_of(f1, targets, predicted, axis=0)


def image_f1(targets: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over all photos of each photo's F1."""
    return mean_of(f1, targets, predicted, axis=1)


def mean_of(figure: Figure, targets: np.ndarray, predicted: np.ndarray, axis: int) -> float:
    """Mean of a figure over the labels (axis 0) or photos (axis 1) of which something is known."""
    return _mean_over_known(figure(*counts(targets, predicted, axis=axis)), targets, axis)


def average_precision(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over labels of average precision: the precision at each score, weighted by the recall it adds.

    Equal scores are one step, as in scikit-learn. A label without positives counts 0.
    """
    columns = zip(np.asarray(targets).T, np.asarray(probabilities).T, strict=True)
    figures = np.array([_average_precision(*known_entries(column, scores)) for column, scores in columns])
    return _mean_over_known(figures, targets, axis=0)


def highest_micro_f1(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Micro-F1 at the one threshold that is best for just these photos: to watch training, not to report."""
    truth, scores = known_entries(np.asarray(targets), np.asarray(probabilities))
    if not truth.size:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    true_positives = np.cumsum(truth[order], dtype=np.int64)
    last = np.append(np.diff(scores[order]) != 0, True)  # a cut lies between two scores
    predicted_positives = np.arange(1, len(order) + 1)
    return float(f1(true_positives, predicted_positives, true_positives[-1])[last].max())


def counts(targets: np.ndarray, predicted: np.ndarray, axis: int | None = None) -> tuple[Any, ...]:
    """True positives, predicted positives and positives (labels that are both, predicted, true), integers.

    They are totals over the whole array, or with axis=0 one number a label (labels,), with axis=1 one a photo
    (n,). The rest of the predicted positives are false positives; the rest of the positives, false negatives.
    """
    targets, predicted = np.asarray(targets), np.asarray(predicted, bool)
    known, true = is_known(targets), positives(targets)
    predicted = predicted if known is None else predicted & known
    return tuple(np.count_nonzero(marks, axis=axis) for marks in (true & predicted, predicted, true))


def f1(true_positives: Any, predicted_positives: Any, positives: Any) -> np.ndarray:
    """2 true positives / (predicted positives + positives), of numbers or arrays; 0 where all of them are 0."""
    return ratio(2 * np.asarray(true_positives), predicted_positives + np.asarray(positives))


def f_beta(true_positives: Any, predicted_positives: Any, positives: Any, beta: float) -> np.ndarray:
    """F1 in which recall counts beta times as much as precision: a missed label costs beta^2 times a wrong one."""
    weight = beta**2
    return ratio((1 + weight) * np.asarray(true_positives), predicted_positives + weight * np.asarray(positives))


def saved_cost(
    true_positives: Any, predicted_positives: Any, positives: Any, false_positive: float, false_negative: float
) -> np.ndarray:
    """The share that is saved of what mistakes cost where nothing is predicted.

    1 without a mistake, 0 where mistakes cost as much as predicting nothing, below 0 where they cost more.

    Args:
        true_positives, predicted_positives, positives: numbers or arrays.
        false_positive, false_negative: what a mistake of either kind costs, above 0.
    """
    true_positives = np.asarray(true_positives)
    gained = false_negative * true_positives - false_positive * (predicted_positives - true_positives)
    return ratio(gained, false_negative * np.asarray(positives))


def recall_at_precision(true_positives: Any, predicted_positives: Any, positives: Any, wished: float) -> np.ndarray:
    """Recall, and 0 where the precision is below the wished one."""
    kept = np.asarray(true_positives) >= wished * np.asarray(predicted_positives) - ROUNDING
    return np.where(kept, ratio(true_positives, positives), 0)


def precision_at_recall(true_positives: Any, predicted_positives: Any, positives: Any, wished: float) -> np.ndarray:
    """Precision, and 0 where the recall is below the wished one."""
    kept = np.asarray(true_positives) >= wished * np.asarray(positives) - ROUNDING
    return np.where(kept, ratio(true_positives, predicted_positives), 0)


def ratio(numerator: Any, denominator: Any) -> np.ndarray:
    """Quotient in float64, and 0 where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


def mean_known(targets: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean of each label's values (n, labels) over the photos that know it (labels,); 0 where none does."""
    known = is_known(targets)
    if known is None:
        return values.mean(axis=0)
    return ratio(np.sum(values, axis=0, where=known), np.count_nonzero(known, axis=0))


# Metrics of all decisions pooled, by name: functions of four counts, numbers or arrays, which may be those of bootstrap
# draws: true positives, predicted positives, positives, and decisions in all. One line here puts a metric into every
# result.json, with its interval, and onto the page.
POOLED = {
    "micro_f1": lambda right, predicted, positives, decisions: f1(right, predicted, positives),
    "precision": lambda right, predicted, positives, decisions: ratio(right, predicted),
    "recall": lambda right, predicted, positives, decisions: ratio(right, positives),
    # A missed label costs four times what a wrong one does. (iMet Collection 2019 has it per photo.)
    "f2": lambda right, predicted, positives, decisions: f_beta(right, predicted, positives, beta=2),
    # At 3% of labels true, predicting nothing reaches 97%: a figure to mistrust.
    "accuracy": lambda right, predicted, positives, decisions: 1 - ratio(predicted + positives - 2 * right, decisions),
}


def pooled(targets: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Give the metrics of POOLED: {name: float}."""
    found = (*counts(targets, predicted), count_known(targets))
    return {name: float(metric(*found)) for name, metric in POOLED.items()}


def _mean_over_known(figures, targets, axis):
    """The mean of the figures of labels (axis 0) or photos (axis 1) of which something is known; 0 where none is."""
    judged = figures[count_known(targets, axis=axis) > 0]
    return float(judged.mean()) if judged.size else 0.0


def _average_precision(column, scores):
    if not column.size:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of the rows of one score
    steps = np.flatnonzero(last)
    true_positives = np.cumsum(column[order], dtype=np.int64)[steps]
    gained = np.diff(true_positives, prepend=0)
    return ratio(np.sum(gained * true_positives / (steps + 1)), np.count_nonzero(column))

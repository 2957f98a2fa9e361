"""From probabilities to decisions: thresholds that are best for micro-F1, one for all labels or one a label.

A label is predicted where its probability is at least the threshold. Targets are 0/1 (n, labels),
probabilities float32 (n, labels) in [0, 1]. Thresholds are fitted on the photos given and flatter themselves
there: judge them on others (`evaluation.crossfit`).

Every threshold returned is a float32 number, so that a comparison in float32 or float64, before or after a
trip through JSON, decides alike.
"""

import numpy as np

from mlob.metrics import counts, f1

ABOVE = np.nextafter(np.float32(1), np.float32(2))  # a threshold that no probability reaches


def decide(probabilities, thresholds):
    """Decisions uint8 (n, labels); `thresholds` is one number or one a label."""
    return (np.asarray(probabilities, np.float32) >= np.asarray(thresholds, np.float32)).astype(np.uint8)


def best_global(targets, probabilities):
    """The one threshold for all labels with the highest micro-F1: exact, over all distinct probabilities.

    It lies midway between the lowest probability it admits and the next one below. Of equally good cuts the
    lowest is taken. Without any positive it lies above every probability.
    """
    thresholds, true_positives, predicted_positives = _cuts(np.ravel(targets), np.ravel(probabilities))
    return float(thresholds[np.argmax(f1(true_positives, predicted_positives, np.count_nonzero(targets)))])


def best_per_label(targets, probabilities):
    """Thresholds float32 (labels,) with the highest micro-F1 of all decisions pooled.

    Coordinate ascent (Fan and Lin 2007, "A study on threshold selection for multi-label classification"):
    from the best global threshold, each label in turn takes its best cut given what the others decide, until
    a whole round gains nothing. No set of thresholds does better on these photos: where no label alone can
    gain, each one maximises true positives - F1/2 * predicted positives, hence so does their sum, which is
    the optimality condition of a ratio (Dinkelbach 1967).

    A label moves only for a gain, and of equally good cuts takes the one nearest to the global threshold:
    with few positives a label's own optimum is mostly chance, and the global threshold rests on all of them.
    """
    shared = best_global(targets, probabilities)
    thresholds = np.full(np.shape(targets)[1], shared, np.float32)
    columns = zip(np.transpose(targets), np.transpose(probabilities), strict=True)
    cuts = [_cuts(*column) for column in columns]
    true_positives, predicted_positives, positives = counts(targets, decide(probabilities, shared), axis=0)
    before, now = -1, f1(true_positives.sum(), predicted_positives.sum(), positives.sum())
    while now > before:
        before = now
        for label, (own_thresholds, own_true, own_predicted) in enumerate(cuts):
            all_true = true_positives.sum() - true_positives[label] + own_true
            all_predicted = predicted_positives.sum() - predicted_positives[label] + own_predicted
            scores = f1(all_true, all_predicted, positives.sum())
            if scores.max() > now:
                best = np.flatnonzero(scores == scores.max())
                best = best[np.abs(own_thresholds[best] - shared).argmin()]
                thresholds[label], now = own_thresholds[best], scores[best]
                true_positives[label], predicted_positives[label] = own_true[best], own_predicted[best]
    return thresholds


def _cuts(targets, scores):
    """Thresholds worth trying on one column (n,), rising, with the true and the predicted positives of each.

    The lowest score that a cut admits is a positive's: one that stops at a negative is beaten by the next
    higher cut, with as many true positives and fewer predicted ones. The last cut admits nobody.
    """
    scores = np.asarray(scores, np.float32)
    positives, everyone = np.sort(scores[np.asarray(targets, bool)]), np.sort(scores)
    admitted = np.append(np.unique(positives), ABOVE)
    first = np.searchsorted(everyone, admitted)
    true_positives = positives.size - np.searchsorted(positives, admitted)
    refused = np.append(np.float32(0), everyone)[first]  # the next score below, 0 below the lowest
    middle = (refused + admitted) / 2
    # Between neighbouring float32 numbers there is no middle, and it rounds to either of them.
    return np.where(middle > refused, middle, admitted), true_positives, everyone.size - first

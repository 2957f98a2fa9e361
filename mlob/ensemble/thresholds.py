"""From probabilities to decisions: thresholds for all labels together or one a label, each rule a function and an
estimator in scikit-learn's manner.

A label is predicted where its probability is at least the threshold. Targets are 0/1 (n, labels), probabilities
float32 (n, labels) in [0, 1]. Thresholds are fitted on the photos given and flatter themselves there: judge them on
others (`evaluation.crossfit`), and fit them on photos that trained no member.

Where micro-F1 counts, `CalibratedThresholds` is the rule to start with. Cross-fitted on 1,431 real photos, in
November 2026, it gained 0.003 on one global threshold, and flattered itself by 0.001; the exact optimum
(`LabelThresholds`) gained nothing and flattered itself by 0.011. In simulations of 300 to 9,897 photos its mean lay at
most 0.0001 below the global threshold's, and with iMaterialist's shift between train and validation within 0.006 of
what the truth would give.

Every threshold returned is a float32 number, so that a comparison in float32 or float64, before or after a
trip through JSON, decides alike.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mlob.ensemble.calibration import a_target_a_label, bias_and_scale, calibrate, checked, checked_pair, logits
from mlob.metrics import counts, f1, ratio

ABOVE = np.nextafter(np.float32(1), np.float32(2))  # a threshold that no probability reaches
GRID = np.arange(16, -16, -0.05)  # logits among which `smoothed` chooses
TIE = 1e-9  # a difference between two sums of photos' F1 that may be rounding alone


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


def half_f1(probabilities):
    """Half of the highest micro-F1 that calibrated probabilities let expect: the best threshold for just those.

    A decision raises F1 where the chance that it is right is above F1/2 (Lipton, Elkan and Naryanaswamy 2014,
    "Optimal thresholding of classifiers to maximize F1 measure"). It looks at no targets, hence fits nothing.
    """
    falling = np.sort(np.ravel(probabilities).astype(np.float64))[::-1]
    expected = np.cumsum(falling)
    return float(np.float32(f1(expected, np.arange(1, len(falling) + 1), expected[-1]).max() / 2))


def best_per_label(targets, probabilities):
    """Thresholds float32 (labels,) with the highest micro-F1 of all decisions pooled: exact.

    Of equally good cuts a label takes the one nearest to the best global threshold, and that itself where it can: with
    few positives a label's own optimum is mostly chance, and the global threshold rests on all of them.
    """
    cuts = _nearest_first(targets, probabilities)
    return _taken(cuts, _dinkelbach([own for _, *own in cuts], np.count_nonzero(targets)))


def shrunk(targets, probabilities, strength=30):
    """Thresholds float32 (labels,) between the best global one and the label's own in `best_per_label`.

    On the logit scale, the own one weighs positives / (positives + strength).
    """
    shared, own = best_global(targets, probabilities), best_per_label(targets, probabilities)
    weight = ratio(positives := np.count_nonzero(targets, axis=0), positives + strength)
    between = expit(weight * logits(own) + (1 - weight) * logits(shared)).astype(np.float32)
    return np.where(own == np.float32(shared), own, between)


def smoothed(targets, probabilities, bandwidth=0.6, strength=30):
    """Thresholds float32 (labels,) with the highest micro-F1 if each score's logit were blurred by a normal error.

    The blur, `bandwidth` logits wide, lets neighbouring scores vote: the threshold lies where a kernel estimate of the
    share of positives crosses F1/2, not where the last few photos happened to fall. To each label's counts those of
    all labels are added, weighted as `strength` positives. The defaults were chosen on real scores.
    """
    width = bandwidth / (GRID[0] - GRID[1])
    right = gaussian_filter1d(_reaching_grid(targets, probabilities), width, mode="nearest")
    predicted = gaussian_filter1d(_reaching_grid(np.ones_like(targets), probabilities), width, mode="nearest")
    positives = np.count_nonzero(targets)
    weight = strength / max(positives, 1)
    curves = zip(right + weight * right.sum(axis=0), predicted + weight * predicted.sum(axis=0), strict=True)
    return expit(GRID[_dinkelbach(list(curves), positives + strength * len(right))]).astype(np.float32)


def calibrated(targets, probabilities, penalty=None):
    """Thresholds float32 (labels,) that are one threshold, `half_f1`, on probabilities calibrated label by label.

    All of a label's photos settle two numbers, its bias and scale, and all labels settle how far these may stray
    (`calibration.bias_and_scale`): so one with few positives stays near to the threshold of all.

    A label whose scores run against its targets is predicted for everybody or nobody, by its calibrated mean.
    """
    bias, scale, _ = bias_and_scale(targets, probabilities, penalty)
    meant = calibrate(probabilities, bias, scale)
    cut = half_f1(meant)
    own = (logits(cut) - bias) / np.where(scale > 0, scale, 1)
    admits_all = np.where(scale > 0, own <= logits(0), meant.mean(axis=0) >= cut)
    admits_none = np.where(scale > 0, own > logits(1), ~admits_all)
    return np.select([admits_all, admits_none], [np.float32(0), ABOVE], expit(own).astype(np.float32))


def best_macro(targets, probabilities):
    """Thresholds float32 (labels,) with the highest macro-F1, hence each label's own: exact.

    Of equally good cuts the nearest to the best global threshold; a label without positives keeps that.
    """
    cuts = _nearest_first(targets, probabilities)
    positives = np.count_nonzero(targets, axis=0)
    return _taken(cuts, [np.argmax(f1(*own, count)) for (_, *own), count in zip(cuts, positives, strict=True)])


def best_global_by_image(targets, probabilities):
    """The one threshold for all labels with the highest mean over photos of each photo's F1: exact.

    Of equally good cuts the highest is taken: what only photos without labels would get is not predicted.
    """
    targets, probabilities = np.asarray(targets), np.asarray(probabilities, np.float32)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    right = np.cumsum(np.take_along_axis(targets, order, axis=1), axis=1, dtype=np.int64)
    reached = f1(right, np.arange(1, targets.shape[1] + 1), right[:, -1:])  # with the photo's 1, 2, … highest scores
    gains = np.diff(reached, axis=1, prepend=0)
    scores = np.take_along_axis(probabilities, order, axis=1).ravel()
    falling = np.argsort(-scores, kind="stable")
    thresholds, totals = _admitting(scores[falling], gains.ravel()[falling])
    return float(thresholds[_ties(totals)[0]])


def best_by_image(targets, probabilities):
    """Thresholds float32 (labels,) with a high mean over photos of each photo's F1.

    The labels are tied together by every photo, and no way to the best set is known but trying all. From the best
    global threshold each label in turn takes its best cut given the others, exactly, until none gains: at the end no
    label alone can gain. Of equally good cuts the nearest to the global one.
    """
    targets, probabilities = np.asarray(targets, bool), np.asarray(probabilities, np.float32)
    shared = best_global_by_image(targets, probabilities)
    thresholds = np.full(targets.shape[1], shared, np.float32)
    falling = [np.argsort(-column, kind="stable") for column in probabilities.T]
    predicted, moved = decide(probabilities, shared).astype(bool), True
    right, sizes, positives = counts(targets, predicted, axis=1)
    while moved:
        moved = False
        for label, order in enumerate(falling):
            target, scores = targets[:, label], probabilities[:, label]
            right, sizes = right - (target & predicted[:, label]), sizes - predicted[:, label]
            gains = f1(right + target, sizes + 1, positives) - f1(right, sizes, positives)
            cuts, totals = _admitting(scores[order], gains[order])
            if totals.max() > gains[predicted[:, label]].sum() + 2 * TIE:
                best = _ties(totals)
                thresholds[label] = cuts[best[np.abs(cuts[best] - shared).argmin()]]
                predicted[:, label], moved = decide(scores, thresholds[label]), True
            right, sizes = right + (target & predicted[:, label]), sizes + predicted[:, label]
    return thresholds


class _Thresholds(BaseEstimator):
    """Fit thresholds by a rule, a function of targets and probabilities; decide by them."""

    def fit(self, X, y):
        """Fit on probabilities (n, labels) and targets 0/1 (n, labels); ValueError for anything else."""
        X, y = checked_pair(self, X, y)
        return self._keep(self._rule(y, X))

    def predict(self, X):
        """Decide on probabilities (n, labels): uint8 (n, labels)."""
        check_is_fitted(self)
        return decide(checked(self, X), self.thresholds_)

    def _keep(self, thresholds):
        self.thresholds_ = np.full(self.n_features_in_, thresholds, np.float32)
        return self

    def __sklearn_tags__(self):
        """Say that a target a label is wanted."""
        return a_target_a_label(super().__sklearn_tags__())


class GlobalThreshold(_Thresholds):
    """One threshold for all labels, with the highest micro-F1: see `best_global`.

    Attributes:
        thresholds_: float32 (labels,), all equal.

    >>> GlobalThreshold().fit([[0.1, 0.2], [0.4, 0.8]], [[0, 0], [1, 1]]).thresholds_
    array([0.3, 0.3], dtype=float32)
    """

    _rule = staticmethod(best_global)


class HalfF1Threshold(_Thresholds):
    """One threshold for all labels, half of the micro-F1 that calibrated probabilities let expect: see `half_f1`.

    Attributes:
        thresholds_: float32 (labels,), all equal.

    It looks at no targets, so that it can be fitted on the very photos to be decided on.

    >>> HalfF1Threshold().fit([[0.0], [0.5], [1.0]]).thresholds_  # expected F1: 1 right of 1 predicted, 1.5 true
    array([0.42857143], dtype=float32)
    """

    def fit(self, X, y=None):
        """Fit on probabilities (n, labels); targets are ignored."""
        return self._keep(half_f1(checked(self, X, reset=True)))

    def __sklearn_tags__(self):
        """Say that targets may be missing."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags


class LabelThresholds(_Thresholds):
    """One threshold a label, with the highest micro-F1 on the photos given: see `best_per_label`.

    Attributes:
        thresholds_: float32 (labels,).

    On other photos it often loses to one threshold for all: prefer `CalibratedThresholds`.

    >>> LabelThresholds().fit([[0.25, 0.5], [0.5, 0.75]], [[0, 0], [1, 1]]).thresholds_
    array([0.375, 0.625], dtype=float32)
    """

    _rule = staticmethod(best_per_label)


class ShrunkThresholds(_Thresholds):
    """One threshold a label, the nearer to the global one the fewer positives it has: see `shrunk`.

    Parameters:
        strength: positives with which a label lies half-way. 0 is `LabelThresholds`.

    Attributes:
        thresholds_: float32 (labels,).

    >>> ShrunkThresholds(strength=1).fit([[0.25, 0.5], [0.5, 0.75]], [[0, 0], [1, 1]]).thresholds_.round(2)
    array([0.38, 0.5 ], dtype=float32)
    """

    def __init__(self, strength=30):
        self.strength = strength

    def _rule(self, targets, probabilities):
        return shrunk(targets, probabilities, self.strength)


class SmoothedThresholds(_Thresholds):
    """One threshold a label, best for blurred scores with all labels' counts mixed in: see `smoothed`.

    Parameters:
        bandwidth: width of the blur in logits, above 0.
        strength: positives that all labels' counts weigh in each label's.

    Attributes:
        thresholds_: float32 (labels,).

    >>> SmoothedThresholds().fit([[0.1, 0.3], [0.7, 0.9]], [[0, 0], [1, 1]]).thresholds_.shape
    (2,)
    """

    def __init__(self, bandwidth=0.6, strength=30):
        self.bandwidth = bandwidth
        self.strength = strength

    def _rule(self, targets, probabilities):
        return smoothed(targets, probabilities, self.bandwidth, self.strength)


class CalibratedThresholds(_Thresholds):
    """One threshold a label, that of calibrated scores at half of the F1 to expect: see `calibrated`. The default.

    Parameters:
        penalty: of the calibration, as in `calibration.LabelCalibration`; None fits it.

    Attributes:
        thresholds_: float32 (labels,), on the probabilities as they come.

    >>> rng = np.random.default_rng(0)
    >>> scores = rng.random((1000, 3))
    >>> targets = rng.random((1000, 3)) < scores
    >>> CalibratedThresholds().fit(scores, targets).thresholds_.round(1)
    array([0.4, 0.4, 0.4], dtype=float32)
    """

    def __init__(self, penalty=None):
        self.penalty = penalty

    def _rule(self, targets, probabilities):
        return calibrated(targets, probabilities, self.penalty)


class MacroThresholds(_Thresholds):
    """One threshold a label, with the highest macro-F1 on the photos given: see `best_macro`.

    Attributes:
        thresholds_: float32 (labels,).

    >>> MacroThresholds().fit([[0.25, 0.5], [0.5, 0.75]], [[0, 0], [1, 1]]).thresholds_
    array([0.375, 0.625], dtype=float32)
    """

    _rule = staticmethod(best_macro)


class ImageThresholds(_Thresholds):
    """One threshold a label, with a high mean F1 a photo on the photos given: see `best_by_image`.

    Attributes:
        thresholds_: float32 (labels,).

    >>> ImageThresholds().fit([[0.25, 0.5], [0.5, 0.75]], [[1, 0], [1, 1]]).thresholds_
    array([0.125, 0.625], dtype=float32)
    """

    _rule = staticmethod(best_by_image)


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
    return _midway(refused, admitted), true_positives, everyone.size - first


def _midway(refused, admitted):
    middle = (refused + admitted) / 2
    # Between neighbouring float32 numbers there is no middle, and it rounds to either of them.
    return np.where(middle > refused, middle, admitted)


def _nearest_first(targets, probabilities):
    """For each label its cuts (thresholds, true positives, predicted positives), the best global threshold first.

    The others follow by their distance from it, so that argmax takes the nearest of equally good ones.
    """
    shared = np.float32(best_global(targets, probabilities))
    at_shared = counts(targets, decide(probabilities, shared), axis=0)[:2]
    cuts = []
    for target, scores, *reached in zip(np.transpose(targets), np.transpose(probabilities), *at_shared, strict=True):
        thresholds, *own = _cuts(target, scores)
        order = np.argsort(np.abs(thresholds - shared), kind="stable")
        cuts.append([np.append(at, of[order]) for at, of in zip([shared, *reached], [thresholds, *own], strict=True)])
    return cuts


def _dinkelbach(curves, positives):
    """Which cut each label takes for the highest micro-F1 of all pooled, a list of positions.

    The optimum of a ratio by Dinkelbach (1967, "On nonlinear fractional programming"): given the F1 reached, the labels
    come apart, and each takes the cut with the most true positives - F1/2 * predicted positives; again, until nothing
    is gained. From counts it is exact: scaled by F1's denominator they stay integers, and equal is equal.

    Args:
        curves: for each label the true and the predicted positives at its cuts; the first of equally good is taken.
        positives: of all labels.
    """
    best, before = [0] * len(curves), -1.0
    while True:
        right, predicted = (sum(own[which][at] for own, at in zip(curves, best, strict=True)) for which in (0, 1))
        if (reached := f1(right, predicted, positives)) <= before:
            return best
        best = [np.argmax(own_right * (predicted + positives) - own * right) for own_right, own in curves]
        before = reached


def _taken(cuts, best):
    return np.array([thresholds[at] for (thresholds, *_), at in zip(cuts, best, strict=True)], np.float32)


def _reaching_grid(marks, probabilities):
    """How many marked cells of each label reach each logit of GRID: float64 (labels, grid)."""
    columns = zip(np.asarray(marks, bool).T, logits(probabilities).T, strict=True)
    below = [np.searchsorted(np.sort(own[mark]), GRID) for mark, own in columns]
    return np.count_nonzero(marks, axis=0)[:, np.newaxis] - np.array(below, np.float64)


def _admitting(falling, gains):
    """Thresholds (cuts,) that admit nobody, or all down to one of the falling scores, and the sum of gains of each."""
    last = np.append(falling[:-1] != falling[1:], True)  # equal scores are admitted together
    refused = np.append(falling[1:], np.float32(0))
    return np.append(ABOVE, _midway(refused, falling)[last]), np.append(0, np.cumsum(gains)[last])


def _ties(totals):
    return np.flatnonzero(totals >= totals.max() - TIE)

"""From probabilities to decisions: rules that choose one threshold for all labels, or one for each.

A label is predicted where its probability is at least the threshold. Targets are 0/1 (n, labels), probabilities
float32 (n, labels) in [0, 1]. What is unknown takes no part, so that a label of which nothing is known has the
threshold that the others suggest. Thresholds flatter themselves on the photos they were fitted on: judge them on others
(`evaluation.crossfit`), and fit them on photos that trained no member. `estimators` has the same rules in
scikit-learn's manner.

Where micro-F1 counts, `calibrated` is the rule to start with. Cross-fitted on 1,431 real photos, in November 2026, it
gained 0.003 on one threshold for all, and flattered itself by 0.001; the exact optimum (`best_per_label`) gained
nothing and flattered itself by 0.011. In simulations of 300 to 9,897 photos its mean lay at most 0.0001 below that of
one threshold, and with iMaterialist's shift between train and validation within 0.006 of what the truth would give.

To add a rule, write its function and name it in RULES, which are those where micro-F1 counts; other metrics have their
own by the same names (`measures`). A suite's recipe chooses by these names.

Every threshold returned is a float32 number, so that a comparison in float32 or float64, before or after a
trip through JSON, decides alike.
"""

import typing
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mlob.ensemble.calibration import bias_and_scale, calibrate, logits, sigmoid
from mlob.labels import count_known, is_known, known_entries, positives
from mlob.metrics import Figure, counts, f1, mean_known, ratio

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray | float]  # of targets and probabilities
ABOVE = np.nextafter(np.float32(1), np.float32(2))  # a threshold that no probability reaches
GRID = np.arange(16, -16, -0.05)  # logits among which `smoothed` chooses
BROKEN = 0.05  # share of the labels that promise something of which it is expected that they break it
TIE = 1e-9  # a difference between two sums of photos' F1 that may be rounding alone


def decide(probabilities: np.ndarray, thresholds: ArrayLike) -> np.ndarray:
    """Decisions uint8 (n, labels); `thresholds` is one number, or one for each label."""
    return (np.asarray(probabilities, np.float32) >= np.asarray(thresholds, np.float32)).astype(np.uint8)


def best_global(targets: np.ndarray, probabilities: np.ndarray, figure: Figure = f1) -> float:
    """The one threshold for all labels with the highest micro-F1: exact, over all distinct probabilities.

    It lies midway between the lowest probability it admits and the next one below. Of equally good cuts the
    lowest is taken. Without any positive it lies above every probability.

    Args:
        targets: 0/1 (n, labels).
        probabilities: (n, labels).
        figure: of the counts of all decisions, which is to be the highest; one that no false positive raises.
    """
    cuts = _cuts(np.asarray(targets), np.asarray(probabilities))
    reached = figure(cuts.true_positives, cuts.predicted_positives, np.count_nonzero(positives(np.asarray(targets))))
    return float(cuts.thresholds[np.argmax(reached)])


def half_f1(probabilities: np.ndarray) -> float:
    """Half of the highest micro-F1 to expect if the probabilities are calibrated: the best threshold for just those.

    A decision raises F1 where the chance that it is right is above F1/2 (Lipton, Elkan and Naryanaswamy 2014,
    "Optimal thresholding of classifiers to maximize F1 measure"). It looks at no targets, hence fits nothing.
    """
    falling = np.sort(np.ravel(probabilities).astype(np.float64))[::-1]
    if not falling.size:
        return 0.5
    expected = np.cumsum(falling)
    return float(np.float32(f1(expected, np.arange(1, len(falling) + 1), expected[-1]).max() / 2))


def best_per_label(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Thresholds float32 (labels,) with the highest micro-F1 of all decisions pooled: exact.

    Of equally good cuts a label takes the one nearest to the best global threshold, and that itself where it can: with
    few positives a label's own optimum is mostly chance, and the global threshold rests on all of them.
    """
    cuts = _nearest_first(targets, probabilities)
    true_positives, predicted_positives = ([own[place] for own in cuts] for place in (1, 2))
    return _taken(cuts, _dinkelbach(true_positives, predicted_positives, int(positives(targets).sum())))


def shrunk(targets: np.ndarray, probabilities: np.ndarray, strength: float = 30) -> np.ndarray:
    """Thresholds float32 (labels,) between the best global one and the label's own in `best_per_label`.

    On the logit scale, the own one weighs positives / (positives + strength).
    """
    shared, own = best_global(targets, probabilities), best_per_label(targets, probabilities)
    count = np.count_nonzero(positives(targets), axis=0)
    weight = ratio(count, count + strength)
    between = sigmoid(weight * logits(own) + (1 - weight) * logits(shared)).astype(np.float32)
    return np.where(own == np.float32(shared), own, between)


def smoothed(
    targets: np.ndarray, probabilities: np.ndarray, bandwidth: float = 0.6, strength: float = 30
) -> np.ndarray:
    """Thresholds float32 (labels,) with the highest micro-F1 if each score's logit were blurred by a normal error.

    The blur, `bandwidth` logits wide, lets neighbouring scores vote: the threshold lies where a kernel estimate of the
    share of positives crosses F1/2, not where the last few photos happened to fall. To each label's counts those of
    all labels are added, weighted as `strength` positives. The defaults were chosen on real scores.
    """
    from scipy.ndimage import gaussian_filter1d

    width = bandwidth / (GRID[0] - GRID[1])
    true = positives(targets)
    right = gaussian_filter1d(_reaching_grid(true, probabilities), width, mode="nearest")
    predicted = gaussian_filter1d(_reaching_grid(targets <= 1, probabilities), width, mode="nearest")
    count = int(np.count_nonzero(true))
    weight = strength / max(count, 1)
    right, predicted = right + weight * right.sum(axis=0), predicted + weight * predicted.sum(axis=0)
    return sigmoid(GRID[_dinkelbach(right, predicted, count + strength * len(right))]).astype(np.float32)


def half_f1_of_known(targets: np.ndarray, calibrated: np.ndarray) -> float:
    """Half of the highest micro-F1 to expect of calibrated probabilities where targets are known: see `half_f1`."""
    return half_f1(known_entries(targets, calibrated)[1])


def half_f1_of_each(targets: np.ndarray, calibrated: np.ndarray) -> np.ndarray:
    """Half of the highest F1 to expect of each label's calibrated probabilities, (labels,): see `half_f1`."""
    columns = zip(np.asarray(targets).T, np.asarray(calibrated).T, strict=True)
    return np.array([half_f1_of_known(*column) for column in columns])


def calibrated(
    targets: np.ndarray,
    probabilities: np.ndarray,
    penalty: float | None = None,
    cut_of: Callable[[np.ndarray, np.ndarray], np.ndarray | float] = half_f1_of_known,
) -> np.ndarray:
    """Thresholds float32 (labels,) that are one threshold, `half_f1`, on probabilities calibrated label by label.

    All of a label's photos settle two numbers, its bias and scale, and all labels settle how far these may stray
    (`calibration.bias_and_scale`): so one with few positives stays near to the threshold of all.

    A label whose scores run against its targets is predicted for every photo or for none, by its calibrated mean.

    Args:
        targets: 0/1 (n, labels).
        probabilities: (n, labels).
        penalty: as of `bias_and_scale`.
        cut_of: gives the threshold, or one for each label, of targets and calibrated probabilities.
    """
    bias, scale, _ = bias_and_scale(targets, probabilities, penalty)
    corrected = calibrate(probabilities, bias, scale)
    cut = cut_of(targets, corrected)
    own = (logits(cut) - bias) / np.where(scale > 0, scale, 1)
    admits_all = np.where(scale > 0, own <= logits(0), mean_known(targets, corrected) >= cut)
    admits_none = np.where(scale > 0, own > logits(1), ~admits_all)
    return np.select([admits_all, admits_none], [np.float32(0), ABOVE], sigmoid(own).astype(np.float32))


def best_of_each(targets: np.ndarray, probabilities: np.ndarray, figure: Figure = f1) -> np.ndarray:
    """Thresholds float32 (labels,) with the highest macro-F1, hence each label's own: exact.

    Of equally good cuts the nearest to the best global threshold; a label without positives keeps that.

    Args:
        targets: 0/1 (n, labels).
        probabilities: (n, labels).
        figure: of a label's counts, which is to be the highest; one that no false positive raises.
    """
    cuts, count = _nearest_first(targets, probabilities), np.count_nonzero(positives(targets), axis=0)
    reached = [figure(own.true_positives, own.predicted_positives, n) for own, n in zip(cuts, count, strict=True)]
    return _taken(cuts, [int(np.argmax(own)) for own in reached])


def best_global_of_each(targets: np.ndarray, probabilities: np.ndarray, figure: Figure = f1) -> float:
    """The one threshold for all labels with the highest macro-F1: exact; as `best_global_by_image`."""
    return best_global_by_image(np.asarray(targets).T, np.asarray(probabilities).T, figure)


def best_global_by_image(targets: np.ndarray, probabilities: np.ndarray, figure: Figure = f1) -> float:
    """The one threshold for all labels with the highest mean over photos of each photo's F1: exact.

    Of equally good cuts the highest is taken: what only photos without labels would get is not predicted.

    Args:
        targets: 0/1 (n, labels).
        probabilities: (n, labels).
        figure: of a photo's counts, whose mean is to be the highest; one that is 0 where nothing is predicted.
    """
    targets, probabilities = _last_where_unknown(targets, probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    right = np.cumsum(np.take_along_axis(targets, order, axis=1), axis=1, dtype=np.int64)
    reached = figure(
        right, np.arange(1, targets.shape[1] + 1), right[:, -1:]
    )  # with the photo's 1, 2, … highest scores
    gains = np.diff(reached, axis=1, prepend=0)
    scores = np.take_along_axis(probabilities, order, axis=1).ravel()
    falling = _falling(scores)
    thresholds, totals = _admitting(scores[falling], gains.ravel()[falling])
    return float(thresholds[_ties(totals)[0]])


def best_by_image(targets: np.ndarray, probabilities: np.ndarray, figure: Figure = f1) -> np.ndarray:
    """Thresholds float32 (labels,) with a high mean over photos of each photo's F1.

    Every photo ties its labels together, so that only trying all sets would find the best one. From the best global
    threshold each label in turn takes its best cut given the others, exactly, until none gains: at the end no label
    alone can gain. Of equally good cuts the nearest to the global one. Arguments as of `best_global_by_image`.
    """
    shared = best_global_by_image(targets, probabilities, figure)
    targets, probabilities = _last_where_unknown(targets, probabilities)
    thresholds = np.full(targets.shape[1], shared, np.float32)
    falling = [_falling(column) for column in probabilities.T]
    predicted, moved = decide(probabilities, shared).astype(bool), True
    right, sizes, count = counts(targets, predicted, axis=1)
    while moved:
        moved = False
        for label, order in enumerate(falling):
            target, scores = targets[:, label], probabilities[:, label]
            right, sizes = right - (target & predicted[:, label]), sizes - predicted[:, label]
            gains = figure(right + target, sizes + 1, count) - figure(right, sizes, count)
            cuts, totals = _admitting(scores[order], gains[order])
            if totals.max() > gains[predicted[:, label]].sum() + 2 * TIE:
                best = _ties(totals)
                thresholds[label] = cuts[best[np.abs(cuts[best] - shared).argmin()]]
                predicted[:, label], moved = decide(scores, thresholds[label]), True
            right, sizes = right + (target & predicted[:, label]), sizes + predicted[:, label]
    return thresholds


def assured_precision(targets: np.ndarray, probabilities: np.ndarray, wished: float) -> np.ndarray:
    """Thresholds float32 (labels,): each label's lowest at which a precision below the wished one is implausible.

    A label without such a threshold lies above every probability: it is left to people. Implausible is what a binomial
    test says, at a level by which one in 20 of the labels that are given is expected to break the promise: the fewer
    can keep it, the more each has to show (Benjamini and Hochberg 1995, "Controlling the false discovery rate").
    `benchmarks.metrics` counts how many do.
    """
    return _assured(targets, probabilities, lambda right, given, true: _chance(right, given, wished), 0, ABOVE)


def assured_recall(targets: np.ndarray, probabilities: np.ndarray, wished: float) -> np.ndarray:
    """Thresholds float32 (labels,): each label's highest at which a recall below the wished one is implausible.

    A label without such a threshold has 0: people look at every photo. Implausible is as of `assured_precision`.
    """
    return _assured(targets, probabilities, lambda right, given, true: _chance(right, true, wished), -1, np.float32(0))


HALF, ONE_THRESHOLD, PER_LABEL = "0.5", "one threshold", "per-label thresholds"
CALIBRATED, ASSURED_RULE = "calibrated thresholds", "assured thresholds"
RULES: dict[str, Rule] = {
    HALF: lambda targets, probabilities: 0.5,
    ONE_THRESHOLD: best_global,
    PER_LABEL: best_per_label,
    CALIBRATED: calibrated,
    "smoothed thresholds": smoothed,
}


class _Cuts(typing.NamedTuple):
    """Thresholds worth trying on one label, and what is right and what is predicted at each."""

    thresholds: np.ndarray  # float32 (cuts,)
    true_positives: np.ndarray  # integers (cuts,)
    predicted_positives: np.ndarray  # integers (cuts,)


def _cuts(targets: np.ndarray, scores: np.ndarray) -> _Cuts:
    """Cuts of one column (n,), or of all labels taken as one, the thresholds rising.

    The lowest score that a cut admits is a positive's: one that stops at a negative is beaten by the next
    higher cut, with as many true positives and fewer predicted ones. The last cut admits no photo.
    """
    targets, scores = known_entries(targets, np.asarray(scores, np.float32))
    true, everyone = np.sort(scores[np.asarray(targets, bool)]), np.sort(scores)
    admitted = np.append(np.unique(true), ABOVE)
    first = np.searchsorted(everyone, admitted)
    true_positives = true.size - np.searchsorted(true, admitted)
    refused = np.append(np.float32(0), everyone)[first]  # the next score below, 0 below the lowest
    return _Cuts(_midway(refused, admitted), true_positives, everyone.size - first)


def _midway(refused: np.ndarray, admitted: np.ndarray) -> np.ndarray:
    middle = (refused + admitted) / 2
    # Between neighbouring float32 numbers there is no middle, and it rounds to either of them.
    return np.where(middle > refused, middle, admitted)


def _nearest_first(targets: np.ndarray, probabilities: np.ndarray) -> list[_Cuts]:
    """Each label's cuts, the best global threshold first and the others by their distance from it.

    So argmax takes the nearest of equally good ones.
    """
    targets, probabilities = np.asarray(targets), np.asarray(probabilities)
    shared = np.float32(best_global(targets, probabilities))
    right, predicted, _ = counts(targets, decide(probabilities, shared), axis=0)
    nearest_first = []
    for label in range(targets.shape[1]):
        cuts = _cuts(targets[:, label], probabilities[:, label])
        order = np.argsort(np.abs(cuts.thresholds - shared), kind="stable")
        nearest_first.append(
            _Cuts(
                np.append(shared, cuts.thresholds[order]),
                np.append(right[label], cuts.true_positives[order]),
                np.append(predicted[label], cuts.predicted_positives[order]),
            )
        )
    return nearest_first


def _dinkelbach(
    true_positives: Iterable[np.ndarray], predicted_positives: Iterable[np.ndarray], positives: float
) -> list[int]:
    """Which cut each label takes for the highest micro-F1 of all pooled, by its position.

    The optimum of a ratio by Dinkelbach (1967, "On nonlinear fractional programming"): given the F1 reached, the labels
    come apart, and each takes the cut with the most true positives - F1/2 * predicted positives; again, until nothing
    is gained. From counts it is exact: scaled by F1's denominator they stay integers, and equal is equal.

    Args:
        true_positives, predicted_positives: of each label, the numbers at its cuts; the first of equally good is taken.
        positives: of all labels.
    """
    curves = list(zip(true_positives, predicted_positives, strict=True))
    best, before = [0] * len(curves), -1.0
    while True:
        right = sum(own_right[at] for (own_right, _), at in zip(curves, best, strict=True))
        predicted = sum(own_predicted[at] for (_, own_predicted), at in zip(curves, best, strict=True))
        reached = float(f1(right, predicted, positives))  # 2 * right / denominator
        if reached <= before:
            return best
        denominator = predicted + positives
        gains = [own_right * denominator - own_predicted * right for own_right, own_predicted in curves]
        best, before = [int(np.argmax(gain)) for gain in gains], reached


def _assured(
    targets: np.ndarray, probabilities: np.ndarray, chance: Figure, place: int, left: np.float32
) -> np.ndarray:
    """Take of each label's cuts the one at a place among those that cannot be by chance; without any it is `left`."""
    cuts = [_cuts(*column) for column in zip(np.asarray(targets).T, np.asarray(probabilities).T, strict=True)]
    chances = [chance(own.true_positives, own.predicted_positives, own.true_positives.max()) for own in cuts]
    level = _level(np.array([own.min() for own in chances])[count_known(targets, axis=0) > 0])
    kept = [own.thresholds[of_cuts <= level] for own, of_cuts in zip(cuts, chances, strict=True)]
    return np.array([own[place] if own.size else left for own in kept], np.float32)


def _chance(right: np.ndarray, photos: np.ndarray | int, share: float) -> np.ndarray:
    """The chance that so many or more of the photos are right where the share of right ones is no more than this."""
    from scipy.special import betainc

    right = np.asarray(right)
    return np.where(right > 0, betainc(np.maximum(right, 1), photos - right + 1, share), 1)


def _level(chances: np.ndarray) -> float:
    """The level below which, of labels with these least chances, no more than the share BROKEN is expected by luck."""
    allowed = BROKEN * np.arange(1, len(chances) + 1) / max(len(chances), 1)
    return float(allowed[np.sort(chances) <= allowed].max(initial=0))


def _taken(cuts: Sequence[_Cuts], best: Sequence[int]) -> np.ndarray:
    return np.array([own.thresholds[at] for own, at in zip(cuts, best, strict=True)], np.float32)


def _reaching_grid(mask: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How many cells of each label that the mask (n, labels) takes reach each logit of GRID: float64 (labels, grid)."""
    columns = zip(np.asarray(mask, bool).T, logits(probabilities).T, strict=True)
    below = [np.searchsorted(np.sort(scores[taken]), GRID) for taken, scores in columns]
    return np.count_nonzero(mask, axis=0)[:, np.newaxis] - np.array(below, np.float64)


def _last_where_unknown(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give what is true, bool, and float32 probabilities that are -1 where nobody knows, so that none is predicted."""
    targets, probabilities = np.asarray(targets), np.asarray(probabilities, np.float32)
    known = is_known(targets)
    return positives(targets), probabilities if known is None else np.where(known, probabilities, np.float32(-1))


def _falling(scores: np.ndarray) -> np.ndarray:
    """Places of the scores of a column, the highest first, without those of -1."""
    return np.argsort(-scores, kind="stable")[: np.count_nonzero(scores >= 0)]


def _admitting(falling: np.ndarray, gains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (cuts,) that admit nothing, or all down to one of the falling scores, and the sum of gains of each."""
    last = np.append(falling[:-1] != falling[1:], True)[: len(falling)]  # equal scores are admitted together
    refused = np.append(falling[1:], np.float32(0))[: len(falling)]
    return np.append(ABOVE, _midway(refused, falling)[last]), np.append(0, np.cumsum(gains)[last])


def _ties(totals: np.ndarray) -> np.ndarray:
    return np.flatnonzero(totals >= totals.max() - TIE)

"""Probabilities that mean what they say: a bias and a scale for each label, and a correction of shifted prevalences.

Everything here works on logits, label by label, and keeps the order of a label's scores wherever its scale is
positive. Targets are 0/1 (n, labels), and unknown ones take no part; probabilities (n, labels) are in [0, 1];
prevalences (labels,) are the labels' shares of the photos. `estimators` has the same in scikit-learn's manner.
"""

import numpy as np

from mlob.labels import count_known, is_known, positives
from mlob.metrics import mean_known

EDGE = 1e-7  # probabilities of 0 and 1 count as this far from them: float32 resolves no less below 1
WEAKEST, STRONGEST = 1e-2, 1e4  # penalties that are fitted: prior deviations of 10 logits and of 0.01
PASSES = 200


def logits(probabilities: np.ndarray | float) -> np.ndarray:
    """Log-odds float64, between about -16 and 16."""
    from scipy.special import logit

    return logit(np.clip(np.asarray(probabilities, np.float64), EDGE, 1 - EDGE))


def sigmoid(logits: np.ndarray | float) -> np.ndarray:
    """Probabilities float64 of log-odds."""
    from scipy.special import expit

    return expit(logits)


def calibrate(probabilities: np.ndarray, bias: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Probabilities float32 with the log-odds `bias + scale * logits`."""
    return sigmoid(bias + scale * logits(probabilities)).astype(np.float32)


def bias_and_scale(
    targets: np.ndarray, probabilities: np.ndarray, penalty: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a bias and a scale for each label (Platt 1999), shrunk towards 0 and 1.

    For each label it minimises log-loss + (penalty_bias * bias^2 + penalty_scale * (scale - 1)^2) / 2, which is
    strictly convex: a label without positives, or with equal scores for all, has an optimum too. A penalty is one
    over the variance of a normal prior. Where none is given both are fitted, as the variance that the labels' own
    biases and scales show beyond what chance explains (empirical Bayes; MacKay 1992, "Bayesian interpolation"): labels
    that are calibrated already are left alone, and a label with few positives stays near to what it was.

    Newton steps for all labels at once, each as long as keeps the loss falling all the way: with m the largest change
    of a logit by the full step, log(1 + m) / m of it (Bach 2010, "Self-concordant analysis for logistic regression").

    Args:
        targets: 0/1 (n, labels).
        probabilities: (n, labels) in [0, 1].
        penalty: of both, a number above 0; None fits one for the bias and one for the scale.

    Returns:
        bias, scale: float64 (labels,). A scale below 0 is a label whose scores run against its targets.
        penalties: float64 (2,), of the bias and the scale.

    Raises:
        ValueError: a penalty that is not above 0.
    """
    if penalty is not None and penalty <= 0:
        raise ValueError(f"Expected a penalty above 0, found {penalty}: give a small one, or None to have it fitted.")
    known, scores = is_known(targets), logits(probabilities)
    if known is not None:
        scores = np.where(known, scores, mean_known(targets, scores))  # which no step goes by
    targets = positives(targets).astype(np.float64)
    ends = np.stack([scores.min(axis=0), scores.max(axis=0)])
    at = np.stack([np.zeros(scores.shape[1]), np.ones(scores.shape[1])])  # bias, scale
    penalties, settled = np.full(2, 10.0 if penalty is None else penalty), penalty is not None
    for _ in range(PASSES):
        step, variances = _newton(scores, targets, known, at, penalties)
        change = np.abs(step[0] + step[1] * ends).max(axis=0)
        at = at - step * np.divide(np.log1p(change), change, out=np.ones_like(change), where=change > 0)
        if settled and change.max() < 1e-6:
            break
        if not settled:  # a penalty that moves by 1% a pass may end a third off, which nothing shows
            before, penalties = penalties, _evidence(at, variances, penalties)
            settled = np.allclose(before, penalties, rtol=0.01)
    return at[0], at[1], penalties


def shift(probabilities: np.ndarray, before: np.ndarray | float, after: np.ndarray | float) -> np.ndarray:
    """Probabilities float32 for photos with the prevalences `after`, of a model for photos with those `before`.

    Bayes' rule where the photos of a label look alike in both: the odds are multiplied by the odds of `after` over
    those of `before`.
    """
    return calibrate(probabilities, logits(after) - logits(before), 1)


def prevalence_of_unlabelled(probabilities: np.ndarray, before: np.ndarray | float) -> np.ndarray:
    """Prevalences float64 (labels,) in photos without targets, by the probabilities of a model trained at `before`.

    The maximum of the likelihood that the EM steps of Saerens, Latinne and Decaestecker (2002, "Adjusting the outputs
    of a classifier to new a priori probabilities") climb slowly. It is concave in the prevalence, so that halving an
    interval by the sign of its slope finds it to 2^-40. It rests on calibrated probabilities.
    """
    before = np.clip(before, EDGE, 1 - EDGE)
    yes, no = probabilities / before, (1 - np.asarray(probabilities, np.float64)) / (1 - before)  # likelihoods
    low, high = np.zeros(yes.shape[1]), np.ones(yes.shape[1])
    for _ in range(40):
        middle = (low + high) / 2
        rises = np.sum((yes - no) / (middle * yes + (1 - middle) * no), axis=0) > 0
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return (low + high) / 2


def prevalence_of_labelled(targets: np.ndarray, before: np.ndarray | float, strength: float = 30) -> np.ndarray:
    """Prevalences float64 (labels,) in photos with targets, drawn towards `before` as if `strength` more photos had it.

    The mean of a beta posterior. A label that no photo has keeps a prevalence above 0.
    """
    photos = count_known(targets, axis=0)
    return (np.sum(positives(targets), axis=0, dtype=np.float64) + strength * np.asarray(before)) / (photos + strength)


def _newton(
    scores: np.ndarray, targets: np.ndarray, known: np.ndarray | None, at: np.ndarray, penalties: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Full Newton step (2, labels) of bias and scale, and their posterior variances (2, labels)."""
    chances = sigmoid(at[0] + at[1] * scores)
    slopes, curves = chances - targets, chances * (1 - chances)
    if known is not None:
        slopes, curves = slopes * known, curves * known
    gradient = np.stack([slopes.sum(axis=0), np.einsum("ij,ij->j", slopes, scores)])
    gradient += penalties[:, np.newaxis] * (at - [[0], [1]])
    mixed = np.einsum("ij,ij->j", curves, scores)
    of_bias = curves.sum(axis=0) + penalties[0]
    of_scale = np.einsum("ij,ij,ij->j", curves, scores, scores) + penalties[1]
    variances = np.stack([of_scale, of_bias]) / (of_bias * of_scale - mixed**2)
    step = variances * (gradient - mixed / np.stack([of_scale, of_bias]) * gradient[::-1])
    return step, variances


def _evidence(at: np.ndarray, variances: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Penalties (2,) that the labels' biases and scales suggest: MacKay's count of parameters that data determine."""
    determined = (1 - penalties[:, np.newaxis] * variances).sum(axis=1)
    spread = np.square(at - [[0], [1]]).sum(axis=1)
    return np.clip(determined / np.maximum(spread, 1 / STRONGEST**2), WEAKEST, STRONGEST)

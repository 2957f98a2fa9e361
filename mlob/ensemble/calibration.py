"""Probabilities that mean what they say: a bias and a scale for each label, and a correction of shifted shares.

Everything here works on logits, label by label, and keeps the order of a label's scores wherever its scale is
positive. Targets are 0/1 (n, labels), probabilities (n, labels) in [0, 1]; shares (labels,) are the parts of the
photos that bear each label.
"""

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

EDGE = 1e-7  # probabilities of 0 and 1 count as this far from them: float32 resolves no less below 1
WEAKEST, STRONGEST = 1e-2, 1e4  # penalties that are fitted: prior deviations of 10 logits and of 0.01
PASSES = 200


def logits(probabilities):
    """Log-odds float64, between about -16 and 16."""
    return logit(np.clip(np.asarray(probabilities, np.float64), EDGE, 1 - EDGE))


def calibrate(probabilities, bias, scale):
    """Probabilities float32 with the log-odds `bias + scale * logits`."""
    return expit(bias + scale * logits(probabilities)).astype(np.float32)


def bias_and_scale(targets, probabilities, penalty=None):
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
    scores, targets = logits(probabilities), np.asarray(targets, np.float64)
    ends = np.stack([scores.min(axis=0), scores.max(axis=0)])
    at = np.stack([np.zeros(scores.shape[1]), np.ones(scores.shape[1])])  # bias, scale
    penalties, settled = np.full(2, 10.0 if penalty is None else penalty), penalty is not None
    for _ in range(PASSES):
        step, variances = _newton(scores, targets, at, penalties)
        change = np.abs(step[0] + step[1] * ends).max(axis=0)
        at = at - step * np.divide(np.log1p(change), change, out=np.ones_like(change), where=change > 0)
        if settled and change.max() < 1e-6:
            break
        if not settled:  # a penalty that moves by 1% a pass may end a third off, which nothing shows
            before, penalties = penalties, _evidence(at, variances, penalties)
            settled = np.allclose(before, penalties, rtol=0.01)
    return *at, penalties


def shift(probabilities, before, after):
    """Probabilities float32 for photos with the shares `after`, of a model for photos with the shares `before`.

    Bayes' rule where the photos of a label look alike in both: the odds are multiplied by the odds of `after` over
    those of `before`.
    """
    return calibrate(probabilities, logits(after) - logits(before), 1)


def shares_of_unlabelled(probabilities, before):
    """Shares float64 (labels,) of photos without targets, from the probabilities of a model trained at `before`.

    The maximum of the likelihood that the EM steps of Saerens, Latinne and Decaestecker (2002, "Adjusting the outputs
    of a classifier to new a priori probabilities") climb slowly. It is concave in the share, so that halving an
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


def shares_of_labelled(targets, before, strength=30):
    """Shares float64 (labels,) of photos with targets, drawn towards `before` as if `strength` more photos showed it.

    The mean of a beta posterior. A label that no photo bears keeps a share above 0.
    """
    return (np.sum(targets, axis=0, dtype=np.float64) + strength * np.asarray(before)) / (len(targets) + strength)


class _Calibration(TransformerMixin, BaseEstimator):
    """Turn probabilities into others."""

    def __sklearn_tags__(self):
        """Say that targets are (n, labels), and that float32 comes out."""
        tags = a_target_a_label(super().__sklearn_tags__())
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class LabelCalibration(_Calibration):
    """A bias and a scale for each label, shrunk towards 0 and 1: see `bias_and_scale`.

    Parameters:
        penalty: above 0; the larger, the nearer each label stays to what it was. None fits it from the labels.

    Attributes:
        bias_, scale_: float64 (labels,).
        penalties_: float64 (2,), of the bias and the scale.

    Fit it on photos that trained no member: a model's probabilities for its own training photos are too sure.

    >>> rng = np.random.default_rng(0)
    >>> meant = rng.random((5000, 3))
    >>> targets = rng.random((5000, 3)) < meant
    >>> calibration = LabelCalibration().fit(meant**2, targets)  # says 1/4 where half of the photos bear the label
    >>> calibration.transform([[0.25, 0.25, 0.25]]).round(1)
    array([[0.5, 0.5, 0.5]], dtype=float32)
    """

    def __init__(self, penalty=None):
        self.penalty = penalty

    def fit(self, X, y):
        """Fit on probabilities (n, labels) and targets 0/1 (n, labels); ValueError for anything else."""
        X, y = checked_pair(self, X, y)
        self.bias_, self.scale_, self.penalties_ = bias_and_scale(y, X, self.penalty)
        return self

    def transform(self, X):
        """Calibrate probabilities: float32 (n, labels)."""
        check_is_fitted(self)
        return calibrate(checked(self, X), self.bias_, self.scale_)


class PriorShift(_Calibration):
    """Probabilities corrected for labels that are rarer or commoner than where the model was trained.

    Parameters:
        before: shares (labels,) in the photos that trained the model, or one number for all.
        strength: photos that the shares before count for beside the targets: see `shares_of_labelled`.

    Attributes:
        shares_: float64 (labels,), from the targets, or without them by `shares_of_unlabelled`.

    It holds where the photos of a label look alike before and after. `LabelCalibration` needs no such assumption, and
    where there are targets its bias corrects a shift too.

    >>> PriorShift(before=0.5, strength=0).fit([[0.5], [0.5]] * 4, [[0], [1]] + [[0]] * 6).transform([[0.5]])
    array([[0.125]], dtype=float32)
    """

    def __init__(self, before=0.5, strength=30):
        self.before = before
        self.strength = strength

    def fit(self, X, y=None):
        """Fit on probabilities (n, labels), and targets 0/1 (n, labels) where there are some."""
        if y is None:
            X = checked(self, X, reset=True)
            self.shares_ = shares_of_unlabelled(X, self.before)
        else:
            X, y = checked_pair(self, X, y)
            self.shares_ = shares_of_labelled(y, self.before, self.strength)
        return self

    def transform(self, X):
        """Correct probabilities: float32 (n, labels)."""
        check_is_fitted(self)
        return shift(checked(self, X), self.before, self.shares_)

    def __sklearn_tags__(self):
        """Say that targets may be missing."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags


def checked(estimator, X, *, reset=False):
    """Check what an estimator is given: probabilities float32 (n, labels); `reset` where it is fitted on them.

    Raises:
        ValueError: not finite numbers, outside [0, 1], or another number of labels than was fitted.
    """
    X = validate_data(estimator, X, dtype=np.float32, reset=reset)
    if X.min() < 0 or X.max() > 1:
        raise ValueError(f"Expected probabilities from 0 to 1, found {X.min()} to {X.max()}: logits want a sigmoid.")
    return X


def checked_pair(estimator, X, y):
    """Check what an estimator is fitted on: probabilities float32 and targets uint8, both (n, labels).

    Raises:
        TypeError: sparse targets.
        ValueError: as `checked`; no targets, other values than 0 and 1, another shape than that of the probabilities.
    """
    if issparse(y):
        raise TypeError("Sparse targets were passed, but dense ones are required: use y.toarray().")
    _, y = validate_data(estimator, X, y, multi_output=True)
    X = checked(estimator, X)
    if y.shape != X.shape:
        raise ValueError(f"Expected targets in the shape {X.shape} of the probabilities, found {y.shape}.")
    if (other := y[~np.isin(y, (0, 1))]).size:
        swapped = ": probabilities come first, then targets" if np.isin(X, (0, 1)).all() else ""
        raise ValueError(f"Expected targets of 0 and 1, found {other[0]}{swapped}.")
    return X, y.astype(np.uint8)


def a_target_a_label(tags):
    """Mark scikit-learn's tags: targets are wanted, and are (n, labels), never (n,)."""
    tags.target_tags.required = True
    tags.target_tags.single_output, tags.target_tags.multi_output = False, True
    return tags


def _newton(scores, targets, at, penalties):
    """Full Newton step (2, labels) of bias and scale, and their posterior variances (2, labels)."""
    chances = expit(at[0] + at[1] * scores)
    slopes, curves = chances - targets, chances * (1 - chances)
    gradient = np.stack([slopes.sum(axis=0), np.einsum("ij,ij->j", slopes, scores)])
    gradient += penalties[:, np.newaxis] * (at - [[0], [1]])
    mixed = np.einsum("ij,ij->j", curves, scores)
    of_bias = curves.sum(axis=0) + penalties[0]
    of_scale = np.einsum("ij,ij,ij->j", curves, scores, scores) + penalties[1]
    variances = np.stack([of_scale, of_bias]) / (of_bias * of_scale - mixed**2)
    step = variances * (gradient - mixed / np.stack([of_scale, of_bias]) * gradient[::-1])
    return step, variances


def _evidence(at, variances, penalties):
    """Penalties (2,) that the labels' biases and scales suggest: MacKay's count of parameters that data determine."""
    determined = (1 - penalties[:, np.newaxis] * variances).sum(axis=1)
    spread = np.square(at - [[0], [1]]).sum(axis=1)
    return np.clip(determined / np.maximum(spread, 1 / STRONGEST**2), WEAKEST, STRONGEST)

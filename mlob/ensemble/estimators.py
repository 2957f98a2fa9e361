"""Thresholds and calibration as estimators in scikit-learn's manner: fit(X, y), then predict(X) or transform(X).

X is probabilities (n, labels) in [0, 1], y targets 0/1 (n, labels), 255 where it is unknown: that takes no part. Fit on
photos that trained no model: each is too sure of its own training photos.

Where micro-F1 counts, start with `CalibratedThresholds`.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from mlob.ensemble.calibration import (
    bias_and_scale,
    calibrate,
    prevalence_of_labelled,
    prevalence_of_unlabelled,
    shift,
)
from mlob.ensemble.thresholds import (
    best_by_image,
    best_global,
    best_of_each,
    best_per_label,
    calibrated,
    decide,
    half_f1,
    shrunk,
    smoothed,
)
from mlob.labels import UNKNOWN


class _Thresholds(BaseEstimator):
    """Fit thresholds by a rule, a function of targets and probabilities; decide by them."""

    def fit(self, X: ArrayLike, y: ArrayLike | None) -> Self:
        """Fit on probabilities (n, labels) and targets 0/1 (n, labels); ValueError for anything else."""
        probabilities, targets = checked_pair(self, X, y)
        return self._take(self._rule(targets, probabilities))

    def _rule(self, targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray | float:
        raise NotImplementedError

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Decide on probabilities (n, labels): uint8 (n, labels)."""
        check_is_fitted(self)
        return decide(checked(self, X), self.thresholds_)

    def _take(self, thresholds: np.ndarray | float) -> Self:
        self.thresholds_ = np.full(self.n_features_in_, thresholds, np.float32)
        return self

    def __sklearn_tags__(self) -> Tags:
        """Say that each label needs a target."""
        return a_target_a_label(super().__sklearn_tags__())


class GlobalThreshold(_Thresholds):
    """One threshold for all labels, with the highest micro-F1: see `best_global`.

    Attributes:
        thresholds_: float32 (labels,), all equal.

    >>> GlobalThreshold().fit([[0.1, 0.2], [0.4, 0.8]], [[0, 0], [1, 1]]).thresholds_
    array([0.3, 0.3], dtype=float32)
    """

    def _rule(self, targets: np.ndarray, probabilities: np.ndarray) -> float:
        return best_global(targets, probabilities)


class HalfF1Threshold(_Thresholds):
    """One threshold for all labels, half of the micro-F1 to expect of calibrated probabilities: see `half_f1`.

    Attributes:
        thresholds_: float32 (labels,), all equal.

    It looks at no targets, so that it can be fitted on the very photos to be decided on.

    >>> HalfF1Threshold().fit([[0.0], [0.5], [1.0]]).thresholds_  # expected F1: 1 right of 1 predicted, 1.5 true
    array([0.42857143], dtype=float32)
    """

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Fit on probabilities (n, labels); targets are ignored."""
        return self._take(half_f1(checked(self, X, reset=True)))

    def __sklearn_tags__(self) -> Tags:
        """Say that targets may be missing."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags


class LabelThresholds(_Thresholds):
    """One threshold for each label, with the highest micro-F1 on the photos given: see `best_per_label`.

    Attributes:
        thresholds_: float32 (labels,).

    On other photos it often loses to one threshold for all: prefer `CalibratedThresholds`.

    >>> LabelThresholds().fit([[0.25, 0.5], [0.5, 0.75]], [[0, 0], [1, 1]]).thresholds_
    array([0.375, 0.625], dtype=float32)
    """

    def _rule(self, targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return best_per_label(targets, probabilities)


class ShrunkThresholds(_Thresholds):
    """One threshold for each label, the nearer to the global one the fewer positives it has: see `shrunk`.

    Parameters:
        strength: positives with which a label lies half-way. 0 is `LabelThresholds`.

    Attributes:
        thresholds_: float32 (labels,).

    >>> ShrunkThresholds(strength=1).fit([[0.25, 0.5], [0.5, 0.75]], [[0, 0], [1, 1]]).thresholds_.round(2)
    array([0.38, 0.5 ], dtype=float32)
    """

    def __init__(self, strength: float = 30) -> None:
        self.strength = strength

    def _rule(self, targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return shrunk(targets, probabilities, self.strength)


class SmoothedThresholds(_Thresholds):
    """One threshold for each label, best for blurred scores with all labels' counts mixed in: see `smoothed`.

    Parameters:
        bandwidth: width of the blur in logits, above 0.
        strength: positives that all labels' counts weigh in each label's.

    Attributes:
        thresholds_: float32 (labels,).

    >>> SmoothedThresholds().fit([[0.1, 0.3], [0.7, 0.9]], [[0, 0], [1, 1]]).thresholds_.shape
    (2,)
    """

    def __init__(self, bandwidth: float = 0.6, strength: float = 30) -> None:
        self.bandwidth = bandwidth
        self.strength = strength

    def _rule(self, targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return smoothed(targets, probabilities, self.bandwidth, self.strength)


class CalibratedThresholds(_Thresholds):
    """One threshold for each label, half of the F1 to expect on calibrated scores: see `calibrated`. The default.

    Parameters:
        penalty: of the calibration, as in `LabelCalibration`; None fits it.

    Attributes:
        thresholds_: float32 (labels,), on the probabilities as they come.

    >>> rng = np.random.default_rng(0)
    >>> scores = rng.random((1000, 3))
    >>> targets = rng.random((1000, 3)) < scores
    >>> CalibratedThresholds().fit(scores, targets).thresholds_.round(1)
    array([0.4, 0.4, 0.4], dtype=float32)
    """

    def __init__(self, penalty: float | None = None) -> None:
        self.penalty = penalty

    def _rule(self, targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return calibrated(targets, probabilities, self.penalty)


class MacroThresholds(_Thresholds):
    """One threshold for each label, with the highest macro-F1 on the photos given: see `best_of_each`.

    Attributes:
        thresholds_: float32 (labels,).

    >>> MacroThresholds().fit([[0.25, 0.5], [0.5, 0.75]], [[0, 0], [1, 1]]).thresholds_
    array([0.375, 0.625], dtype=float32)
    """

    def _rule(self, targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return best_of_each(targets, probabilities)


class ImageThresholds(_Thresholds):
    """One threshold for each label, with a high mean of each photo's F1 on the photos given: see `best_by_image`.

    Attributes:
        thresholds_: float32 (labels,).

    >>> ImageThresholds().fit([[0.25, 0.5], [0.5, 0.75]], [[1, 0], [1, 1]]).thresholds_
    array([0.125, 0.625], dtype=float32)
    """

    def _rule(self, targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return best_by_image(targets, probabilities)


class _Calibration(TransformerMixin, BaseEstimator):
    """Turn probabilities into others."""

    def __sklearn_tags__(self) -> Tags:
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

    >>> rng = np.random.default_rng(0)
    >>> true = rng.random((5000, 3))
    >>> targets = rng.random((5000, 3)) < true
    >>> calibration = LabelCalibration().fit(true**2, targets)  # says 1/4 where half of the photos have the label
    >>> calibration.transform([[0.25, 0.25, 0.25]]).round(1)
    array([[0.5, 0.5, 0.5]], dtype=float32)
    """

    def __init__(self, penalty: float | None = None) -> None:
        self.penalty = penalty

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit on probabilities (n, labels) and targets 0/1 (n, labels); ValueError for anything else."""
        probabilities, targets = checked_pair(self, X, y)
        self.bias_, self.scale_, self.penalties_ = bias_and_scale(targets, probabilities, self.penalty)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Calibrate probabilities: float32 (n, labels)."""
        check_is_fitted(self)
        return calibrate(checked(self, X), self.bias_, self.scale_)


class PriorShift(_Calibration):
    """Probabilities corrected for labels that are rarer or commoner than where the model was trained.

    Parameters:
        before: prevalences (labels,) in the photos that trained the model, or one number for all.
        strength: photos that those prevalences count for beside the targets: see `prevalence_of_labelled`.

    Attributes:
        prevalence_: float64 (labels,), from the targets, or without them by `prevalence_of_unlabelled`.

    It holds where the photos of a label look alike before and after. `LabelCalibration` needs no such assumption, and
    where there are targets its bias corrects a shift too.

    >>> PriorShift(before=0.5, strength=0).fit([[0.5], [0.5]] * 4, [[0], [1]] + [[0]] * 6).transform([[0.5]])
    array([[0.125]], dtype=float32)
    """

    def __init__(self, before: np.ndarray | float = 0.5, strength: float = 30) -> None:
        self.before = before
        self.strength = strength

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Fit on probabilities (n, labels), and targets 0/1 (n, labels) where there are some."""
        if y is None:
            self.prevalence_ = prevalence_of_unlabelled(checked(self, X, reset=True), self.before)
        else:
            _, targets = checked_pair(self, X, y)
            self.prevalence_ = prevalence_of_labelled(targets, self.before, self.strength)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Correct probabilities: float32 (n, labels)."""
        check_is_fitted(self)
        return shift(checked(self, X), self.before, self.prevalence_)

    def __sklearn_tags__(self) -> Tags:
        """Say that targets may be missing."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags


def checked(estimator: BaseEstimator, X: ArrayLike, *, reset: bool = False) -> np.ndarray:
    """Check what an estimator is given: probabilities float32 (n, labels); `reset` where it is fitted on them.

    Raises:
        ValueError: not finite numbers, outside [0, 1], or another number of labels than was fitted.
    """
    probabilities = validate_data(estimator, X, dtype=np.float32, reset=reset)
    low, high = probabilities.min(), probabilities.max()
    if low < 0 or high > 1:
        raise ValueError(f"Expected probabilities from 0 to 1, found {low} to {high}: apply a sigmoid to logits first.")
    return probabilities


def checked_pair(estimator: BaseEstimator, X: ArrayLike, y: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Check what an estimator is fitted on: probabilities float32 and targets uint8, both (n, labels).

    Raises:
        TypeError: sparse targets.
        ValueError: as `checked`; no targets, others than 0, 1 and 255, another shape than that of the probabilities.
    """
    if issparse(y):
        raise TypeError("Sparse targets were passed, but dense ones are required: use y.toarray().")
    _, targets = validate_data(estimator, X, y, multi_output=True)
    probabilities = checked(estimator, X)
    if targets.shape != probabilities.shape:
        raise ValueError(
            f"Expected targets in the shape {probabilities.shape} of the probabilities, found {targets.shape}."
        )
    if (other := targets[~np.isin(targets, (0, 1, UNKNOWN))]).size:
        swapped = ": probabilities come first, then targets" if np.isin(probabilities, (0, 1)).all() else ""
        raise ValueError(f"Expected targets of 0, 1 or {UNKNOWN} (unknown), found {other[0]}{swapped}.")
    return probabilities, targets.astype(np.uint8)


def a_target_a_label(tags: Tags) -> Tags:
    """Mark scikit-learn's tags: targets are needed, and are (n, labels), never (n,)."""
    tags.target_tags.required = True
    tags.target_tags.single_output, tags.target_tags.multi_output = False, True
    return tags

import doctest
import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from mlob.ensemble import estimators, thresholds
from mlob.ensemble.estimators import LabelCalibration, PriorShift

THRESHOLDS = (
    estimators.GlobalThreshold,
    estimators.HalfF1Threshold,
    estimators.LabelThresholds,
    estimators.ShrunkThresholds,
    estimators.SmoothedThresholds,
    estimators.CalibratedThresholds,
    estimators.MacroThresholds,
    estimators.ImageThresholds,
)
CALIBRATIONS = (LabelCalibration, PriorShift)
UNSUPERVISED = (estimators.HalfF1Threshold,)


def numbers(array):
    """Give what scikit-learn's checks expect to be taken as float64, None for what they expect to be refused."""
    array = np.asarray(array)
    try:
        array = array.astype(np.float64) if np.isrealobj(array) else np.empty(0)
    except (TypeError, ValueError):
        return None
    return array if array.size and np.isfinite(array).all() else None


class Adapted:
    """scikit-learn's checks bring any features and one target: a sigmoid makes features scores, all with the target."""

    def fit(self, X, y=None):
        features, target = numbers(X), numbers(y)
        if features is not None and target is not None and features.ndim == 2 and len(target) == len(features):
            y = np.repeat(target.reshape(-1, 1) > target.mean(), features.shape[1], axis=1).astype(int)
        return super().fit(self.scores(X), y)

    def scores(self, X):
        return X if numbers(X) is None else expit(numbers(X))


class Decides(Adapted):
    def predict(self, X):
        return super().predict(self.scores(X))


class Transforms(Adapted):
    def transform(self, X):
        return super().transform(self.scores(X))


def adapted(base, estimator):
    """Subclass an estimator so that pickle finds it in this module."""
    made = type(f"Any{estimator.__name__}", (base, estimator), {"__module__": __name__})
    globals()[made.__name__] = made
    return made()


@parametrize_with_checks(
    [*(adapted(Decides, one) for one in THRESHOLDS), *(adapted(Transforms, one) for one in CALIBRATIONS)]
)
def test_scikit_learn_takes_them_for_estimators(estimator, check):
    check(estimator)


@pytest.fixture
def drawn():
    generator = np.random.default_rng(0)
    meant = generator.beta(0.5, 2, (300, 5))
    return meant.astype(np.float32), (generator.random(meant.shape) < meant).astype(np.uint8)


@pytest.mark.parametrize("estimator", THRESHOLDS)
def test_an_estimator_decides_by_its_thresholds(estimator, drawn):
    fitted = estimator().fit(*drawn)
    assert fitted.thresholds_.dtype == np.float32 and fitted.thresholds_.shape == (5,)
    assert np.array_equal(fitted.predict(drawn[0]), thresholds.decide(drawn[0], fitted.thresholds_))
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict(drawn[0]), fitted.predict(drawn[0]))


@pytest.mark.parametrize("estimator", [*THRESHOLDS, *CALIBRATIONS])
def test_what_is_no_probability_or_no_target_is_refused(estimator, drawn):
    probabilities, targets = drawn
    with pytest.raises(ValueError, match="apply a sigmoid to logits first"):
        estimator().fit(probabilities + 1, targets)
    with pytest.raises(ValueError, match="NaN"):
        estimator().fit(np.where(probabilities > 0.5, np.nan, probabilities), targets)
    fitted = estimator().fit(probabilities, targets)
    decide = getattr(fitted, "predict", None) or fitted.transform
    with pytest.raises(ValueError, match=r"4 features, but .* is expecting 5"):
        decide(probabilities[:, :4])


@pytest.mark.parametrize("estimator", [one for one in (*THRESHOLDS, *CALIBRATIONS) if "Half" not in one.__name__])
def test_targets_of_another_kind_are_refused(estimator, drawn):
    probabilities, targets = drawn
    with pytest.raises(ValueError, match=r"targets of 0, 1 or 255 \(unknown\), found 2\.?$"):
        estimator().fit(probabilities, 2 * targets)
    with pytest.raises(ValueError, match="targets in the shape"):
        estimator().fit(probabilities, targets[:, :3])
    with pytest.raises(
        ValueError, match=r"targets of 0, 1 or 255 \(unknown\), found 0\.\d+: probabilities come first, then targets"
    ):
        estimator().fit(targets, probabilities)


def test_calibration_and_one_threshold_make_the_pipeline_that_calibrated_thresholds_are(drawn):
    probabilities, targets = drawn[0] ** 2, drawn[1]
    two = make_pipeline(LabelCalibration(), estimators.HalfF1Threshold()).fit(probabilities, targets)
    one = estimators.CalibratedThresholds().fit(probabilities, targets)
    near = np.abs(probabilities - one.thresholds_) < 1e-5  # of the threshold, where rounding decides
    assert near.mean() < 0.01 and np.array_equal(two.predict(probabilities)[~near], one.predict(probabilities)[~near])


def test_a_grid_search_chooses_a_strength(drawn):
    search = GridSearchCV(estimators.ShrunkThresholds(), {"strength": [1, 100]}, scoring="f1_micro", cv=3).fit(*drawn)
    assert search.best_params_["strength"] in (1, 100) and np.isfinite(search.best_score_)


def test_the_examples_in_the_docstrings_hold():
    tried = doctest.testmod(estimators)
    assert tried.failed == 0 < tried.attempted


@pytest.mark.parametrize("estimator", [one for one in (*THRESHOLDS, *CALIBRATIONS) if one not in UNSUPERVISED])
def test_sparse_targets_are_refused_with_what_makes_them_dense(estimator):
    scores = np.full((4, 2), 0.5, np.float32)
    with pytest.raises(TypeError, match=r"Sparse targets .* use y\.toarray\(\)"):
        estimator().fit(scores, csr_array(np.eye(4, 2)))


@pytest.mark.parametrize("estimator", [*THRESHOLDS, *CALIBRATIONS])
def test_an_estimator_is_fitted_on_what_is_known(estimator, drawn):
    probabilities, targets = drawn
    unknown = np.random.default_rng(3).random(targets.shape) < 0.3
    others = np.where(unknown, 1 - probabilities, probabilities)
    fits = [estimator().fit(some, np.where(unknown, 255, targets)) for some in (probabilities, others)]
    learned = [name for name in vars(fits[0]) if name.endswith("_")]
    if estimator.__name__ != "HalfF1Threshold":  # which looks at no targets
        assert all(np.array_equal(*(getattr(fit, name) for fit in fits)) for name in learned)

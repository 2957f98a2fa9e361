import numpy as np
import pytest
import unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit

from mlob.ensemble.calibration import (
    bias_and_scale,
    calibrate,
    logits,
    prevalence_of_labelled,
    prevalence_of_unlabelled,
    shift,
)
from mlob.ensemble.estimators import LabelCalibration, PriorShift


def drawn(photos=2000, shares=(0.1, 0.3, 0.5), seed=0):
    """Draw targets with these shares, and the probabilities of a calibrated model that tells them apart."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((photos, len(shares))) < shares).astype(np.uint8)
    seen = targets + generator.normal(size=targets.shape) / 1.5
    return targets, expit(1.5**2 * (seen - 0.5) + logits(shares)).astype(np.float32)


@st.composite
def scored(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 4)))
    targets = draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    return targets, draw(arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))


@given(scored(), st.sampled_from([0.1, 1, 30]))
@settings(deadline=None)
def test_the_slope_of_loss_and_penalty_is_zero_at_what_is_fitted(arrays, penalty):
    targets, scores = arrays[0], logits(arrays[1])
    bias, scale, _ = bias_and_scale(*arrays, penalty)
    missed = expit(bias + scale * scores) - targets
    assert np.allclose(missed.sum(axis=0) + penalty * bias, 0, atol=1e-6)
    assert np.allclose((missed * scores).sum(axis=0) + penalty * (scale - 1), 0, atol=1e-5)


@given(scored())
@settings(deadline=None)
def test_whatever_comes_in_what_is_fitted_is_finite(arrays):
    assert all(np.isfinite(found).all() for found in bias_and_scale(*arrays))


def test_a_bias_and_a_scale_that_were_put_in_are_found():
    targets, probabilities = drawn(20000)
    bias, scale, _ = bias_and_scale(targets, calibrate(probabilities, [-2, 0.5, 1], [0.5, 1, 2]))
    assert np.allclose(scale, [2, 1, 0.5], rtol=0.07)
    assert np.allclose(bias, [4, -0.5, -0.5], atol=0.15)


def test_many_photos_that_all_bear_a_label_scored_near_zero_are_no_trap():
    targets, probabilities = np.ones((5000, 1), np.uint8), np.full((5000, 1), 1e-7, np.float32)
    bias, scale, _ = bias_and_scale(targets, probabilities, 1)
    assert calibrate(probabilities, bias, scale).min() > 0.99


def test_a_label_is_fitted_alike_beside_any_others_at_a_given_penalty():
    targets, probabilities = drawn()
    together = bias_and_scale(targets, probabilities, 3)
    alone = bias_and_scale(targets[:, 1:2], probabilities[:, 1:2], 3)
    assert np.allclose([together[0][1], together[1][1]], [alone[0][0], alone[1][0]], atol=1e-9)


def test_a_label_with_few_positives_stays_nearer_to_what_it_was():
    targets, probabilities = drawn(4000, (0.1, 0.1))
    targets[40:, 0], probabilities[40:, 0] = 0, 0.001
    bias, _, _ = bias_and_scale(targets, calibrate(probabilities, -1, 1), 10)
    assert 0 < bias[0] < bias[1] - 0.2


def test_the_heavier_the_penalty_the_less_moves():
    targets, probabilities = drawn(300)
    fits = [bias_and_scale(targets, probabilities**2, penalty) for penalty in (0.1, 10, 1e3, 1e9)]
    moved = [np.hypot(bias, scale - 1) for bias, scale, _ in fits]
    assert (np.diff(moved, axis=0) < 0).all() and moved[-1].max() < 1e-6


def test_a_penalty_that_holds_nothing_is_refused():
    with pytest.raises(ValueError, match="penalty above 0, found 0"):
        LabelCalibration(penalty=0).fit([[0.5]], [[1]])


def test_labels_that_are_calibrated_are_left_alone():
    targets, probabilities = drawn(2000, np.linspace(0.01, 0.5, 40))
    bias, scale, penalties = bias_and_scale(targets, probabilities)
    assert np.abs(bias).max() < 0.15 and np.abs(scale - 1).max() < 0.1 and penalties.min() > 50


def test_fitted_penalties_are_one_over_the_variances_of_what_was_put_in():
    generator = np.random.default_rng(0)
    targets, probabilities = drawn(1000, np.full(100, 0.3))
    wanted, stretched = generator.normal(0, 1.5, 100), 1 + generator.normal(0, 0.2, 100)
    distorted = expit((logits(probabilities) - wanted) / stretched)
    _, _, penalties = bias_and_scale(targets, distorted)
    assert penalties == pytest.approx([1 / np.var(wanted), 1 / np.var(stretched)], rel=0.3)


def test_calibrating_what_was_calibrated_changes_little():
    targets, probabilities = drawn(1000, np.linspace(0.01, 0.5, 20))
    distorted = calibrate(probabilities, np.linspace(-1, 1, 20), np.linspace(0.7, 1.3, 20))
    once = LabelCalibration().fit_transform(distorted, targets)
    twice = LabelCalibration().fit_transform(once, targets)
    assert np.abs(twice - once).max() < 0.1 * np.abs(once - distorted).max()


def test_calibration_fits_labels_on_average():
    targets, probabilities = drawn()
    fitted = LabelCalibration(penalty=1e-6).fit(probabilities**2, targets)
    assert np.allclose(fitted.transform(probabilities**2).mean(axis=0), targets.mean(axis=0), atol=1e-5)


def test_there_and_back_is_where_one_was():
    _, probabilities = drawn()
    there = shift(probabilities, [0.1, 0.3, 0.5], [0.4, 0.2, 0.9])
    assert np.allclose(shift(there, [0.4, 0.2, 0.9], [0.1, 0.3, 0.5]), probabilities, atol=1e-6)
    assert np.abs(there - probabilities).max() > 0.1


def test_a_shift_multiplies_the_odds():
    assert shift(np.array([[0.5]]), 0.5, 0.8).item() == pytest.approx(0.8)
    assert shift(np.array([[0.2]]), 0.1, 0.2).item() == pytest.approx(0.36)  # odds 1/4 * (1/4) / (1/9) = 9/16


@given(scored(), st.floats(0.05, 0.95))
@settings(deadline=None)
def test_the_shares_of_the_unlabelled_are_where_the_steps_of_em_rest(arrays, before):
    _, probabilities = arrays
    found = prevalence_of_unlabelled(probabilities, before)
    assert np.allclose(shift_in_double(probabilities, before, found).mean(axis=0), found, atol=1e-6)


def shift_in_double(probabilities, before, after):
    yes = probabilities * (after / before)
    return yes / (yes + (1 - probabilities.astype(np.float64)) * ((1 - after) / (1 - before)))


def test_the_shares_of_the_unlabelled_are_those_of_the_photos():
    before, after = np.array([0.06, 0.3, 0.5]), np.array([0.27, 0.1, 0.5])
    _, calibrated = drawn(20000, after)
    told_before = shift(calibrated, after, before)
    fitted = PriorShift(before).fit(told_before)
    assert np.allclose(fitted.prevalence_, after, atol=0.02)
    assert np.allclose(fitted.transform(told_before).mean(axis=0), after, atol=0.02)


def test_targets_give_the_shares_where_there_are_enough():
    targets = np.zeros((90, 2), np.uint8)
    targets[:45, 0] = 1
    assert prevalence_of_labelled(targets, 0.1, strength=0).tolist() == [0.5, 0]
    assert np.allclose(prevalence_of_labelled(targets, 0.1, strength=10), [0.46, 0.01])
    assert np.allclose(prevalence_of_labelled(targets, 0.1, strength=1e9), 0.1)
    assert np.allclose(PriorShift(0.1).fit(np.full((90, 2), 0.5), targets).prevalence_, [0.4, 0.025])


@given(unknown.scored(), st.sampled_from([0.1, 1.0, 30.0]))
@settings(deadline=None)
def test_a_label_is_fitted_on_the_photos_that_know_it(case, penalty):
    targets, probabilities, _ = case
    bias, scale, _ = bias_and_scale(targets, probabilities, penalty)
    for label in range(targets.shape[1]):
        known = targets[:, label] <= 1
        column, scores = targets[known][:, [label]], probabilities[known][:, [label]]
        expected = bias_and_scale(column, scores, penalty)[:2] if known.any() else ([0], [1])
        assert (bias[label], scale[label]) == pytest.approx((expected[0][0], expected[1][0]), abs=1e-4)


@given(unknown.scored(), unknown.CODES)
@settings(deadline=None)
def test_scores_under_unknown_targets_and_their_code_change_no_fit(case, code):
    targets, probabilities, others = case
    expected = bias_and_scale(targets, probabilities)
    assert unknown.same_bytes(bias_and_scale(unknown.recoded(targets, code), others), expected)
    shares = prevalence_of_labelled(targets, 0.5)
    assert unknown.same_bytes(prevalence_of_labelled(unknown.recoded(targets, code), 0.5), shares)


def test_the_shares_of_the_labelled_are_those_of_the_photos_that_know_the_label():
    targets = np.array([[1, 255], [0, 255], [255, 255]], np.uint8)
    assert prevalence_of_labelled(targets, 0.2, strength=2).tolist() == pytest.approx([1.4 / 4, 0.2])

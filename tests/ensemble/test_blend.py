import itertools
import statistics

import numpy as np
import pytest
import unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.ensemble.blend import arithmetic, best_constant, commonest, harmonic
from mlob.errors import InputError
from mlob.metrics import micro_f1

PROBABILITIES = st.floats(0, 1, width=32)
MEMBERS = arrays.arrays(np.float32, st.tuples(*[st.integers(1, 4)] * 3), elements=PROBABILITIES)


@given(MEMBERS)
@settings(deadline=None)
def test_arithmetic_mean_is_numpys(members):
    assert arithmetic(members) == pytest.approx(members.mean(axis=0, dtype=np.float64), abs=1e-6)


@given(arrays.arrays(np.float32, (3, 2, 2), elements=st.floats(2**-20, 1, width=32)))
@settings(deadline=None)
def test_harmonic_mean_is_the_standard_librarys(members):
    expected = [statistics.harmonic_mean(cell) for cell in members.astype(np.float64).reshape(3, -1).T]
    assert harmonic(members).ravel() == pytest.approx(expected, rel=1e-5)


@given(MEMBERS, st.randoms())
@settings(deadline=None)
def test_permuting_members_with_their_weights_changes_nothing(members, random):
    weights = np.arange(1, len(members) + 1)
    order = random.sample(range(len(members)), len(members))
    assert arithmetic(members[order], weights[order]) == pytest.approx(arithmetic(members, weights), abs=1e-6)
    assert harmonic(members[order]) == pytest.approx(harmonic(members), abs=1e-6)


@given(MEMBERS)
@settings(deadline=None)
def test_means_stay_float32_probabilities_between_the_members(members):
    for mean in (arithmetic(members), arithmetic(members, np.arange(1, len(members) + 1)), harmonic(members)):
        assert mean.dtype == np.float32 and mean.shape == members.shape[1:]
        assert (mean >= 0).all() and (mean <= 1).all()
        assert (mean >= members.min(axis=0) - 1e-6).all() and (mean <= members.max(axis=0) + 1e-6).all()


@given(MEMBERS)
@settings(deadline=None)
def test_all_weight_on_one_member_is_that_member_exactly(members):
    weights = np.zeros(len(members))
    weights[-1] = 3
    assert np.array_equal(arithmetic(members, weights), members[-1])


@given(arrays.arrays(np.float32, (1, 3, 2), elements=PROBABILITIES), st.integers(1, 5))
@settings(deadline=None)
def test_where_all_members_agree_the_harmonic_mean_is_what_they_say_to_the_last_bit(one, count):
    assert np.array_equal(harmonic(np.repeat(one, count, axis=0)), one[0])


def test_one_member_that_is_sure_of_no_pulls_the_harmonic_mean_down_without_a_warning():
    members = np.array([[[0.0, 1.0]], [[1.0, 1.0]]], np.float32)
    with np.errstate(all="raise"):
        assert harmonic(members) == pytest.approx(np.array([[0, 1]]), abs=1e-6)


def test_a_mean_of_certainties_is_never_above_1():
    certain = np.ones((3, 4, 2), np.float32)
    means = [arithmetic(certain, weights) for weights in np.random.default_rng(0).random((500, 3))]
    assert np.max(means) <= 1 and np.min(means) == pytest.approx(1)


def test_means_leave_the_members_as_they_were():
    members = np.full((2, 3, 2), 0.5, np.float32)
    arithmetic(members, [1, 0])
    harmonic(members)
    assert (members == 0.5).all()


@pytest.mark.parametrize("weights", [[0, 0], [1, -1], [2, -1], [np.nan, 1], [np.inf, 1], [1], [1, 1, 1]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(InputError, match="2 finite numbers from 0 up"):
        arithmetic(np.ones((2, 1, 1), np.float32), weights)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 5)), elements=st.integers(0, 1)))
@settings(deadline=None)
def test_no_number_of_commonest_labels_beats_the_best_constant(targets):
    shares = targets.mean(axis=0)
    answers = [commonest(shares, k) for k in range(len(shares) + 1)]
    *figures, best = [micro_f1(targets, row + 0 * targets) for row in [*answers, best_constant(targets)]]
    assert best == max(figures)


def test_the_commonest_labels_are_the_commonest_and_ties_go_to_the_first_columns():
    assert commonest([0.25, 0.5, 0.5, 0.125, 0.5], 2).tolist() == [0, 1, 1, 0, 0]
    assert np.flatnonzero(commonest(np.tile([0.5, 0.25], 100), 3)).tolist() == [0, 2, 4]


@given(unknown.masked(), unknown.CODES)
@settings(deadline=None)
def test_no_answer_beats_the_best_constant_on_what_is_known(targets, code):
    best = best_constant(targets)
    answers = itertools.product([0, 1], repeat=targets.shape[1])
    brute = max(micro_f1(targets, np.tile(answer, (len(targets), 1))) for answer in answers)
    assert micro_f1(targets, np.tile(best, (len(targets), 1))) == pytest.approx(brute)
    assert np.array_equal(best_constant(unknown.recoded(targets, code)), best)

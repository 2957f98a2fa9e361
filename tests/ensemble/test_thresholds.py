import itertools
import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.ensemble.thresholds import ABOVE, best_global, best_per_label, decide
from mlob.metrics import micro_f1

EIGHTHS = st.integers(0, 8).map(lambda eighth: np.float32(eighth / 8))  # many equal scores
ANY = st.floats(0, 1, width=32)  # neighbours and subnormal numbers too


@st.composite
def scored(draw, photos=8, labels=4):
    shape = draw(st.tuples(st.integers(1, photos), st.integers(1, labels)))
    targets = draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    return targets, draw(arrays.arrays(np.float32, shape, elements=draw(st.sampled_from([EIGHTHS, ANY]))))


def every_cut(scores):
    return [*np.unique(scores), ABOVE]


def reached(targets, probabilities, thresholds):
    return micro_f1(targets, decide(probabilities, thresholds))


@given(scored())
@settings(deadline=None)
def test_no_global_threshold_beats_the_best_one(arrays):
    brute = max(reached(*arrays, cut) for cut in every_cut(arrays[1]))
    assert reached(*arrays, best_global(*arrays)) == brute


@given(scored(photos=4, labels=3))
@settings(deadline=None, max_examples=60)
def test_no_set_of_thresholds_beats_the_best_ones(arrays):
    sets = itertools.product(*map(every_cut, arrays[1].T))
    brute = max(reached(*arrays, np.array(thresholds)) for thresholds in sets)
    assert reached(*arrays, best_per_label(*arrays)) == brute


@pytest.mark.parametrize("seed", range(3))
def test_where_it_ends_no_label_alone_can_gain(seed):
    generator = np.random.default_rng(seed)
    targets = (generator.random((60, 15)) < generator.random(15)).astype(np.uint8)
    probabilities = ((targets + 2 * generator.random(targets.shape)) / 3).astype(np.float32)
    thresholds = best_per_label(targets, probabilities)
    best = reached(targets, probabilities, thresholds)
    for label, scores in enumerate(probabilities.T):
        for cut in every_cut(scores):
            moved = np.where(np.arange(15) == label, cut, thresholds)
            assert reached(targets, probabilities, moved) <= best


@given(scored())
@settings(deadline=None)
def test_thresholds_are_finite_and_survive_json(arrays):
    thresholds = best_per_label(*arrays)
    assert np.isfinite(thresholds).all() and (thresholds >= 0).all() and (thresholds <= ABOVE).all()
    stored = json.loads(json.dumps(thresholds.tolist(), allow_nan=False))
    assert np.array_equal(decide(arrays[1], stored), decide(arrays[1], thresholds))


@given(scored(), st.randoms())
@settings(deadline=None)
def test_the_order_of_photos_changes_nothing(arrays, random):
    order = random.sample(range(len(arrays[0])), len(arrays[0]))
    shuffled = [array[order] for array in arrays]
    assert best_global(*shuffled) == best_global(*arrays)
    assert np.array_equal(best_per_label(*shuffled), best_per_label(*arrays))


@pytest.mark.parametrize("low", [0.0, 0.25, 0.3, 1e-42])
def test_a_cut_between_neighbouring_numbers_decides_as_counted(low):
    low = np.float32(low)
    high = np.nextafter(low, np.float32(1))
    targets, probabilities = np.array([[0], [1]], np.uint8), np.array([[low], [high]])
    threshold = best_global(targets, probabilities)
    assert decide(probabilities, threshold).tolist() == [[0], [1]]
    assert (probabilities.astype(np.float64) >= threshold).tolist() == [[False], [True]]


def test_a_threshold_lies_midway_between_what_it_admits_and_the_next_below():
    probabilities = np.array([[0.125], [0.25], [0.75], [0.875]], np.float32)
    assert best_global(np.array([[0], [0], [1], [1]]), probabilities) == 0.5


def test_a_label_that_gains_nothing_keeps_the_global_threshold():
    targets = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], np.uint8)
    probabilities = np.array([[0.75, 0.25], [0.75, 0.25], [0.25, 0.875], [0.25, 0.25]], np.float32)
    assert best_per_label(targets, probabilities).tolist() == [best_global(targets, probabilities)] * 2


def test_of_equally_good_cuts_a_label_takes_the_nearest_to_the_global_threshold():
    targets, probabilities = np.zeros((40, 3), np.uint8), np.zeros((40, 3), np.float32)
    targets[:8, 0], probabilities[:4, 0] = 1, 0.75
    targets[[0, 3], 1], probabilities[:4, 1] = 1, [0.5, 0.375, 0.3125, 0.25]
    probabilities[:, 2] = 0.625  # holds the global threshold above label 1's scores
    shared = best_global(targets, probabilities)
    nearer, farther = (np.array([shared, own, shared]) for own in (0.4375, 0.125))
    assert reached(targets, probabilities, nearer) == reached(targets, probabilities, farther)
    assert best_per_label(targets, probabilities).tolist() == nearer.tolist()


def test_a_label_without_positives_is_predicted_for_nobody_seen():
    targets = np.array([[1, 0], [1, 0], [0, 0]], np.uint8)
    probabilities = np.array([[0.5, 1.0], [0.5, 0.75], [0.25, 0.125]], np.float32)
    assert decide(probabilities, best_per_label(targets, probabilities)).tolist() == [[1, 0], [1, 0], [0, 0]]


@given(scored())
@settings(deadline=None)
@example((np.zeros((2, 2), np.uint8), np.ones((2, 2), np.float32)))
def test_without_any_positive_nobody_gets_a_label(arrays):
    targets, probabilities = np.zeros_like(arrays[0]), arrays[1]
    assert not decide(probabilities, best_global(targets, probabilities)).any()
    assert np.isfinite(best_per_label(targets, probabilities)).all()


def test_decisions_are_bytes_and_a_probability_on_the_threshold_is_predicted():
    decisions = decide(np.array([[0.25, 0.5]], np.float32), [0.25, 0.75])
    assert decisions.dtype == np.uint8 and decisions.tolist() == [[1, 0]]

import itertools
import json

import numpy as np
import pytest
import unknown
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.ensemble.calibration import calibrate
from mlob.ensemble.thresholds import (
    ABOVE,
    RULES,
    best_by_image,
    best_global,
    best_global_by_image,
    best_of_each,
    best_per_label,
    calibrated,
    decide,
    half_f1,
    shrunk,
    smoothed,
)
from mlob.metrics import counts, f1, image_f1, macro_f1, micro_f1

PER_LABEL = (best_per_label, shrunk, smoothed, calibrated, best_of_each, best_by_image)
EXACT = (best_per_label, best_of_each, best_by_image)

EIGHTHS = st.integers(0, 8).map(lambda eighth: np.float32(eighth / 8))  # many equal scores
ANY = st.floats(0, 1, width=32)  # neighbours and subnormal numbers too


@st.composite
def scored(draw, photos=8, labels=4):
    shape = draw(st.tuples(st.integers(1, photos), st.integers(1, labels)))
    targets = draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    return targets, draw(arrays.arrays(np.float32, shape, elements=draw(st.sampled_from([EIGHTHS, ANY]))))


def drawn(photos=3000, labels=6, seed=0):
    """Draw calibrated scores and their targets."""
    generator = np.random.default_rng(seed)
    meant = generator.beta(0.5, 2, (photos, labels)).astype(np.float32)
    return (generator.random(meant.shape) < meant).astype(np.uint8), meant


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


@pytest.mark.parametrize("rule", PER_LABEL)
@given(arrays=scored())
@settings(deadline=None, max_examples=50)
def test_thresholds_are_finite_and_survive_json(rule, arrays):
    thresholds = rule(*arrays)
    assert thresholds.dtype == np.float32 and thresholds.shape == arrays[0].shape[1:]
    assert np.isfinite(thresholds).all() and (thresholds >= 0).all() and (thresholds <= ABOVE).all()
    stored = json.loads(json.dumps(thresholds.tolist(), allow_nan=False))
    assert np.array_equal(decide(arrays[1], stored), decide(arrays[1], thresholds))


@given(scored(), st.randoms())
@settings(deadline=None)
def test_the_order_of_photos_changes_nothing(arrays, random):
    order = random.sample(range(len(arrays[0])), len(arrays[0]))
    shuffled = [array[order] for array in arrays]
    for rule in (best_global, best_global_by_image, *EXACT, shrunk, smoothed):
        assert np.array_equal(rule(*shuffled), rule(*arrays)), rule
    assert half_f1(shuffled[1]) == half_f1(arrays[1])


@pytest.mark.parametrize("rule", PER_LABEL)
def test_the_order_of_labels_orders_the_thresholds(rule):
    targets, probabilities = drawn(photos=200)
    backwards = rule(targets[:, ::-1], probabilities[:, ::-1])[::-1]
    assert np.allclose(backwards, rule(targets, probabilities), rtol=0, atol=1e-6)


@given(scored())
@settings(deadline=None)
def test_only_the_order_of_scores_counts_where_an_optimum_is_exact(arrays):
    targets, probabilities = arrays
    _, rank = np.unique(probabilities, return_inverse=True)
    ranks = (rank.reshape(targets.shape) / 64).astype(np.float32)
    assert np.array_equal(decide(ranks, best_global(targets, ranks)), decide(probabilities, best_global(*arrays)))
    for rule, measure in ((best_per_label, micro_f1), (best_of_each, macro_f1), (best_global_by_image, image_f1)):
        figures = [measure(targets, decide(one, rule(targets, one))) for one in (ranks, probabilities)]
        assert figures[0] == pytest.approx(figures[1], abs=1e-12), rule


@pytest.mark.parametrize("rule", [best_per_label, best_of_each, best_by_image, shrunk])
@given(arrays=scored())
@settings(deadline=None, max_examples=50)
def test_a_label_that_nobody_bears_and_that_scores_nothing_moves_no_other_threshold(rule, arrays):
    wider = [np.pad(array, ((0, 0), (0, 1))) for array in arrays]
    if all(shared(*arrays) == shared(*wider) for shared in (best_global, best_global_by_image)):
        assert np.array_equal(rule(*wider)[:-1], rule(*arrays))


@given(scored())
@settings(deadline=None)
def test_each_label_has_its_highest_f1_where_macro_f1_counts(arrays):
    targets, probabilities = arrays
    reached = f1(*counts(targets, decide(probabilities, best_of_each(*arrays)), axis=0))
    for target, scores, own in zip(targets.T, probabilities.T, reached, strict=True):
        assert own == max(micro_f1(target, decide(scores, cut)) for cut in every_cut(scores))


@given(scored())
@settings(deadline=None)
def test_no_global_threshold_does_better_by_image(arrays):
    brute = max(image_f1(arrays[0], decide(arrays[1], cut)) for cut in every_cut(arrays[1]))
    assert image_f1(arrays[0], decide(arrays[1], best_global_by_image(*arrays))) == pytest.approx(brute, abs=1e-9)


def test_by_image_a_score_that_only_photos_without_labels_have_is_not_admitted():
    assert best_global_by_image(np.array([[1], [0]]), np.array([[0.75], [0.25]])) == 0.5


def test_by_image_a_label_takes_the_nearest_of_equally_good_cuts():
    # Label 1 is wanted nowhere; the photo that scores it highest has no label, so that its F1 is 0 whatever it gets.
    targets = np.array([[1, 0], [1, 0], [0, 0]])
    probabilities = np.array([[0.75, 0.625], [0.5, 0], [0.25, 0.875]], np.float32)
    assert best_global_by_image(targets, probabilities) == 0.375
    assert best_by_image(targets, probabilities).tolist() == [0.375, 0.75]


@given(scored())
@settings(deadline=None)
def test_by_image_no_label_alone_can_gain_and_the_global_threshold_is_not_better(arrays):
    targets, probabilities = arrays
    thresholds = best_by_image(*arrays)
    best = image_f1(targets, decide(probabilities, thresholds))
    assert best >= image_f1(targets, decide(probabilities, best_global_by_image(*arrays))) - 1e-9
    for label, scores in enumerate(probabilities.T):
        for cut in every_cut(scores):
            moved = np.where(np.arange(len(thresholds)) == label, cut, thresholds)
            assert image_f1(targets, decide(probabilities, moved)) <= best + 1e-8


@given(scored())
@settings(deadline=None)
def test_half_of_the_expected_f1_is_the_threshold_that_reaches_it(arrays):
    meant = arrays[1].astype(np.float64)
    decisions = [meant >= cut for cut in every_cut(arrays[1])]
    brute = max(f1(meant[one].sum(), one.sum(), meant.sum()) for one in decisions)
    assert half_f1(arrays[1]) == pytest.approx(brute / 2)
    taken = decide(arrays[1], half_f1(arrays[1])).astype(bool)
    assert f1(meant[taken].sum(), taken.sum(), meant.sum()) == pytest.approx(brute, rel=1e-5)


def test_on_calibrated_scores_half_of_the_expected_f1_is_as_good_as_the_best_threshold():
    targets, probabilities = drawn(photos=20000)
    expected = half_f1(probabilities)
    assert reached(targets, probabilities, expected) == pytest.approx(2 * expected, abs=0.01)
    assert reached(targets, probabilities, expected) > reached(*drawn(20000), best_global(*drawn(20000))) - 0.002


@given(scored())
@settings(deadline=None)
def test_shrunk_thresholds_run_from_the_labels_own_to_the_global_one(arrays):
    shared, own = best_global(*arrays), best_per_label(*arrays)
    for strength in (0, 1, 30):
        found = shrunk(*arrays, strength)
        assert (np.minimum(own, shared) <= found + 1e-6).all() and (found <= np.maximum(own, shared) + 1e-6).all()
    assert np.allclose(shrunk(*arrays, 1e9), shared, atol=1e-6)
    bears = arrays[0].any(axis=0)
    assert np.allclose(shrunk(*arrays, 0)[bears], own[bears], atol=1e-6)


def test_the_fewer_positives_the_nearer_to_the_global_threshold():
    targets, probabilities = drawn()
    targets[100:, 0] = 0
    probabilities = probabilities ** [3, 3, 1, 1, 1, 2]
    own, shared = best_per_label(targets, probabilities), best_global(targets, probabilities)
    few, many = ((shrunk(targets, probabilities) - shared) / (own - shared))[:2]
    assert 0 < few < 0.8 * many < many < 1


def test_smoothing_finds_half_of_f1_for_each_label_of_calibrated_scores():
    targets, probabilities = drawn(photos=20000)
    assert np.allclose(smoothed(targets, probabilities, strength=0), half_f1(probabilities), atol=0.06)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_of_the_table_gives_one_threshold_or_one_for_each_label(name):
    targets, probabilities = drawn(photos=200)
    chosen = np.asarray(RULES[name](targets, probabilities))
    assert chosen.shape in ((), (6,)) and ((chosen >= 0) & (chosen <= ABOVE)).all()
    assert reached(targets, probabilities, chosen) > 0.4  # 0.5 for all reaches the least


def test_counts_of_all_labels_that_outweigh_make_all_smoothed_thresholds_equal():
    targets, probabilities = drawn(photos=200)
    assert len(set(smoothed(targets, probabilities, strength=0))) > 1
    found = smoothed(targets, probabilities, strength=1e9)
    assert len(set(found)) == 1 and found[0] == pytest.approx(best_global(targets, probabilities), abs=0.05)


def test_labels_that_differ_in_bias_and_scale_are_decided_as_if_they_did_not():
    targets, probabilities = drawn()
    distorted = calibrate(probabilities, np.linspace(-2, 2, 6), np.linspace(0.5, 1.5, 6))
    plain = reached(targets, probabilities, calibrated(targets, probabilities))
    assert reached(targets, distorted, calibrated(targets, distorted)) == pytest.approx(plain, abs=0.003)
    assert reached(targets, distorted, best_global(targets, distorted)) < plain - 0.05


@pytest.mark.parametrize(("bearers", "decision"), [(50, 0), (2950, 1)])
def test_a_label_whose_scores_run_against_its_targets_is_decided_alike_for_all(bearers, decision):
    targets, probabilities = drawn()
    targets[:, 0] = np.argsort(np.argsort(probabilities[:, 0])) < bearers
    assert (decide(probabilities, calibrated(targets, probabilities))[:, 0] == decision).all()


def test_where_no_score_reaches_the_cut_not_even_a_certain_one_is_predicted():
    targets, probabilities = drawn()
    logits = np.linspace(10, 18, 3000)
    targets[:, 0] = np.random.default_rng(0).random(3000) < 1 / (1 + np.exp(18.5 - logits))
    probabilities[:, 0] = 1 / (1 + np.exp(-logits))
    assert probabilities[:, 0].max() == 1 and targets[:, 0].any()
    assert calibrated(targets, probabilities)[0] == ABOVE


def test_where_every_score_passes_the_cut_a_score_of_zero_is_predicted_too():
    targets, probabilities = drawn()
    logits = np.linspace(-18, -10, 3000)
    targets[:, 0] = np.random.default_rng(0).random(3000) < 1 / (1 + np.exp(-18.5 - logits))
    probabilities[:, 0] = np.where(logits < -16, 0, 1 / (1 + np.exp(-logits)))
    assert calibrated(targets, probabilities)[0] == 0


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
    for rule in (best_global, best_per_label, shrunk, best_of_each):
        assert not decide(probabilities, rule(targets, probabilities)).any(), rule


def test_decisions_are_bytes_and_a_probability_on_the_threshold_is_predicted():
    decisions = decide(np.array([[0.25, 0.5]], np.float32), [0.25, 0.75])
    assert decisions.dtype == np.uint8 and decisions.tolist() == [[1, 0]]


EVERY_RULE = [*RULES.values(), shrunk, best_of_each, best_global_by_image, best_by_image]
ALONE = [rule for rule in EVERY_RULE if rule is not smoothed]  # which gives every label, known or not, a share of all


@pytest.mark.parametrize("rule", EVERY_RULE)
@given(case=unknown.scored(), code=unknown.CODES)
@settings(deadline=None)
def test_neither_scores_under_unknown_targets_nor_their_code_move_a_threshold(rule, case, code):
    targets, probabilities, others = case
    expected = rule(targets, probabilities)
    assert unknown.same_bytes(rule(targets, others), expected)
    assert unknown.same_bytes(rule(unknown.recoded(targets, code), others), expected)


@pytest.mark.parametrize("rule", ALONE)
@given(case=unknown.scored())
@settings(deadline=None)
def test_a_photo_and_a_label_of_which_nothing_is_known_move_no_other_threshold(rule, case):
    targets, probabilities, _ = case
    wider = np.broadcast_to(rule(*unknown.with_unknown_row_and_label(targets, probabilities)), targets.shape[1] + 1)
    assert wider[:-1] == pytest.approx(np.broadcast_to(rule(targets, probabilities), targets.shape[1]), abs=1e-4)


@given(unknown.scored())
@settings(deadline=None)
def test_thresholds_are_the_best_on_what_is_known(case):
    targets, probabilities, _ = case
    brute = max(reached(targets, probabilities, cut) for cut in every_cut(probabilities))
    assert reached(targets, probabilities, best_global(targets, probabilities)) == brute
    brute = max(image_f1(targets, decide(probabilities, cut)) for cut in every_cut(probabilities))
    by_image = decide(probabilities, best_global_by_image(targets, probabilities))
    assert image_f1(targets, by_image) == pytest.approx(brute)
    assert image_f1(targets, decide(probabilities, best_by_image(targets, probabilities))) >= brute - 1e-6
    brute = [max(reached(column, scores, cut) for cut in every_cut(scores)) for column, scores in columns_of(case)]
    own = decide(probabilities, best_of_each(targets, probabilities))
    for label, best in enumerate(brute):
        assert micro_f1(targets[:, [label]], own[:, [label]]) == best


def columns_of(case):
    """Each label's targets and scores (n, 1)."""
    return [(case[0][:, [label]], case[1][:, [label]]) for label in range(case[0].shape[1])]

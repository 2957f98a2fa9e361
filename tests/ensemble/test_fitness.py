import numpy as np
import pytest
import unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.ensemble import fitness
from mlob.ensemble.blend import arithmetic
from mlob.ensemble.thresholds import decide
from mlob.errors import InputError
from mlob.metrics import micro_f1

SIXTYFOURTHS = st.integers(0, 64).map(lambda some: np.float32(some / 64))  # blends with WEIGHTS are exact
WEIGHTS = np.array([[0.25, 0.25, 0.5], [0.5, 0.5, 0], [0, 0, 1], [1, 0, 0]])


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 4)))
    elements = draw(st.sampled_from([SIXTYFOURTHS, st.sampled_from([np.float32(0), np.float32(1 / 1024)])]))
    members = draw(arrays.arrays(np.float32, (3, *shape), elements=elements))
    return members, draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)))


def brute(members, targets, weights):
    thresholds = np.arange(1, fitness.BINS + 1, dtype=np.float32) / fitness.BINS
    return max(micro_f1(targets, decide(arithmetic(members, weights), cut)) for cut in thresholds)


@pytest.mark.parametrize("block", [7, fitness.BLOCK])
@given(case=cases())
@settings(deadline=None, max_examples=15)
def test_the_fitness_is_micro_f1_at_the_best_of_the_bins_thresholds(block, case):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitness, "BLOCK", block)
        found = fitness.approximate(*case)(WEIGHTS)
    assert found.tolist() == [brute(*case, weights) for weights in WEIGHTS]


def test_a_blend_whose_best_threshold_lies_far_below_the_means_is_scored_on_all_cells():
    generator = np.random.default_rng(0)
    targets = (generator.random((60, 5)) < 0.2).astype(np.uint8)
    good = np.floor(1024 * (0.5 * targets + 0.4 * generator.random(targets.shape))) / 1024
    noise = generator.integers(0, 6, targets.shape)
    low = np.where(targets == 1, 4 + noise // 3, noise) / 1024
    members = np.stack([good, good, low]).astype(np.float32)
    best = brute(members, targets, [0, 0, 1])
    assert 0.3 < best < 1  # by a threshold of 4/1024; the mean's lies near 0.3
    assert fitness.approximate(members, targets)(np.array([[0.0, 0.0, 1.0]])).tolist() == [best]


def test_the_lowest_threshold_counts():
    members = np.zeros((2, 3, 2), np.float32)
    members[:, 1] = 1 / fitness.BINS
    assert fitness.approximate(members, members[0] > 0)(np.array([[0.5, 0.5]])).tolist() == [1]


def test_the_size_of_the_blocks_changes_nothing(monkeypatch):
    members = np.random.default_rng(0).random((2, 500, 8), dtype=np.float32)
    targets, weights = members[0] > 0.8, np.array([[0.5, 0.5], [1.0, 0.0]])
    whole = fitness.approximate(members, targets)(weights)
    monkeypatch.setattr(fitness, "BLOCK", 7)
    assert np.array_equal(fitness.approximate(members, targets)(weights), whole)


def test_without_positives_every_blend_scores_0():
    members = np.random.default_rng(0).random((3, 5, 2), dtype=np.float32)
    assert fitness.approximate(members, np.zeros((5, 2), np.uint8))(WEIGHTS).tolist() == [0] * 4


def test_the_best_of_candidates_is_never_worse_than_the_mean_or_a_member():
    generator = np.random.default_rng(1)
    members, targets = generator.random((3, 40, 4), dtype=np.float32), generator.integers(0, 2, (40, 4))
    found = fitness.best_of([np.array([0.2, 0.3, 0.5])], members, targets, [], fitness.MICRO_F1)
    assert found.reached == fitness.exact(members, targets, found.weights)
    assert found.reached >= max(fitness.exact(members, targets, weights) for weights in ([1, 1, 1], *np.eye(3)))


@pytest.mark.parametrize("wrong", [np.nan, -0.5, 1.5, np.inf])
def test_the_member_that_gives_no_probability_is_named(wrong):
    members = np.full((3, 2, 2), 0.5, np.float32)
    members[1, 1, 0] = wrong
    with pytest.raises(InputError, match="in member 1 "):
        fitness.check(members, np.zeros((2, 2)))


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 4, 3), (0, 3, 3), (3, 3)])
def test_members_over_other_photos_or_labels_are_refused(shape):
    with pytest.raises(InputError, match="same labels for the same"):
        fitness.check(np.zeros(shape, np.float32), np.zeros((3, 3)))


@given(unknown.scored(members=(2,)), unknown.CODES)
@settings(deadline=None)
def test_a_blend_is_scored_on_what_is_known(case, code):
    targets, members, others = case
    known, weights = targets <= 1, np.random.default_rng(0).dirichlet(np.ones(2), 5)
    found = fitness.approximate(members, targets)(weights)
    assert np.array_equal(fitness.approximate(others, unknown.recoded(targets, code))(weights), found)
    alone = members[:, known][..., np.newaxis], targets[known][:, np.newaxis]
    if known.any():
        assert found == pytest.approx(fitness.approximate(*alone)(weights))
        assert fitness.exact(members, targets, [1, 1]) == fitness.exact(*alone, [1, 1])

import functools

import numpy as np
import pytest
import unknown
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlob.ensemble import simplex
from mlob.ensemble.blend import arithmetic
from mlob.errors import InputError


@pytest.fixture(scope="module")
def made(members_of):
    return functools.partial(members_of, photos=80, labels=5)


def log_loss(members, targets, weights):
    likelihoods = np.where(targets == 1, members.astype(np.float64), 1 - members.astype(np.float64))
    return -np.log(np.tensordot(weights, np.maximum(likelihoods, 1e-7), axes=1)).mean()


@given(st.lists(st.floats(0, 4), min_size=1, max_size=5), st.integers(0, 99))
@example([0.0, 2.011661162024781], 12)  # its last steps gain less than the loss is rounded by
@settings(deadline=None, max_examples=25)
def test_the_optimum_meets_the_karush_kuhn_tucker_conditions(made, strengths, seed):
    members, targets = made(strengths, seed=seed)
    found = simplex.search(members, targets)
    likelihoods = np.where(targets == 1, members.astype(np.float64), 1 - members.astype(np.float64))
    slopes = (likelihoods / np.tensordot(found.weights, likelihoods, axes=1)).mean(axis=(1, 2))
    assert slopes.max() <= 1 + 1e-7  # no member has more to give
    assert slopes[found.weights > 1e-6] == pytest.approx(1, abs=1e-6)  # those in use give alike
    assert found.weights.sum() == pytest.approx(1) and (found.weights >= 0).all()
    assert found.log_loss == pytest.approx(log_loss(members, targets, found.weights)) and found.gap <= 1e-8


@pytest.mark.parametrize("seed", range(3))
def test_no_weights_have_a_lower_log_loss_than_the_gap_allows(seed, made):
    members, targets = made([2, 1, 1, 0.5], seed=seed)
    found, rough = simplex.search(members, targets), simplex.search(members, targets, iterations=1)
    drawn = np.random.default_rng(seed).dirichlet(np.full(4, 0.5), 200)
    lowest = min(log_loss(members, targets, weights) for weights in [*drawn, *np.eye(4)])
    assert lowest >= found.log_loss - found.gap
    assert 0 <= rough.log_loss - found.log_loss <= rough.gap


def test_a_mixture_of_two_members_is_found_again():
    generator = np.random.default_rng(0)
    members = generator.random((3, 400, 300), dtype=np.float32)
    targets = generator.random((400, 300)) < arithmetic(members, [0.75, 0.25, 0])
    assert simplex.search(members, targets).weights == pytest.approx([0.75, 0.25, 0], abs=0.02)


def test_permuting_the_members_permutes_the_weights(made):
    members, targets = made([2, 1.5, 1, 0.5])
    order = [2, 0, 3, 1]
    assert simplex.search(members[order], targets).weights == pytest.approx(
        simplex.search(members, targets).weights[order], abs=1e-4
    )


def test_a_member_twice_changes_nothing_of_the_blend(made):
    members, targets = made([2, 1.5, 1])
    once, twice = (simplex.search(some, targets) for some in (members, members[[0, 0, 1, 2]]))
    assert twice.weights[:2].sum() == pytest.approx(once.weights[0], abs=1e-4)
    assert twice.log_loss == pytest.approx(once.log_loss, abs=1e-8)


def test_the_size_of_the_blocks_changes_nothing(monkeypatch, made):
    members, targets = made([2, 1, 0.5])
    whole = simplex.search(members, targets).weights
    monkeypatch.setattr(simplex, "BLOCK", 7)
    assert simplex.search(members, targets).weights == pytest.approx(whole, abs=1e-6)


def test_members_that_are_sure_and_wrong_and_constant_ones_and_no_positives_are_no_trouble(made):
    members, targets = made([2, 1])
    wrong = (1 - targets).astype(np.float32)
    assert simplex.search(np.stack([wrong, members[0]]), targets).weights[1] > 0.8
    assert simplex.search(np.zeros((2, 4, 3), np.float32), np.ones((4, 3))).weights == pytest.approx(0.5)
    assert simplex.search(members, np.zeros_like(targets)).gap <= 1e-8
    assert simplex.search(members[:1], targets).weights.tolist() == [1]


def test_what_is_no_probability_is_refused():
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        simplex.search(np.full((2, 1, 1), np.nan, np.float32), np.ones((1, 1)))


@given(unknown.scored(members=(3,)), unknown.CODES)
@settings(deadline=None)
def test_the_optimum_is_that_of_what_is_known(case, code):
    targets, members, others = case
    known, found = targets <= 1, simplex.search(members, targets)
    assert unknown.same_bytes(vars(simplex.search(others, unknown.recoded(targets, code))), vars(found))
    if known.any():
        alone = simplex.search(members[:, known][..., np.newaxis], targets[known][:, np.newaxis])
        assert alone.weights == pytest.approx(found.weights) and alone.log_loss == pytest.approx(found.log_loss)
    else:
        assert found.weights.tolist() == [1 / 3] * 3

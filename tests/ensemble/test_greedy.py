import functools

import numpy as np
import pytest

from mlob.ensemble import fitness, greedy
from mlob.ensemble.blend import arithmetic
from mlob.errors import InputError

SEARCHES = [greedy.select, greedy.climb]


@pytest.fixture(scope="module")
def made(members_of):
    return functools.partial(members_of, photos=200, labels=6)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("seed", range(3))
def test_no_search_is_worse_than_the_mean_and_the_members_on_its_photos(search, seed, made):
    members, targets = made([2, 1, 0.5], seed=seed)
    found = search(members, targets)
    assert found.reached == fitness.exact(members, targets, found.weights)
    assert found.reached >= max(fitness.exact(members, targets, weights) for weights in ([1, 1, 1], *np.eye(3)))
    assert found.weights.sum() == pytest.approx(1) and (found.weights >= 0).all()
    assert found.history == sorted(found.history)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_better_blend_than_the_mean_and_the_members_is_found(search, made):
    members, targets = made([2, 2, 0, 0, 0], photos=400)
    found = search(members, targets)
    assert found.reached > max(fitness.exact(members, targets, weights) for weights in (np.ones(5), *np.eye(5)))


@pytest.mark.parametrize("search", [lambda *arrays: greedy.select(*arrays, picks=10), greedy.climb])
def test_permuting_the_members_permutes_the_weights(search, made):
    members, targets = made([2, 1.5, 1, 0.5])
    order = [2, 0, 3, 1]
    assert search(members[order], targets).weights == pytest.approx(search(members, targets).weights[order])


def test_a_member_twice_changes_nothing_of_what_is_selected(made):
    members, targets = made([2, 1.5, 1])
    once, twice = (greedy.select(some, targets) for some in (members, members[[0, 0, 1, 2]]))
    assert twice.weights[:2].sum() == pytest.approx(once.weights[0])
    assert arithmetic(members[[0, 0, 1, 2]], twice.weights) == pytest.approx(
        arithmetic(members, once.weights), abs=1e-6
    )


def test_the_first_pick_is_the_best_member_and_each_later_one_helps_most(made):
    members, targets = made([1, 2, 1.9])
    score = fitness.approximate(members, targets)
    first, second = (greedy.select(members, targets, picks=picks) for picks in (1, 2))
    assert first.history == [score(np.eye(3)).max()]
    pairs = (np.eye(3) + np.eye(3)[score(np.eye(3)).argmax()]) / 2
    assert second.history[1] == score(pairs).max()


def test_where_the_climb_ends_no_step_gains(made):
    members, targets = made([2, 1.5, 1, 0.5])
    score, found = fitness.approximate(members, targets), greedy.climb(members, targets)
    assert score(found.weights[np.newaxis])[0] == found.history[-1]
    assert score(greedy.moves(found.weights, 1 / 128)).max() <= found.history[-1]


def test_moves_keep_the_sum_and_take_no_more_than_there_is():
    moves = greedy.moves(np.array([0.75, 0.25, 0]), 0.5)
    assert sorted(map(tuple, moves.tolist())) == sorted(
        [*[(0.75, 0.25, 0)] * 3, *[(0.75, 0.25, 0)] * 2, (0.25, 0.75, 0), (0.25, 0.25, 0.5), (1, 0, 0), (0.75, 0, 0.25)]
    )


@pytest.mark.parametrize("search", SEARCHES)
def test_one_member_and_constant_members_and_no_positives_are_no_trouble(search, made):
    members, targets = made([1])
    assert search(members, targets).weights.tolist() == [1]
    assert search(np.full((2, 5, 3), 0.5, np.float32), np.zeros((5, 3), np.uint8)).reached == 0


@pytest.mark.parametrize("search", SEARCHES)
def test_what_is_no_probability_is_refused(search, made):
    members, targets = made([1, 1])
    members[1, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        search(members, targets)

import functools

import numpy as np
import pytest

from mlob.ensemble import grouped, simplex
from mlob.ensemble.blend import arithmetic, arithmetic_by_label
from mlob.errors import InputError


@pytest.fixture(scope="module")
def made(members_of):
    return functools.partial(members_of, photos=80, labels=5)


def lowest(members, targets):
    return simplex.search(members, targets).weights


def test_each_group_has_the_weights_of_a_search_over_it_alone(made):
    members, targets = made([2, 1, 0.5])
    groups = ("colour", "sleeve", "colour", "sleeve", "colour")
    weights = grouped.search(lowest, members, targets, groups)
    assert weights.shape == (3, 5)
    for inside in ([0, 2, 4], [1, 3]):
        alone = simplex.search(members[:, :, inside], targets[:, inside]).weights
        for label in inside:
            assert weights[:, label] == pytest.approx(alone)


def test_one_group_of_all_labels_is_the_plain_search_and_a_group_without_positives_falls_back_on_it(made):
    members, targets = made([2, 1, 0.5])
    plain = simplex.search(members, targets).weights
    for label in grouped.search(lowest, members, targets, ["all"] * 5).T:
        assert label == pytest.approx(plain)
    targets[:, 4] = 0
    plain = simplex.search(members, targets).weights
    assert grouped.search(lowest, members, targets, [*"aaaa", "b"])[:, 4] == pytest.approx(plain)


def test_the_same_weights_for_every_label_are_the_plain_mean(made):
    members, _ = made([2, 1, 0.5])
    weights = np.array([0.5, 0.25, 0.25])
    mean = arithmetic_by_label(members, np.tile(weights[:, np.newaxis], (1, 5)))
    assert mean == pytest.approx(arithmetic(members, weights), abs=1e-6) and mean.dtype == np.float32


def test_a_group_map_of_another_length_is_refused(made):
    with pytest.raises(InputError, match="a group for each of 5 labels; found 2"):
        grouped.search(lowest, *made([1, 1]), ["a", "b"])


def test_a_group_of_which_nothing_is_known_takes_the_weights_of_all_and_moves_no_other(made):
    members, targets = made([1, 2, 3], labels=4)
    targets[:, 2:] = 255

    found = grouped.search(lowest, members, targets, ("a", "a", "b", "b"))
    assert np.array_equal(found[:, :2], grouped.search(lowest, members[..., :2], targets[:, :2], ("a", "a")))
    assert np.array_equal(found[:, 2], simplex.search(members, targets).weights)

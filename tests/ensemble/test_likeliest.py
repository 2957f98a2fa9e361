"""A group of which every photo has one label gets its likeliest; other labels are decided by their thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.ensemble import likeliest, methods, thresholds
from mlob.labels import exclusive_groups, one_each
from mlob.recipes import Swarm

GROUPS = np.array([0, -1, 0, 1, 1, -1, 0])
TENTHS = st.integers(0, 10).map(lambda tenths: np.float32(tenths / 10))
TABLES = st.integers(1, 6).flatmap(lambda rows: arrays.arrays(np.float32, (rows, len(GROUPS)), elements=TENTHS))


@given(TABLES, arrays.arrays(np.float32, len(GROUPS), elements=TENTHS))
@settings(deadline=None)
def test_each_group_gets_one_label_and_no_other_is_likelier_and_the_rest_go_by_thresholds(probabilities, least):
    decided = likeliest.give(thresholds.decide(probabilities, least), probabilities, GROUPS)
    assert decided.dtype == np.uint8
    for group in (0, 1):
        inside = group == GROUPS
        assert (decided[:, inside].sum(axis=1) == 1).all()
        given_one = probabilities[:, inside][decided[:, inside] == 1]
        assert np.array_equal(given_one, probabilities[:, inside].max(axis=1))
    free = GROUPS < 0
    assert np.array_equal(decided[:, free], probabilities[:, free] >= least[free])


@given(TABLES, arrays.arrays(np.float32, len(GROUPS), elements=TENTHS))
@settings(deadline=None)
def test_a_given_label_reaches_what_was_needed_and_another_does_not_exceed_it(probabilities, least):
    decided = likeliest.give(thresholds.decide(probabilities, least), probabilities, GROUPS).astype(bool)
    needed = likeliest.needed(probabilities, least, GROUPS)
    assert (probabilities >= needed)[decided].all() and (probabilities <= needed)[~decided].all()
    assert np.array_equal(needed[:, GROUPS < 0], np.tile(least[GROUPS < 0], (len(needed), 1)))


def test_without_such_groups_thresholds_decide_and_nothing_is_copied():
    probabilities = np.array([[0.2, 0.9]], np.float32)
    decided = thresholds.decide(probabilities, 0.5)
    assert likeliest.give(decided, probabilities, None) is decided
    assert likeliest.needed(probabilities, np.array([0.5, 0.25]), None).tolist() == [[0.5, 0.25]]


@pytest.mark.parametrize(
    ("targets", "numbers"),
    [
        ([[1, 0, 1, 0], [0, 1, 1, 1]], [0, 0, -1, -1]),
        ([[1, 0, 0, 1], [0, 1, 1, 0]], [0, 0, 1, 1]),
        ([[1, 0, 0, 0], [0, 1, 1, 0]], [0, 0, -1, -1]),  # a photo without any of the second group
        ([[0, 0, 0, 0], [1, 1, 1, 0]], None),
    ],
)
def test_a_group_is_such_where_every_row_has_exactly_one_label_of_it(targets, numbers):
    found = one_each(exclusive_groups(("colour", "colour", "length", "length"), np.array(targets, np.uint8)), 4)
    assert found is numbers if numbers is None else found.tolist() == numbers


def case():
    """Two members over a group of three labels, which every row has one of, and a free label."""
    generator = np.random.default_rng(0)
    targets = np.zeros((60, 4), np.uint8)
    targets[np.arange(60), generator.integers(0, 3, 60)] = 1
    targets[:, 3] = generator.random(60) < 0.3
    return ((targets + 2 * generator.random((2, 60, 4))) / 3).astype(np.float32), targets


def fitted(members, targets, groups):
    fit = methods.fit(("mean", "PSO"), tuple(thresholds.RULES), groups=(), seed=0, swarm=Swarm(5, 3), one_each=groups)
    return fit(members, targets)


def test_thresholds_are_chosen_on_the_labels_that_they_decide():
    members, targets = case()
    decisions, free = fitted(members, targets, np.array([0, 0, 0, -1])), targets[:, 3:]
    for rule, choose in thresholds.RULES.items():
        alone = choose(free, members.mean(axis=0)[:, 3:])
        assert decisions[methods.MEAN, rule].thresholds[3] == pytest.approx(np.float32(np.ravel(alone)[0]), abs=1e-6)


def test_where_every_label_is_of_such_a_group_no_rule_is_asked():
    members, targets = case()
    decisions = fitted(members[:, :, :3], targets[:, :3], np.zeros(3, np.int64))
    assert {rule for _, rule in decisions} == {methods.COMMONEST, thresholds.ONE_THRESHOLD}
    for (method, _), decision in decisions.items():
        if method != methods.CONSTANT:
            assert (decision(members[:, :, :3]).sum(axis=1) == 1).all()


def test_a_decision_kept_on_disk_decides_alike_and_one_without_groups_is_kept_as_ever():
    members, targets = case()
    for decision in fitted(members, targets, np.array([0, 0, 0, -1])).values():
        again = methods.rebuilt(decision.kind, decision.arrays(), 2)
        assert np.array_equal(again(members), decision(members))
        assert (methods.ONE_EACH in decision.arrays()) == (decision.groups is not None)
    plain = fitted(members, targets, None)[methods.MEAN, thresholds.ONE_THRESHOLD]
    assert sorted(plain.arrays()) == ["thresholds", "weights"]
    spoilt = {**plain.arrays(), methods.ONE_EACH: np.array([0, 0])}
    with pytest.raises(ValueError, match="its arrays are of no Mean"):
        methods.rebuilt(plain.kind, spoilt, 2)

"""Columns of targets are labels in the order given; a label counts once on a photo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unknown import CODES, masked, recoded, scored

from mlob import labels
from mlob.files import digest
from mlob.labels import (
    UNKNOWN,
    Exclusive,
    Labels,
    clearly_exclusive_groups,
    completed,
    count_known,
    exclusive_groups,
    is_known,
    known_entries,
    positives,
    prevalence,
)

LABELS = Labels((2, 5, 9), ("Dress", "Red", "Hat"), ("category", "colour", "category"))


def test_annotations_mark_the_labels_of_each_photo():
    annotations = LABELS.annotate(3, np.array([0, 0, 2]), np.array([2, 0, 1]))
    assert len(LABELS) == 3 and annotations.dtype == np.uint8
    assert annotations.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_a_repeated_label_counts_once():
    assert LABELS.annotate(1, np.zeros(3, int), np.full(3, 1)).toarray().tolist() == [[0, 1, 0]]


def test_no_photos_and_no_labels_make_empty_annotations():
    nothing = np.empty(0, int)
    assert LABELS.annotate(0, nothing, nothing).shape == (0, 3)
    assert Labels((), (), ()).annotate(2, nothing, nothing).shape == (2, 0)


def test_an_unknown_label_is_an_error():
    with pytest.raises(ValueError, match="exceeds"):
        LABELS.annotate(1, np.array([0]), np.array([3]))


@settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from(range(3)))))
def test_label_sets_come_back_from_their_annotations(label_sets):
    cells = [(row, column) for row, columns in enumerate(label_sets) for column in columns]
    annotations = LABELS.annotate(len(label_sets), *np.array(cells, int).reshape(-1, 2).T)
    assert [set(row.nonzero()[0].tolist()) for row in annotations.toarray()] == label_sets


def test_labels_are_frozen_and_equal_by_value():
    assert Labels(LABELS.ids, LABELS.names, LABELS.groups) == LABELS
    with pytest.raises(AttributeError):
        LABELS.ids = ()


@given(st.data())
def test_sparse_annotations_hold_what_is_there_and_what_nobody_looked_at(data):
    labels, n = Labels((1, 2, 3), ("a", "b", "c"), ("g",) * 3), 4
    cells = st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, 2)), max_size=20)
    hits, unseen = data.draw(cells), data.draw(cells)
    expected = np.zeros((n, 3), np.uint8)
    for pairs, value in ((unseen, UNKNOWN), (hits, 1)):
        for cell in pairs:
            expected[cell] = value
    arrays = [np.array(pairs, int).reshape(-1, 2).T for pairs in (hits, unseen)]
    sparse = labels.annotate(n, *arrays[0], unknown=tuple(arrays[1]))
    assert np.array_equal(sparse.toarray(), expected) and sparse.dtype == np.uint8
    assert digest(sparse) == digest(expected)


def test_a_group_is_exclusive_by_what_is_known_of_it():
    targets = np.array([[1, 0, 1], [0, 1, UNKNOWN], [UNKNOWN, UNKNOWN, 0]], np.uint8)
    assert exclusive_groups(("a", "a", "b"), targets) == [((0, 1), False)]
    assert exclusive_groups(("a", "a", "b"), np.where(targets == UNKNOWN, 0, targets)) == [((0, 1), True)]


@given(masked(), CODES)
def test_whatever_is_above_one_is_unknown(targets, code):
    known, other = is_known(targets), is_known(recoded(targets, code))
    assert (known is None) == (other is None) == (targets <= 1).all()
    if known is not None:
        assert np.array_equal(known, other) and np.array_equal(known, targets != UNKNOWN)
    assert np.array_equal(positives(targets), targets == 1)


@given(masked())
def test_known_targets_are_counted_by_label_and_by_row_and_prevalence_is_a_share_of_them(targets):
    known = targets != UNKNOWN
    assert count_known(targets) == known.sum()
    assert np.array_equal(count_known(targets, axis=0), known.sum(axis=0))
    assert np.array_equal(count_known(targets, axis=1), known.sum(axis=1))
    columns = [column[column <= 1] for column in targets.T]
    assert prevalence(targets).tolist() == [column.mean() if len(column) else 0 for column in columns]


@given(masked(kinds=(0, 1)))
def test_what_is_known_whole_costs_no_copy(targets):
    whole = np.where(targets > 1, 0, targets)
    assert is_known(whole) is None and count_known(whole) == whole.size
    assert all(np.shares_memory(flat, whole) for flat in known_entries(whole, whole))
    assert completed(whole, [Exclusive((0,), True)]) is whole
    assert np.array_equal(prevalence(whole), whole.mean(axis=0))


@given(scored(members=(2,)))
def test_what_is_known_is_lined_up_with_what_lies_beside_it(case):
    targets, members, others = case
    truth, cells = known_entries(targets, members)
    assert truth.tolist() == [entry for entry in targets.ravel().tolist() if entry <= 1]
    assert cells.shape == (2, len(truth)) and np.array_equal(cells, known_entries(targets, others)[1])
    column, scores = known_entries(targets[:, 0], members[:, :, 0])
    assert np.array_equal(scores, members[:, targets[:, 0] <= 1, 0]) and len(column) == scores.shape[1]


def test_beside_a_label_of_an_exclusive_group_the_others_are_known_to_be_absent():
    targets = np.uint8([[1, UNKNOWN, UNKNOWN], [0, UNKNOWN, 1], [UNKNOWN, 0, 0]])
    found = completed(targets, [Exclusive((0, 1), True)])
    assert found.tolist() == [[1, 0, UNKNOWN], [0, UNKNOWN, 1], [UNKNOWN, 0, 0]]
    assert np.array_equal(completed(found, [Exclusive((0, 1), True)]), found)


@pytest.mark.parametrize("rows, is_clear", [(30, True), (8, False)])
def test_a_group_is_clearly_exclusive_where_chance_would_have_given_rows_of_two(rows, is_clear):
    targets = np.tile(np.eye(2, dtype=np.uint8), (rows // 2, 1))  # two labels on half of the rows each
    assert len(exclusive_groups(("a", "a"), targets)) == 1
    assert len(clearly_exclusive_groups(("a", "a"), targets)) == is_clear


@given(st.integers(0, 2**32 - 1), st.integers(20, 200))
def test_rows_of_two_are_expected_as_often_as_they_come_by_chance(seed, rows):
    generator = np.random.default_rng(seed)
    shares = generator.uniform(0, 0.5, 4)
    targets = (generator.random((rows, 4)) < shares).astype(np.uint8)
    own = targets.mean(axis=0)
    drawn = (generator.random((20_000, 4)) < own).sum(axis=1)
    assert labels._expected_twos(targets) == pytest.approx(rows * (drawn > 1).mean(), abs=0.02 * rows)

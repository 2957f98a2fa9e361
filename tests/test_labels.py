"""Columns of targets are labels in the order given; a label counts once on a photo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.files import digest
from mlob.labels import UNKNOWN, Labels, exclusive_groups

LABELS = Labels((2, 5, 9), ("Dress", "Red", "Hat"), ("category", "colour", "category"))


def test_every_label_has_its_column():
    assert len(LABELS) == 3
    assert LABELS.columns() == {2: 0, 5: 1, 9: 2}


def test_targets_mark_the_labels_of_each_photo():
    targets = LABELS.targets([[9, 2], [], [5]])
    assert targets.dtype == np.uint8
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_a_repeated_label_counts_once():
    assert LABELS.targets([[5, 5, 5]]).tolist() == [[0, 1, 0]]


def test_no_photos_and_no_labels_make_empty_targets():
    assert LABELS.targets([]).shape == (0, 3)
    assert Labels((), (), ()).targets([[], []]).shape == (2, 0)


def test_an_unknown_label_is_an_error():
    with pytest.raises(KeyError):
        LABELS.targets([[3]])


@settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from(LABELS.ids))))
def test_label_sets_come_back_from_their_targets(label_sets):
    back = [{LABELS.ids[column] for column in row.nonzero()[0]} for row in LABELS.targets(label_sets)]
    assert back == label_sets


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

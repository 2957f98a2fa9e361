"""Laws of what is made of a detector's boxes: features of fixed length, areas that count each place once, a table."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.features import boxes

CLASSES = 3
SHARES = st.floats(0, 1, width=16)


@st.composite
def found(draw):
    """Draw the boxes of one photo: (most, 6), classes among CLASSES, corners in order."""
    most = draw(st.integers(0, 6))
    corners = np.sort(draw(arrays.arrays(np.float32, (most, 2, 2), elements=SHARES)), axis=1).reshape(most, 4)
    scores = draw(arrays.arrays(np.float32, most, elements=SHARES))
    numbers = draw(arrays.arrays(np.float32, most, elements=st.sampled_from(range(CLASSES))))
    return np.column_stack([numbers, scores, corners]).astype(np.float32).reshape(most, 6)


def features(rows, threshold=0.5):
    """Give the features of one photo: best scores, counts and areas, (3, CLASSES)."""
    return boxes.features(rows[None], CLASSES, threshold).reshape(3, CLASSES)


def test_no_boxes_are_zeros():
    assert boxes.features(np.zeros((2, 5, 6), np.float32), CLASSES, 0.5).tolist() == [[0] * 9] * 2
    assert boxes.features(np.zeros((0, 5, 6), np.float32), CLASSES, 0.5).shape == (0, 9)


def test_features_are_the_best_score_the_count_and_the_area_of_each_class():
    rows = np.array(
        [[1, 0.9, 0, 0, 0.5, 0.5], [1, 0.5, 0.25, 0.25, 0.75, 0.75], [1, 0.4, 0, 0, 1, 1], [2, 0.3, 0, 0, 1, 1]],
        np.float32,
    )
    scores, counts, areas = features(rows)
    np.testing.assert_allclose(scores, [0, 0.9, 0.3], atol=1e-6)
    assert counts.tolist() == [0, 2, 0]
    np.testing.assert_allclose(areas, [0, 2 / 4 - 1 / 16, 0], atol=1e-6)


@given(found(), st.randoms(use_true_random=False), SHARES)
def test_the_order_of_boxes_changes_nothing(rows, random, threshold):
    order = random.sample(range(len(rows)), len(rows))
    np.testing.assert_array_equal(features(rows[order], threshold), features(rows, threshold))


@given(found(), SHARES)
def test_rows_without_a_score_change_nothing(rows, threshold):
    more = np.concatenate([rows, np.zeros((4, 6), np.float32)])
    np.testing.assert_array_equal(features(more, threshold), features(rows, threshold))


@given(found())
def test_areas_are_shares_and_a_box_that_lies_there_twice_covers_no_more(rows):
    areas = features(rows)[2]
    assert (areas >= 0).all() and (areas <= 1).all()
    np.testing.assert_array_equal(features(np.concatenate([rows, rows]))[2], areas)


@given(found())
def test_the_area_is_that_of_the_places_inside_a_box(rows):
    cells = (np.arange(512) + 0.5) / 512
    x1, y1, x2, y2 = rows[:, 2:].T[:, :, None, None]
    across, down = cells[None, None, :], cells[None, :, None]
    is_inside = ((x1 <= across) & (across < x2) & (y1 <= down) & (down < y2)).any(axis=0)
    assert boxes.covered(rows[:, 2:]) == pytest.approx(is_inside.mean(), abs=4 * len(rows) / 512 + 1e-6)


@given(found())
def test_a_higher_threshold_counts_no_more(rows):
    low, high = features(rows, 0.25), features(rows, 0.75)
    np.testing.assert_array_equal(low[0], high[0])
    assert (low[1:] >= high[1:]).all()


@pytest.mark.parametrize(("inset", "square"), [((0, 16, 64, 32), (0.25, 0.5, 0.75, 0.625)), ((16, 0, 32, 64), None)])
def test_shares_of_the_square_become_shares_of_the_photo(inset, square):
    inside = np.array([[[1, 0.9, *(square or (0.5, 0.25, 0.625, 0.75))]]], np.float32)
    expected = (0.25, 0.5, 0.75, 0.75) if square else (0.5, 0.25, 0.75, 0.75)
    np.testing.assert_allclose(boxes.in_photos(inside, [inset], 64)[0, 0, 2:], expected, atol=1e-6)


def test_what_lies_in_the_margins_is_cut_off_or_gone():
    given = np.array([[[1, 0.9, 0, 0, 1, 1], [1, 0.8, 0, 0, 1, 0.25], [0, 0.7, 0.5, 0.5, 0.4, 0.6]]], np.float32)
    placed = boxes.in_photos(given, [(0, 16, 64, 32)], 64)
    np.testing.assert_allclose(placed[0, 0], [1, 0.9, 0, 0, 1, 1], atol=1e-6)
    assert not placed[0, 1:].any()


def test_of_no_photos_there_are_no_boxes():
    assert boxes.in_photos(np.zeros((0, 5, 6), np.float32), [], 64).shape == (0, 5, 6)


@given(found())
def test_the_table_has_a_row_for_each_box_of_each_photo(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "boxes.csv"
    boxes.write_table(path, ["one", "=two"], np.stack([rows, rows]))
    with path.open(newline="") as file:
        read = list(csv.DictReader(file))
    kept = rows[rows[:, 1] > 0]
    assert [row["photo"] for row in read] == ["one"] * len(kept) + ["'=two"] * len(kept)
    numbers = [[float(row[name]) for name in boxes.COLUMNS[1:]] for row in read]
    np.testing.assert_allclose(np.reshape(numbers, (-1, 6)), np.concatenate([kept, kept]), atol=1e-5)

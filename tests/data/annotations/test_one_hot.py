"""labels.csv, with a column of 0 and 1 for each label, reads as the photos.csv with the same labels."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.data.dataset import read_dataset
from mlob.errors import InputError

SPLITS = ("train", "validation", "test")
NAMES = st.text("abé, ", min_size=1, max_size=4).map(str.strip).filter(bool)
PHOTOS = st.lists(st.tuples(st.sets(st.integers(0, 3)), st.sampled_from(SPLITS)), max_size=6)


def read(folder, name, rows):
    """Write a table, its header first, and read it."""
    folder.mkdir()
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return read_dataset(folder)


@settings(deadline=None, max_examples=25)
@given(st.lists(NAMES, min_size=4, max_size=4, unique=True), PHOTOS)
def test_a_one_hot_table_reads_as_the_table_with_these_labels(tmp_path_factory, names, photos):
    photos = [*photos, ({0, 1, 2, 3}, "train")]  # photos.csv knows no label that is on no photo
    ones = [[f"{row}.jpg", *(int(n in found) for n in range(4)), split] for row, (found, split) in enumerate(photos)]
    named = [[f"{row}.jpg", "|".join(names[n] for n in found), split] for row, (found, split) in enumerate(photos)]
    folder = tmp_path_factory.mktemp("data")
    one_hot = read(folder / "one-hot", "labels.csv", [["image", *names, "split"], *ones])
    table = read(folder / "table", "photos.csv", [["image", "labels", "split"], *named])
    assert one_hot.digest == table.digest and one_hot.labels == table.labels
    assert [split.urls for split in one_hot.splits.values()] == [split.urls for split in table.splits.values()]


def test_its_splits_are_drawn_as_those_of_the_table(tmp_path):
    has = {f"{number}.jpg": number % 3 > 0 for number in range(40)}
    one_hot = read(tmp_path / "one-hot", "labels.csv", [["image", "x"], *([name, int(has[name])] for name in has)])
    table = read(tmp_path / "table", "photos.csv", [["image", "labels"], *([name, "x" * has[name]] for name in has)])
    assert set(table.splits) == set(SPLITS)
    assert one_hot.digest == table.digest


def test_a_column_without_a_name_as_pandas_writes_its_index_is_left_out_and_told(tmp_path):
    data = read(tmp_path / "one-hot", "labels.csv", [["", "image", "red"], [0, "a.jpg", 1]])
    assert data.labels.names == ("red",)
    assert any("Left out: column 1 (without a name)" in line for line in data.told)


def test_columns_of_0_0_and_1_0_alone_are_no_groups_with_labels_of_these_names(tmp_path):
    with pytest.raises(InputError, match=r"labels\.csv, row 2 .* column 'red': expected 0 or 1, found '1\.0'"):
        read(tmp_path / "one-hot", "labels.csv", [["image", "red"], ["a.jpg", "1.0"], ["b.jpg", "0.0"]])


def test_columns_in_any_order_blanks_around_a_cell_and_a_label_on_no_photo(tmp_path):
    rows = [["split", "red ", "image", "dress"], ["train", " 1", "a.jpg", "0"], ["train", "0 ", "b.jpg", "0"]]
    data = read(tmp_path / "one-hot", "labels.csv", rows)
    assert (data.labels.names, data.labels.ids) == (("dress", "red"), (1, 2))
    assert data["train"].ids == ("a.jpg", "b.jpg")
    assert data["train"].targets.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize("cell", ["", "2", "-1", "1.0", "yes", "NA"])
def test_a_cell_that_is_neither_0_nor_1_is_refused_with_row_and_column(tmp_path, cell):
    rows = [["image", "red", "blue"], ["a.jpg", 1, 0], ["b.jpg", 0, cell]]
    with pytest.raises(
        InputError, match=rf"labels\.csv, row 3 \(image 'b\.jpg'\), column 'blue': expected 0 or 1, found '{cell}'"
    ):
        read(tmp_path / "one-hot", "labels.csv", rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["name", "red"], ["a.jpg", 1]], r"labels\.csv has no column of photos: .* found name, red"),
        ([["image", "red", "red"], ["a.jpg", 1, 1]], r"labels\.csv has the column red 2 times: .* name of its own"),
        ([["image", "é", "e\u0301"], ["a.jpg", 1, 1]], r"labels\.csv has the column é 2 times: .* name of its own"),
        ([["image", "red"]], r"labels\.csv lists no images"),
        ([["image", "red"], ["a.jpg", 1], ["a.jpg", 0]], r"labels\.csv: the image 'a\.jpg' is listed twice"),
        ([["image", "red", "split"], ["a.jpg", 1, "dev"]], r"labels\.csv: the column split holds 'dev'; expected"),
    ],
)
def test_a_one_hot_table_that_cannot_be_right_is_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path / "one-hot", "labels.csv", rows)

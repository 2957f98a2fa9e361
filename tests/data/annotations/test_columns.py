"""Tables in parquet, and which table and which of its columns are taken."""

import pathlib
import re
from unittest import mock

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import located, targets, write
from pyarrow import parquet

from mlob.data.annotations import columns, labelcolumns
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.recipes import Annotations


def read(folder, content, name="photos.csv", **asked):
    write(folder / name, content)
    return read_dataset(folder, asked=Annotations(**asked))


def stored(folder, **columns):
    parquet.write_table(pyarrow.table(columns), folder / "mine.parquet")
    return folder


def test_parquet_holds_lists_of_labels_booleans_and_whole_numbers(tmp_path):
    data = read_dataset(stored(tmp_path, image=["a", "b"], labels=[["x", "y"], []], split=["train", "train"]))
    assert (data.labels.names, targets(data["train"])) == (("x", "y"), [[1, 1], [0, 0]])
    data = read_dataset(stored(tmp_path, id=[7, 8], red=[True, False], hat=[1, 0], split=["train", "train"]))
    assert (data["train"].ids, data.labels.names) == (("7", "8"), ("hat", "red"))
    assert targets(data["train"]) == [[1, 1], [0, 0]]


def test_a_column_of_parquet_that_is_no_text_is_left_out_and_told(tmp_path):
    data = read_dataset(stored(tmp_path, image=["a", "b"], colour=["x", "y"], box=[{"x": 1}, {"x": 2}]))
    assert data.labels.names == ("x", "y")
    assert any(line.startswith("Left out: box (neither text nor numbers).") for line in data.told)


@pytest.mark.parametrize("column", ["image", "split", "product"])
def test_lists_where_one_text_is_expected_are_refused(tmp_path, column):
    content = {"image": ["a", "b"], "labels": ["x", "y"], "split": ["train", "test"], column: [["a"], ["b", "c"]]}
    with pytest.raises(
        InputError, match=rf"mine\.parquet, column '{column}': expected one text in each cell, found lists"
    ):
        read_dataset(stored(tmp_path, **content))


def test_a_text_that_parquet_lacks_is_an_empty_cell(tmp_path):
    data = read_dataset(stored(tmp_path, image=["a", "b"], colour=["x", None], split=["train", "train"]))
    assert targets(data["train"]) == [[1], [0]]


@pytest.mark.parametrize("values", [[1.0, 0.0], [float("nan"), 1.0], [1.0, None]])
def test_floating_point_numbers_as_labels_are_refused_and_measures_are_left_out(tmp_path, values):
    for name in ("labels", "red"):
        with pytest.raises(
            InputError, match=rf"mine\.parquet, row 1, column '{name}': .* found the floating-point .*SET="
        ):
            read_dataset(stored(tmp_path, image=["a", "b"], **{name: values}))
    data = read_dataset(stored(tmp_path, image=["a", "b"], colour=["x", "y"], weight=[0.5, None]))
    assert data.labels.names == ("x", "y")
    with pytest.raises(InputError, match=r"column 'id': photos have floating-point numbers as names"):
        read_dataset(stored(tmp_path, id=[1.0, 2.0], labels=["x", "y"]))


@given(
    st.lists(st.sampled_from(["", " ", "0", "1.0", " true ", "-3,5", "+7", "2.5", "nan", "?", "x1", "é"]), min_size=1)
)
def test_cells_are_counted_alike_whether_their_values_are_few_or_many(cells):
    table = pyarrow.table({"cells": cells})
    few, many = (columns.of_arrow(pathlib.Path("mine.parquet"), table, "") for _ in range(2))
    for pattern in ("", labelcolumns.BINARY, labelcolumns.NUMBER, labelcolumns.WHOLE, re.escape("?")):
        expected = sum(bool(re.fullmatch(pattern, cell.strip())) for cell in cells)
        assert few.count("cells", pattern) == expected
        with mock.patch.object(columns, "FEW_VALUES", 0):
            assert many.count("cells", pattern) == expected


def test_parquet_that_is_cut_short_is_refused(tmp_path):
    path = stored(tmp_path, image=["a", "b"], labels=["x", "y"]) / "mine.parquet"
    for length in (0, 10, path.stat().st_size - 9):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(InputError, match=r"mine\.parquet is not a .*[Pp]arquet file.*: copy it again"):
            read_dataset(tmp_path)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=3))
def test_parquet_with_spoilt_bytes_is_read_or_refused(tmp_path_factory, spoilt):
    folder = stored(tmp_path_factory.mktemp("data"), image=["a", "b"], labels=["x", "y"], f=[0.5, 1], l=[["u"], []])
    content = bytearray((folder / "mine.parquet").read_bytes())
    for place, byte in spoilt:
        content[place % len(content)] = byte
    (folder / "mine.parquet").write_bytes(content)
    try:
        read_dataset(folder)
    except InputError as error:
        assert "mine.parquet" in str(error)


def test_of_several_tables_photos_csv_is_taken_and_without_one_they_are_refused(tmp_path):
    for name in ("sample_submission.csv", "corrections.csv", "my_label_map.csv", ".hidden.csv"):
        write(tmp_path / name, "photo,labels\n")
    assert read(tmp_path, "image,labels\na.jpg,x\n", "one.csv").labels.names == ("x",)
    write(tmp_path / "two.tsv", "image\tlabels\na.jpg\ty\n")
    with pytest.raises(InputError, match=r"holds 2 tables, one\.csv, two\.tsv: name the one .* photos\.csv, or move"):
        read_dataset(tmp_path)
    assert read(tmp_path, "image,labels\na.jpg,z\n").labels.names == ("z",)


@pytest.mark.parametrize(
    "name", ["image", "Image Path", "IMAGE_ID", "file", "File-Name", "path", "photo", "picture", "id"]
)
def test_the_column_of_photos_is_found_by_its_name(tmp_path, name):
    data = read(tmp_path, f"labels,{name},split\nx,a.jpg,train\n")
    assert data["train"].ids == ("a.jpg",)
    assert f"Photos: the column {name}, splits: split." in data.told


def test_of_two_columns_that_may_name_photos_one_has_to_be_named(tmp_path):
    rows = "image,file,labels,split\na.jpg,b.jpg,x,train\n"
    with pytest.raises(InputError, match=r"columns .* image and file: say which one, SET=annotations\.image=image"):
        read(tmp_path, rows)
    data = read(tmp_path, rows, image="File")
    assert data["train"].ids == ("b.jpg",) and data.labels.names == ("x",)
    with pytest.raises(InputError, match=r"no column 'imaeg', which annotations\.image names.*image"):
        read(tmp_path, rows, image="imaeg")


def test_a_column_of_addresses_stands_beside_the_files_or_names_them(tmp_path):
    data = read(tmp_path, "file,url,labels,split\na.jpg,http://h/1,x,train\nb.jpg,,x,train\n")
    assert data["train"].urls == (("a.jpg", "http://h/1"), ("b.jpg",))
    data = read(tmp_path, "url,labels,split\nhttp://h/p/1.jpg?size=9,x,train\n")
    assert (data["train"].ids, data["train"].urls) == (("1.jpg",), (("http://h/p/1.jpg?size=9",),))
    assert read(tmp_path, "url,labels,split\nhttp://[h/1.jpg,x,train\n")["train"].ids == ("1.jpg",)
    with pytest.raises(InputError, match=r"two addresses end in the same name.*add a column image"):
        read(tmp_path, "url,labels\nhttp://h/a/1.jpg,x\nhttp://h/b/1.jpg,x\n")


def test_a_file_whose_name_has_the_other_form_of_unicode_is_found(tmp_path):
    write(tmp_path / "images/caf\u00e9.jpg", b"x")
    name = read(tmp_path, "image,labels,split\ncafe\u0301.jpg,x,train\n")["train"].ids[0]
    assert located(tmp_path, name, name) == "images/caf\u00e9.jpg"


def test_splits_have_other_names_in_other_tables_and_a_column_that_is_named(tmp_path):
    data = read(tmp_path, "image,labels,fold\na.jpg,x,Train\nb.jpg,x,val\n", split="fold")
    assert (data["train"].ids, data["validation"].ids) == (("a.jpg",), ("b.jpg",))
    assert "Photos: the column image, splits: fold (val is validation)." in data.told


@pytest.mark.parametrize(("column", "asked"), [("product", {}), ("Together", {}), ("shoot", {"together": "shoot"})])
def test_photos_of_one_product_are_noted(tmp_path, column, asked):
    rows = f"image,labels,split,{column}\na.jpg,x,train,001\nb.jpg,y,train,\nc.jpg,x,train,001\n"
    data = read(tmp_path, rows, **asked)
    assert data["train"].together == ("001", "", "001") and data.labels.names == ("x", "y")
    assert f"Photos: the column image, splits: split, photos that belong together: {column}." in data.told

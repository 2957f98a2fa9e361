"""How a CSV file is written is found out; what is damaged in it is refused with its line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import targets, write

from mlob.data.annotations import csvtable
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.recipes import Annotations

ROWS = [("image", "labels", "split"), ("a.jpg", "red|é", "train"), ("b.jpg", "dress", "train")]


def text(delimiter=",", end="\n"):
    return "".join(delimiter.join(row) + end for row in ROWS)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(",;\t"),
    st.sampled_from(("\n", "\r\n", "\r")),
    st.sampled_from(("", "\ufeff")),
    st.sampled_from(("photos.csv", "mine.csv", "list.tsv")),
)
def test_delimiter_line_ends_mark_and_name_of_the_file_make_no_difference(tmp_path_factory, delimiter, end, mark, name):
    folder = tmp_path_factory.mktemp("data")
    write(folder / name, (mark + text(delimiter, end)).encode())
    data = read_dataset(folder)
    assert data.labels.names == ("dress", "red", "é")
    assert (data["train"].ids, targets(data["train"])) == (("a.jpg", "b.jpg"), [[0, 1, 1], [1, 0, 0]])
    what = {",": "commas", ";": "semicolons", "\t": "tabs"}[delimiter]
    bom = " with a byte-order mark" if mark else ""
    assert f"{name}: 2 rows, cells separated by {what}, UTF-8{bom}." in data.told


@pytest.mark.parametrize("delimiter", ",;\t")
def test_the_line_with_which_excel_names_its_delimiter_is_no_header(tmp_path, delimiter):
    write(tmp_path / "photos.csv", f"sep={delimiter}\r\n{text(delimiter)}c.jpg{delimiter}x{delimiter}no split\n")
    with pytest.raises(InputError, match=r"holds 'no split'; .* correct row 5\."):
        read_dataset(tmp_path)


@pytest.mark.parametrize("delimiter", ",;\t")
def test_wherever_the_sample_ends_the_table_is_understood_alike(tmp_path, monkeypatch, delimiter):
    header, *rows = text(delimiter).splitlines(keepends=True)
    content = "".join([header, *rows, f'"c, {delimiter} ""d"".jpg"{delimiter}1,5{delimiter}"two\nlines, é"\n', *rows])
    write(tmp_path / "photos.csv", content)
    for size in range(len(header), len(content.encode()) + 1):
        monkeypatch.setattr(csvtable, "SAMPLE_BYTES", size)
        layout = csvtable.look(tmp_path / "photos.csv")
        assert (layout.delimiter, layout.header) == (delimiter, ROWS[0])


def test_blocks_of_a_table_meet_without_a_seam(tmp_path, monkeypatch):
    rows = [f"{number}.jpg,{'x' * (number % 5)}{';y' * (number > 20)},train\n" for number in range(40)]
    write(tmp_path / "photos.csv", "".join(["image,labels,split\n", *rows, ",,\n" * 9]))
    whole = read_dataset(tmp_path)
    assert "Labels: the column labels (5 labels, separated by a semicolon, first in row 23)." in whole.told
    monkeypatch.setattr(csvtable, "BLOCK_BYTES", 64)
    in_blocks = read_dataset(tmp_path)
    assert (in_blocks.digest, in_blocks.told) == (whole.digest, whole.told)


def test_empty_rows_and_columns_below_and_beside_a_table_are_passed_over(tmp_path):
    write(tmp_path / "photos.csv", "image;labels;;\na.jpg;red;;\n\nb.jpg;blue;;\n;;;\n;;;\n")
    data = read_dataset(tmp_path)
    assert sorted(name for split in data.splits.values() for name in split.ids) == ["a.jpg", "b.jpg"]


def test_a_cell_in_quotes_may_hold_the_delimiter_and_a_line_end(tmp_path):
    write(tmp_path / "photos.csv", 'image,labels,note\n"a, b.jpg","red","two\nlines"\n')
    assert read_dataset(tmp_path).labels.names == ("red",)


def test_latin_1_is_refused_with_the_line_or_read_where_it_is_named(tmp_path):
    write(tmp_path / "photos.csv", text().encode("latin-1"))
    with pytest.raises(InputError, match=r"UTF-8 \(line 2: b'a\.jpg,red\|.xe9.*SET=annotations\.encoding=latin-1\."):
        read_dataset(tmp_path)
    assert "é" in read_dataset(tmp_path, asked=Annotations(encoding="latin-1")).labels.names


def test_utf_16_is_refused_by_its_name_or_read_where_it_is_named(tmp_path):
    write(tmp_path / "photos.csv", text("\t").encode("utf-16"))
    with pytest.raises(InputError, match=r"SET=annotations\.encoding=utf-16\."):
        read_dataset(tmp_path)
    assert "é" in read_dataset(tmp_path, asked=Annotations(encoding="utf-16")).labels.names


def test_an_encoding_that_there_is_not_is_refused(tmp_path):
    write(tmp_path / "photos.csv", text())
    with pytest.raises(InputError, match=r"annotations\.encoding is 'latin-99', which is no encoding: expected utf-8"):
        read_dataset(tmp_path, asked=Annotations(encoding="latin-99"))


@pytest.mark.parametrize(("row", "cells"), [("b.jpg", "1 cell"), ("b.jpg,x,train,more", "4 cells"), ('"b.jpg,x', "1")])
def test_a_row_that_is_longer_or_shorter_than_the_header_is_refused_with_its_number(tmp_path, row, cells):
    write(tmp_path / "photos.csv", f"image,labels,split\na.jpg,x,train\n{row}\n")
    with pytest.raises(InputError, match=rf"photos\.csv is not a CSV table \(row 3 has {cells}.*the header has 3\): "):
        read_dataset(tmp_path)


def test_the_same_photo_twice_is_refused_with_both_rows_and_whether_its_labels_differ(tmp_path):
    for labels, message in (("x", r"rows 2 and 4: remove one"), ("y", r"rows 2 and 4 with different labels: put all")):
        write(tmp_path / "photos.csv", f"image,labels\na.jpg,x\nb.jpg,x\na.jpg,{labels}\n")
        with pytest.raises(InputError, match=rf"photos\.csv: the image 'a\.jpg' is listed twice, in the {message}"):
            read_dataset(tmp_path)

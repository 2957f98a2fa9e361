"""The labels of a table are found in whatever columns they stand, and told; what cannot be right is refused."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import targets, write, write_split

from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.labels import UNKNOWN
from mlob.recipes import Annotations

GROUPS = {"colour": ("blue", "red"), "sleeve": ("long", "none", "short")}
PHOTOS = st.lists(
    st.tuples(st.sampled_from(("", "blue", "red")), st.sampled_from(("", "long", "none", "short"))), max_size=12
)


def read(folder, content, name="photos.csv", **asked):
    write(folder / name, content)
    return read_dataset(folder, asked=Annotations(**asked))


def refused(folder, content, message, **asked):
    with pytest.raises(InputError, match=message) as error:
        read(folder, content, **asked)
    assert "\n" not in str(error.value)


def written(folder, rows):
    folder.mkdir()
    with (folder / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return read_dataset(folder)


@settings(deadline=None, max_examples=25)
@given(PHOTOS)
def test_each_layout_of_a_table_and_numbered_labels_give_the_same_targets(tmp_path_factory, photos):
    photos = [*photos, ("blue", "long"), ("red", "none"), ("", "short")]  # no label is on no photo
    names = sorted(sum(GROUPS.values(), ()))
    folder = tmp_path_factory.mktemp("data")
    one = [[f"{n}.jpg", "|".join(filter(None, photo)), "train"] for n, photo in enumerate(photos)]
    ones = [[f"{n}.jpg", *(int(name in photo) for name in names), "train"] for n, photo in enumerate(photos)]
    grouped = [[f"{n}.jpg", *photo, "train"] for n, photo in enumerate(photos)]
    tables = [
        written(folder / "column", [["image", "labels", "split"], *one]),
        written(folder / "one-hot", [["image", *names, "split"], *ones]),
        written(folder / "groups", [["image", *GROUPS, "split"], *grouped]),
    ]
    numbered = {f"{n}.jpg": [names.index(name) + 1 for name in photo if name] for n, photo in enumerate(photos)}
    write_split(folder / "json", "train", numbered)
    group_of = {name: group for group, own in GROUPS.items() for name in own}
    rows = [f"{number},{name},{group_of[name]}\n" for number, name in enumerate(names, 1)]
    write(folder / "json/label_map.csv", "labelId,labelName,taskName\n" + "".join(rows))
    tables.append(read_dataset(folder / "json"))
    write(folder / "column/labels.csv", "label,group\n" + "".join(f"{name},{group_of[name]}\n" for name in names))
    tables.append(read_dataset(folder / "column"))
    by_group = tables.pop(2)
    assert {data.labels.names for data in tables} == {tuple(names)}
    assert len({data.digest for data in tables}) == 1
    assert tables[2].labels.groups == tables[3].labels.groups == tuple(group_of[name] for name in names)
    assert by_group.labels.names == ("blue", "red", "long", "none", "short")
    assert by_group.labels.groups == tuple(group_of[name] for name in by_group.labels.names)
    columns = [names.index(name) for name in by_group.labels.names]
    assert np.array_equal(by_group["train"].targets, tables[0]["train"].targets[:, columns])


@pytest.mark.parametrize("between", ["|", ";", ",", " | ", ", "])
def test_the_separator_is_found_and_told(tmp_path, between):
    rows = f'image,labels,split\na.jpg,hat,train\nb.jpg,"red{between}dress",train\n'
    data = read(tmp_path, rows)
    assert data.labels.names == ("dress", "hat", "red")
    mark = {"|": "|", ";": "a semicolon", ",": "a comma"}[between.strip()]
    assert f"Labels: the column labels (3 labels, separated by {mark}, first in row 3)." in data.told


def test_where_a_bar_or_a_semicolon_separates_commas_are_part_of_names(tmp_path):
    assert read(tmp_path, 'image,labels\na.jpg,"Red, dark|dress"\n').labels.names == ("Red, dark", "dress")


@pytest.mark.parametrize(("named", "names"), [("space", ("a,b", "c")), ("comma", ("a", "b c")), (" ", ("a,b", "c"))])
def test_a_separator_that_is_named_is_taken(tmp_path, named, names):
    assert read(tmp_path, 'image,labels\n1.jpg,"a,b c"\n', separator=named).labels.names == names


def test_no_separator_that_fits_is_refused_with_the_rows(tmp_path):
    both = "image,labels\n1.jpg,a|b\n2.jpg,c\n3.jpg,d;e\n"
    refused(tmp_path, both, r"photos\.csv, column 'labels': no separator fits .* row 2 has \| and row 4 a semicolon")
    spaces = "image,labels\n" + "".join(f"{n}.jpg,red dress{n}\n" for n in range(12))
    refused(tmp_path, spaces, r"'red dress0' in row 2: name .* SET=annotations\.separator=space")
    refused(
        tmp_path, "image,labels\n1.jpg,a|b\n", r"separator is '/', which stands in no cell .* has \|", separator="/"
    )


def test_an_empty_cell_is_none_and_the_marker_is_unknown(tmp_path):
    rows = "image,colour,sleeve,split\na.jpg,red,long,train\nb.jpg,,?,train\nc.jpg,?,,train\n"
    data = read(tmp_path, rows)
    assert data.labels.names == ("red", "long")
    assert targets(data["train"]) == [[1, 1], [0, UNKNOWN], [UNKNOWN, 0]]


def test_in_one_column_the_marker_leaves_all_labels_unknown_but_those_beside_it(tmp_path):
    data = read(tmp_path, "image,labels,split\na.jpg,red|hat,train\nb.jpg,?,train\nc.jpg,red|?,train\n")
    assert targets(data["train"]) == [[1, 1], [UNKNOWN, UNKNOWN], [UNKNOWN, 1]]


def test_another_marker_may_be_named_and_the_usual_one_is_a_name_then(tmp_path):
    data = read(tmp_path, "image,labels,split\na.jpg,?,train\nb.jpg,n/a,train\n", unknown="n/a")
    assert data.labels.names == ("?",) and targets(data["train"]) == [[1], [UNKNOWN]]


def test_columns_of_0_and_1_take_true_and_false_and_the_marker(tmp_path):
    data = read(tmp_path, "image,red,hat,split\na.jpg,1,FALSE,train\nb.jpg,?,true,train\n")
    assert (data.labels.names, targets(data["train"])) == (("hat", "red"), [[0, 1], [1, UNKNOWN]])
    assert "Labels: 2 columns of 0 and 1: red, hat." in data.told


def test_a_column_called_label_may_hold_0_and_1_as_names(tmp_path):
    data = read(tmp_path, "image,label,split\na.jpg,1,train\nb.jpg,0,train\n")
    assert (data.labels.names, targets(data["train"])) == (("0", "1"), [[0, 1], [1, 0]])


def test_columns_of_0_and_1_stand_beside_columns_of_groups(tmp_path):
    data = read(tmp_path, "image,colour,sale,split\na.jpg,red,1,train\nb.jpg,blue,0,train\nc.jpg,red,0,train\n")
    assert (data.labels.names, data.labels.groups) == (("blue", "red", "sale"), ("colour", "colour", "label"))


def test_each_group_is_told_with_its_labels_and_their_separator(tmp_path):
    data = read(tmp_path, "image,colour,sleeve\na.jpg,red|blue,long\nb.jpg,red|red,short\n")
    told = "colour (2 labels, separated by |, first in row 2), sleeve (2 labels)."
    assert f"Labels: a column a group: {told}" in data.told


def test_a_value_of_two_groups_is_two_labels(tmp_path):
    data = read(tmp_path, "image,usage,style,split\na.jpg,Casual,Casual,train\nb.jpg,Casual,Formal,train\n")
    assert data.labels.names == ("Casual", "Casual", "Formal")
    assert data.labels.groups == ("usage", "style", "style")
    assert targets(data["train"]) == [[1, 1, 0], [1, 0, 1]]


def test_names_are_text_and_stay_what_they_are(tmp_path):
    data = read(tmp_path, "image,labels\n001,NA|1.0|True\n1,001|1|nan|null\n")
    assert set(data.labels.names) == {"NA", "1.0", "True", "001", "1", "nan", "null"}
    assert sorted(name for split in data.splits.values() for name in split.ids) == ["001", "1"]


def test_columns_that_are_obviously_no_labels_are_left_out_and_told(tmp_path):
    rows = [f'{n}.jpg,{["red", "blue"][n % 2]},{n / 4},{n + 7},"first {n}, then {-n}",{n * 10},' for n in range(12)]
    data = read(tmp_path, "image,colour,weight,stock,text,width,\n" + "\n".join(rows) + "\n")
    assert data.labels.names == ("blue", "red")
    left = (
        "weight, stock (numbers); text (nearly every photo has another); width (by its name); column 7 (without a name)"
    )
    assert f"Left out: {left}. SET=annotations.labels=[…] names all columns of labels." in data.told


def test_measures_are_left_out_of_a_small_table_too(tmp_path):
    data = read(tmp_path, "image,colour,share\na.jpg,red,0.3\nb.jpg,blue,0.7\n")
    assert data.labels.groups == ("colour", "colour")
    assert any(line.startswith("Left out: share (numbers).") for line in data.told)


def test_beside_a_column_of_labels_the_others_are_left_out_and_told_unless_they_are_named(tmp_path):
    rows = "image,labels,camera\na.jpg,red,x\nb.jpg,blue,y\n"
    data = read(tmp_path, rows)
    assert data.labels.names == ("blue", "red")
    assert any(line.startswith("Left out: camera (labels holds all labels).") for line in data.told)
    assert read(tmp_path, rows, labels=("camera", "Labels")).labels.groups == ("camera", "camera", "label", "label")


def test_a_table_without_a_column_of_labels_is_refused_with_what_there_is(tmp_path):
    refused(
        tmp_path, "image,title\na.jpg,x\n", r"no column of labels; the other columns are: title \(by its name\)\. Add"
    )
    refused(tmp_path, "image,x\na.jpg,1\n", r"no column 'y', which annotations\.labels names; there are", labels=("y",))


def test_more_unknown_entries_than_fit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mlob.data.annotations.labelcolumns.MOST_UNKNOWN", 3)
    refused(tmp_path, "image,labels\na.jpg,x|y\nb.jpg,?\nc.jpg,?\n", r"leaves 4 pairs .* expected at most 3: leave out")

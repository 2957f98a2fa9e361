"""A data set of Hugging Face in Parquet is one like any other; its photos are read in place."""

import json
import pickle

import numpy as np
import pyarrow
import pytest
from layouts import split_of_each, targets, write
from pyarrow import parquet

from mlob.data import duplicates, facts, factsheet, images
from mlob.data.annotations import formats
from mlob.data.dataset import read_dataset
from mlob.data.tree import Tree
from mlob.errors import InputError
from mlob.recipes import Annotations

IMAGE = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})


def class_label(*names):
    return {"names": list(names), "_type": "ClassLabel"}


def put(path, columns, features=None, *, photos=None, names=None, kind=IMAGE):
    """Write a Parquet file: photos with `names` beside their bytes, and other columns."""
    count = len(next(iter(columns.values()), photos or ()))
    photos = [f"{path.name} {row}".encode() for row in range(count)] if photos is None else photos
    cells = [{"bytes": photo, "path": name} for photo, name in zip(photos, names or [None] * count, strict=True)]
    table = pyarrow.table({"image": pyarrow.array(cells if kind == IMAGE else photos, kind), **columns})
    if features:
        told = json.dumps({"info": {"features": {"image": {"_type": "Image"}, **features}}})
        table = table.replace_schema_metadata({"huggingface": told})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=2)


def named(data, split):
    """Give for each photo of a split its labels, "group: name", with ? where nobody knows."""
    pairs = list(zip(data.labels.groups, data.labels.names, strict=True))
    marks = {0: "", 1: "{}: {}", 255: "{}: {}?"}
    return [
        {marks[value].format(*pair) for pair, value in zip(pairs, row, strict=True) if value}
        for row in targets(data[split])
    ]


@pytest.fixture
def written(tmp_path):
    """Two files of train, one of validation and one of test, as push_to_hub writes them."""
    features = {"colour": class_label("red", "blue, navy", "green"), "tags": {"feature": class_label("new", "sale")}}
    for name, colours, tags in (
        ("train-00000-of-00002", [0, 1, None], [[0, 1], [], [1]]),
        ("train-00001-of-00002", [-1, 2], [None, [0]]),
        ("validation-00000-of-00001", [1], [[0]]),
        ("test-00000-of-00001", [-1, -1], [[], []]),
    ):
        put(tmp_path / f"data/{name}.parquet", {"colour": colours, "tags": tags, "width": [8] * len(tags)}, features)
    return tmp_path


def test_classes_have_the_names_that_the_files_tell(written):
    data = read_dataset(written)
    assert named(data, "train") == [
        {"colour: red", "label: new", "label: sale"},
        {"colour: blue, navy", },
        {"label: sale"},
        {"colour: red?", "colour: blue, navy?", "colour: green?"},
        {"colour: green", "label: new"},
    ]  # fmt: skip
    assert named(data, "validation") == [{"colour: blue, navy", "label: new"}]
    assert any(line.startswith("Left out: width (without names of classes).") for line in data.told)
    assert data["test"].targets is None  # -1 is how a hidden label is written
    assert data["train"].ids == ("train-0", "train-1", "train-2", "train-3", "train-4")
    assert data["test"].ids == ("test-0", "test-1")


def test_photos_are_read_in_place(written):
    data = read_dataset(written)
    assert [images.content(place) for place in data.photos("train")] == [
        f"train-0000{file}-of-00002.parquet {row}".encode() for file, rows in ((0, 3), (1, 2)) for row in range(rows)
    ]
    assert pickle.loads(pickle.dumps(data)).photos("test")[1].read_bytes() == b"test-00000-of-00001.parquet 1"
    assert str(data.photos("train")[4]) == str(written / "data/train-00001-of-00002.parquet/1")


def test_facts_find_photos_that_are_there_twice(tmp_path):
    put(tmp_path / "train.parquet", {"label": ["a", "b", "a"]}, photos=[b"one", b"two", b"one"])
    put(tmp_path / "val.parquet", {"label": ["a"]}, photos=[b"two"])
    data = read_dataset(tmp_path)
    told = factsheet.summary(facts.describe(data, duplicates.look(data)), factsheet.understood(data))
    assert "1 photo of train found earlier in the split (train-0 = train-2)" in told
    assert "1 photo of validation also found in train, by content (validation-0)" in told
    assert "Photos: the column image, read in place, named by split and row." in told


def test_texts_lists_of_texts_and_truth_values_are_labels_without_names_of_classes(tmp_path):
    columns = {
        "season": ["summer", "winter", None], "tags": [["a"], ["a", "b"], []], "is_new": [True, False, True],
        "caption": ["one", "two", "three"],
    }  # fmt: skip
    put(tmp_path / "train-0.parquet", columns)
    put(tmp_path / "valid-0.parquet", {name: cells[:1] for name, cells in columns.items()})
    data = read_dataset(tmp_path, asked=Annotations(labels=("season", "tags", "is_new")))
    groups = {"season: summer", "season: winter", "label: a", "label: b", "label: is_new"}
    assert {f"{group}: {name}" for group, name in zip(data.labels.groups, data.labels.names, strict=True)} == groups
    assert named(data, "train")[1] == {"season: winter", "label: a", "label: b"}
    assert named(data, "train")[2] == {"label: is_new"}
    read = read_dataset(tmp_path)  # tags are all labels where nothing is asked for
    assert read.labels.names == ("a", "b") and any("season" in line and "Left out" in line for line in read.told)


@pytest.mark.parametrize(
    ("files", "split"),
    [
        (["train.parquet", "val.parquet", "test.parquet"], {"train", "validation", "test"}),
        (["data/my_training_set.parquet", "data/my-dev-set.parquet"], {"train", "validation"}),
        (["train/0000.parquet", "validation/0000.parquet"], {"train", "validation"}),
        (["data/train/a.parquet", "data/validation/a.parquet"], {"train", "validation"}),
    ],
)
def test_files_and_folders_name_splits(tmp_path, files, split):
    for file in files:
        put(tmp_path / file, {"label": ["a", "b"]})
    assert set(read_dataset(tmp_path).splits) == split and not read_dataset(tmp_path).is_drawn


def test_splits_are_drawn_where_files_name_none_or_train_alone(tmp_path):
    labels, contents = {"label": ["a", "b"] * 30}, [str(number).encode() for number in range(60)]
    put(tmp_path / "one/photos.parquet", labels, photos=contents)
    put(tmp_path / "train/train.parquet", labels, photos=contents)
    one, train = read_dataset(tmp_path / "one"), read_dataset(tmp_path / "train")
    assert set(one.splits) == {"train", "validation", "test"} and one.is_drawn
    assert split_of_each(one) == {name.removeprefix("train-"): split for name, split in split_of_each(train).items()}


def test_validation_is_drawn_from_train_where_there_is_test_alone(tmp_path):
    put(tmp_path / "train.parquet", {"label": ["a", "b"] * 30})
    put(tmp_path / "test.parquet", {"label": ["a", "b"]})
    data = read_dataset(tmp_path)
    assert set(data.splits) == {"train", "validation", "test"}
    assert data["test"].ids == ("test-0", "test-1") and all("train" in name for name in data["validation"].ids)


@pytest.mark.parametrize("kind", [IMAGE, pyarrow.binary(), pyarrow.large_binary()])
def test_photos_are_named_by_a_column_or_beside_their_bytes_where_names_differ(tmp_path, kind):
    labels = {"label": ["a", "b"]}
    put(tmp_path / "column/train.parquet", {"image_id": [7, 9], **labels}, names=["x.jpg", "y.jpg"], kind=kind)
    put(tmp_path / "beside/train.parquet", {"image_id": [7, 7], **labels}, names=["x.jpg", "y.jpg"], kind=kind)
    put(tmp_path / "equal/train.parquet", labels, names=["x.jpg", "x.jpg"], kind=kind)
    expected = {"column": ("7", "9"), "beside": ("x.jpg", "y.jpg"), "equal": ("train-0", "train-1")}
    if kind != IMAGE:
        expected["beside"] = ("train-0", "train-1")
    assert {name: tuple(formats.read(Tree(tmp_path / name)).files[0].ids) for name in expected} == expected


def test_a_product_is_in_one_split_by_a_column_of_that_name(tmp_path):
    put(tmp_path / "train.parquet", {"label": ["a", "b"], "product": ["shirt", None]})
    assert formats.read(Tree(tmp_path)).files[0].together == ("shirt", "")


def test_classes_of_one_name_stay_two(tmp_path):
    put(tmp_path / "train.parquet", {"label": [0, 1, 2]}, {"label": class_label("crane", "crane", "owl")})
    put(tmp_path / "val.parquet", {"label": [0]}, {"label": class_label("crane", "crane", "owl")})
    assert read_dataset(tmp_path).labels.names == ("crane (0)", "crane (1)", "owl")


def test_a_table_without_photos_and_other_folders_are_no_such_data_sets(tmp_path):
    parquet.write_table(pyarrow.table({"image": ["a.jpg", "b.jpg"], "labels": ["x", "y"]}), tmp_path / "photos.parquet")
    assert read_dataset(tmp_path).told[0].startswith("Read as a table")


def test_files_that_name_no_split_beside_others_that_do_are_left_out_and_told(tmp_path):
    for name in ("train", "val", "more"):
        put(tmp_path / f"{name}.parquet", {"label": ["a", "b"]})
    data = read_dataset(tmp_path)
    assert len(data["train"].ids) == 2
    assert "Left out, since their names tell no split: more.parquet." in data.told


@pytest.mark.parametrize(
    ("columns", "features", "message"),
    [
        ({"label": [0, 2]}, {"label": class_label("a", "b")}, r"column 'label': the class 2 has no name, .* are 2"),
        ({"label": [1.0, np.nan]}, None, r"column 'label': expected text, whole numbers .* number 1\.0"),
        ({"label": [{"a": 1}, {"a": 2}]}, None, r"has no column of labels"),
        ({"more": [b"x", b"y"]}, None, r"train\.parquet has no column of labels|in the columns image, more"),
    ],
)
def test_columns_that_cannot_be_right_are_refused(tmp_path, columns, features, message):
    put(tmp_path / "train.parquet", columns, features)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


def test_the_column_of_photos_is_named_where_two_could_be_it(tmp_path):
    put(tmp_path / "train.parquet", {"picture": [b"x", b"y"], "label": ["a", "b"]})
    with pytest.raises(InputError, match=r"photos in the columns image, picture: name the right one, SET="):
        read_dataset(tmp_path)
    listed = formats.read(Tree(tmp_path), Annotations(image="picture")).files[0]
    assert [place.read_bytes() for place in listed.places] == [b"x", b"y"]


def test_files_that_differ_are_refused(tmp_path):
    put(tmp_path / "train.parquet", {"label": ["a", "b"]})
    put(tmp_path / "val.parquet", {"label": [1, 2]})
    with pytest.raises(InputError, match=r"train\.parquet and the files beside it differ in the type of a column"):
        read_dataset(tmp_path)
    for name, names in (("train", ("a", "b")), ("val", ("b", "a"))):
        put(tmp_path / f"{name}.parquet", {"label": [0, 1]}, {"label": class_label(*names)})
    with pytest.raises(InputError, match=r"val\.parquet names other classes of the column label"):
        read_dataset(tmp_path)
    parquet.write_table(pyarrow.table({"label": [0, 1]}), tmp_path / "val.parquet")
    with pytest.raises(InputError, match=r"val\.parquet: expected the photos in the column image as in the other"):
        read_dataset(tmp_path)


def test_a_file_cut_short_is_refused(tmp_path):
    put(tmp_path / "train.parquet", {"label": ["a", "b"]})
    write(tmp_path / "val.parquet", (tmp_path / "train.parquet").read_bytes()[:-9])
    with pytest.raises(InputError, match=r"val\.parquet is not a complete Parquet file .*: copy it again"):
        read_dataset(tmp_path)


def test_texts_are_those_of_the_column_that_is_named(tmp_path):
    put(tmp_path / "train.parquet", {"label": ["a", "b"], "caption": [" A cat. ", None]})
    (listed,) = formats.read(Tree(tmp_path), Annotations(text="caption")).files
    assert listed.texts == ("A cat.", "")


@pytest.mark.parametrize("field", ["text", "together"])
def test_lists_are_refused_where_one_text_is_wanted(tmp_path, field):
    put(tmp_path / "train.parquet", {"label": ["a", "b"], "words": [["x", "y"], []]})
    with pytest.raises(InputError, match="column 'words': expected one text in each cell, found lists"):
        formats.read(Tree(tmp_path), Annotations(**{field: "words"}))

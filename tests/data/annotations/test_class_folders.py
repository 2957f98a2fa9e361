"""Folders of classes: the class of a photo is the folder that it lies in."""

import os
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import split_of_each, targets, touch, write_photos

from mlob.data import duplicates, facts, factsheet, places, tree
from mlob.data.dataset import read_dataset
from mlob.errors import InputError

NAMES = st.text("abé. ", min_size=1, max_size=4).map(str.strip).filter(lambda name: name and name[0] != ".")
PHOTOS = st.sets(st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(0, 2), st.integers(0, 9)))


def classes(data):
    """{id: names of its labels} of the splits that have labels."""
    return {
        name: [data.labels.names[column] for column in row.nonzero()[0]]
        for split in data.splits.values()
        if split.targets is not None
        for name, row in zip(split.ids, split.targets == 1, strict=True)
    }


@settings(deadline=None, max_examples=25)
@given(st.lists(NAMES, min_size=3, max_size=3, unique=True), PHOTOS)
def test_each_photo_has_the_class_and_the_split_of_its_folder(tmp_path_factory, names, photos):
    photos |= {("train", 0, 0), ("train", 1, 0), ("val", 2, 0)}
    expected = {f"{split}/{names[name]}/{number}.jpg": names[name] for split, name, number in photos}
    folder = tmp_path_factory.mktemp("data")
    touch(folder, *expected)
    data = read_dataset(folder)
    assert data.labels.names == tuple(sorted(names)) and set(data.labels.groups) == {"class"}
    assert {name: [label] for name, label in expected.items()} == classes(data)
    assert all(name.startswith(split[:3]) for name, split in split_of_each(data).items())
    for split in data.splits.values():
        assert list(split.ids) == sorted(split.ids, key=os.path.split)


def test_without_folders_of_splits_these_are_drawn_and_photos_in_no_class_are_to_predict(tmp_path):
    write_photos(tmp_path, {f"{number % 2}/{number}.jpg": str(number).encode() for number in range(40)})
    write_photos(tmp_path, {"images/new.jpg": b"new", "newer.jpg": b"newer"})
    data = read_dataset(tmp_path)
    assert data["test"].ids == ("newer.jpg", "images/new.jpg") and data["test"].targets is None
    assert len(data["train"].ids) + len(data["validation"].ids) == 40 and data["validation"].ids
    assert "2 photos lie in no class folder: to predict." in data.told


def test_without_a_folder_for_validation_photos_of_train_are_drawn_for_it(tmp_path):
    write_photos(tmp_path, {f"train/{number % 2}/{number}.jpg": str(number).encode() for number in range(40)})
    touch(tmp_path, "test/1/40.jpg")
    data = read_dataset(tmp_path)
    assert data["test"].ids == ("test/1/40.jpg",) and targets(data["test"]) == [[0, 1]]
    assert len(data["train"].ids) + len(data["validation"].ids) == 40 and data["validation"].ids
    assert "There is no folder validation or val: photos of train are drawn for validation." in data.told


def test_photos_outside_the_classes_of_train_are_to_predict(tmp_path):
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "train/3.jpg", "valid/a/4.jpg", "test/all/5.jpg", "test/6.jpg")
    data = read_dataset(tmp_path)
    assert data.labels.names == ("a", "b") and data["test"].targets is None
    assert data["test"].ids == ("test/6.jpg", "test/all/5.jpg", "train/3.jpg")
    assert "test: all is no class of the other photos, so what lies there has no label." in data.told


def test_of_a_labelled_test_nobody_knows_the_photos_without_a_class(tmp_path):
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "test/b/4.jpg", "test/5.jpg")
    assert targets(read_dataset(tmp_path)["test"]) == [[255, 255], [0, 1]]


def test_a_folder_around_all_others_and_images_count_as_the_data_folder(tmp_path):
    touch(tmp_path, "mine/images/a/1.jpg", "mine/images/b/2.jpg", "notes/read.txt")
    assert read_dataset(tmp_path).labels.names == ("a", "b")


def test_below_a_class_folders_count_as_it(tmp_path):
    touch(tmp_path, "train/a/summer/1.jpg", "train/a/2.jpg", "train/b/3.jpg", "val/a/4.jpg")
    data = read_dataset(tmp_path)
    assert data.labels.names == ("a", "b")
    assert "1 folder lies within a class and counts as it: train/a/summer." in data.told


def test_empty_class_folders_and_what_is_no_photo_are_told(tmp_path):
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "train/b/notes.txt", "train/b/.DS_Store", "val/a/3.jpg")
    touch(tmp_path, ".cache/x/1.jpg", "train/__MACOSX/1.jpg", "train/b/._2.jpg")
    for name in ("train/c", "val/b"):
        (tmp_path / name).mkdir()
    data = read_dataset(tmp_path)
    assert data.labels.names == ("a", "b")
    assert "2 class folders hold no photos (0): train/c, val/b." in data.told
    assert "1 file is not named as photos are, and left out." in data.told


def test_a_photo_in_two_class_folders_is_told(tmp_path):
    write_photos(tmp_path, {"train/a/1.jpg": b"one", "train/b/2.jpg": b"one", "val/a/3.jpg": b"two"})
    data = read_dataset(tmp_path)
    told = factsheet.summary(facts.describe(data, duplicates.look(data)))
    assert "1 photo has other labels than an earlier one of equal bytes (train/a/1.jpg and train/b/2.jpg)" in told


def test_a_class_may_be_called_train(tmp_path):
    touch(tmp_path, "bus/1.jpg", "car/2.jpg", "train/3.jpg")
    assert read_dataset(tmp_path).labels.names == ("bus", "car", "train")


def test_folders_that_link_in_a_circle_are_read_once(tmp_path):
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    os.symlink(tmp_path, tmp_path / "a/again")
    os.symlink(tmp_path / "b", tmp_path / "c")
    assert sum(len(split.ids) for split in read_dataset(tmp_path).splits.values()) == 2


def test_each_folder_is_listed_once_for_its_photos_to_be_read_and_found(tmp_path, monkeypatch):
    listed = []
    monkeypatch.setattr(tree, "files_in", lambda folder: listed.append(folder) or places.files_in(folder))
    monkeypatch.setattr(tree, "folders_in", lambda folder: listed.append(f"{folder}/") or places.folders_in(folder))
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg")
    data = read_dataset(tmp_path)
    assert all(place.is_file() for split in data.splits for place in data.photos(split))
    assert len(listed) == len(set(listed)) and tmp_path / "train/b" in listed


def test_in_an_archive_folders_count_as_if_it_were_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("train/a/1.jpg", "train/b/2.jpg", "val/a/1.jpg"):
            archive.writestr(f"mine/{name}", name)
    data = read_dataset(tmp_path)
    assert classes(data) == {"mine/train/a/1.jpg": ["a"], "mine/train/b/2.jpg": ["b"], "mine/val/a/1.jpg": ["a"]}
    assert [place.read_bytes() for place in data.photos("train")] == [b"train/a/1.jpg", b"train/b/2.jpg"]
    assert not any("Left out" in line for line in data.told)
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    data = read_dataset(tmp_path)
    assert set(split_of_each(data)) == {"a/1.jpg", "b/2.jpg"}
    assert "Left out, since photos lie in folders: all.zip." in data.told


@pytest.mark.parametrize("table", ["photos.csv", "mine.csv"])
def test_photos_beside_a_table_are_no_classes_whatever_their_folders_are(tmp_path, table):
    touch(tmp_path, "a/1.jpg", "train/2.jpg", "test/3.jpg")
    (tmp_path / table).write_text("image,labels,split\na/1.jpg,x,train\n")
    assert read_dataset(tmp_path).labels.names == ("x",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a/1.jpg", "new.jpg"], r"photos to train on for a alone, expected at least two: add .* photos\.csv\."),
        (["train/a/1.jpg", "test/b/2.jpg"], r"photos to train on for a alone"),
        (["test/a/1.jpg", "test/b/1.jpg"], r"photos to train on for no class alone"),
        (["train/a/1.jpg", "test/a/1.jpg", "b/1.jpg"], r"folders of splits \(test, train\) and others \(b\): expected"),
        (["images/train/1.jpg", "images/test/2.jpg"], r"holds no annotations: expected one of .*dress/1\.jpg"),
    ],
)
def test_folders_that_cannot_be_right_are_refused(tmp_path, names, message):
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)

"""COCO and iNaturalist: the categories in a photo are its labels, and what these belong to is labels too."""

import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import split_of_each, targets, touch, write, write_split

from mlob.data.annotations import coco
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.labels import exclusive_groups

ANIMALS = [
    {"id": 7, "name": "cat", "supercategory": "animal"},
    {"id": 2, "name": "dog", "supercategory": "animal"},
    {"id": 9, "name": "bus", "supercategory": "vehicle"},
]
SPECIES = [
    {"id": 0, "name": "A", "kingdom": "Plants", "genus": "G"},
    {"id": 1, "name": "B", "kingdom": "Plants", "genus": "H"},
    {"id": 2, "name": "C", "kingdom": "Plants", "genus": "G"},
]


def write_file(folder, name, photos, has=(), categories=ANIMALS, **more):
    images = [{"id": number, "file_name": f"{number:06}.jpg", "width": 8, **more} for number in photos]
    content = {"info": {}, "images": images, "licenses": []}
    if has:
        pairs = [{"id": 100 + row, "image_id": photo, "category_id": of} for row, (photo, of) in enumerate(has)]
        content |= {"annotations": pairs, "categories": categories}
    write(folder / name, json.dumps(content))


def test_the_categories_in_a_photo_are_its_labels_and_supercategories_a_group(tmp_path):
    write_file(tmp_path, "instances_train2017.json", [5, 6, 8], [(5, 7), (5, 7), (5, 9), (6, 2)])
    data = read_dataset(tmp_path)
    assert data.labels.ids == (2, 7, 9, 10, 11) and data.labels.ids_are_own
    assert data.labels.names == ("dog", "cat", "bus", "animal", "vehicle")
    assert data.labels.groups == ("category",) * 3 + ("supercategory",) * 2
    assert data["train"].ids == ("5", "6", "8") and data["train"].urls[0] == ("000005.jpg",)
    assert targets(data["train"]) == [[0, 1, 1, 1, 1], [1, 0, 0, 1, 0], [0, 0, 0, 0, 0]]
    assert data.told[1:] == (
        "3 categories; those in a photo are its labels.",
        "What categories belong to is labels too, numbered from 10 on: supercategory 2.",
    )


def test_ranks_that_tell_species_apart_are_exclusive_groups(tmp_path):
    write_file(tmp_path, "train2019.json", [1, 2, 3], [(1, 0), (2, 1), (3, 2)], SPECIES)
    labels, train = (data := read_dataset(tmp_path)).labels, data["train"]
    assert (labels.names, labels.groups) == (("A", "B", "C", "G", "H"), ("category",) * 3 + ("genus",) * 2)
    assert targets(train) == [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 1, 1, 0]]
    assert [group.columns for group in exclusive_groups(labels.groups, train.targets)] == [(0, 1, 2), (3, 4)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([2, 7, 9])), min_size=1))
def test_every_pair_is_found_again(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("data")
    write_file(folder, "instances_train.json", range(1, 5), pairs)
    data = read_dataset(folder)
    found = {
        (int(name), data.labels.ids[column])
        for name, row in zip(data["train"].ids, data["train"].targets, strict=True)
        for column in row.nonzero()[0]
        if data.labels.groups[column] == "category"
    }
    assert found == set(pairs)


@pytest.mark.parametrize(
    "names",
    [
        ("annotations/instances_train2017.json", "annotations/instances_val2017.json", "image_info_test2017.json"),
        ("train2019.json", "val2019.json", "test2019.json"),
        ("train.json", "validation.json", "test.json"),
        ("instances_train.json", "instances_val.json", "annotations/image_info_test-dev2017.json"),
    ],
)
def test_splits_are_named_by_the_files_and_a_test_without_annotations_is_to_predict(tmp_path, names):
    for number, name in enumerate(names, 1):
        write_file(tmp_path, name, [number], [(number, 7)] if "test" not in name else ())
    write(tmp_path / "annotations/captions_train2017.json", '{"images": [{"file_name": "a"}]}')
    data = read_dataset(tmp_path)
    assert split_of_each(data) == {"1": "train", "2": "validation", "3": "test"}
    assert list(data.splits) == ["train", "validation", "test"] and data["test"].targets is None


def test_photos_are_found_in_the_folder_or_the_archive_of_the_files_name(tmp_path):
    write_file(tmp_path, "instances_train2017.json", [1], [(1, 7)], coco_url="http://images/1.jpg")
    write_file(tmp_path, "instances_val2017.json", [2], [(2, 7)])
    write_file(tmp_path, "image_info_test2017.json", [3])
    touch(tmp_path, "images/train2017/000001.jpg", "000003.jpg")
    with zipfile.ZipFile(tmp_path / "val2017.zip", "w") as archive:
        archive.writestr("val2017/000002.jpg", "two")
    data = read_dataset(tmp_path)
    assert list(data.photos("train")) == [tmp_path / "images/train2017/000001.jpg"]
    assert [place.read_bytes() for place in data.photos("validation")] == [b"two"]
    assert list(data.photos("test")) == [tmp_path / "000003.jpg"]
    assert data["train"].urls[0] == ("train2017/000001.jpg", "http://images/1.jpg")


@pytest.mark.parametrize("order", ["images annotations licenses", "licenses images annotations", "annotations images"])
def test_a_file_is_known_by_either_end(tmp_path, monkeypatch, order):
    monkeypatch.setattr(coco, "ENDS", 100)
    content = {
        "licenses": ["free " * 100],
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in range(20)],
        "annotations": [{"image_id": number, "category_id": 7} for number in range(20)],
    }
    parts = {name: content[name] for name in order.split()} | {"categories": ANIMALS}
    write(tmp_path / "train.json", json.dumps(parts))
    assert read_dataset(tmp_path).told[0] == "Read as COCO, iNaturalist, told by train.json."


def test_files_of_imaterialist_2018_are_not_taken_for_it(tmp_path):
    write_split(tmp_path, "train", {1: [3]})
    assert read_dataset(tmp_path).told == ("Read as iMaterialist 2018, told by train.json.",)


@pytest.mark.parametrize(
    ("has", "categories", "message"),
    [
        ([(9, 7)], ANIMALS, r"train2019\.json annotates the image '9', which is not among its images: add"),
        ([(1, 5)], ANIMALS, r"train2019\.json: the category 5 is not among the categories \(3\): correct"),
        ([(1, 10)], ANIMALS, r"the category 10 is not among the categories"),
        ([(1, 7)], [], r"the category 7 is not among the categories \(0\)"),
        ([(1, "x")], ANIMALS, r"expected whole numbers as category_id, found 'x'"),
        ([(1, 7)], ANIMALS + ANIMALS[:1], r"train2019\.json: the category 7 is listed twice: remove"),
        ([(1, 7)], [{"id": 7}], r"train2019\.json: expected a field name, found the keys id"),
        ([(1, 7)], [{"id": 7, "name": "cat", "genus": 3}], r"expected a text as genus, found 3"),
    ],
)
def test_annotations_that_cannot_be_right_are_refused(tmp_path, has, categories, message):
    write_file(tmp_path, "train2019.json", [1, 2], has, categories)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


def test_two_files_of_a_split_other_categories_repeated_photos_and_a_cut_are_refused(tmp_path):
    write_file(tmp_path, "train2019.json", [1], [(1, 7)])
    write_file(tmp_path, "val2019.json", [1], [(1, 7)], [{"id": 7, "name": "bus"}])
    with pytest.raises(InputError, match=r"val2019\.json: the category 7, 'bus', is another one \('cat'\) in another"):
        read_dataset(tmp_path)
    write_file(tmp_path, "val2019.json", [1, 1], [(1, 7)])
    with pytest.raises(InputError, match=r"val2019\.json: the image '1' is listed twice .*remove one"):
        read_dataset(tmp_path)
    (tmp_path / "val2019.json").rename(tmp_path / "instances_train2017.json")
    with pytest.raises(
        InputError, match=r"instances_train2017\.json and .*train2019\.json are both for train: keep one"
    ):
        read_dataset(tmp_path)
    (tmp_path / "instances_train2017.json").unlink()
    content = (tmp_path / "train2019.json").read_bytes()
    (tmp_path / "train2019.json").write_bytes(content[:-50])
    with pytest.raises(InputError, match=r"train2019\.json is not"):
        read_dataset(tmp_path)

"""Both layouts give one data set; what cannot be right is refused by file and mend."""

import csv
import json
import os
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlob.data import duplicates, facts, factsheet, images, preflight
from mlob.data.dataset import read_dataset
from mlob.errors import InputError

SPLITS = ("train", "validation", "test")
EXAMPLES = int(os.environ.get("FUZZ", "25"))  # of spoilt files


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")


def write_split(folder, split, labels, **more):
    """Write `{imageId: labelId}` in the layout of iMaterialist; no annotations where `labels` is a list of ids."""
    content = {"images": [{"imageId": name, "url": f"http://host/{name}"} for name in labels]}
    if isinstance(labels, dict):
        content["annotations"] = [{"imageId": name, "labelId": found} for name, found in labels.items()]
    write(folder / f"{split}.json", json.dumps(content | more))


def write_photos(folder, contents):
    for name, content in contents.items():
        write(folder / name, content)


def targets(split):
    return split.targets.tolist()


def split_of_each(data):
    return {name: split.name for split in data.splits.values() for name in split.ids}


# iMaterialist 2018


def test_ids_become_text_and_labels_columns_in_the_order_of_their_numbers(tmp_path):
    write_split(tmp_path, "train", {7: [10, 2], "8": ["9"]})
    data = read_dataset(tmp_path)
    assert data["train"].ids == ("7", "8")
    assert data.labels.ids == (2, 9, 10)
    assert targets(data["train"]) == [[1, 0, 1], [0, 1, 0]]


def test_ids_and_labels_as_text_or_as_numbers_read_alike(tmp_path):
    write_split(tmp_path / "numbers", "train", {7: [10, 2], 8: [9]})
    write_split(tmp_path / "texts", "train", {"7": ["10", "2"], "8": ["9"]})
    numbers, texts = (read_dataset(tmp_path / name) for name in ("numbers", "texts"))
    assert numbers.labels == texts.labels
    assert numbers["train"].ids == texts["train"].ids
    assert targets(numbers["train"]) == targets(texts["train"])


def test_snake_case_reads_as_camel_case_does(tmp_path):
    write(tmp_path / "train.json", json.dumps({
        "images": [{"image_id": 1, "url": "a"}, {"image_id": 2, "url": "b"}],
        "annotations": [{"id": 2, "image_id": 1, "label_id": [5]}, {"id": 1, "image_id": 2, "label_id": 6}],
    }))  # fmt: skip
    train = read_dataset(tmp_path)["train"]
    assert train.ids == ("1", "2")
    assert targets(train) == [[1, 0], [0, 1]]


def test_a_repeated_label_counts_once_and_annotations_of_one_photo_add_up(tmp_path):
    more = [{"imageId": 1, "labelId": [4, 4]}, {"imageId": 1, "labelId": [5, "4"]}]
    write_split(tmp_path, "train", {1: []}, annotations=more)
    assert targets(read_dataset(tmp_path)["train"]) == [[1, 1]]


def test_in_a_split_with_labels_a_photo_without_any_bears_none(tmp_path):
    write(tmp_path / "table/photos.csv", "image,labels,split\na.jpg,x,test\nb.jpg,,test\n")
    write_split(tmp_path / "json", "test", {1: [3], 2: []})
    for folder in ("table", "json"):
        assert targets(read_dataset(tmp_path / folder)["test"]) == [[1], [0]]


def test_a_split_without_a_single_label_is_there_to_be_predicted_in_both_layouts(tmp_path):
    write(tmp_path / "table/photos.csv", "image,labels,split\na.jpg,x,train\nb.jpg,,test\n")
    write_split(tmp_path / "json", "train", {1: [3]})
    write_split(tmp_path / "json", "test", {1: []})
    for folder in ("table", "json"):
        assert read_dataset(tmp_path / folder)["test"].targets is None


def test_a_photo_without_an_annotation_has_no_labels(tmp_path):
    write_split(tmp_path, "train", {1: [3], 2: []}, annotations=[{"imageId": 1, "labelId": [3]}])
    assert targets(read_dataset(tmp_path)["train"]) == [[1], [0]]


@pytest.mark.parametrize("more", [{}, {"annotations": None}])
def test_a_split_without_annotations_has_no_targets(tmp_path, more):
    write_split(tmp_path, "train", {1: [3]})
    write_split(tmp_path, "test", [1], **more)
    assert read_dataset(tmp_path)["test"].targets is None


def test_ids_restart_in_each_split_and_labels_are_shared(tmp_path):
    write_split(tmp_path, "train", {1: [3]})
    write_split(tmp_path, "validation", {"1": ["4"]})
    write_split(tmp_path, "test", [1, 2])
    data = read_dataset(tmp_path)
    assert [data[split].ids for split in SPLITS] == [("1",), ("1",), ("1", "2")]
    assert targets(data["train"]) == [[1, 0]]
    assert targets(data["validation"]) == [[0, 1]]


@pytest.mark.parametrize(
    ("url", "found"), [("a", ("a",)), (["a", "b"], ("a", "b")), (None, ()), ([], ()), ("http://h/a", ("http://h/a",))]
)
def test_a_url_is_text_a_list_or_nothing(tmp_path, url, found):
    write(tmp_path / "train.json", json.dumps({"images": [{"imageId": 1, "url": url}]}))
    assert read_dataset(tmp_path)["train"].urls == (found,)


def test_a_photo_without_a_url_has_none(tmp_path):
    write(tmp_path / "train.json", json.dumps({"images": [{"imageId": 1}]}))
    data = read_dataset(tmp_path)
    assert data["train"].urls == ((),)
    assert list(data.photos("train")) == [None]


def test_a_photo_lies_at_the_first_url_that_is_a_path(tmp_path):
    write_photos(tmp_path, {"kept/a.jpg": b"a"})
    write(tmp_path / "train.json", json.dumps({"images": [{"imageId": 1, "url": ["http://h/x.jpg", "kept/a.jpg"]}]}))
    assert list(read_dataset(tmp_path).photos("train")) == [tmp_path / "kept/a.jpg"]


@pytest.mark.parametrize("text", [
    "labelId,taskId,labelName,taskName\n10,2,Red,colour\n2,1,Dress,category",
    "labelId,taskId,labelName,taskName\r\n2,1,Dress,category\r\n10,2,Red,colour\r\n",
    "\ufefflabelId,taskId,labelName,taskName\n2,1,Dress,category\n10,2,Red,colour\n",
    "labelName,taskName,labelId\nRed,colour,10\nDress,category,2\n",
])  # fmt: skip
def test_the_label_map_names_and_groups_the_columns(tmp_path, text):
    write_split(tmp_path, "train", {1: [10]})
    write(tmp_path / "iMat_label_map_228.csv", text.encode())
    labels = read_dataset(tmp_path).labels
    assert (labels.ids, labels.names, labels.groups) == ((2, 10), ("Dress", "Red"), ("category", "colour"))


def test_a_label_map_without_tasks_makes_one_group(tmp_path):
    write_split(tmp_path, "train", {1: [10]})
    write(tmp_path / "label_map.csv", 'labelId,labelName\n2,NA\n10,"Red, dark"\n')
    labels = read_dataset(tmp_path).labels
    assert labels.names == ("NA", "Red, dark")
    assert len(set(labels.groups)) == 1


def test_without_a_label_map_a_label_is_named_by_its_number(tmp_path):
    write_split(tmp_path, "train", {1: [10]})
    write_split(tmp_path, "validation", {1: [2]})
    assert read_dataset(tmp_path).labels.names == ("2", "10")


def test_json_with_a_byte_order_mark_reads(tmp_path):
    write(tmp_path / "train.json", b'\xef\xbb\xbf{"images": [{"imageId": 1}]}')
    assert read_dataset(tmp_path)["train"].ids == ("1",)


def test_the_data_set_bears_the_name_of_its_folder(tmp_path, monkeypatch):
    write_split(tmp_path / "mine", "train", {1: [10]})
    monkeypatch.chdir(tmp_path / "mine")
    assert read_dataset(".").name == "mine"


# photos.csv


def test_the_split_column_places_photos_in_the_order_of_the_table(tmp_path):
    write(
        tmp_path / "photos.csv",
        "image,labels,split\nb.jpg,red|dress,train\na.jpg,red,train\nc.jpg,hat,validation\nd.jpg,,test\n",
    )
    data = read_dataset(tmp_path)
    assert data.labels.names == ("dress", "hat", "red")
    assert data.labels.ids == (1, 2, 3)
    assert data["train"].ids == ("b.jpg", "a.jpg")
    assert targets(data["train"]) == [[1, 0, 1], [0, 0, 1]]
    assert targets(data["validation"]) == [[0, 1, 0]]
    assert data["test"].targets is None


def test_blanks_around_labels_and_repeated_labels_make_no_difference(tmp_path):
    write(tmp_path / "photos.csv", "\ufeffimage,labels,split\na.jpg, red | |dress|red,train\nb.jpg,NA,train")
    data = read_dataset(tmp_path)
    assert data.labels.names == ("NA", "dress", "red")
    assert targets(data["train"]) == [[0, 1, 1], [1, 0, 0]]


def test_a_label_in_both_forms_of_unicode_is_one_label(tmp_path):
    one, two = (unicodedata.normalize(form, "décolleté") for form in ("NFC", "NFD"))
    write(tmp_path / "photos.csv", f"image,labels,split\na.jpg,{one},train\nb.jpg,{two}|{one},train\n")
    data = read_dataset(tmp_path)
    assert data.labels.names == (one,) and targets(data["train"]) == [[1], [1]]
    write_split(tmp_path / "map", "train", {1: [1]})
    write(tmp_path / "map/label_map.csv", f"labelId,labelName,taskName\n1,{two},{two}\n")
    labels = read_dataset(tmp_path / "map").labels
    assert labels.names == labels.groups == (one,)


def test_photos_lie_relative_to_the_folder_or_to_images(tmp_path):
    write_photos(tmp_path, {"a.jpg": b"a", "images/b.jpg": b"b", "images/sub/c.jpg": b"c", "images/d.JPG": b"d"})
    names = ["a.jpg", "b.jpg", "sub/c.jpg", "images/b.jpg", "d", "missing.jpg"]
    write(tmp_path / "photos.csv", "image,labels,split\n" + "".join(f"{name},x,train\n" for name in names))
    places = ["a.jpg", "images/b.jpg", "images/sub/c.jpg", "images/b.jpg", "images/d.JPG"]
    assert list(read_dataset(tmp_path).photos("train")) == [*(tmp_path / place for place in places), None]


def drawn(folder, contents, *, labels="x", digests=None):
    """Write photos and a table of them without a split column, and give {image: split}."""
    write_photos(folder / "images", contents)
    write(folder / "photos.csv", "image,labels\n" + "".join(f"{name},{labels}\n" for name in contents))
    return split_of_each(read_dataset(folder, digests=digests))


def numbered(count):
    return {f"{number}.jpg": str(number) for number in range(count)}


def test_drawn_splits_hold_every_photo_once_and_leave_none_of_the_three_empty(tmp_path):
    splits = drawn(tmp_path, numbered(100))
    assert len(splits) == 100
    assert set(splits.values()) == set(SPLITS)


def test_equal_photos_stay_together(tmp_path):
    copies = {f"{number}-{copy}.jpg": str(number) for number in range(30) for copy in "ab"}
    splits = drawn(tmp_path, copies)
    assert len(set(splits.values())) > 1
    assert all(splits[f"{number}-a.jpg"] == splits[f"{number}-b.jpg"] for number in range(30))


def test_the_order_names_and_number_of_other_photos_move_no_photo(tmp_path):
    contents = numbered(30)
    before = drawn(tmp_path / "before", contents)
    others = dict(reversed([(f"new-{name}" if int(text) % 3 else name, text) for name, text in contents.items()]))
    after = drawn(tmp_path / "after", {"more.jpg": "more"} | others)
    stayed = [name for name in contents if name in after]
    assert len(stayed) == 10
    assert [after[name] for name in stayed] == [before[name] for name in stayed]
    assert all(after[f"new-{name}"] == split for name, split in before.items() if name not in stayed)


def test_photos_without_labels_are_there_to_be_predicted(tmp_path):
    assert set(drawn(tmp_path, numbered(20), labels=" | ").values()) == {"test"}


def test_where_a_table_has_photos_to_predict_they_alone_are_test_and_validation_stays_as_it_was(tmp_path):
    before = drawn(tmp_path / "before", numbered(60))
    write_photos(tmp_path / "after/images", numbered(70))
    rows = [f"{number}.jpg,{'x' if number < 60 else ''}\n" for number in range(70)]
    write(tmp_path / "after/photos.csv", "image,labels\n" + "".join(rows))
    after = split_of_each(read_dataset(tmp_path / "after"))
    assert {name for name, split in after.items() if split == "test"} == {f"{number}.jpg" for number in range(60, 70)}
    kept = {"train": "train", "validation": "validation", "test": "train"}
    assert {name: after[name] for name in before} == {name: kept[split] for name, split in before.items()}


def test_a_split_that_a_drawn_table_lacks_is_refused_with_what_helps_there(tmp_path):
    drawn(tmp_path, dict.fromkeys(numbered(6), "one photo"))
    with pytest.raises(InputError, match=r"without a column split, more photos, or that column\."):
        preflight.check(read_dataset(tmp_path))


def test_photos_that_cannot_be_read_are_drawn_by_name(tmp_path):
    write(tmp_path / "photos.csv", "image,labels\n" + "".join(f"{number}.jpg,x\n" for number in range(60)))
    assert set(split_of_each(read_dataset(tmp_path)).values()) == set(SPLITS)


def count_digested(monkeypatch):
    counted, digest = [], images.content_digest
    monkeypatch.setattr(images, "content_digest", lambda data: counted.append(data) or digest(data))
    return counted


def test_digests_are_kept_and_an_altered_photo_alone_is_digested_anew(tmp_path, monkeypatch):
    kept, counted = tmp_path / "kept" / "digests.csv", count_digested(monkeypatch)
    first = drawn(tmp_path, numbered(20), digests=kept)
    assert len(counted) == 20
    assert split_of_each(read_dataset(tmp_path, digests=kept)) == first
    assert len(counted) == 20
    write(tmp_path / "images/3.jpg", "altered")
    fresh = split_of_each(read_dataset(tmp_path))
    counted.clear()
    assert split_of_each(read_dataset(tmp_path, digests=kept)) == fresh
    assert counted == [b"altered"]
    assert split_of_each(read_dataset(tmp_path, digests=kept)) == fresh
    assert counted == [b"altered"]


@pytest.mark.parametrize(("content", "time"), [(b"b", 2), (b"longer", 1)])
def test_a_photo_of_another_time_or_length_is_digested_anew(tmp_path, monkeypatch, content, time):
    kept, counted, path = tmp_path / "digests.csv", count_digested(monkeypatch), tmp_path / "images/1.jpg"
    for one, at in ((b"a", 1), (content, time)):
        write_photos(tmp_path, {"images/1.jpg": one, "photos.csv": "image,labels\n1.jpg,x\n"})
        os.utime(path, ns=(at, at))
        read_dataset(tmp_path, digests=kept)
    assert counted == [b"a", content]


def test_a_photo_that_comes_later_is_digested(tmp_path, monkeypatch):
    kept, counted = tmp_path / "digests.csv", count_digested(monkeypatch)
    write(tmp_path / "photos.csv", "image,labels\n1.jpg,x\n")
    read_dataset(tmp_path, digests=kept)
    drawn(tmp_path, {"1.jpg": "a"}, digests=kept)
    assert counted == [b"a"]


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": []}, r"train\.json lists no images: add some, or remove the file"),
        ({"images": {}}, r"train\.json has another layout: expected .* found the keys images, annotations"),
        ({"annotations": {}}, r"train\.json has another layout"),
        ({"annotations": 5}, r"train\.json has another layout"),
        ({"images": ["1"]}, r"train\.json: expected a field imageId .* found a str"),
        ({"images": [{"name": 1}]}, r"train\.json: expected a field imageId .* found the keys name"),
        ({"annotations": [[1]]}, r"train\.json: expected a field imageId .* found a list"),
        ({"annotations": [{"imageId": 1}]}, r"train\.json: expected a field labelId .* found the keys imageId"),
        ({"annotations": [{"imageId": 9, "labelId": [1]}]}, r"train\.json annotates the image '9', .* add .* remove"),
        ({"annotations": [{"imageId": 1, "labelId": [4]}]}, r"train\.json: the label 4 is not in .* correct .* or add"),
        ({"annotations": [{"imageId": 1, "labelId": [0]}]}, r"train\.json: the label 0 is not in the label map"),
        ({"images": [{"imageId": 1}, {"imageId": "1"}]}, r"train\.json: the image '1' is listed twice.* remove one"),
        ({"images": [{"imageId": 1, "url": 5}]}, r"train\.json: the url of image '1' is 5; expected text or a list"),
        ({"images": [{"imageId": 1, "url": [None]}]}, r"train\.json: the url of image '1' is \[None\]; expected"),
        ({"images": [{"imageId": 1, "url": {"a": 1}}]}, r"train\.json: the url of image '1' is .*; expected"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_right_is_refused(tmp_path, change, message):
    write(tmp_path / "label_map.csv", "labelId,labelName\n1,a\n2,b\n3,c\n")
    write_split(tmp_path, "train", {1: [1]}, **change)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "labels", [1.5, 1.0, "x", "1.5", "", True, None, {}, [1, 1.5], [True], [None], [[1]], ["1", "x"]]
)
def test_a_label_that_is_no_whole_number_is_refused(tmp_path, labels):
    write_split(tmp_path, "train", {"a": labels})
    with pytest.raises(InputError, match=r"train\.json: the labels of image 'a' are .* expected whole numbers"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["../x", "a/b", "/a", "..", ".", "", "a\\b"])
def test_an_id_that_is_a_path_is_refused(tmp_path, name):
    write_split(tmp_path, "train", [name])
    with pytest.raises(InputError, match=r"train\.json: the image id .* is empty or a path; expected a plain name"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", [None, True, 1.5, [1], {}])
def test_an_id_that_is_neither_text_nor_a_whole_number_is_refused(tmp_path, name):
    write(tmp_path / "train.json", json.dumps({"images": [{"imageId": name}]}))
    with pytest.raises(
        InputError, match=r"train\.json: the image id .* is neither text nor a whole number: correct it"
    ):
        read_dataset(tmp_path)


@pytest.mark.parametrize("text", ["a\x00", "a\rb", "a\nb", "\x1b[31m", "\ud800", "a\u2028b", "x" * 20_000])
def test_ids_urls_and_labels_that_could_not_be_read_again_are_refused(tmp_path, text):
    for record in ({"imageId": text}, {"imageId": 1, "url": f"http://h/{text}"}):
        write(tmp_path / "train.json", json.dumps({"images": [record]}))
        with pytest.raises(InputError, match=r"train\.json: the (image id|url) .* (correct it|at most [\d,]+)\."):
            read_dataset(tmp_path)
    if text.isascii():
        write(tmp_path / "table/photos.csv", f'image,labels,split\na.jpg,"x{text}y",train\n'.encode())
        with pytest.raises(InputError, match=r"photos\.csv: the label .* (correct it|at most [\d,]+)\."):
            read_dataset(tmp_path / "table")


def test_a_label_map_with_names_that_could_not_be_read_again_is_refused(tmp_path):
    write_split(tmp_path, "train", {1: [1]})
    for row in ('1,"a\rb",x', '1,a,"x\x07"'):
        write(tmp_path / "label_map.csv", f"labelId,labelName,taskName\n{row}\n".encode())
        with pytest.raises(InputError, match=r"label_map\.csv: the label .* correct it"):
            read_dataset(tmp_path)


OUTSIDE = ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "..", "a\\b.jpg", "C:\\a.jpg"]


@pytest.mark.parametrize("url", [*OUTSIDE, ["http://h/a.jpg", "../a.jpg"]])
def test_a_url_that_leaves_the_data_folder_is_refused(tmp_path, url):
    write(tmp_path / "train.json", json.dumps({"images": [{"imageId": 1, "url": url}]}))
    with pytest.raises(InputError, match=r"train\.json: the image '1' points to .* outside .* expected a path inside"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("image", OUTSIDE)
def test_a_path_in_the_table_that_leaves_the_data_folder_is_refused(tmp_path, image):
    write(tmp_path / "photos.csv", f"image,labels\n{image},x\n")
    with pytest.raises(InputError, match=r"photos\.csv: the image .* points to .* outside .* expected a path inside"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("content", [b"", b'{"images": [{"imageId": 1}', b"\xff\xfe{}", b"[" * 100_000, b"9" * 10_000])
def test_json_that_is_cut_short_or_none_is_refused(tmp_path, content):
    write(tmp_path / "train.json", content)
    with pytest.raises(InputError, match=r"train\.json is not whole JSON .* copy or download it again"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("content", ["[]", "null", "5", '"images"', "{}", '{"Images": []}'])
def test_json_of_another_layout_is_refused_with_what_was_found(tmp_path, content):
    write(tmp_path / "train.json", content)
    with pytest.raises(InputError, match=r"train\.json has another layout: expected .*images.*annotations.*, found"):
        read_dataset(tmp_path)


def test_the_finders_note_on_a_label_map_is_none(tmp_path):
    write_split(tmp_path, "train", {1: [10]})
    write(tmp_path / "._label_map.csv", b"\0\5\x16\7")
    write(tmp_path / "label_map.csv", "labelId,labelName\n10,a\n")
    assert read_dataset(tmp_path).labels.names == ("a",)


def test_of_two_label_maps_or_two_layouts_none_is_ignored_in_silence(tmp_path):
    write_split(tmp_path, "train", {1: [1]})
    for name in ("label_map.csv", "old_label_map.csv"):
        write(tmp_path / name, "labelId,labelName\n1,a\n")
    with pytest.raises(InputError, match=r"has 2 label maps, label_map\.csv and old_label_map\.csv: keep one"):
        read_dataset(tmp_path)
    write(tmp_path / "photos.csv", "image,labels,split\na.jpg,x,train\n")
    with pytest.raises(InputError, match=r"holds photos\.csv and train\.json, two formats: move one"):
        read_dataset(tmp_path)


def test_a_folder_without_annotations_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no annotations: expected photos\.csv .* or train\.json .* README"):
        read_dataset(tmp_path)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere does not exist: name it with DATA="):
        read_dataset(tmp_path / "nowhere")


def test_a_split_that_is_missing_is_refused_when_it_is_asked_for(tmp_path):
    write_split(tmp_path, "train", {1: [1]})
    with pytest.raises(InputError, match=r"has no validation split \(found: train\): add validation\.json"):
        read_dataset(tmp_path)["validation"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"label_map\.csv is not a CSV table .* save it as one"),
        (b"labelId,labelName\n1,caf\xe9\n", r"label_map\.csv is not a CSV table in UTF-8 .* save it as one"),
        (b"labelId,labelName\n1,a,b\n", r"label_map\.csv is not a CSV table .* value with a comma"),
        (b"id,name\n1,a\n", r"label_map\.csv: expected the columns labelId, labelName .* found id, name"),
        (b"labelId,labelName,labelName\n1,a,b\n", r"label_map\.csv has the column labelName 2 times: keep one"),
        (b"labelId,labelName\nx,a\n", r"label_map\.csv: expected whole numbers as labelId"),
        (b"labelId,labelName\n1,a\n2,b\n1,c\n", r"label_map\.csv: the label 1 is listed twice: remove one"),
    ],
)
def test_a_label_map_that_cannot_be_right_is_refused(tmp_path, content, message):
    write_split(tmp_path, "train", {1: [1]})
    write(tmp_path / "label_map.csv", content)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"photos\.csv is not a CSV table .* save it as one"),
        (b"\n\n", r"photos\.csv is not a CSV table"),
        (b"image,labels,labels\na.jpg,x,y\n", r"photos\.csv has the column labels 2 times: keep one .* one cell"),
        (b"image,split,labels,split\n1,train,x,test\n", r"photos\.csv has the column split 2 times: keep one"),
        (b"image,labels\ncaf\xe9.jpg,x\n", r"photos\.csv is not a CSV table in UTF-8 .* save it as one"),
        (b"image,labels\na.jpg,red,dress\n", r"photos\.csv is not a CSV table .* value with a comma"),
        (b"image,labels\na.jpg,red\nb.jpg,red,dress\n", r"photos\.csv is not a CSV table .* value with a comma"),
        (b'image,labels\n"a.jpg,red\n', r"photos\.csv is not a CSV table"),
        (b"image,labels\n", r"photos\.csv lists no images: add some"),
        (b"name;labels\na.jpg;x\n", r"photos\.csv: expected the columns image, labels .* split, found name;labels"),
        (b"image\na.jpg\n", r"photos\.csv: expected the columns image, labels .* found image"),
        (b"image,labels\na.jpg,x\na.jpg,y\n", r"photos\.csv: the image 'a\.jpg' is listed twice.* remove one"),
        (b"image,labels\n,x\n", r"photos\.csv: the image id '' is empty"),
        (b"image,labels,split\na.jpg,x,dev\n", r"photos\.csv: the column split holds 'dev'; expected train, "),
        (b"image,labels,split\na.jpg,x,\n", r"photos\.csv: the column split holds ''; expected train"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_right_is_refused(tmp_path, content, message):
    write(tmp_path / "photos.csv", content)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["imageId", "url", "labelId"]), inner),
    max_leaves=5,
)
RECORDS = st.lists(
    st.fixed_dictionaries({}, optional={key: VALUES for key in ("imageId", "url", "labelId")}) | VALUES, max_size=3
)


@pytest.mark.slow
@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional={"images": RECORDS | VALUES, "annotations": RECORDS | VALUES}))
def test_any_json_reads_or_is_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("data")
    write(folder / "train.json", json.dumps(content))
    try:
        train = read_dataset(folder)["train"]
    except InputError as error:
        assert "train.json" in str(error)
    else:
        assert len(train.ids) == len(train.urls) == len(content["images"])


NAMES = st.text("ab/.|, \"'\né", max_size=4)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=3), st.sampled_from(SPLITS)), max_size=4))
def test_any_table_reads_or_is_refused(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("data")
    with (folder / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("image", "labels", "split"), *((name, "|".join(found), split) for name, found, split in rows)]
        )
    try:
        data = read_dataset(folder)
    except InputError as error:
        assert "photos.csv" in str(error)
    else:
        assert split_of_each(data) == {name: split for name, _, split in rows}
        wanted = {part.strip() for _, found, _ in rows for name in found for part in name.split("|")} - {""}
        assert set(data.labels.names) == wanted


WHOLE = {
    "train.json": b"""{"images": [{"imageId": 1, "url": ["http://h/1.jpg", "a/1.jpg"]}, {"imageId": "2", "url": null}],
        "annotations": [{"imageId": 1, "labelId": ["3", 5]}, {"imageId": "2", "labelId": 5}]}""",
    "label_map.csv": b'labelId,taskId,labelName,taskName\n3,1,D\xc3\xa9collet\xc3\xa9,neck\n5,2,"Red, dark",colour\n',
    "photos.csv": "image,labels,split\n1.jpg,dress | red,train\nsub/2.jpg,,validation\n\u00e9.jpg,red,test\n".encode(),
    "kept.csv": b"key,digest\n1.jpg:3:1,1234\n2.jpg:none,unreadable 2.jpg\n",
}
ODD = [
    b'"',
    b",",
    b"|",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"null",
    b"{}",
    b"[]",
    b"1e999",
    b'"\\ud800"',
    b"9" * 30,
    b"../",
    b"-",
]


def spoilt(whole):
    """Bytes near those of a whole file: a part of it is left out or is another."""
    parts = st.tuples(st.integers(0, len(whole)), st.integers(0, 30), st.sampled_from(ODD) | st.binary(max_size=8))
    return parts.map(lambda part: whole[: part[0]] + part[2] + whole[part[0] + part[1] :])


@pytest.mark.parametrize("name", WHOLE)
@settings(
    deadline=None,
    max_examples=EXAMPLES,
    derandomize="FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_bytes_a_file_of_annotations_holds_it_is_read_and_described_or_refused(tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp("data")
    content = data.draw(spoilt(WHOLE[name]) | spoilt(WHOLE[name][: len(WHOLE[name]) // 2]) | st.binary(max_size=40))
    others = {"label_map.csv": ["train.json"], "kept.csv": ["photos.csv"]}.get(name, [])
    write_photos(folder, {**{other: WHOLE[other] for other in others}, "images/1.jpg": b"one", name: content})
    if name == "kept.csv":
        write(folder / "photos.csv", "image,labels\n1.jpg,x\n2.jpg,\n")
    try:
        found = read_dataset(folder, digests=folder / "kept.csv")
    except InputError as error:
        assert any(one in str(error) for one in WHOLE)
        return
    assert sum(len(split.ids) for split in found.splits.values()) >= 1
    described = factsheet.summary(facts.describe(found, duplicates.look(found)))
    assert json.dumps([described, preflight.summary(found), found.digest]).encode()
    with open(folder / "again.csv", "w", encoding="utf-8", newline="") as file:
        texts = [text for split in found.splits.values() for text in (*split.ids, *sum(split.urls, ()))]
        csv.writer(file).writerows([text] for text in [*texts, *found.labels.names] if text)
    with open(folder / "again.csv", encoding="utf-8", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == [text for text in [*texts, *found.labels.names] if text]

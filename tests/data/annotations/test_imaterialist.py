"""The files of iMaterialist 2018 are read; what cannot be right is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import targets, write, write_photos, write_split

from mlob.data.dataset import read_dataset
from mlob.errors import InputError

SPLITS = ("train", "validation", "test")


def test_ids_become_text_and_labels_columns_in_the_order_of_their_numbers(tmp_path):
    write_split(tmp_path, "train", {7: [10, 2], "8": ["9"]})
    data = read_dataset(tmp_path)
    assert data["train"].ids == ("7", "8")
    assert data.labels.ids == (2, 9, 10) and data.labels.ids_are_own
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


def test_a_label_map_with_names_that_could_not_be_read_again_is_refused(tmp_path):
    write_split(tmp_path, "train", {1: [1]})
    for row in ('1,"a\rb",x', '1,a,"x\x07"'):
        write(tmp_path / "label_map.csv", f"labelId,labelName,taskName\n{row}\n".encode())
        with pytest.raises(InputError, match=r"label_map\.csv: the label .* correct it"):
            read_dataset(tmp_path)


def test_beside_an_address_a_path_that_leaves_the_data_folder_is_refused(tmp_path):
    write(tmp_path / "train.json", json.dumps({"images": [{"imageId": 1, "url": ["http://h/a.jpg", "../a.jpg"]}]}))
    with pytest.raises(InputError, match=r"train\.json: the image '1' points to .* outside .* expected a path inside"):
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


def test_a_number_of_a_label_that_no_array_holds_is_refused(tmp_path):
    write_split(tmp_path, "train", {1: [1]})
    write(tmp_path / "label_map.csv", f"labelId,labelName\n1,a\n{'9' * 30},b\n")
    with pytest.raises(InputError, match=r"label_map\.csv: expected whole numbers as labelId"):
        read_dataset(tmp_path)

"""All formats give one data set and share their checks; no bytes of a file end in a traceback."""

import csv
import io
import json
import os
import re
import unicodedata

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import targets, write, write_photos, write_split
from pyarrow import parquet

from mlob.data import duplicates, facts, factsheet, preflight
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.recipes import Annotations

EXAMPLES = int(os.environ.get("FUZZ", "25"))  # of spoilt files


def test_in_a_split_with_labels_a_photo_without_any_has_none(tmp_path):
    write(tmp_path / "table/photos.csv", "image,labels,split\na.jpg,x,test\nb.jpg,,test\n")
    write_split(tmp_path / "json", "test", {1: [3], 2: []})
    for folder in ("table", "json"):
        assert targets(read_dataset(tmp_path / folder)["test"]) == [[1], [0]]


def test_a_split_without_a_single_label_is_there_to_be_predicted_in_every_format(tmp_path):
    write(tmp_path / "table/photos.csv", "image,labels,split\na.jpg,x,train\nb.jpg,,test\n")
    write_split(tmp_path / "json", "train", {1: [3]})
    write_split(tmp_path / "json", "test", {1: []})
    for folder in ("table", "json"):
        assert read_dataset(tmp_path / folder)["test"].targets is None


def test_a_label_in_both_forms_of_unicode_is_one_label(tmp_path):
    one, two = (unicodedata.normalize(form, "décolleté") for form in ("NFC", "NFD"))
    write(tmp_path / "photos.csv", f"image,labels,split\na.jpg,{one},train\nb.jpg,{two}|{one},train\n")
    data = read_dataset(tmp_path)
    assert data.labels.names == (one,) and targets(data["train"]) == [[1], [1]]
    write_split(tmp_path / "map", "train", {1: [1]})
    write(tmp_path / "map/label_map.csv", f"labelId,labelName,taskName\n1,{two},{two}\n")
    labels = read_dataset(tmp_path / "map").labels
    assert labels.names == labels.groups == (one,)


def test_the_data_set_has_the_name_of_its_folder(tmp_path, monkeypatch):
    write_split(tmp_path / "mine", "train", {1: [10]})
    monkeypatch.chdir(tmp_path / "mine")
    assert read_dataset(".").name == "mine"


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


@pytest.mark.parametrize("path", ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "..", "a\\b.jpg", "C:\\a.jpg"])
def test_a_path_that_leaves_the_data_folder_is_refused(tmp_path, path):
    contents = {
        "photos.csv": (path, f"image,labels\n{path},x\n"),
        "train.json": ("1", json.dumps({"images": [{"imageId": 1, "url": path}]})),
        "train2019.json": ("1", json.dumps({"images": [{"id": 1, "file_name": path}]})),
    }
    for name, (photo, content) in contents.items():
        write(tmp_path / name / name, content)
        where = re.escape(f"{name}: the image {photo!r} points to ")
        with pytest.raises(InputError, match=where + ".* outside .* expected a path inside"):
            read_dataset(tmp_path / name)


def test_of_two_label_maps_or_two_formats_none_is_ignored_in_silence(tmp_path):
    write_split(tmp_path, "train", {1: [1]})
    for name in ("label_map.csv", "old_label_map.csv"):
        write(tmp_path / name, "labelId,labelName\n1,a\n")
    with pytest.raises(InputError, match=r"has 2 label maps, label_map\.csv and old_label_map\.csv: keep one"):
        read_dataset(tmp_path)
    write(tmp_path / "photos.csv", "image,labels,split\na.jpg,x,train\n")
    with pytest.raises(InputError, match=r"holds photos\.csv and train\.json, two formats: move one"):
        read_dataset(tmp_path)


def test_a_folder_without_annotations_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"holds no annotations: expected one of photos\.csv .*, train\.json .* README"
    ):
        read_dataset(tmp_path)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere does not exist: name it with DATA="):
        read_dataset(tmp_path / "nowhere")


def test_a_split_that_is_missing_is_refused_when_it_is_asked_for(tmp_path):
    write_split(tmp_path, "train", {1: [1]})
    with pytest.raises(InputError, match=r"has no validation split \(found: train\): add validation\.json"):
        read_dataset(tmp_path)["validation"]


def as_parquet(columns):
    """The bytes of a Parquet file as Hugging Face writes them."""
    told = {"info": {"features": {"label": {"names": ["réd", "blue"], "_type": "ClassLabel"}}}}
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns, metadata={"huggingface": json.dumps(told)}), buffer, row_group_size=2)
    return buffer.getvalue()


WHOLE = {
    "train.json": b"""{"images": [{"imageId": 1, "url": ["http://h/1.jpg", "a/1.jpg"]}, {"imageId": "2", "url": null}],
        "annotations": [{"imageId": 1, "labelId": ["3", 5]}, {"imageId": "2", "labelId": 5}]}""",
    "label_map.csv": b'labelId,taskId,labelName,taskName\n3,1,D\xc3\xa9collet\xc3\xa9,neck\n5,2,"Red, dark",colour\n',
    "photos.csv": "image,labels,split\n1.jpg,dress | red,train\nsub/2.jpg,,validation\n\u00e9.jpg,red,test\n".encode(),
    "labels.csv": "image,dress,\u00e9,split\n1.jpg,1,0,train\nsub/2.jpg, 0,1,validation\n3.jpg,0,0,test\n".encode(),
    "a.train.data.json": b"""{"images": [{"imageId": "1", "url": ["http://h/1.jpg", "a/1.jpg"]}, {"imageId": "2"}],
      "annotations": [{"imageId": "1", "taskId": "6", "labelId": "3"}, {"imageId": 2, "taskId": 1, "labelId": 3}]}""",
    "a.task_map.json": b'{"taskInfo": [{"taskId": "6", "taskName": "dress:color"}, {"taskId": "1", "taskName": "x"}]}',
    "a.label_map.json": b'{"labelInfo": [{"labelId": "3", "labelName": "r\xc3\xa9d"}]}',
    "train2019.json": """{"images": [{"id": 1, "file_name": "a/1.jpg"}, {"id": 2, "file_name": "é.jpg"}],
      "categories": [{"id": 4, "name": "réd", "genus": "G"}, {"id": 0, "name": "x", "genus": "H"}],
      "annotations": [{"image_id": 1, "category_id": 4}, {"id": 2, "image_id": 2, "category_id": 0}]}""".encode(),
    "styles.csv": """id,gender,masterCategory,subCategory,articleType,baseColour,season,usage,name
      1,Men,A,B,C,réd,NA,Casual,a, b\n2,Women,A,B,C,blue,Fall,"Casual",c\n""".encode(),
    "project.json": """[{"id": 1, "data": {"image": "/data/upload/1/01234567-1.jpg", "product": "é"}, "annotations": [
      {"was_cancelled": false, "result": [{"type": "choices", "from_name": "c", "value": {"choices": ["réd"]}}]}]},
      {"id": 2, "data": {"image": "http://h/2.jpg", "product": ""}, "annotations": []}]""".encode(),
    "train.parquet": as_parquet(
        {"image": [{"bytes": b"one"}, {"bytes": None}], "label": [0, -1], "product": ["é", ""]}
    ),
    "mine.csv": (
        "\ufeffsep=;\r\nid;colour;sleeve;product;price;split\r\n1.jpg;red|blue;long;A;1,5;train\r\n"
        'sub/2.jpg;?;;A;2,5;val\r\n3.jpg;red;"long";;3;test\r\n;;;;;\r\n'
    ).encode(),
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
    of_2017 = [other for other in WHOLE if other.startswith("a.")]
    others = {"label_map.csv": ["train.json"], "kept.csv": ["photos.csv"], **dict.fromkeys(of_2017, of_2017)}.get(
        name, []
    )
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


def test_texts_are_refused_where_a_format_has_none(tmp_path):
    write_photos(tmp_path, {"dress/a.jpg": b"a", "hat/b.jpg": b"b"})
    with pytest.raises(InputError, match=r"annotations\.text names the column 'title'; expected a table"):
        read_dataset(tmp_path, asked=Annotations(text="title"))

"""What is to be checked comes least certain first, and what was found comes back as corrections."""

import csv
import dataclasses
import json
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from PIL import Image

from mlob.data.dataset import DataSet, Split, read_dataset
from mlob.labels import Labels
from mlob.predictions import Table
from mlob.reports import review

TABLE = """image,labels,split
a.jpg,red|=cmd,train
b.jpg,red,train
c.jpg,blue,validation
d.jpg,,test
"e f.jpg",,test
g.jpg,,test
"""
PROBABILITIES = np.array([[0.9, 0.1, 0.2], [0.1, 0.55, 0.9], [0.3, 0.9, 0.48]], np.float32)
NEEDED = np.full((3, 3), 0.5, np.float32)


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    (folder / "photos.csv").write_text(TABLE)
    Image.new("RGB", (40, 30), "red").save(folder / "images" / "e f.jpg")
    return read_dataset(folder)


@pytest.fixture
def answers(dataset):
    return Table(tuple(dataset["test"].ids), PROBABILITIES, (PROBABILITIES >= 0.5).astype(np.uint8))


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_least_certain_come_first_with_the_label_that_is_nearest_to_the_edge(dataset, answers, tmp_path):
    found = review.cases(dataset, "test", answers, NEEDED, 2)
    review.write(tmp_path, "mine", dataset, "test", found)
    first, second = rows(tmp_path / "review.csv")
    assert dataset.labels.names == ("=cmd", "blue", "red")
    assert (first["photo"], first["labels"], first["nearest"], first["probability"]) == (
        "g.jpg",
        "blue",
        "red",
        "0.4800",
    )
    assert (second["photo"], second["labels"], second["nearest"]) == ("e f.jpg", "blue|red", "blue")
    assert first["checked"] == first["annotated"] == "" and first["split"] == "test"


def test_the_page_shows_the_photos_and_needs_no_network(dataset, answers, tmp_path):
    review.write(tmp_path, "mine", dataset, "test", review.cases(dataset, "test", answers, NEEDED, 9))
    page = (tmp_path / "review.html").read_text("utf-8")
    assert page.count("<li>") == 3 and page.index("g.jpg") < page.index("e f.jpg") < page.index("d.jpg")
    assert page.count("data:image/jpeg;base64,") == 1 and "http://" not in page and "annotated:" not in page


def test_photos_of_validation_show_what_they_are_annotated_with(dataset, tmp_path):
    answers = Table(("c.jpg",), PROBABILITIES[:1], np.array([[1, 0, 0]], np.uint8))
    review.write(tmp_path, "mine", dataset, "validation", review.cases(dataset, "validation", answers, NEEDED[:1], 9))
    assert "annotated: blue" in (tmp_path / "review.html").read_text("utf-8")
    (row,) = rows(tmp_path / "review.csv")
    assert (row["labels"], row["annotated"], row["split"]) == ("'=cmd", "blue", "validation")


def test_what_people_edit_comes_back_as_corrections(dataset, answers, tmp_path):
    review.write(tmp_path, "mine", dataset, "test", review.cases(dataset, "test", answers, NEEDED, 3))
    table = rows(tmp_path / "review.csv")
    table[0] |= {"labels": "'=cmd|red", "checked": "yes"}
    with (dataset.folder / "corrections.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    found = read_dataset(dataset.folder)
    assert found["train"].ids == ("a.jpg", "b.jpg", "g.jpg") and found["train"].targets[2].tolist() == [1, 0, 1]
    assert found["test"].ids == ("d.jpg", "e f.jpg")


def test_tasks_of_label_studio_come_back_as_corrections_once_they_are_accepted(dataset, answers, tmp_path):
    review.write(tmp_path, "mine", dataset, "test", review.cases(dataset, "test", answers, NEEDED, 3))
    tasks = json.loads((tmp_path / "label_studio.json").read_text("utf-8"))
    assert [task["data"]["image"] for task in tasks][1] == "/data/local-files/?d=images/e%20f.jpg"
    accepted = [{"id": 1, "data": task["data"], "annotations": task["predictions"]} for task in tasks[:2]]
    open_ones = [{"id": 2, "data": task["data"], "annotations": []} for task in tasks[2:]]
    (dataset.folder / "corrections.json").write_text(json.dumps(accepted + open_ones))
    found = read_dataset(dataset.folder)
    assert found["test"].ids == ("d.jpg",)
    assert found["train"].targets[2:].tolist() == [[0, 1, 1], [0, 1, 0]]  # e f.jpg and g.jpg, as they were decided


def test_label_studio_finds_a_photo_in_the_data_folder_and_on_the_web_where_it_is_not_there(tmp_path):
    (tmp_path / "images/test").mkdir(parents=True)
    split = Split("test", ("1", "2"), (("https://a.example/1.jpg",), ("https://a.example/2.jpg",)), None)
    dataset = DataSet("mine", tmp_path, Labels((1, 2, 3), ("a", "b", "c"), ("",) * 3), {"test": split})
    Image.new("RGB", (40, 30), "red").save(tmp_path / "images/test/2.jpg")
    answers = Table(split.ids, PROBABILITIES[:2], (PROBABILITIES[:2] >= 0.5).astype(np.uint8))
    found = {case.photo.id: case.address for case in review.cases(dataset, "test", answers, NEEDED[:2], 2)}
    assert found == {"1": "https://a.example/1.jpg", "2": "/data/local-files/?d=images/test/2.jpg"}


def test_the_labelling_form_asks_a_question_for_each_group(dataset, tmp_path):
    labels = dataclasses.replace(dataset.labels, groups=("<kind>", "colour", "colour"))
    review.write(tmp_path, "mine", dataclasses.replace(dataset, labels=labels), "test", [])
    view = xml.fromstring((tmp_path / "label_studio.xml").read_text("utf-8"))
    questions = {each.get("name"): [choice.get("value") for choice in each] for each in view.iter("Choices")}
    assert questions == {"<kind>": ["=cmd"], "colour": ["blue", "red"]}
    kinds = {each.get("name"): (each.get("choice"), each.get("required")) for each in view.iter("Choices")}
    assert kinds == {"<kind>": ("multiple", None), "colour": ("single", "true")}

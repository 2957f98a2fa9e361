"""iMaterialist 2017: a row for each photo and task, and what no row tells is unknown."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import targets, write

from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.labels import UNKNOWN
from mlob.recipes import Annotations

TASKS = {"1": "shoe:gender", "6": "dress:color", "11": "pants:color"}
LABELS = {"1": "men", "3": "black", "4": "women", "12": "red"}
ROWS = [("1", "1", "1"), ("1", "6", "3"), ("2", "11", "3"), ("2", "11", "12")]  # photo, task, label
ANSWERS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.sampled_from([*TASKS])), st.sampled_from([*LABELS]), min_size=1
)


def write_maps(folder):
    tasks = [{"taskName": name, "taskId": number} for number, name in TASKS.items()]
    labels = [{"labelName": name, "labelId": number} for number, name in LABELS.items()]
    write(folder / "fgvc4_iMat.task_map.json", json.dumps({"taskInfo": tasks}))
    write(folder / "fgvc4_iMat.label_map.json", json.dumps({"labelInfo": labels}))


def write_rows(folder, split, photos, rows):
    images = [{"imageId": str(name), "url": [f"http://a/{name}.jpg", f"http://b/{name}.jpg"]} for name in photos]
    annotations = [{"imageId": str(name), "taskId": task, "labelId": label} for name, task, label in rows]
    write(folder / f"fgvc4_iMat.{split}.data.json", json.dumps({"images": images, "annotations": annotations}))


@pytest.fixture
def folder(tmp_path):
    write_maps(tmp_path)
    write_rows(tmp_path, "train", (1, 2, 3), ROWS)
    write(tmp_path / "fgvc4_iMat.test.image.json", json.dumps({"images": [{"imageId": "1", "url": ["http://a/1"]}]}))
    return tmp_path


def test_a_column_is_a_task_and_a_label_and_tasks_without_a_row_are_unknown(folder):
    data = read_dataset(folder)
    assert data.labels.ids == (101, 603, 1103, 1112)
    assert data.labels.names == ("men", "black", "black", "red")
    assert data.labels.groups == ("shoe:gender", "dress:color", "pants:color", "pants:color")
    x = UNKNOWN
    assert targets(data["train"]) == [[1, 1, x, x], [x, x, 1, 1], [x, x, x, x]]
    assert data["train"].urls[0] == ("http://a/1.jpg", "http://b/1.jpg")
    assert data["test"].targets is None and data["test"].ids == ("1",)
    assert data.told[1:] == (
        "4 labels in 3 tasks. A task without a row is unknown for the photo.",
        "A label's number is that of its task and its own: 101 is label 1 (men) of task 1 (shoe:gender).",
    )


@settings(deadline=None, max_examples=25)
@given(ANSWERS, st.randoms())
def test_every_row_is_found_again_and_nothing_else_is_known(tmp_path_factory, answers, random):
    folder = tmp_path_factory.mktemp("data")
    rows = [(name, task, label) for (name, task), label in answers.items()]
    random.shuffle(rows)
    write_maps(folder)
    write_rows(folder, "train", range(5), rows)
    data = read_dataset(folder)
    found = data["train"].targets
    read = {
        (int(data["train"].ids[row]), data.labels.groups[column]): data.labels.names[column]
        for row, column in np.argwhere(found == 1)
    }
    assert read == {(name, TASKS[task]): LABELS[label] for (name, task), label in answers.items()}
    for row, name in enumerate(data["train"].ids):
        for column, group in enumerate(data.labels.groups):
            assert (found[row, column] == UNKNOWN) == ((int(name), group) not in read)


def test_corrections_exclusive_groups_and_rare_labels_are_as_in_any_format(folder):
    write(folder / "corrections.csv", "split,photo,labels\ntrain,3,men\n")
    data = read_dataset(folder, asked=Annotations(commonest=1))
    assert data.labels.names == ("men", "black", "black", "other")
    assert targets(data["train"])[1:] == [[255, 255, 1, 1], [1, 0, 0, 0]]
    with pytest.raises(InputError, match=r"the image '2' has 2 labels of the group pants:color, 'black' and 'red'"):
        read_dataset(folder, asked=Annotations(exclusive=("pants:color",)))


def test_a_photo_that_is_listed_twice_is_refused(folder):
    write_rows(folder, "train", (1, 2, 2), ROWS)
    with pytest.raises(InputError, match=r"train\.data\.json: the image '2' is listed twice with different labels"):
        read_dataset(folder)


def test_names_of_the_files_may_begin_in_another_way(folder):
    for path in folder.iterdir():
        path.rename(folder / path.name.removeprefix("fgvc4_iMat."))
    assert list(read_dataset(folder).splits) == ["train", "test"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("9", "1", "1"), r"train\.data\.json annotates the image '9', which is not among its images"),
        (("1", "2", "1"), r"train\.data\.json: the task 2 is not in the map of tasks \(3\): correct the row, or add"),
        (("1", "1", "2"), r"train\.data\.json: the label 2 is not in the map of labels \(4\)"),
        (("1", "one", "2"), r"train\.data\.json: expected whole numbers as taskId, found 'one': correct it"),
        (("1", None, "2"), r"train\.data\.json: expected whole numbers as taskId, found None"),
    ],
)
def test_rows_that_cannot_be_right_are_refused(folder, row, message):
    write_rows(folder, "train", (1, 2, 3), [*ROWS, row])
    with pytest.raises(InputError, match=message):
        read_dataset(folder)


def test_missing_repeated_and_damaged_files_are_refused(folder):
    path = folder / "fgvc4_iMat.task_map.json"
    whole = path.read_text()
    path.write_text(whole[:40])
    with pytest.raises(InputError, match=r"task_map\.json is not"):
        read_dataset(folder)
    path.write_text(json.dumps({"taskInfo": []}))
    with pytest.raises(InputError, match=r'task_map\.json has another layout: expected \{"taskInfo": \[\{"taskId"'):
        read_dataset(folder)
    path.write_text(json.dumps({"taskInfo": 2 * json.loads(whole)["taskInfo"]}))
    with pytest.raises(InputError, match=r"task_map\.json: a task is listed twice"):
        read_dataset(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"expected one file named \*task_map\.json, found none: copy it there"):
        read_dataset(folder)
    path.write_text(whole)
    (folder / "old.train.data.json").write_bytes((folder / "fgvc4_iMat.train.data.json").read_bytes())
    with pytest.raises(
        InputError, match=r"found 2, fgvc4_iMat\.train\.data\.json and old\.train\.data\.json: keep one"
    ):
        read_dataset(folder)

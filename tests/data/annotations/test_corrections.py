"""Corrections override the labels of the photos that they name, in every format, and are told."""

import json

import pytest
from layouts import targets, write, write_split

from mlob.data.dataset import read_dataset
from mlob.errors import InputError

SPLIT = "image,labels,split\na.jpg,red,train\nb.jpg,red|hat,train\nc.jpg,hat,validation\nd.jpg,,test\ne.jpg,,test\n"


def corrected(folder, text, name="corrections.csv", table=SPLIT):
    write(folder / "photos.csv", table)
    write(folder / name, text if isinstance(text, str) else json.dumps(text))
    return read_dataset(folder)


def task(photo, chosen, *, cancelled=False, **data):
    results = [{"from_name": "label", "type": "choices", "value": {"choices": chosen}}]
    given = [] if chosen is None else [{"was_cancelled": cancelled, "result": results}]
    return {"id": 1, "data": {"image": f"/data/local-files/?d={photo}", "photo": photo, **data}, "annotations": given}


def test_only_what_was_checked_counts_and_all_of_it_where_no_column_says_so(tmp_path):
    text = "split,photo,labels,checked,nearest\ntrain,a.jpg,hat,x,red\ntrain,b.jpg,,,red\n"
    found = corrected(tmp_path, text)
    assert found.labels.names == ("hat", "red")
    assert targets(found["train"]) == [[1, 0], [1, 1]] and targets(found["validation"]) == [[1, 0]]
    found = corrected(tmp_path, "photo,labels\na.jpg,hat|red\nb.jpg,\nc.jpg,hat\n")
    assert targets(found["train"]) == [[1, 1], [0, 0]] and targets(found["validation"]) == [[1, 0]]
    excel = corrected(tmp_path, "\ufeffsplit;photo;labels;checked\r\ntrain;a.jpg;hat;x\r\ntrain;b.jpg;red;\r\n")
    assert targets(excel["train"]) == [[1, 0], [1, 1]]
    assert found.told[-1] == "corrections.csv corrects the labels of 3 photos; 2 have other labels than before."


def test_a_photo_of_an_unlabelled_split_moves_to_train_and_its_neighbours_stay_to_be_predicted(tmp_path):
    found = corrected(tmp_path, "split,photo,labels\ntest,e.jpg,hat\n")
    assert found["train"].ids == ("a.jpg", "b.jpg", "e.jpg") and targets(found["train"])[2] == [1, 0]
    assert found["test"].ids == ("d.jpg",) and found["test"].targets is None
    assert "1 move from test to train" in found.told[-1]


def test_where_splits_are_drawn_a_corrected_photo_is_drawn_too(tmp_path):
    rows = "".join(f"{number}.jpg,x|y\n" for number in range(40))
    found = corrected(tmp_path, "split,photo,labels\ntest,d.jpg,x\n", table=f"image,labels\n{rows}d.jpg,\ne.jpg,\n")
    assert found["test"].ids == ("e.jpg",)
    assert "d.jpg" in (*found["train"].ids, *found["validation"].ids)


def test_an_export_of_label_studio_corrects_what_was_answered(tmp_path):
    tasks = [
        task("a.jpg", ["hat"], split="train"),
        task("b.jpg", None, split="train"),
        task("c.jpg", ["red"], cancelled=True, split="validation"),
    ]
    found = corrected(tmp_path, tasks, "corrections.json")
    assert targets(found["train"]) == [[1, 0], [1, 1]] and targets(found["validation"]) == [[1, 0]]
    assert "corrections.json corrects the labels of 1 photos" in found.told[-1]


def test_its_short_export_does_so_too(tmp_path):
    records = [{"id": 1, "annotation_id": 2, "image": "/data/local-files/?d=a.jpg", "photo": "a.jpg", "split": "train"}]
    found = corrected(tmp_path, [{**records[0], "label": {"choices": ["hat"]}}], "corrections.json")
    assert targets(found["train"])[0] == [1, 0]
    found = corrected(tmp_path, [{**records[0], "label": "hat"}], "corrections.json")
    assert targets(found["train"])[0] == [1, 0]


def test_equal_ids_of_two_splits_are_told_apart(tmp_path):
    write_split(tmp_path, "train", {"1": [5], "2": [5, 6]})
    write_split(tmp_path, "validation", {"1": [5]})
    write(tmp_path / "corrections.csv", "split,photo,labels\nvalidation,1,6\n")
    found = read_dataset(tmp_path)
    assert targets(found["train"]) == [[1, 0], [1, 1]] and targets(found["validation"]) == [[0, 1]]


def test_a_name_that_would_run_as_a_formula_is_read_back(tmp_path):
    found = corrected(
        tmp_path, "photo,labels\n'=a.jpg,'=cmd|x\n", table="image,labels,split\n=a.jpg,x,train\nb.jpg,=cmd,train\n"
    )
    assert targets(found["train"])[0] == [1, 1]


REFUSED = {
    "no such label": ("photo,labels\na.jpg,hta\n", "corrections.csv, row 2: there is no label 'hta'. Did you mean hat"),
    "below a line for Excel": ("sep=;\nphoto;labels\na.jpg;hta\n", "corrections.csv, row 3: there is no label 'hta'"),
    "no such photo": ("photo,labels\nz.jpg,hat\n", "corrects 1 photos that are not in the data, the first is 'z.jpg'"),
    "another split": ("split,photo,labels\ntest,a.jpg,hat\n", "corrects 1 photos that are not in the data"),
    "no such column": ("image,labels\na.jpg,hat\n", "expected the columns photo and labels"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_corrections_that_cannot_be_right_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        corrected(tmp_path, text)


def test_two_files_of_corrections_are_refused(tmp_path):
    write(tmp_path / "corrections.json", "[]")
    with pytest.raises(InputError, match=r"corrections.csv and corrections.json: keep one"):
        corrected(tmp_path, "photo,labels\n")


def test_a_split_with_a_file_of_its_own_gives_no_photo_away(tmp_path):
    write_split(tmp_path, "train", {"1": [5], "2": [5, 6]})
    write_split(tmp_path, "test", ["1", "3"])
    write(tmp_path / "corrections.csv", "split,photo,labels\ntest,3,5\n")
    with pytest.raises(InputError, match=r"name photos of test, which .*test.json gives no labels"):
        read_dataset(tmp_path)


def test_neither_corrections_nor_a_sample_are_taken_for_annotations(tmp_path):
    write(tmp_path / "sample_submission.csv", "image,labels\nd.jpg,hat\n")
    found = corrected(tmp_path, [task("a.jpg", ["hat"])], "corrections.json")
    assert found["train"].ids == ("a.jpg", "b.jpg")

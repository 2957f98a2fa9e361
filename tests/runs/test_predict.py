import csv
import os
import pathlib

from mlob.labels import Labels
from mlob.runs import answering, predict
from mlob.runs.predict import Given


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_no_cell_of_the_table_runs_as_a_formula(tmp_path):
    photos = [
        predict.Photo(
            pathlib.Path("=1+1.jpg"), (Given(7, "@SUM(A1)", "+group", 0.5, 0.4), Given(8, "plain-name", "g", 0.25, 0.2))
        ),
        predict.Photo(pathlib.Path("-2.jpg"), (), "=odd reason"),
    ]
    predict.write(tmp_path / "predictions.csv", photos)
    assert [list(row.values()) for row in rows(tmp_path / "predictions.csv")] == [
        ["'=1+1.jpg", "7", "'@SUM(A1)", "'+group", "0.5", "0.4", ""],
        ["'=1+1.jpg", "8", "plain-name", "g", "0.25", "0.2", ""],
        ["'-2.jpg", "", "", "", "", "", "'=odd reason"],
    ]


def test_a_name_that_is_not_utf_8_is_written_and_told_with_its_bytes_spelt_out(tmp_path):
    photo = predict.Photo(pathlib.Path(os.fsdecode(b"caf\xe9.jpg")), (Given(7, "red", "colour", 0.5, 0.5),))
    predict.write(tmp_path / "predictions.csv", [photo])
    assert [row["image"] for row in rows(tmp_path / "predictions.csv")] == [r"caf\udce9.jpg"]
    assert predict.summary([photo]) == r"caf\udce9.jpg: red 0.50"


def test_a_label_that_is_given_at_a_low_probability_says_why():
    photo = predict.Photo(pathlib.Path("a.jpg"), (Given(7, "dress", "g", 0.91, 0.4), Given(8, "hat", "g", 0.13, 0.11)))
    assert predict.summary([photo]) == "a.jpg: dress 0.91, hat 0.13 (0.11 is enough)"


def test_photos_that_cannot_be_read_have_their_reasons_and_no_labels_and_need_no_model(tmp_path):
    empty, missing = tmp_path / "empty.jpg", tmp_path / "missing.jpg"
    empty.write_bytes(b"")
    made = answering.Ensemble({}, {}, ([], None), Labels((7,), ("red",), ("colour",)))
    photos = predict.label([missing, empty], made, answering.on_disk(made.seen, tmp_path))
    assert photos == [predict.Photo(missing, (), "no file"), predict.Photo(empty, (), "empty file")]

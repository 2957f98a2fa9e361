import csv
import pathlib

from mlob.reports import predicted


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_no_cell_of_the_table_runs_as_a_formula(tmp_path):
    photos = [
        predicted.Photo(pathlib.Path("=1+1.jpg"), ((7, "@SUM(A1)", "+group", 0.5), (8, "plain-name", "g", 0.25))),
        predicted.Photo(pathlib.Path("-2.jpg"), (), "=odd reason"),
    ]
    predicted.write(tmp_path / "predictions.csv", photos)
    assert [list(row.values()) for row in rows(tmp_path / "predictions.csv")] == [
        ["'=1+1.jpg", "7", "'@SUM(A1)", "'+group", "0.5", ""],
        ["'=1+1.jpg", "8", "plain-name", "g", "0.25", ""],
        ["'-2.jpg", "", "", "", "", "'=odd reason"],
    ]

"""Every label of every photo has its row, with its probability, what that needed, and how near the two are."""

import numpy as np
import pandas as pd

from mlob.labels import Labels
from mlob.predictions import Table
from mlob.reports import probabilities

LABELS = Labels((1, 2, 3), ("other", "=cmd", "other"), ("sleeve", "colour", "colour"))
ANSWERS = Table(
    ("a.jpg", "b.jpg"),
    np.array([[0.25, 0.75, 0.5], [0.875, 0.125, 0.0]], np.float32),
    np.array([[0, 1, 1], [1, 0, 0]], np.uint8),
)
NEEDED = np.full((2, 3), 0.5, np.float32)


def test_what_is_written_is_read_back_and_a_rerun_writes_the_same_bytes(tmp_path):
    probabilities.write(tmp_path, LABELS, ANSWERS, NEEDED, with_csv=False)
    path = tmp_path / "probabilities.parquet"
    found, first = pd.read_parquet(path), path.read_bytes()
    assert found.photo.tolist() == ["a.jpg"] * 3 + ["b.jpg"] * 3
    assert found.label.tolist() == ["other", "=cmd", "other"] * 2
    assert found.group.tolist() == ["sleeve", "colour", "colour"] * 2
    assert found.probability.tolist() == ANSWERS.probabilities.ravel().tolist()
    assert found.decided.tolist() == [False, True, True, True, False, False]
    assert (found.probability - found.threshold).tolist() == found.margin.tolist()
    probabilities.write(tmp_path, LABELS, ANSWERS, NEEDED, with_csv=False)
    assert path.read_bytes() == first and [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_csv_holds_the_same_and_no_formula(tmp_path):
    probabilities.write(tmp_path, LABELS, ANSWERS, NEEDED, with_csv=True)
    lines = (tmp_path / "probabilities.csv").read_text().splitlines()
    assert lines[:3] == [
        "photo,label,group,probability,threshold,decided,margin",
        "a.jpg,other,sleeve,0.25,0.5,False,-0.25",
        "a.jpg,'=cmd,colour,0.75,0.5,True,0.25",
    ]
    assert len(lines) == 1 + ANSWERS.probabilities.size


def test_the_photo_whose_decision_is_nearest_to_the_edge_comes_first():
    assert probabilities.least_certain_first(ANSWERS, NEEDED).tolist() == [0, 1]
    assert probabilities.least_certain_first(ANSWERS, NEEDED - 0.4).tolist() == [1, 0]
    told = probabilities.least_certain(LABELS, ANSWERS, NEEDED)
    nearest = "a.jpg (colour: other 0.50, 0.50 is enough), b.jpg (sleeve: other 0.88, 0.50 is enough)"
    assert told == f"least certain: {nearest}"

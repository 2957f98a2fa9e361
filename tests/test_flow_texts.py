"""A whole job on photos with a title each, as a user runs it."""

import csv
import json
import re

import pytest
import workplaces

from benchmarks import texts
from mlob import Labeller

pytestmark = pytest.mark.slow

QUICK = 'Ensemble(folds=3, draws=50, methods=("mean",), rules=("one threshold",))'
PHOTO = 'Experiment(("photos",), Head(units=(64,)), Training(epochs=8, batch=32))'
RECIPES = {
    "features/photos.py": 'FeatureSet("efficientnet_lite0", weights="random")',
    "features/words.py": 'FeatureSet("text", text=Text("counts"))',
    "features/tfidf.py": 'FeatureSet("text", text=Text())',
    "experiments/tiny/suite.py": f'Suite("shop", ("photo", "words", "tfidf"), ("both",), ensemble={QUICK}, '
    'annotations=Annotations(text="title"))',
    "experiments/tiny/photo.py": PHOTO,
    "experiments/tiny/words.py": 'Experiment(("words",), NAIVE_BAYES)',
    "experiments/tiny/tfidf.py": 'Experiment(("tfidf",), LOGISTIC_OF_TEXT)',
    "experiments/tiny/both.py": PHOTO.replace('"photos",', '"photos", "tfidf"'),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a suite of photos and titles; 210 drawn photos."""
    folder = tmp_path_factory.mktemp("texts")
    texts.draw(folder / "shop", 210, size=64)
    return workplaces.write(folder, RECIPES)


@pytest.fixture
def mlob(shop, command):
    """Run a command there, and give its exit status and what it printed."""

    def run(*words, **settings):
        return command(shop, *words, SUITE="tiny", **settings)

    return run


def micro_f1(shop, product):
    return json.loads((shop / f"runs/tiny/{product}").read_text())["scores"]["micro_f1"]["value"]


def test_the_photo_and_its_text_together_beat_the_photo_alone(mlob, shop):
    status, told = mlob("report")
    assert status == 0, told
    assert "their texts: title" in told and re.search(r"words: \d+ texts as [\d,]+ terms\.", told)
    ensemble = json.loads((shop / "runs/tiny/ensemble/ensemble.json").read_text())
    assert ensemble["headline"]["micro_f1"]["value"] > micro_f1(shop, "photo/result.json")
    assert micro_f1(shop, "both/result.json") > micro_f1(shop, "photo/result.json")
    before = {path: path.read_bytes() for path in shop.glob("runs/tiny/*/*") if path.is_file()}
    assert mlob("report")[0] == 0
    assert {path: path.read_bytes() for path in before} == before


def test_new_photos_are_predicted_with_their_texts_and_not_without(mlob, shop):
    status, told = mlob("predict", shop / "shop/images/0.jpg")
    assert status == 2 and "words reads the column 'title' beside each photo: name a table" in told
    table = shop / "new.csv"
    found = {}
    for title in ("red dress", "blue skirt"):
        table.write_text(f"image,title\n0,{title}\n")
        status, told = mlob("predict", shop / "shop/images/0.jpg", shop / "shop/images/1.jpg", TEXTS=table)
        assert status == 0 and f"{table} has no text of 1 of 2 photos" in told
        with (shop / "runs/tiny/predict/predictions.csv").open(newline="") as file:
            found[title] = [row for row in csv.DictReader(file) if row["image"].endswith("0.jpg")]
    assert found["red dress"] != found["blue skirt"]
    rows = Labeller.load(shop / "runs/tiny").predict([shop / "shop/images/0.jpg"] * 2, [*found])
    assert list(rows["label"]) == [row["label"] for title in found for row in found[title]]
    table.write_text("image,title\nother.jpg,hat\n")
    status, told = mlob("predict", shop / "shop/images/0.jpg", TEXTS=table)
    assert status == 2 and "names none of these photos: expected 0.jpg or 0" in told


@pytest.mark.parametrize(("content", "wrong"), [("title\nhat\n", "no column of photos"), ("image\n0\n", "'title'")])
def test_a_table_that_lacks_a_column_is_refused(mlob, shop, content, wrong):
    (shop / "wrong.csv").write_text(content)
    status, told = mlob("predict", shop / "shop/images/0.jpg", TEXTS=shop / "wrong.csv")
    assert status == 2 and wrong in told and "Traceback" not in told


def test_labels_of_test_agree_with_those_of_the_same_photos_as_new_ones(mlob, shop):
    status, told = mlob("submission")
    assert status == 0, told
    with (shop / "runs/tiny/ensemble/submission.csv").open(newline="") as file:
        submitted = {row["image"]: set(filter(None, row["labels"].split("|"))) for row in csv.DictReader(file)}
    assert mlob("predict", PHOTOS=shop / "shop/images", TEXTS=shop / "shop/photos.csv")[0] == 0
    with (shop / "runs/tiny/predict/predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["image"].rpartition("/")[2] in submitted]
    predicted = {name: set() for name in submitted}
    for row in rows:
        predicted[row["image"].rpartition("/")[2]].add(row["label"])
    same = sum(predicted[name] == {each.rpartition(": ")[2] for each in submitted[name]} for name in submitted)
    assert same >= 0.9 * len(submitted)


def test_a_suite_of_texts_is_refused_where_there_are_none_before_anything_long(mlob, shop):
    status, told = mlob("train", SET="annotations.text=name")
    assert status == 2 and "has no column 'name', which annotations.text names" in told
    status, told = mlob("train", MODEL="words", SET="annotations.text=")
    assert status == 2 and "Traceback" not in told


def test_a_dry_run_tells_of_texts_and_makes_nothing(mlob, shop, tmp_path):
    status, told = mlob("train", "--dry-run", MODEL="words", FEATURES=tmp_path / "features", RUNS=tmp_path / "runs")
    assert status == 0 and re.search(r"features words: \d+ texts to be read", told)
    assert not (tmp_path / "features").exists()

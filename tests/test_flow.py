"""The whole job as a user runs it: commands in, files and exit statuses out."""

import contextlib
import csv
import functools
import http.server
import inspect
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading

import h5py
import pandas as pd
import pytest

from mlob import Labeller
from mlob.data import demo
from mlob.ensemble.methods import METHODS
from mlob.files import from_cell
from mlob.runs import model

SUITE = """
from mlob.recipes import Ensemble, Suite

ENSEMBLE = Ensemble(folds=3, iterations=5, draws=50)
recipe = Suite("photos", members=("wide", "both", "pair"), rows=("linear",), ensemble=ENSEMBLE)
"""
EXPERIMENT = """
from mlob.recipes import LINEAR, Experiment, Head, Training

recipe = Experiment({stores}, {head}, Training(epochs=8){more})
"""
SUM = """
from mlob.recipes import Sum

recipe = Sum(parts=("common", "rest"))
"""
ADD = "add validation.json, or rows of that split to the table; without a column split, more photos, or that column"
FEATURES = """
from mlob.recipes import FeatureSet

recipe = FeatureSet("efficientnet_lite0"{more})
"""


def run(folder, *words, status=0, **settings):
    """Run a command in a folder, in a process of its own; give its output and what it printed on stderr."""
    command = [sys.executable, "-m", "mlob", *map(str, words)]
    done = subprocess.run(
        command, cwd=folder, env=bare_environment(**settings), capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def bare_environment(**settings):
    """The environment without settings of mlob, but for those given: DATA=… stands there as MLOB_DATA."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLOB_")}
    settings = {f"MLOB_{name}": value for name, value in {"SUITE": "tiny", **settings}.items()}
    return {**kept, "PYTHONPATH": str(pathlib.Path(__file__).parents[1]), **settings}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_experiment(folder, name, stores=("average",), head="Head(units=(32,))", more=""):
    write(folder / f"experiments/tiny/{name}.py", EXPERIMENT.format(stores=stores, head=head, more=more))


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a suite of two models over two small stores, and 90 drawn photos; the job is done there."""
    folder = tmp_path_factory.mktemp("workplace")
    demo.draw(folder / "photos", photos=90)
    write(folder / "features/average.py", FEATURES.format(more=""))
    write(folder / "features/stages.py", FEATURES.format(more=', pool="blocks"'))
    write(folder / "experiments/tiny/suite.py", SUITE)
    write_experiment(folder, "wide")
    write_experiment(folder, "both", stores=("average", "stages"))
    write_experiment(folder, "linear", head="LINEAR")
    write_experiment(folder, "common", more=", least_share=0.3")
    write_experiment(folder, "rest", more=", most_share=0.3")
    write(folder / "experiments/tiny/pair.py", SUM)
    run(folder, "submission")
    return folder


@pytest.fixture
def mlob(command):
    """Run a command as `run` does, in this process, which has loaded TensorFlow."""

    def run(folder, *words, status=0, **settings):
        ended, printed = command(folder, *words, **{"SUITE": "tiny", **settings})
        assert ended == status, printed
        return printed

    return run


def products(folder):
    """Content and time of every product that is costly to make."""
    paths = [*folder.glob("features/**/*.h5"), *folder.glob("runs/**/*.h5"), *folder.glob("runs/**/head.keras")]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_the_submission_has_every_test_photo_once_in_the_order_of_the_annotations(workplace):
    with open(workplace / "runs/tiny/ensemble/submission.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    images = json.loads((workplace / "photos/test.json").read_text())["images"]
    assert [row["image_id"] for row in rows] == [str(image["imageId"]) for image in images]
    assert all(label.isdigit() for row in rows for label in row["label_id"].split())


def test_a_second_run_redoes_nothing(workplace):
    before = products(workplace)
    run(workplace, "submission")
    assert before and products(workplace) == before


def test_the_ensemble_and_a_model_leave_as_they_answer_here_and_are_written_once(workplace, mlob):
    told = mlob(workplace, "export", "--format", "keras")
    assert "its decisions are equal" in told and "export: runs/tiny/export/ensemble/keras" in told
    assert "is there already" in mlob(workplace, "export", "--format", "keras")
    mlob(workplace, "export", "--format", "keras", "--model", "pair")
    known = json.loads((workplace / "runs/tiny/export/pair/keras/labels.json").read_text())
    assert known["method"] == "pair, one threshold" and len(known["thresholds"]) == len(known["names"])
    result = json.loads((workplace / "runs/tiny/pair/result.json").read_text())
    assert known["figures"]["micro_f1"] == result["scores"]["micro_f1"]
    assert "There is no nowhere" in mlob(workplace, "export", "--format", "openvino", "--photos", "nowhere", status=2)


def test_the_least_certain_photos_are_listed_for_people(workplace, mlob):
    told = mlob(workplace, "review", "-n", "5")
    assert "review: runs/tiny/ensemble/review.html" in told
    with open(workplace / "runs/tiny/ensemble/review.csv", newline="") as file:
        test = list(csv.DictReader(file))
    assert len(test) == 5 and {row["split"] for row in test} == {"test"}
    edges = [abs(float(row["probability"]) - float(row["threshold"])) for row in test]
    assert edges == pytest.approx(sorted(edges), abs=2e-4)
    mlob(workplace, "review", "--split", "validation")
    page = (workplace / "runs/tiny/ensemble/review.html").read_text()
    assert page.count("annotated:") > 5 and "http://" not in page


def test_the_report_shows_every_model_the_rows_and_the_reference(workplace, mlob):
    brief, shown = mlob(workplace, "report"), mlob(workplace, "report", "--verbose")
    assert "The best 6 of " in brief and "constant" not in brief and "below logistic" not in brief
    page = (workplace / "runs/tiny/report/index.html").read_text()
    for name in ("constant", "wide", "both", "pair", "linear", "logistic", "best single", "harmonic mean", "PSO"):
        assert name in shown and name in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script src" not in page


def test_specialists_are_not_measured_against_a_regression_on_all_labels(workplace, mlob, monkeypatch):
    measured = []
    monkeypatch.setattr(model, "compare", lambda folder, *others: measured.append(folder.name))
    mlob(workplace, "report", SET="rows=[linear,rest]")
    assert {*measured} == {"wide", "linear"}


def test_a_suite_about_a_task_repeats_its_models_once_and_refuses_a_task_that_is_not_there(workplace, mlob):
    told = mlob(workplace, "report", SET="task=category,repeats=2")
    assert re.search(r"^wide +2 +[01]\.\d{3} ", told, re.MULTILINE) and "The likeliest category of " in told
    page = (workplace / "runs/tiny/report/index.html").read_text()
    assert re.search(r'<p class="lede">Of every 100 photos, \d+ get the right category\.</p>', page)
    repeated = {path.parts[-4] for path in workplace.glob("runs/tiny/*/repeats/1/result.json")}
    assert repeated == {"wide", "both", "linear", "common", "rest", "pair"}
    assert json.loads((workplace / "runs/tiny/wide/repeats/1/result.json").read_text())["seed"] == 1
    before = products(workplace)
    mlob(workplace, "report", SET="task=category,repeats=2")
    assert products(workplace) == before
    planned = mlob(workplace, "report", "--dry-run", SET="task=category,repeats=3")
    assert "for the table of category each model would have 3 trainings in all" in planned
    assert products(workplace) == before
    assert "task is 'categry'. Did you mean category" in mlob(workplace, "train", SET="task=categry", status=2)


def test_new_photos_are_labelled_and_extracted_once(workplace, tmp_path, mlob):
    photos = tmp_path / "new"
    shutil.copytree(workplace / "photos/images/test", photos)
    first = mlob(workplace, "predict", "--photos", photos)
    (photos / "1.jpg").rename(photos / "renamed.jpg")
    again = mlob(workplace, "predict", "--photos", photos, SET="members=[pair,both,wide]")  # each weight goes by name
    assert "/s, " in first and "/s, " not in again  # no progress line: nothing was extracted
    line = next(line for line in first.splitlines() if line.startswith(f"{photos / '1.jpg'}: "))
    assert f"{photos / 'renamed.jpg'}: {line.split(': ', 1)[1]}" in again


@contextlib.contextmanager
def moved_away(folder):
    folder.rename(folder.with_name("away"))
    try:
        yield
    finally:
        folder.with_name("away").rename(folder)


def outcomes(printed):
    """What a prediction printed for each photo, by its name."""
    return sorted(line.rpartition("/")[2] for line in printed.splitlines() if ".jpg: " in line)


@pytest.fixture
def alone(workplace, tmp_path):
    """Settings under which trained members have no features of their data, and a copy of the test photos in new/."""
    shutil.copytree(workplace / "runs", tmp_path / "runs")
    shutil.copytree(workplace / "photos/images/test", tmp_path / "new")
    return {"RUNS": str(tmp_path / "runs"), "FEATURES": str(tmp_path / "features"), "PHOTOS": str(tmp_path / "new")}


def test_new_photos_need_neither_data_nor_features(workplace, tmp_path, mlob, alone):
    expected = outcomes(mlob(workplace, "predict", "--photos", tmp_path / "new"))
    with moved_away(workplace / "photos"):
        told = mlob(workplace, "predict", **alone)
    assert outcomes(told) == expected and len(expected) > 9 and not list(tmp_path.glob("features/*/photos"))


def test_from_python_new_photos_get_the_labels_that_the_command_gives_them(workplace, tmp_path, mlob, alone):
    mlob(workplace, "predict", **alone)
    expected = pd.read_csv(tmp_path / "runs/tiny/predict/predictions.csv", keep_default_na=False, na_values=[""])
    labeller = Labeller.load(tmp_path / "runs/tiny")
    found = labeller.predict(sorted((tmp_path / "new").iterdir()))
    assert found["image"].nunique() > 9 and found["failure"].any()
    texts = ["image", "label", "failure"]
    order = [
        rows.fillna({"label": "", "failure": ""}).sort_values(texts, ignore_index=True) for rows in (found, expected)
    ]
    pd.testing.assert_frame_equal(order[0][texts], order[1][texts])
    numbers = ["probability", "threshold"]
    pd.testing.assert_frame_equal(order[0][numbers], order[1][numbers], atol=2e-4)


def test_the_ensemble_that_predicts_is_the_one_that_is_served(workplace, mlob, alone):
    assert "serve: runs/tiny at http://127.0.0.1:" in mlob(workplace, "serve", "--port", "0", "--dry-run")
    (pathlib.Path(alone["RUNS"]) / "tiny/folder.txt").write_text("/gone/shop")
    with moved_away(workplace / "photos"):
        told = mlob(workplace, "serve", "--port", "0", "--dry-run", RUNS=alone["RUNS"])
    assert f"with the ensemble in {alone['RUNS']}/tiny, made of /gone/shop" in told
    assert f"serve: {alone['RUNS']}/tiny at http" in told


def test_the_only_ensemble_predicts_where_no_data_is_named_and_of_several_one_is_asked_for(
    workplace, tmp_path, mlob, alone
):
    first, other = tmp_path / "runs/tiny", tmp_path / "runs/tiny.other"
    (first / "folder.txt").write_text("/gone/shop")
    with moved_away(workplace / "photos"):
        told = mlob(workplace, "predict", **alone)
        assert f"with the ensemble in {first}, made of /gone/shop" in told and len(outcomes(told)) > 9
        shutil.copytree(first, other)
        (other / "folder.txt").write_text("/gone/other")
        told = mlob(workplace, "predict", status=2, **alone)
        assert f"{first} of /gone/shop, {other} of /gone/other): name one of these with --data" in told
        told = mlob(workplace, "predict", "--data", "/gone/other", **alone)
        assert f"predictions: {other / 'predict/predictions.csv'}" in told


def test_an_ensemble_that_keeps_too_little_or_was_made_of_other_members_takes_the_data(workplace, tmp_path, mlob):
    shutil.copytree(workplace / "runs", tmp_path / "runs")
    runs, photo = {"RUNS": str(tmp_path / "runs")}, workplace / "photos/images/test/1.jpg"
    (tmp_path / "runs/tiny/ensemble/predict.json").unlink()
    assert "before this one did not keep: this is seen to first" in mlob(workplace, "predict", photo, **runs)
    assert "predict: " not in mlob(workplace, "predict", photo, **runs)
    mlob(workplace, "train", "--model", "wide", "--set", "training.epochs=2", **runs)
    told = mlob(workplace, "predict", photo, **runs)
    assert "wide was trained again after the ensemble was made: this is seen to first" in told
    assert "wide is made anew: training.epochs from 2 to 8" in told


def test_recipes_that_changed_after_the_ensemble_are_told_and_retrain_nothing(workplace, tmp_path, mlob):
    before, recipe = products(workplace), workplace / "experiments/tiny/wide.py"
    text = recipe.read_text()
    recipe.write_text(text.replace("epochs=8", "epochs=9"))
    told = mlob(workplace, "predict", workplace / "photos/images/test/1.jpg")
    recipe.write_text(text)
    assert "before wide.training.epochs changed: `mlob ensemble` makes it anew" in told
    assert {path: before[path] for path in before if "predicted" not in str(path)}.items() <= products(
        workplace
    ).items()


def test_a_bad_photo_to_predict_is_named_with_its_reason(workplace, tmp_path, mlob):
    (tmp_path / "bad.jpg").write_text("no photo")
    told = mlob(workplace, "predict", tmp_path / "bad.jpg", status=2)
    assert "bad.jpg: not read (not an image)" in told
    assert "None of the 1 photos could be read (not an image: 1)" in told


def test_of_a_folder_the_photos_are_labelled_and_the_rest_is_counted_with_reasons(workplace, tmp_path, mlob):
    shutil.copy(workplace / "photos/images/test/1.jpg", tmp_path / "good.jfif")
    (tmp_path / "bad.jpg").write_text("no photo")
    (tmp_path / "notes.txt").write_text("no photo")
    told = mlob(workplace, "predict", "--photos", tmp_path)
    assert f"{tmp_path}: 1 file is not a photo and was left out: notes.txt" in told
    assert f"{tmp_path / 'good.jfif'}: " in told and f"{tmp_path / 'good.jfif'}: not read" not in told
    assert "1 of 2 photos could not be read (not an image: 1)" in told


@pytest.fixture
def unfinished(tmp_path):
    """A data folder without a validation split."""
    write(tmp_path / "data/photos.csv", "image,labels,split\n" + "".join(f"{row}.jpg,x,train\n" for row in range(9)))
    return tmp_path / "data"


@pytest.mark.parametrize("verb", ["train", "submission", "report --dry-run", "predict photos/images"])
def test_what_the_annotations_alone_can_tell_is_refused_before_anything_long(workplace, unfinished, verb, mlob):
    told = mlob(workplace, *verb.split(), "--data", unfinished, status=2)
    assert told == f"mlob: {unfinished} has no validation split (found: train): {ADD}.\n"


def test_features_alone_say_what_will_be_refused_after_them(workplace, unfinished, mlob):
    (unfinished / "images").mkdir()
    shutil.copy(next((workplace / "photos/images/train").iterdir()), unfinished / "images/1.jpg")
    told = mlob(workplace, "features", "--data", unfinished, "--dry-run")
    assert f"after the features will be refused: {unfinished} has no validation split" in told
    assert "8 of 9 train photos have no file" in told and "features average: 1 photo through" in told


def test_a_submission_asks_for_a_test_split_before_anything_long(workplace, unfinished, mlob):
    with open(unfinished / "photos.csv", "a") as file:
        file.writelines(f"{row}.jpg,x,validation\n" for row in range(10, 13))
    assert "has no test split" in mlob(workplace, "submission", "--data", unfinished, status=2)


def test_a_sample_of_other_photos_is_refused_before_anything_long_and_facts_say_so(workplace, unfinished, mlob):
    with open(unfinished / "photos.csv", "a") as file:
        file.writelines(f"{row}.jpg,x,validation\n" for row in range(10, 13))
        file.writelines(f"{row}.jpg,,test\n" for row in range(20, 23))
    (unfinished / "sample_submission.csv").write_text("id,tags\n20,x\n21,x\n99,x\n")
    refusal = f"{unfinished / 'sample_submission.csv'} names 1 photos that test lacks, the first is '99'"
    assert refusal in mlob(workplace, "submission", "--data", unfinished, status=2)
    told = mlob(workplace, "facts", "--data", unfinished)
    assert f"To mend: {refusal}" in told and "Ready" not in told
    (unfinished / "sample_submission.csv").write_text("id,tags\n21,x\n20,x\n22,x\n")
    told = mlob(workplace, "facts", "--data", unfinished)
    assert "submission: a row a photo (id,tags), names of labels, separated by '|', 3 photos\n" in told


def test_facts_end_in_what_is_to_be_mended_or_in_ready(workplace, unfinished, mlob):
    told = mlob(workplace, "facts", "--data", unfinished)
    assert "9 of 9 train photos have no features: no file 9" in told
    assert f"To mend: {unfinished} has no validation split (found: train): {ADD}" in told and "Ready" not in told
    told = [line for line in mlob(workplace, "facts").splitlines() if not line.startswith("submission: ")]
    assert told[-1].startswith("Ready: ")


def test_a_dry_run_tells_of_photos_without_a_file(workplace, tmp_path, mlob):
    shutil.copytree(workplace / "photos", tmp_path / "photos")
    for name in ("4", "6"):
        next((tmp_path / "photos/images/train").glob(f"{name}.*")).unlink()
    told = mlob(workplace, "submission", "--dry-run", "--data", tmp_path / "photos")
    assert told.count("of 60 train photos have no file") == 1


def test_facts_find_photos_that_are_there_twice_before_their_features_and_after(workplace, tmp_path, mlob):
    for features in ({}, {"FEATURES": str(tmp_path)}):
        assert "of test also found in train, by content" in mlob(workplace, "facts", **features)


def test_a_dry_run_does_nothing_and_says_what_is_missing(workplace, tmp_path, mlob):
    before = products(workplace)
    told = mlob(workplace, "submission", "--dry-run", FEATURES=str(tmp_path / "features"), RUNS=str(tmp_path / "runs"))
    assert "90 photos" in told and "wide" in told
    assert told.count("Read as iMaterialist 2018") == told.count("Groups of labels: category (9, one each)") == 1
    assert "Groups of labels" not in mlob(workplace, "submission", "--dry-run")  # features are there
    assert products(workplace) == before and not list(tmp_path.glob("*/**/*.h5"))


def test_another_data_folder_of_the_same_name_has_features_and_runs_of_its_own(workplace, tmp_path, mlob):
    shutil.copytree(workplace / "photos", tmp_path / "photos")
    told = mlob(workplace, "train", "--model", "wide", "--dry-run", "--data", tmp_path / "photos")
    assert "90 photos through efficientnet_lite0" in told and "runs/tiny.photos/wide" in told


def test_a_data_folder_that_was_renamed_keeps_its_features_and_its_runs(workplace, tmp_path, mlob):
    shutil.copytree(workplace / "photos", tmp_path / "shop")
    for products in ("features", "runs"):
        shutil.copytree(workplace / products, tmp_path / products)
    for note in [*tmp_path.glob("features/*/photos/folder.txt"), tmp_path / "runs/tiny/folder.txt"]:
        note.write_text("/gone/mine")
    settings = {"FEATURES": str(tmp_path / "features"), "RUNS": str(tmp_path / "runs"), "DATA": str(tmp_path / "shop")}
    told = mlob(workplace, "ensemble", "--dry-run", **settings)
    assert told.count(": complete") == 2 and "would be made" not in told
    told = mlob(workplace, "ensemble", **settings)
    assert (
        f"{tmp_path / 'runs/tiny'} was made of /gone/mine, which is gone: it belongs to {tmp_path / 'shop'} now" in told
    )
    assert "anew" not in told and not list(tmp_path.glob("*/*shop"))


def test_set_changes_a_recipe_and_the_run_is_made_anew(workplace, tmp_path, mlob):
    runs = {"RUNS": str(tmp_path)}
    mlob(workplace, "train", "--model", "wide", **runs)
    first = (tmp_path / "tiny/wide/predictions.h5").read_bytes()
    changed = ["train", "--model", "wide", "--set", "head.units=[16],training.epochs=2"]
    why = "made anew: head.units from [32] to [16]; training.epochs from 8 to 2\n"
    assert f"wide would be {why}" in mlob(workplace, *changed, "--dry-run", **runs)
    assert f"wide is {why}" in mlob(workplace, *changed, **runs)
    assert "anew" not in mlob(workplace, *changed, **runs)
    result = json.loads((tmp_path / "tiny/wide/result.json").read_text())
    assert result["epochs"] == 2 and (tmp_path / "tiny/wide/predictions.h5").read_bytes() != first


def test_a_suite_is_judged_in_one_way_and_another_trains_nothing(workplace, tmp_path, mlob):
    shutil.copytree(workplace / "runs", tmp_path / "runs")
    heads = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/head.keras")}
    told = mlob(workplace, "ensemble", SET="ensemble.folds=4", RUNS=str(tmp_path / "runs"))
    assert "judged anew, as the suite is: wide" in told
    assert heads == {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/head.keras")}
    content = json.loads((tmp_path / "runs/tiny/ensemble/ensemble.json").read_text())
    for name in ("wide", "both", "pair", "common", "rest", "logistic"):
        result = json.loads((tmp_path / f"runs/tiny/{name}/result.json").read_text())
        assert result["judging"] == content["judging"]
    judging = content["judging"]
    assert judging.pop("metric")["name"] == "micro_f1"
    assert judging == {"folds": 4, "draws": 50, "seed": 0, "one_each": True}


@pytest.mark.parametrize("metric", ["mean_average_precision", "recall_at_precision"])
def test_headline_and_report_follow_the_metric_and_nothing_is_trained_for_it(metric, workplace, tmp_path, mlob):
    runs = {"RUNS": str(tmp_path / "runs")}
    setting, title = {
        "mean_average_precision": ("", "mean average precision"),
        "recall_at_precision": ("ensemble.wished=0.6,", "recall at 0.6 precision"),
    }[metric]
    settings = {"SET": f"ensemble.metric={metric},{setting}ensemble.methods=[PSO,log-loss weights]"}
    shutil.copytree(workplace / "runs", tmp_path / "runs")
    heads = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/head.keras")}
    told = mlob(workplace, "ensemble", **runs, **settings)
    assert f"ensemble: {title} 0." in told and "judged anew, as the suite is: wide" in told
    assert heads == {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/head.keras")}
    content = json.loads((tmp_path / "runs/tiny/ensemble/ensemble.json").read_text())
    assert next(iter(content["headline"])) == metric == content["judging"]["metric"]["name"]
    for name in ("wide", "both", "pair", "logistic"):
        assert metric in json.loads((tmp_path / f"runs/tiny/{name}/result.json").read_text())["scores"]
    assert "anew" not in mlob(workplace, "ensemble", **runs, **settings)
    shown = mlob(workplace, "report", **runs, **settings)
    page = (tmp_path / "runs/tiny/report/index.html").read_text()
    headline = f"{title[0].upper()}{title[1:]} {content['headline'][metric]['value']:.3f} on"
    assert f"{title} on dev" in shown and headline in page
    assert ("are automated" in page) == ("are automated" in told) == (metric == "recall_at_precision")


def test_a_metric_that_the_labels_do_not_allow_is_refused_before_anything_long(workplace, tmp_path, mlob):
    for metric, message in (
        ("top_2", "ensemble.metric is 'top_2'. Did you mean top_1"),
        ("top_1", "ensemble.group is ''; there are: category, colour"),
        ("macro_f1,ensemble.beta=3", "ensemble.beta is 3.0 beside ensemble.metric 'macro_f1'"),
    ):
        told = mlob(workplace, "train", "--set", f"ensemble.metric={metric}", status=2, RUNS=str(tmp_path))
        assert message in told and "Traceback" not in told


def test_few_photos_are_learned_by_heart_and_a_head_that_cannot_is_told(workplace, mlob):
    told = mlob(workplace, "overfit", "--model", "wide", "-n", "10")
    assert "wide learned 10 photos by heart: loss 0." in told
    told = mlob(workplace, "overfit", "--model", "wide", "--set", "training.learning_rate=1e-9", status=2)
    assert "not near zero: raise training.learning_rate" in told


def test_a_curve_and_a_search_are_made_once_and_stand_in_the_report(workplace, mlob):
    first = mlob(workplace, "learning-curve", "--model", "wide")
    again = mlob(workplace, "learning-curve", "--model", "wide")
    assert "each doubling of the photos brought" in again and again in first and "rows/s" in first
    told = mlob(workplace, "search", "--model", "wide", "--budget", "10s", "--set", "training.epochs=3")
    assert " trials, " in told and "search/recipe.py is the best recipe; in experiments/tiny" in told
    assert "rows/s" not in mlob(workplace, "search", "--model", "wide", "--budget", "5s", "--set", "training.epochs=3")
    shutil.copy(workplace / "runs/tiny/wide/search/recipe.py", workplace / "experiments/tiny/wide_searched.py")
    mlob(workplace, "train", "--model", "wide_searched", "--dry-run")
    shown = mlob(workplace, "report")
    page = (workplace / "runs/tiny/report/index.html").read_text()
    assert "micro-F1 on dev" in shown and "The gain is over wide" in shown
    for title in ("Recipes compared on dev", "Gains on dev", "Learning curves", "Search: wide"):
        assert title in page


def test_a_table_of_photos_without_splits_gives_a_working_suite(workplace, tmp_path, mlob):
    data = tmp_path / "mine"
    shutil.copytree(workplace / "photos/images/train", data)
    annotations = json.loads((workplace / "photos/train.json").read_text())["annotations"]
    names = {path.stem: path.name for path in data.iterdir()}
    called = lambda label: "=cmd" if label == 1 else f"label no. {label}"  # noqa: E731
    lines = [f"{names[one['imageId']]},{'|'.join(map(called, one['labelId']))}" for one in annotations]
    lines[-3:] = [f"{line.split(',')[0]}," for line in lines[-3:]]
    (data / "photos.csv").write_text("\n".join(["image,labels", *lines]))
    alone = {"RUNS": str(tmp_path / "runs"), "FEATURES": str(tmp_path / "features")}
    told = mlob(workplace, "submission", "--data", data, **alone, SET="members=[wide]")
    assert "a row a photo (image,labels), names of labels, separated by '|', 3 photos" in told
    answers = {path: path.read_bytes() for path in (tmp_path / "runs/tiny/ensemble").glob("*.[cp]*[vt]")}
    assert {path.name for path in answers} == {"submission.csv", "probabilities.parquet"}
    with (tmp_path / "runs/tiny/ensemble/submission.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["image", "labels"] and [row[0] for row in rows] == [line.split(",")[0] for line in lines[-3:]]
    given = {name for _, cell in rows for name in from_cell(cell).split("|") if name}
    assert given and given <= {called(label) for one in annotations for label in one["labelId"]}
    mlob(workplace, "submission", "--data", data, **alone, SET="members=[wide]")
    assert answers == {path: path.read_bytes() for path in answers}
    told = mlob(workplace, "predict", "--data", data, next(data.glob("*.jpg")), **alone)
    assert "with SET=members=[wide], as the ensemble was made" in told and not (tmp_path / "runs/tiny/both").exists()


def test_clean_removes_all_that_a_suite_made_and_no_features(workplace, tmp_path, mlob):
    shutil.copytree(workplace / "runs", tmp_path / "runs")
    before = sorted(workplace.glob("features/**/*"))
    told = mlob(workplace, "clean", RUNS=str(tmp_path / "runs"))
    assert "files removed" in told and "did not make" not in told
    assert not (tmp_path / "runs").exists() and sorted(workplace.glob("features/**/*")) == before
    assert "photos/tiny holds no products" in mlob(workplace, "clean", RUNS=str(workplace / "photos"))


BAD = {
    "no suite of this name": (["train", "--suite", "tinny"], "no suite 'tinny'. Did you mean tiny?"),
    "no model of this name": (["train", "--model", "wdie"], "wdie.py. Did you mean wide?"),
    "no such field": (["train", "--set", "head.dropot=1"], "Did you mean head.dropout"),
    "a value that does not fit": (["train", "--set", "training.epochs=many"], "training.epochs='many'"),
    "no such data folder": (["features", "--data", "nowhere"], "nowhere does not exist"),
    "no such weights": (["features", "--weights", "nowhere.h5", "--set", "features.backbone=mobilenet"], "nowhere.h5"),
    "no such pool": (["features", "--set", "features.pool=min"], "pool='min'"),
    "a store of another pool": (["features", "--set", "features.pool=max"], "made with pool 'avg', but 'max'"),
    "no such part": (["features", "--shard", "4/3"], "expected i/n with i from 1 to n"),
    "no such engine": (["features", "--engine", "rya"], "'rya'"),
    "a bucket without a name": (["features", "--data", "s3://"], "s3://"),
    "a store of another layer": (["features", "--set", "features.layer=block2b_add"], "made with layer 'last'"),
    "a verb that does not exist": (["trian"], "train"),
    "a budget without a unit": (["search", "--budget", "20"], "'20': expected a duration, for example 90s, 20m"),
    "a curve of a sum": (["learning-curve", "--model", "pair"], "pair is the sum of common, rest: name one of these"),
    "a search of logistic": (["search", "--model", "logistic"], "logistic is scikit-learn's logistic regression"),
    "no photo to predict": (["predict", "photos/nowhere.jpg"], "no photos/nowhere.jpg"),
}


@pytest.mark.parametrize("words, message", BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_exit_status_2(workplace, words, message, mlob):
    told = mlob(workplace, *words, status=2)
    assert message in told and "Traceback" not in told


def test_a_damaged_shard_is_named_with_the_mend(workplace, tmp_path, mlob):
    shutil.copytree(workplace / "features", tmp_path / "features")
    path = next(tmp_path.glob("features/average/photos/0001/*.h5"))
    with h5py.File(path, "r") as file:
        offset = file["features"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    told = mlob(
        workplace, "train", "--model", "wide", status=2, FEATURES=str(tmp_path / "features"), RUNS=str(tmp_path)
    )
    assert str(path) in told and "remove the file" in told


def test_an_interrupted_extraction_ends_with_130_and_goes_on(workplace, tmp_path, mlob):
    environment = bare_environment(FEATURES=str(tmp_path))
    command = [sys.executable, "-m", "mlob", "features", "--model", "wide"]
    # A background shell hands an ignored Ctrl-C down to its children; a user's terminal does not.
    heeded = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command,
        cwd=workplace,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeded,  # noqa: PLW1509
    ) as job:
        for line in job.stderr:
            if "photos through" in line:
                break
        job.send_signal(signal.SIGINT)
        told = job.stderr.read()
    assert job.returncode == 130 and "Traceback" not in told
    assert not list(tmp_path.glob("**/*.part*"))
    mlob(workplace, "features", "--model", "wide", FEATURES=str(tmp_path))
    shards = "average/photos/*/*.h5"
    made = [path.read_bytes() for path in sorted(tmp_path.glob(shards))]
    assert made == [path.read_bytes() for path in sorted((workplace / "features").glob(shards))]


def test_photos_are_downloaded_prepared_and_the_missing_one_has_its_reason(workplace, tmp_path, mlob):
    kept = sorted((workplace / "photos" / "images" / "test").iterdir())[:3]
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=kept[0].parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        urls = {"1": f"{address}/{kept[0].name}", "2": f"{address}/nowhere.jpg", "3": f"{address}/{kept[1].name}"}
        content = {"images": [{"imageId": name, "url": url} for name, url in urls.items()]}
        write(tmp_path / "web" / "test.json", json.dumps(content))
        refused = mlob(workplace, "images", "--data", tmp_path / "web")
        assert "a private address 3" in refused
        told = mlob(workplace, "images", "--data", tmp_path / "web", "--allow-private")
        server.shutdown()
    assert "2 of 3 photos are there" in told and "404 1" in told
    assert {path.name for path in (tmp_path / "web" / "images" / "test").iterdir()} == {"1.jpg", "3.jpg"}


def test_every_verb_has_an_example(workplace, mlob):
    verbs = "images facts features overfit train learning-curve search ensemble submission review report predict clean"
    for verb in [*verbs.split(), "serve"]:
        assert f"mlob {verb}" in mlob(workplace, verb, "--help")


class Reached(Exception):
    """The mathematics is reached."""


MATHEMATICS = {  # functions of arrays alone: the loop of gradient steps, an ensemble's method, photos to features, …
    "train": ("mlob.training.learner", "Learner.run_epoch", ["train", "--model", "wide"]),
    "features": ("mlob.features.pipeline", "make_shards", ["features", "--model", "wide"]),
    "ensemble": (METHODS, "PSO", ["ensemble", "--set", "ensemble.iterations=9"]),
    "submission": ("mlob.reports.submission", "write", ["submission"]),
    "predict": ("mlob.training.predicting", "predict", ["predict", "photos/images/test"]),
}


@pytest.mark.parametrize("verb", MATHEMATICS)
def test_from_a_verb_to_the_mathematics_are_at_most_five_calls(verb, workplace, mlob, monkeypatch, tmp_path):
    owner, name, words = MATHEMATICS[verb]
    calls = []

    def reach(*arguments, **options):
        stack = [frame.function for frame in inspect.stack() if "/mlob/" in frame.filename]
        verb_last = len(stack) - 1 - stack[::-1].index(words[0])  # steps and runs have functions of its name, too
        calls.extend(call for call in stack[:verb_last] if not call.startswith("<"))
        raise Reached

    if isinstance(owner, dict):
        monkeypatch.setitem(owner, name, reach)
    else:
        monkeypatch.setattr(f"{owner}.{name}", reach)
    fresh = {"RUNS": tmp_path} if verb == "train" else {"FEATURES": tmp_path} if verb == "features" else {}
    with pytest.raises(Reached):
        mlob(workplace, *words, **fresh)
    assert len(calls) + 1 <= 5, calls

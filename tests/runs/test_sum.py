import dataclasses

import keras
import numpy as np
import pytest

from mlob import predictions
from mlob.errors import InputError
from mlob.recipes import Experiment, Head, Judging, Sum, Training
from mlob.runs import model, results
from mlob.runs import sum as sums
from mlob.runs.job import Job
from mlob.training import batches

JUDGE = Judging(folds=3, draws=50)
CUT = 0.3
PARTS = {"frequent": {"least_share": CUT}, "rare": {"most_share": CUT}}
BASE = Experiment(("one",), Head(units=(8,)), Training(epochs=2))
TOTAL = Sum(("frequent", "rare"))
FAILED = ("train 3", "validation 5", "test 1")


def train(folder, dataset, stores, **cuts):
    model.train(Job(folder.name, dataclasses.replace(BASE, **cuts), dataset, stores), folder, JUDGE)
    return folder


@pytest.fixture(scope="module")
def stores(made, write_store, tmp_path_factory):
    return {"one": write_store(tmp_path_factory.mktemp("features") / "one", made, failed=FAILED)}


@pytest.fixture(scope="module")
def parts(made, stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {name: train(folder / name, made, stores, **cuts) for name, cuts in PARTS.items()}


@pytest.fixture(scope="module")
def total(made, parts, tmp_path_factory):
    """The sum's folder and result."""
    folder = tmp_path_factory.mktemp("sums") / "specialists"
    return folder, sums.add("specialists", TOTAL, made, parts, folder, JUDGE)


def predicted(folder):
    return predictions.read(folder / "predictions.h5")


def test_each_label_is_predicted_by_its_specialist(total, parts, made):
    found, frequent, rare = (predicted(folder) for folder in (total[0], parts["frequent"], parts["rare"]))
    assert set(found) == {"dev", "validation", "test"}
    is_frequent = made["train"].targets.mean(axis=0) >= CUT
    assert 0 < is_frequent.sum() < len(is_frequent)
    for split, table in found.items():
        expected = np.where(is_frequent, frequent[split].probabilities, rare[split].probabilities)
        assert np.array_equal(table.probabilities, expected) and table.ids == frequent[split].ids


def test_a_photo_that_cannot_be_read_gets_each_labels_share_once(total, made):
    failed = predicted(total[0])["validation"].probabilities[5]
    assert failed == pytest.approx(made["train"].targets.mean(axis=0), abs=0.1)


def test_the_model_on_disk_predicts_the_sum(total, made, stores):
    read = batches.read([stores["one"]], made["test"])
    found = predicted(total[0])["test"]
    rows = [found.ids.index(name) for name in read.ids]
    model = keras.saving.load_model(total[0] / "head.keras")
    assert model.predict_on_batch(read.features[:]) == pytest.approx(found.probabilities[rows], abs=1e-6)


def test_the_result_is_that_of_a_run_with_the_costs_of_both(total, parts):
    folder, result = total
    assert results.read(folder) == result
    parts = [results.read(folder) for folder in parts.values()]
    assert result.method == "specialists"
    assert result.parameters.own == sum(part.parameters.own for part in parts)
    assert result.parameters.total == result.parameters.own + 1000
    assert result.seconds.features == parts[0].seconds.features


def test_a_sum_is_done_only_with_just_its_parts_predictions(total, parts, made):
    wanted = sums.identity(TOTAL, made, parts)
    assert model.is_done(total[0], wanted)
    assert not model.is_done(total[0], sums.identity(TOTAL, made, {**parts, "rare": parts["frequent"]}))
    noted = dataclasses.replace(TOTAL, reported="0.5", differs="other photos")
    assert sums.identity(noted, made, parts) == wanted and {*wanted["recipe"]} == {"parts"}


def test_the_order_of_the_parts_changes_no_prediction(total, parts, made, tmp_path):
    turned = dict(reversed(parts.items()))
    sums.add("turned", TOTAL, made, turned, tmp_path / "turned", JUDGE)
    for split, table in predicted(tmp_path / "turned").items():
        assert np.array_equal(table.probabilities, predicted(total[0])[split].probabilities)


def test_parts_that_overlap_are_refused_and_nothing_is_left_that_looks_done(parts, made, stores, tmp_path):
    overlap = {**parts, "rare": train(tmp_path / "rare", made, stores, most_share=0.5)}
    with pytest.raises(InputError, match="frequent and rare predict the same labels"):
        sums.add("specialists", TOTAL, made, overlap, tmp_path / "sum", JUDGE)
    assert not (tmp_path / "sum" / "result.json").exists()


def test_parts_over_other_features_are_refused(parts, made, stores, tmp_path, write_store):
    other = {"other": write_store(tmp_path / "other", made)}
    mixed = {**parts, "rare": train(tmp_path / "rare", made, other, most_share=CUT)}
    with pytest.raises(InputError, match="frequent and rare read different stores"):
        sums.add("specialists", TOTAL, made, mixed, tmp_path / "sum", JUDGE)

import dataclasses

import numpy as np
import pytest

from mlob import predictions
from mlob.evaluation import bootstrap
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.crossfit import folds
from mlob.recipes import Judging
from mlob.reports import tables as report_tables
from mlob.runs import dev

JUDGE = Judging(folds=3, draws=200)
ROWS = slice(0, 80)


def write_run(folder, dataset, noise, rows=ROWS):
    """A run's folder with predictions on some rows of train: the targets, and the same noise for all, more or less."""
    train = dataset["train"]
    targets, drawn = train.targets[rows], np.random.default_rng(0).random((len(train.ids), 4))[rows]
    probabilities = ((targets + noise * drawn) / (1 + noise)).astype(np.float32)
    predictions.write(folder / "predictions.h5", {"dev": predictions.Table(train.ids[rows], probabilities)})
    return folder


@pytest.fixture
def runs(made, tmp_path):
    noises = {"base": 1.9, "good": 1.3, "poor": 5}
    return {name: write_run(tmp_path / name, made, noise) for name, noise in noises.items()}


def test_models_stand_by_falling_f1_each_with_its_gain_on_the_first(made, runs):
    found = dev.compare(made, runs, JUDGE)
    assert (found.photos, found.against) == (80, "base")
    assert [model.model for model in found.models] == ["good", "base", "poor"]
    score = {model.model: model.figure for model in found.models}
    for model in found.models:
        assert model.gain.value == pytest.approx(model.figure.value - score["base"].value)
        for figure in (model.gain, model.figure):
            assert figure.low <= figure.value <= figure.high
    good, base, poor = (model.gain for model in found.models)
    assert good.low > 0 > poor.high and base == Interval(0, 0, 0)


def test_a_pair_on_the_same_photos_is_told_apart_more_finely_than_two_intervals(made, runs, tmp_path):
    near = {"base": runs["base"], "near": write_run(tmp_path / "near", made, 1.8)}
    model = dev.compare(made, near, JUDGE).models[0]
    assert model.gain.high - model.gain.low < model.figure.high - model.figure.low


def test_the_order_of_the_others_changes_nothing(made, runs):
    turned = {name: runs[name] for name in ("base", "poor", "good")}
    assert dev.compare(made, turned, JUDGE) == dev.compare(made, runs, JUDGE)


def test_only_photos_that_all_models_have_are_looked_at_in_whatever_order(made, runs, tmp_path):
    runs["fewer"] = write_run(tmp_path / "fewer", made, 1.5, slice(70, 20, -1))
    assert dev.compare(made, runs, JUDGE).photos == 50


def test_equal_photos_share_fold_and_draw(made, runs, monkeypatch):
    for folder in runs.values():
        found = predictions.read(folder / "predictions.h5")["dev"]
        found = dataclasses.replace(found, digests=np.arange(80, dtype=np.uint64) // 2 + 1)
        predictions.write(folder / "predictions.h5", {"dev": found})
    seen, resamples = [], bootstrap.resamples
    monkeypatch.setattr(dev, "folds", lambda *given, keys, **others: seen.append(keys) or folds(*given, **others))
    monkeypatch.setattr(bootstrap, "resamples", lambda *given: seen.append(given[-1]) or resamples(*given))
    dev.compare(made, runs, JUDGE)
    assert seen == [[row // 2 + 1 for row in range(80)]] * 2


def test_photos_of_a_product_share_fold_and_draw(made, runs, monkeypatch):
    together = [f"{row % 5}" if row % 2 else "" for row in range(240)]
    dataset = dataclasses.replace(
        made, splits={**made.splits, "train": dataclasses.replace(made["train"], together=together)}
    )
    seen = []
    monkeypatch.setattr(dev, "folds", lambda *given, keys, **others: seen.append(keys) or folds(*given, **others))
    dev.compare(dataset, runs, JUDGE)
    ids = predictions.read(runs["base"] / "predictions.h5")["dev"].ids
    rows = [row for row, name in enumerate(made["train"].ids) if name in ids]
    assert seen == [[f"product {together[row]}" if together[row] else made["train"].ids[row] for row in rows]]


def test_equal_models_do_not_differ(made, runs):
    found = dev.compare(made, {"base": runs["base"], "again": runs["base"]}, JUDGE)
    assert found.models[1].gain == Interval(0, 0, 0)


@pytest.mark.parametrize("common", [0, 1])
def test_fewer_than_two_common_dev_photos_compare_nothing_and_it_is_said(made, tmp_path, common):
    folders = {
        "one": write_run(tmp_path / "one", made, 1, slice(0, 10)),
        "other": write_run(tmp_path / "other", made, 1, slice(10 - common, 20)),
    }
    assert dev.compare(made, folders, JUDGE) is None
    assert report_tables.dev_aligned(None) == report_tables.dev_markdown(None)
    assert "fewer than two of its photos are common" in report_tables.dev_aligned(None)

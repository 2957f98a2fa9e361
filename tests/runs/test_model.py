import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from mlob import predictions
from mlob.data.dataset import DataSet
from mlob.errors import InputError
from mlob.evaluation import judge
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.scores import Score
from mlob.evaluation.tasks import TaskScores
from mlob.recipes import LINEAR, LOGISTIC, Experiment, Head, Judging, Task, Training
from mlob.runs import model, results
from mlob.runs.job import Job
from mlob.training import batches

JUDGE = Judging(folds=3, draws=100)
LEARNED = Experiment(("one",), LINEAR, Training(epochs=3, learning_rate=0.03))
REFERENCE = Experiment(("one",), LOGISTIC)
KEYS = {
    "method", "judging", "scores", "thresholds", "parameters", "seconds", "rows_per_second",
    "epochs", "seed", "versions", "fingerprint", "processor", "commit", "weights",
}  # fmt: skip
FAILED = ("train 3", "validation 5", "validation 6", "test 1")


def identity(experiment, dataset, stores):
    return Job("any", experiment, dataset, stores).identity


@pytest.fixture(scope="module")
def stores(made, write_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    return {
        "one": write_store(folder / "one", made, failed=FAILED),
        "other": write_store(folder / "other", made, seed=1),
    }


@pytest.fixture(scope="module")
def run(made, stores, tmp_path_factory):
    """A trained run's folder and result."""
    folder = tmp_path_factory.mktemp("runs") / "linear"
    one = {"one": stores["one"]}
    return folder, model.train(Job("linear", LEARNED, made, one), folder, JUDGE)


def test_the_result_is_on_disk_with_the_keys_that_scripts_read(run):
    folder, result = run
    assert results.read(folder) == result
    content = json.loads((folder / "result.json").read_text())
    assert content.keys() >= KEYS and content["version"] == results.VERSION
    for name in ("micro_f1", "macro_f1"):
        assert set(content["scores"][name]) == {"value", "low", "high", "in_sample"}
    assert (result.method, result.thresholds) == ("linear", "one threshold")
    assert result.parameters == results.Parameters(6 * 4 + 4, 6 * 4 + 4 + 1000)
    assert result.seconds.features == 2.5 and result.weights == "random" and result.epochs == 3
    assert result.rows == {"train": 192, "dev": 47, "validation": 90, "failed": 4}


def test_a_run_is_done_only_with_just_its_recipe_its_photos_and_its_features(run, made, stores):
    folder, _ = run
    one = {"one": stores["one"]}
    assert model.is_done(folder, identity(LEARNED, made, one))
    changed = dataclasses.replace(LEARNED, seed=1)
    assert not model.is_done(folder, identity(changed, made, one))
    assert not model.is_done(folder, identity(LEARNED, made, {"other": stores["other"]}))
    assert not model.is_done(folder, identity(LEARNED, made, {"one": stores["other"]})), "made anew since"
    relabelled = {**made.splits, "test": dataclasses.replace(made["test"], annotations=1 - made["test"].targets)}
    assert not model.is_done(folder, identity(LEARNED, dataclasses.replace(made, splits=relabelled), one))
    assert not model.is_done(folder.with_name("nothing"), identity(LEARNED, made, one))


@pytest.mark.parametrize(
    "shaped",
    [
        dataclasses.replace(LEARNED, tasks=(Task("colour"),)),
        dataclasses.replace(LEARNED, head=Head(units=(4,), task_units=(2,))),
        dataclasses.replace(LEARNED, head=Head(units=(4,), groups=True)),
    ],
)
def test_a_model_that_the_labels_groups_shape_is_another_with_other_groups_and_no_other_is(shaped, made, stores):
    labels = dataclasses.replace(made.labels, groups=("colour", "length", "length", "length"))
    regrouped, one = dataclasses.replace(made, labels=labels), {"one": stores["one"]}
    assert identity(shaped, made, one) != identity(shaped, regrouped, one)
    assert identity(LEARNED, made, one) == identity(LEARNED, regrouped, one)


@pytest.mark.parametrize("content", [None, b"", b"PK", 0.5])
def test_a_run_whose_head_is_missing_or_damaged_is_not_done_and_that_is_said(
    content, run, made, stores, tmp_path, capfd
):
    folder, wanted = tmp_path / "linear", identity(LEARNED, made, {"one": stores["one"]})
    shutil.copytree(run[0], folder)
    head = folder / "head.keras"
    assert model.is_done(folder, wanted) and "head.keras" not in capfd.readouterr().err
    whole = head.read_bytes()
    head.unlink()
    if content is not None:
        head.write_bytes(whole[: len(whole) // 2] if content == 0.5 else content)
    assert not model.is_done(folder, wanted)
    said = capfd.readouterr().err
    assert f"{head} is {'missing' if content is None else 'damaged ('}" in said and "linear is made anew" in said


def test_history_has_a_row_an_epoch(run):
    folder, _ = run
    history = pd.read_csv(folder / "history.csv")
    assert history.columns.tolist() == ["phase", "epoch", "loss", "dev_loss", "dev_micro_f1", "learning_rate"]
    assert history.epoch.tolist() == [1, 2, 3]


def test_every_photo_is_predicted_in_order_and_a_failed_one_gets_the_labels_shares(run, made):
    folder, _ = run
    found = predictions.read(folder / "predictions.h5")
    assert set(found) == {"dev", "validation", "test"}
    for split in ("validation", "test"):
        assert found[split].ids == made[split].ids
    assert set(found["dev"].ids) < set(made["train"].ids) and len(found["dev"].ids) == 47
    failed = found["validation"].probabilities[5]
    assert np.array_equal(failed, found["validation"].probabilities[6])
    assert np.array_equal(failed, found["test"].probabilities[1])
    assert failed == pytest.approx(made["train"].targets.mean(axis=0), abs=0.1)
    assert not np.array_equal(failed, found["validation"].probabilities[7])


def test_the_model_on_disk_predicts_what_was_written(run, made, stores):
    import keras

    folder, _ = run
    read = batches.read([stores["one"]], made["test"])
    model = keras.saving.load_model(folder / "head.keras")
    found = predictions.read(folder / "predictions.h5")["test"]
    rows = [found.ids.index(name) for name in read.ids]
    assert model.predict_on_batch(read.features[:]) == pytest.approx(found.probabilities[rows], abs=1e-6)


def test_a_rerun_writes_the_same_predictions(run, made, stores, tmp_path):
    folder, result = run
    one = {"one": stores["one"]}
    again = model.train(Job("linear", LEARNED, made, one), tmp_path / "again", JUDGE)
    for name in ("predictions.h5", "history.csv", "recipe.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert again.scores == result.scores


def test_a_run_that_is_broken_off_is_not_done_whatever_was_there(run, made, stores, tmp_path, monkeypatch):
    folder, one = tmp_path / "run", {"one": stores["one"]}
    model.train(Job("logistic", REFERENCE, made, one), folder, JUDGE)
    changed = dataclasses.replace(REFERENCE, training=Training(limit=100))

    def killed(folder, result):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(results, "write", killed)
        model.train(Job("logistic", changed, made, one), folder, JUDGE)
    assert not model.is_done(folder, identity(changed, made, one))
    assert not model.is_done(folder, identity(REFERENCE, made, one))


def test_another_judging_makes_the_figures_anew_from_the_predictions_alone(run, made, stores, tmp_path, monkeypatch):
    folder, one = tmp_path / "run", {"one": stores["one"]}
    shutil.copytree(run[0], folder)
    monkeypatch.setattr(Job, "train_and_dev", None)
    assert model.judge_again(folder, made, JUDGE) is None
    other = Judging(folds=5, draws=60, seed=3)
    found = model.judge_again(folder, made, other)
    assert results.read(folder) == found and model.is_done(folder, identity(LEARNED, made, one))
    assert found.judging == other and run[1].judging.folds == 3
    assert found.scores != run[1].scores
    assert dataclasses.replace(found, scores=run[1].scores, judging=JUDGE) == run[1]
    predicted = predictions.read(folder / "predictions.h5")["validation"]
    assert found.scores == model.judged_on_validation(predicted, made, other)["scores"]
    assert model.judge_again(folder, made, other) is None


def test_label_ids_shape_every_run_groups_those_with_a_softmax_for_each_and_names_none(made, stores):
    renumbered = dataclasses.replace(made.labels, ids=(*made.labels.ids[:-1], 9))
    other = dataclasses.replace(made, labels=renumbered)
    assert identity(LEARNED, other, stores) != identity(LEARNED, made, stores)
    renamed = dataclasses.replace(made.labels, names=("crimson", *made.labels.names[1:]))
    merged = dataclasses.replace(made.labels, groups=("all",) * 4)
    grouped = dataclasses.replace(LEARNED, head=dataclasses.replace(LINEAR, groups=True))
    for experiment, shapes in ((LEARNED, False), (grouped, True)):
        own = identity(experiment, made, stores)
        assert identity(experiment, dataclasses.replace(made, labels=renamed), stores) == own
        assert (identity(experiment, dataclasses.replace(made, labels=merged), stores) != own) == shapes


def test_two_stores_side_by_side_tell_more_than_either(made, write_store, tmp_path):
    stores = {name: write_store(tmp_path / name, made, noise=1.5, seed=seed) for seed, name in enumerate("ab")}
    scores = {}
    for names in ("a", "b", "ab"):
        experiment = dataclasses.replace(REFERENCE, stores=tuple(names))
        chosen = {name: stores[name] for name in names}
        result = model.train(Job(names, experiment, made, chosen), tmp_path / f"run {names}", JUDGE)
        scores[names] = result.scores["micro_f1"].value
        assert result.parameters.total == result.parameters.own + 1000 * len(names)
    assert scores["ab"] > max(scores["a"], scores["b"])


def test_nothing_to_judge_or_to_train_on_is_told_before_any_work(made, stores, tmp_path):
    def without(split):
        unlabelled = dataclasses.replace(made[split], annotations=None)
        return dataclasses.replace(made, splits={**made.splits, split: unlabelled})

    def left_out(split):
        rest = {name: found for name, found in made.splits.items() if name != split}
        return DataSet(made.name, made.folder, made.labels, rest)

    for message, dataset in {
        "validation split of nowhere has no labels": without("validation"),
        "train split has no labels": without("train"),
        "nowhere has no validation split": left_out("validation"),
        "nowhere has no train split": left_out("train"),
    }.items():
        with pytest.raises(InputError, match=message):
            model.train(Job("linear", LEARNED, dataset, stores), tmp_path / "run", JUDGE)
    assert not (tmp_path / "run").exists()


def test_a_set_without_test_photos_is_judged_all_the_same(made, stores, tmp_path):
    rest = {name: split for name, split in made.splits.items() if name != "test"}
    dataset = dataclasses.replace(made, splits=rest)
    model.train(Job("logistic", REFERENCE, dataset, {"one": stores["one"]}), tmp_path / "run", JUDGE)
    assert set(predictions.read(tmp_path / "run" / "predictions.h5")) == {"dev", "validation"}


def test_photos_of_a_product_are_judged_in_one_fold_and_are_part_of_what_shapes_a_run(run, made, stores, monkeypatch):
    together = [f"{number // 3}" if number % 3 else "" for number in range(90)]
    validation = dataclasses.replace(made["validation"], together=together)
    dataset = dataclasses.replace(made, splits={**made.splits, "validation": validation})
    one, seen, plain = {"one": stores["one"]}, [], judge.folds
    monkeypatch.setattr(judge, "folds", lambda *given, keys, **others: seen.append(keys) or plain(*given, **others))
    model.judged_on_validation(predictions.read(run[0] / "predictions.h5")["validation"], dataset, JUDGE)
    assert [keys[1] for keys in seen] == ["product 0"] and [len(set(keys)) for keys in seen] == [60]
    assert identity(LEARNED, dataset, one)["data"] != identity(LEARNED, made, one)["data"]


def test_the_reference_is_wanted_where_train_is_small(made):
    assert model.wants_reference(made, REFERENCE)
    many = dataclasses.replace(made["train"], ids=tuple(map(str, range(model.FEWEST_ROWS))))
    large = dataclasses.replace(made, splits={**made.splits, "train": many})
    assert not model.wants_reference(large, REFERENCE)
    assert model.wants_reference(large, dataclasses.replace(REFERENCE, training=Training(limit=1000)))


VERSION_1 = {
    **{"method": "linear", "members": ["linear"], "thresholds": "one global", "weights": "random", "note": ""},
    **{"micro_f1": {"cross_fitted": 0.5, "low": 0.4, "high": 0.6, "in_sample": 0.7}, "accuracy": 0.9},
    **{"parameters": {"own": 28, "total": 1028}, "seconds": {"features": 2.5, "training": 1}, "rows": {"train": 192}},
    "judging": dataclasses.asdict(JUDGE),
}


def test_a_result_of_an_earlier_version_is_read_and_judged_anew_from_its_predictions(run, made, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run[0], folder)
    (folder / "result.json").write_text(json.dumps(VERSION_1))
    old = results.read(folder)
    assert old.scores == {"micro_f1": Score(0.5, 0.4, 0.6, 0.7)} and old.judging == JUDGE and old.parameters.own == 28
    new = model.judge_again(folder, made, JUDGE)
    assert new.scores == run[1].scores and new.rows == old.rows and results.read(folder) == new
    assert model.judge_again(folder, made, JUDGE) is None


def write_predictions(folder, dataset, wrong, write_result):
    """A run's folder: validation is right but for a share of the cells, the same ones and more where it is larger."""
    split, drawn = dataset["validation"], np.random.default_rng(0).random((90, 4))
    probabilities = np.where(drawn < wrong, 1 - split.targets, split.targets).astype(np.float32)
    predictions.write(folder / "predictions.h5", {"validation": predictions.Table(split.ids, probabilities)})
    write_result(folder, 0.5, note="of an earlier comparison")
    return folder


@pytest.mark.parametrize("wrong, is_below", [(0.3, True), (0.1, False), (0.12, False), (0.02, False)])
def test_a_head_is_below_logistic_regression_where_the_paired_interval_excludes_0(
    wrong, is_below, made, tmp_path, write_result
):
    head = write_predictions(tmp_path / "head", made, wrong, write_result)
    reference = write_predictions(tmp_path / "ref", made, 0.1, write_result)
    note = model.compare(head, reference, made, JUDGE)
    assert results.read(head).note == note
    assert bool(note) == is_below and (
        not note or re.fullmatch(r"below logistic by 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\)", note)
    )


def test_a_runs_own_note_stays_before_the_comparison(made, tmp_path, write_result):
    reference = write_predictions(tmp_path / "ref", made, 0.1, write_result)
    for wrong, ends in ((0.3, r"; below logistic by .*"), (0.02, "")):
        head = write_predictions(tmp_path / f"{wrong}", made, wrong, write_result)
        note = model.compare(head, reference, made, JUDGE, "begins with the head of other")
        assert "begins" not in note and re.fullmatch(f"begins with the head of other{ends}", results.read(head).note)


def test_a_result_is_told_in_one_line(run):
    assert model.summary(dataclasses.replace(run[1], note="begins")) == f"{model.summary(run[1])} (begins)"
    told = model.summary(run[1])
    assert told.startswith("linear: micro-F1 0.") and "cross-fitted" in told and "\n" not in told


def test_of_a_suite_about_a_task_its_figure_is_told_first(run):
    task = TaskScores("colour", 90, 3, {"top_1": Interval(0.8, 0.7, 0.9)}, 1.0, [], [])
    result = dataclasses.replace(run[1], tasks=[task])
    assert model.summary(result, "colour").startswith("linear: top-1 of colour 0.800 (0.700 to 0.900), micro-F1 0.")
    assert model.summary(result, "length") == model.summary(result)


def test_a_run_without_its_recipe_is_not_done_and_a_damaged_one_is_named(run, made, stores, tmp_path):
    folder = tmp_path / "linear"
    shutil.copytree(run[0], folder)
    wanted = identity(LEARNED, made, {"one": stores["one"]})
    (folder / "recipe.json").write_text("[")
    with pytest.raises(InputError, match=r"recipe.json .*: remove it and run the same command again"):
        model.is_done(folder, wanted)
    (folder / "recipe.json").unlink()
    assert not model.is_done(folder, wanted)


@pytest.mark.parametrize("content", ["5", "[]", "null", '"note"'])
def test_a_result_of_another_shape_is_named_with_the_mend(content, run, made, tmp_path):
    shutil.copytree(run[0], tmp_path / "linear")
    (tmp_path / "linear" / "result.json").write_text(content)
    with pytest.raises(InputError, match=r"linear/result.json .*: remove it and run the same command again"):
        model.compare(tmp_path / "linear", run[0], made, JUDGE)


def test_what_a_model_begins_with_and_does_not_learn_is_noted(made):
    noted = lambda experiment: model.noted(Job("any", experiment, made, {}))  # noqa: E731
    plain = Experiment(("any",))
    assert noted(plain) == ""
    tasks = Task("colour", 2.0), Task("kind")
    assert noted(dataclasses.replace(plain, tasks=tasks, start="other")) == (
        "begins with the head of other; learns colour, kind alone"
    )
    assert noted(dataclasses.replace(plain, least_share=0.1)) == "learns labels on 10.00% of the photos or more"
    assert noted(dataclasses.replace(plain, most_share=0.0155)) == "learns labels on less than 1.55% of the photos"

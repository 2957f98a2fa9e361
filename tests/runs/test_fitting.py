import dataclasses

import numpy as np
import pytest

from mlob import predictions
from mlob.ensemble import methods
from mlob.evaluation.crossfit import folds
from mlob.recipes import KERNEL, LINEAR, LOGISTIC, Ensemble, Experiment, Judging, Training
from mlob.runs import ensemble as ensembles
from mlob.runs import fitting, job, model, results
from mlob.runs.job import Job
from mlob.training import fit, kernel, logistic

JUDGE = Judging(folds=3, draws=200)
TRAINING = Training(epochs=3, learning_rate=0.03, folds=3)
HEADS = {"dense": LINEAR, "kernel": KERNEL, "logistic": LOGISTIC}
STORES = ("one", "other")


@pytest.fixture(autouse=True)
def few_settings(monkeypatch):
    monkeypatch.setattr(kernel, "GAMMAS", (0.7,))
    monkeypatch.setattr(kernel, "RIDGES", (0.1,))
    monkeypatch.setattr(logistic, "GRID", (0.01,))


@pytest.fixture(scope="module")
def stores(made, write_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    return {name: write_store(folder / name, made, seed=seed) for seed, name in enumerate(STORES)}


def a_job(dataset, stores, kind="dense", **training):
    return Job(kind, Experiment(STORES, HEADS[kind], dataclasses.replace(TRAINING, **training)), dataset, stores)


def trained(job, folder):
    model.train(job, folder, JUDGE)
    return predictions.read(folder / "predictions.h5")


def with_targets(dataset, change):
    """The data set with other targets of validation."""
    split = dataset["validation"]
    changed = dataclasses.replace(split, annotations=change(split.labelled_targets))
    return dataclasses.replace(dataset, splits={**dataset.splits, "validation": changed})


@pytest.mark.parametrize("kind", HEADS)
def test_a_photo_is_predicted_by_fits_that_did_not_see_its_labels(made, stores, tmp_path, monkeypatch, kind):
    """Whatever labels a fold has, they move the predictions of all other photos, and never its own."""
    fold = np.arange(len(made["validation"].ids)) % 3
    monkeypatch.setattr(fitting, "folds", lambda *_, **__: fold)
    before = trained(a_job(made, stores, kind), tmp_path / "before")
    other = with_targets(made, lambda targets: np.where(fold[:, np.newaxis] == 1, 1 - targets, targets))
    after = trained(a_job(other, stores, kind), tmp_path / "after")
    is_same = (before["validation"].probabilities == after["validation"].probabilities).all(axis=1)
    assert is_same[fold == 1].all() and not is_same[fold != 1].any()
    assert not (before["test"].probabilities == after["test"].probabilities).all(axis=1).any()
    assert np.array_equal(before["dev"].probabilities, after["dev"].probabilities)


@pytest.mark.parametrize("kind", HEADS)
def test_dev_is_predicted_as_without_folds(made, stores, tmp_path, kind):
    found = [
        trained(a_job(made, stores, kind, folds=count), tmp_path / str(count))["dev"].probabilities for count in (0, 3)
    ]
    assert np.array_equal(*found)


@pytest.mark.parametrize("training", [{}, {"patience": 2}])
def test_dev_is_given_back_where_the_recipe_does_not_look_at_it(made, stores, tmp_path, monkeypatch, training):
    seen, plain = [], fit.fit
    monkeypatch.setattr(
        fit,
        "fit",
        lambda experiment, train, dev, **more: seen.append((train, dev)) or plain(experiment, train, dev, **more),
    )
    trained(a_job(made, stores, **training), tmp_path / "run")
    (_, dev), *refits = seen
    for rows, shown in refits:
        assert {*dev.ids} <= {*rows.ids} if not training else not {*dev.ids} & {*rows.ids}
        assert not {*shown.ids} & {*rows.ids}
        assert len(rows.ids) == len(set(rows.ids)) == 240 - len(dev.ids) * bool(training) + 60


def test_the_folds_are_those_of_the_ensemble(made, stores):
    job = dataclasses.replace(a_job(made, stores), fold_seed=4)
    rows, fold = fitting._folded(job, job.rows_of("validation"))
    targets = made["validation"].labelled_targets
    assert np.array_equal(fold, folds(targets, 3, seed=4, keys=rows.keys))
    assert job.identity != a_job(made, stores).identity


def test_new_photos_are_predicted_by_the_mean_of_the_folds_heads(made, stores, tmp_path, monkeypatch):
    fits, plain = [], fit.fit
    monkeypatch.setattr(fit, "fit", lambda *rows, **more: fits.append(plain(*rows, **more)) or fits[-1])
    found = trained(a_job(made, stores), tmp_path / "run")["test"].probabilities
    features = a_job(made, stores).rows_of("test").features
    assert found == pytest.approx(np.mean([each.predict(features) for each in fits[1:]], axis=0), abs=1e-6)


@pytest.mark.parametrize("kind", HEADS)
def test_a_killed_job_goes_on_behind_its_last_whole_fit_and_ends_with_the_same_bytes(
    made, stores, tmp_path, monkeypatch, kind
):
    whole = trained(a_job(made, stores, kind), tmp_path / "whole")
    count, part = [], fitting._part

    def killed(job, folder, name, train, out):
        count.append(name)
        if name == "fold_3" and count.count(name) == 1:
            raise KeyboardInterrupt
        return part(job, folder, name, train if name == "fold_3" or "fold_3" not in count else None, out)

    monkeypatch.setattr(fitting, "_part", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(a_job(made, stores, kind), tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()
    found = trained(a_job(made, stores, kind), tmp_path / "run")  # a fit that was done and is called again would fail
    assert all(np.array_equal(found[split].probabilities, whole[split].probabilities) for split in whole)
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.parametrize(
    "name, value, why", [("MOST_ROWS", 100, "train has 240 photos"), ("LEAST_SHARE", 0.5, "validation has 90 photos")]
)
def test_where_it_would_gain_nothing_the_model_learns_from_train_alone_and_says_why(
    made, stores, tmp_path, monkeypatch, name, value, why
):
    alone = trained(a_job(made, stores, folds=0), tmp_path / "alone")
    monkeypatch.setattr(job, name, value)
    asked = a_job(made, stores)
    assert asked.folds == 0 and why in asked.why_alone and why in model.plan(asked)[0]
    found = trained(asked, tmp_path / "asked")
    assert np.array_equal(found["validation"].probabilities, alone["validation"].probabilities)


def test_a_plan_tells_the_fits_before_they_run(made, stores):
    assert model.plan(a_job(made, stores, folds=0)) == []
    assert model.plan(a_job(made, stores)) == [
        "dense learns from 90 photos of validation too, by 3 folds: 4 fits in all"
    ]
    assert "5 fits in all" in model.plan(a_job(made, stores, "kernel"))[0]


@pytest.mark.parametrize("count, note", [(3, "learns from validation too, by 3 folds"), (0, "")])
def test_that_a_model_learned_from_validation_stays_told_beside_the_reference(made, stores, tmp_path, count, note):
    trained(a_job(made, stores, "logistic", folds=0), tmp_path / "logistic")
    job = a_job(made, stores, folds=count)
    trained(job, tmp_path / "own")
    assert results.read(tmp_path / "own").note == note
    model.compare(tmp_path / "own", tmp_path / "logistic", made, JUDGE, model.noted(job))
    assert results.read(tmp_path / "own").note.startswith(note)


@pytest.fixture(scope="module")
def drawn_at_random(made):
    """The data set, whose targets have nothing to do with the features."""
    generator = np.random.default_rng(8)
    splits = {
        name: dataclasses.replace(split, annotations=split.labelled_targets[generator.permutation(len(split.ids))])
        for name, split in made.splits.items()
    }
    return dataclasses.replace(made, splits=splits)


def test_of_targets_drawn_at_random_every_figure_is_at_chance(drawn_at_random, stores, tmp_path):
    """Of every kind of member, with and without folds, and every method and rule."""
    runs = {}
    for kind in HEADS:
        for count in (0, 3):
            runs[f"{kind}_{count}"] = tmp_path / f"{kind}_{count}"
            trained(a_job(drawn_at_random, stores, kind, folds=count), runs[f"{kind}_{count}"])
    recipe = Ensemble(methods=tuple(methods.METHODS), folds=3, particles=8, iterations=5, patience=5, draws=500)
    result = ensembles.fit("random", drawn_at_random, runs, tmp_path / "ensemble", recipe)
    chance = next(row for row in result.methods if row.method == methods.CONSTANT).scores["micro_f1"]
    for row in result.methods:
        assert row.scores["micro_f1"].low <= chance.value + 1e-9, row.method

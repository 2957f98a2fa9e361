import dataclasses
import json
import pathlib
import pickle

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mlob import machine, predictions
from mlob.ensemble import measures, methods
from mlob.ensemble.thresholds import CALIBRATED, ONE_THRESHOLD
from mlob.errors import InputError
from mlob.evaluation import bootstrap, choice, judge
from mlob.evaluation.scores import Score
from mlob.metrics import micro_f1
from mlob.recipes import Ensemble
from mlob.runs import ensemble as ensembles
from mlob.runs import results
from mlob.runs.results import Parameters, Seconds, StoreCost

pytestmark = pytest.mark.slow

RECIPE = Ensemble(folds=3, draws=50, particles=6, iterations=4, methods=tuple(methods.WEIGHTINGS))


def write_member(folder, dataset, noise, seed, write_result):
    """A run's folder with predictions that are the targets and some noise."""
    generator = np.random.default_rng(seed)
    found = {}
    for split in ("validation", "test"):
        targets = dataset[split].targets
        probabilities = (targets + noise * generator.random(targets.shape)) / (1 + noise)
        found[split] = predictions.Table(dataset[split].ids, probabilities.astype(np.float32))
    predictions.write(folder / "predictions.h5", found)
    stores = {f"store {seed // 2}": StoreCost(90, 1)}  # good and fair read one store
    cost = {"parameters": Parameters(10, 100), "seconds": Seconds(1, 2), "stores": stores}
    write_result(folder, 0.5, **cost)
    return folder


@pytest.fixture
def members(made, tmp_path, write_result):
    noises = {"good": 1.6, "fair": 1.8, "poor": 6}
    return {
        name: write_member(tmp_path / name, made, noise, seed, write_result)
        for seed, (name, noise) in enumerate(noises.items())
    }


@pytest.fixture
def ensemble(made, members, tmp_path):
    """An ensemble's folder, and what ensemble.json holds."""
    return tmp_path / "ensemble", ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE)


def take(method, rule, monkeypatch, fixed=(methods.BEST_SINGLE, CALIBRATED)):
    """Have this method and rule chosen, whatever its figure."""
    chosen = choice.Choice((method, rule), fixed, bootstrap.Interval(0.02, 0.01, 0.03))
    monkeypatch.setattr(choice, "choose", lambda candidates, judging, measure=None: chosen)


def stack(made, members, split):
    found = {name: predictions.read(folder / "predictions.h5")[split] for name, folder in members.items()}
    return predictions.align(found, made[split].ids)


def test_the_content_is_on_disk_with_all_methods_groups_and_labels(ensemble):
    folder, content = ensemble
    assert results.read_ensemble(folder) == content
    assert content.members == ["good", "fair", "poor"] and content.judging == RECIPE.judging
    assert machine.facts().items() <= json.loads((folder / "ensemble.json").read_text()).items()
    assert {row.method for row in content.methods} == {"constant", "best single", *RECIPE.methods}
    assert [group.group for group in content.groups] == ["colour", "length"]
    assert [label.id for label in content.labels] == [1, 2, 5, 8]
    for row in content.methods:
        assert {"micro_f1", "macro_f1"} <= row.scores.keys()
        assert set(row.weights) == set(content.members)
        assert sum(row.weights.values()) == pytest.approx(0 if row.method == "constant" else 1)


def micro_f1s(content):
    return {(row.method, row.thresholds): row.scores["micro_f1"] for row in content.methods}


def test_the_decision_is_the_fixed_one_or_the_highest_where_that_gains_clearly(ensemble):
    _, content = ensemble
    values = {name: score.value for name, score in micro_f1s(content).items()}
    constant = values.pop(("constant", "commonest labels"))
    chosen, fixed = content.chosen, content.chosen.fixed
    assert (fixed.method, fixed.thresholds) == (methods.LOG_LOSS, CALIBRATED)
    own = values[chosen.method, chosen.thresholds]
    assert own == (max(values.values()) if chosen.gain.low > 0 else values[fixed.method, fixed.thresholds])
    assert chosen.is_fixed == (chosen.gain.low <= 0) and content.headline["micro_f1"].value > constant
    assert content.headline.keys() == content.methods[0].scores.keys()


def test_optimism_is_what_in_sample_figures_gain(ensemble):
    _, content = ensemble
    for name, score in micro_f1s(content).items():
        assert content.optimism[judge.full_name(name)] == score.in_sample - score.value


def test_test_is_decided_by_the_fit_on_all_and_validation_by_fits_that_did_not_see_it(ensemble, made, members):
    folder, content = ensemble
    found = predictions.read(folder / "predictions.h5")
    _, decision = ensembles.load_decision(folder)
    test, validation = (stack(made, members, split) for split in ("test", "validation"))
    assert np.array_equal(found["test"].decided, decision(test))
    assert np.array_equal(found["test"].probabilities, decision.probabilities(test))
    headline = content.headline["micro_f1"]
    assert micro_f1(made["validation"].targets, found["validation"].decided) == headline.value
    assert micro_f1(made["validation"].targets, decision(validation)) == headline.in_sample


@pytest.mark.parametrize("method", [methods.MEAN, methods.PSO])
def test_of_one_choice_in_every_fold_the_ensemble_is_its_method(method, made, members, tmp_path, monkeypatch):
    take(method, CALIBRATED, monkeypatch)
    content = ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE)
    (row,) = (row for row in content.methods if (row.method, row.thresholds) == (method, CALIBRATED))
    assert content.headline == row.scores and not content.chosen.is_fixed
    of_all = {(pair.method, pair.against): pair.gain for pair in content.pairs}
    for against in (f"{methods.BEST_SINGLE}, {CALIBRATED}", f"{methods.MEAN}, {CALIBRATED}"):
        if against != f"{method}, {CALIBRATED}":
            assert of_all["ensemble", against] == of_all[f"{method}, {CALIBRATED}", against]


STACKERS = ("stacked linear", "stacked convolution", "stacked trees")


@pytest.mark.slow
@pytest.mark.parametrize("method", [methods.HARMONIC, methods.PSO, methods.BY_GROUP, *STACKERS])
@pytest.mark.usefixtures("small_stackers")
def test_a_decision_read_back_decides_alike(method, made, members, tmp_path, monkeypatch):
    take(method, CALIBRATED, monkeypatch)
    folder = tmp_path / "ensemble"
    ensembles.fit("made", made, members, folder, dataclasses.replace(RECIPE, folds=2, methods=(method,)))
    (_, decision), written = ensembles.load_decision(folder), predictions.read(folder / "predictions.h5")["test"]
    probabilities = stack(made, members, "test")
    assert np.array_equal(decision.probabilities(probabilities), written.probabilities)
    assert np.array_equal(decision(probabilities), written.decided)


@pytest.mark.parametrize("method", [methods.BEST_SINGLE, methods.PSO, methods.BY_GROUP, "stacked linear"])
def test_what_is_stored_by_a_members_name_is_applied_by_it(method, made, members, tmp_path, monkeypatch):
    take(method, CALIBRATED, monkeypatch)
    folder, recipe = tmp_path / "ensemble", dataclasses.replace(RECIPE, folds=2, methods=(method,))
    ensembles.fit("made", made, members, folder, recipe)
    written = predictions.read(folder / "predictions.h5")["test"]
    turned = dict(reversed(members.items()))
    assert ensembles.is_done(folder, ensembles.identity(made, turned, recipe))
    found = {name: predictions.read(path / "predictions.h5")["test"].probabilities for name, path in turned.items()}
    probabilities, decided, needed = ensembles.decide(ensembles.load_decision(folder), found)
    assert np.array_equal(needed, np.tile(ensembles.load_decision(folder)[1].thresholds, (len(needed), 1)))
    assert np.array_equal(probabilities, written.probabilities) and np.array_equal(decided, written.decided)


def test_members_that_an_ensemble_was_not_made_of_are_refused(ensemble, made, members):
    found = {name: predictions.read(path / "predictions.h5")["test"].probabilities for name, path in members.items()}
    for others in ({**found, "new": found["good"]}, {"good": found["good"]}):
        with pytest.raises(InputError, match=r"made of good, fair, poor; found predictions of .*make ensemble"):
            ensembles.decide(ensembles.load_decision(ensemble[0]), others)


def test_arrays_that_are_missing_or_of_another_decision_are_told_with_the_mend(ensemble):
    folder, _ = ensemble
    np.savez(folder / "decision.npz", thresholds=np.zeros(4, np.float32))
    with pytest.raises(InputError, match=r"decision\.npz is missing or damaged .*its arrays.* run `make ensemble`"):
        ensembles.load_decision(folder)
    (folder / "decision.npz").unlink()
    with pytest.raises(InputError, match=r"decision\.npz is missing or damaged .* run `make ensemble`"):
        ensembles.load_decision(folder)


class Payload:
    """What runs as soon as a pickle is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        """Give the call."""
        return pathlib.Path.touch, (self.mark,)


@pytest.fixture
def stacked(made, members, tmp_path, monkeypatch):
    """The folder of an ensemble whose chosen method is a stacker."""
    take("stacked linear", ONE_THRESHOLD, monkeypatch)
    recipe = dataclasses.replace(RECIPE, methods=("stacked linear",))
    ensembles.fit("made", made, members, tmp_path / "stacked", recipe)
    return tmp_path / "stacked"


def test_nothing_that_a_copied_ensemble_holds_is_run(stacked, tmp_path):
    path, mark = stacked / "decision.npz", tmp_path / "ran"
    with np.load(path) as file:
        arrays = dict(file)
    for content in (
        {**arrays, "base_weights": np.array([Payload(mark)], object)},
        {"payload": np.array([Payload(mark)], object)},
    ):
        np.savez(path, **content)
        with pytest.raises(InputError, match="missing or damaged"):
            ensembles.load_decision(stacked)
    path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(InputError, match="missing or damaged"):
        ensembles.load_decision(stacked)
    assert not mark.exists()


def test_whatever_bytes_stand_for_a_decision_it_is_read_or_refused(stacked):
    path = stacked / "decision.npz"
    content = path.read_bytes()

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.integers(0, len(content) - 1), st.binary(max_size=8), st.booleans(), st.booleans())
    def spoil(place, bytes_, is_cut, is_new):
        rest = b"" if is_cut else content[place + len(bytes_) :]
        path.write_bytes(bytes_ if is_new else content[:place] + bytes_ + rest)
        try:
            ensembles.load_decision(stacked)
        except InputError as error:
            assert "decision.npz is missing or damaged" in str(error)

    spoil()


def test_costs_are_those_of_the_members_in_use_and_a_store_counts_once(ensemble):
    _, content = ensemble
    rows = {row.method: row for row in content.methods}
    assert rows["constant"].parameters == Parameters(0, 0) and not any(rows["constant"].weights.values())
    assert rows["best single"].weights == {"good": 1, "fair": 0, "poor": 0}
    assert rows["best single"].parameters == Parameters(10, 100)
    assert rows["mean"].parameters == Parameters(30, 210)
    assert rows["mean"].seconds == Seconds(2, 6)


def test_an_ensemble_is_done_until_a_member_the_photos_the_labels_or_the_recipe_change(
    ensemble, made, members, write_result
):
    folder, _ = ensemble
    assert ensembles.is_done(folder, ensembles.identity(made, members, RECIPE))
    assert not ensembles.is_done(folder, ensembles.identity(made, members, dataclasses.replace(RECIPE, folds=4)))
    renamed = dataclasses.replace(made.labels, names=("crimson", *made.labels.names[1:]))
    merged = dataclasses.replace(made.labels, groups=("all",) * 4)
    for labels in (renamed, merged):
        other = dataclasses.replace(made, labels=labels)
        assert not ensembles.is_done(folder, ensembles.identity(other, members, RECIPE))
    write_member(members["poor"], made, 5, 9, write_result)
    assert not ensembles.is_done(folder, ensembles.identity(made, members, RECIPE))
    assert not ensembles.is_done(folder.with_name("nothing"), ensembles.identity(made, members, RECIPE))


def test_a_rerun_writes_the_same_bytes(ensemble, made, members):
    folder, _ = ensemble
    names = [path.name for path in folder.iterdir()]
    before = [(folder / name).read_bytes() for name in names]
    ensembles.fit("made", made, members, folder, RECIPE)
    assert [(folder / name).read_bytes() for name in names] == before


def test_the_order_of_a_members_photos_does_not_matter(ensemble, made, members):
    folder, content = ensemble
    generator = np.random.default_rng(0)
    shuffled = {}
    for split, table in predictions.read(members["fair"] / "predictions.h5").items():
        order = generator.permutation(len(table.ids))
        shuffled[split] = predictions.Table(tuple(table.ids[row] for row in order), table.probabilities[order])
    predictions.write(members["fair"] / "predictions.h5", shuffled)
    again = ensembles.fit("made", made, members, folder, RECIPE)
    assert micro_f1s(again) == micro_f1s(content) and again.labels == content.labels


def test_members_over_other_photos_or_with_impossible_probabilities_are_refused(made, members, tmp_path):
    target = members["fair"] / "predictions.h5"
    found = predictions.read(target)
    part = predictions.Table(found["test"].ids[1:], found["test"].probabilities[1:])
    predictions.write(target, {**found, "test": part})
    with pytest.raises(InputError, match=r"predictions of fair are of other photos .*make train MODEL=fair"):
        ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE)
    predictions.write(target, found)
    with h5py.File(target, "a") as file:
        file["validation/probabilities"][3, 1] = np.nan
    with pytest.raises(InputError, match="validation probabilities run from nan"):
        ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE)
    assert not (tmp_path / "ensemble").exists()


def test_a_validation_split_without_labels_is_refused(made, members, tmp_path):
    unlabelled = dataclasses.replace(made["validation"], annotations=None)
    dataset = dataclasses.replace(made, splits={**made.splits, "validation": unlabelled})
    with pytest.raises(InputError, match="has no labels: label its photos, or nothing can be judged"):
        ensembles.fit("made", dataset, members, tmp_path / "ensemble", RECIPE)


def test_the_headline_is_told_first_then_what_decides_and_what_is_gained_on_the_best_single_member(
    made, members, tmp_path, monkeypatch
):
    take(methods.LOG_LOSS, CALIBRATED, monkeypatch, fixed=(methods.LOG_LOSS, CALIBRATED))
    content = ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE)
    first, decides, single, mean, _ = ensembles.summary(content).splitlines()
    figure = content.headline["micro_f1"]
    assert first.startswith(f"ensemble: micro-F1 {figure.value:.3f} ({figure}) on validation")
    assert decides.startswith(
        "decides by log-loss weights, calibrated thresholds: fixed in advance; the highest of 36 on the other folds"
    )
    assert single.startswith("ensemble against best single, calibrated thresholds: ") and ", 95% " in single
    assert mean.startswith("ensemble against mean, calibrated thresholds: ")


def test_where_another_was_clearly_better_it_is_said_what_was_left(made, members, tmp_path, monkeypatch):
    take(methods.PSO, CALIBRATED, monkeypatch)
    content = ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE)
    told = ensembles.summary(content)
    assert "decides by PSO, calibrated thresholds: best single, calibrated thresholds was fixed in advance, and" in told
    assert "gains +0.020, 95% +0.010 to +0.030, which is clear" in told


def with_test_targets(dataset, targets):
    test = dataclasses.replace(dataset["test"], annotations=targets)
    return dataclasses.replace(dataset, splits={**dataset.splits, "test": test})


def test_test_judges_what_was_chosen_without_it_on_all_its_photos_as_validation_does(ensemble, made, members, tmp_path):
    targets = made["test"].targets.copy()
    targets[:4] = 0
    content = ensembles.fit("made", with_test_targets(made, targets), members, tmp_path / "other", RECIPE)
    decided = predictions.read(tmp_path / "other" / "predictions.h5")["test"].decided
    figure = content.test.figure
    assert content.test.photos == len(targets)
    assert figure.value == micro_f1(targets, decided) < micro_f1(targets[4:], decided[4:])
    assert figure.low <= figure.value <= figure.high
    assert content.methods == ensemble[1].methods and content.labels == ensemble[1].labels
    assert ensembles.summary(content).splitlines()[-1] == (
        f"test: micro-F1 {figure.value:.3f} ({figure}) on {len(targets)} test photos, which played no part in any "
        "choice"
    )


@pytest.mark.parametrize("dataset", ["no labels", "no test"])
def test_without_labels_on_test_there_is_no_figure_on_them(dataset, made, members, tmp_path):
    if dataset == "no test":
        splits = {name: split for name, split in made.splits.items() if name != "test"}
        found = dataclasses.replace(made, splits=splits)
    else:
        found = with_test_targets(made, None)
    content = ensembles.fit("made", found, members, tmp_path / "other", RECIPE)
    assert content.test is None and "test photos" not in ensembles.summary(content)


def test_one_member_alone_is_an_ensemble_in_which_it_stands_once(made, members, tmp_path):
    recipe = dataclasses.replace(RECIPE, methods=(*RECIPE.methods, "stacked linear"))
    content = ensembles.fit("made", made, {"fair": members["fair"]}, tmp_path / "alone", recipe)
    assert content.swarm == []
    assert all(row.weights == {"fair": row.method != "constant"} for row in content.methods)
    assert {row.method for row in content.methods} == {"constant", "best single", "stacked linear"}
    assert len(content.methods) == 1 + 2 * len(recipe.rules)
    assert content.chosen.fixed.method == methods.BEST_SINGLE
    assert "best single, calibrated thresholds: fixed in advance" in ensembles.summary(content)


def test_a_constant_answer_above_the_choice_is_told(made, members, tmp_path, write_result):
    write_member(members["poor"], made, 10**6, 3, write_result)
    content = ensembles.fit("made", made, {"poor": members["poor"]}, tmp_path / "poor", RECIPE)
    constant = micro_f1s(content)["constant", "commonest labels"].value
    told = "looks at no photo and cannot be chosen, is higher"
    assert (told in ensembles.summary(content)) == (constant > content.headline["micro_f1"].value)
    content.methods[0].scores["micro_f1"] = Score(0.999, 0.99, 1, 1)
    assert "is higher: micro-F1 0.999; the members have learned too little" in ensembles.summary(content)


def test_few_photos_are_judged_in_as_many_folds_which_is_what_is_told(made, members, tmp_path):
    part = dataclasses.replace(
        made["validation"],
        ids=made["validation"].ids[:3],
        urls=made["validation"].urls[:3],
        annotations=made["validation"].targets[:3],
    )
    dataset = dataclasses.replace(made, splits={**made.splits, "validation": part})
    for folder in members.values():
        found = predictions.read(folder / "predictions.h5")
        few = predictions.Table(part.ids, found["validation"].probabilities[:3])
        predictions.write(folder / "predictions.h5", {**found, "validation": few})
    recipe = dataclasses.replace(RECIPE, folds=5, methods=(*RECIPE.methods, "stacked linear"))
    assert ensembles.fit("made", dataset, members, tmp_path / "ensemble", recipe).folds == 3


def test_equal_photos_are_decided_on_by_one_fold_and_drawn_together(made, members, tmp_path, monkeypatch):
    keys = [7 + number // 2 if number != 9 else "validation 9" for number in range(90)]
    for folder in members.values():
        found = predictions.read(folder / "predictions.h5")
        digests = np.array([0 if isinstance(key, str) else key for key in keys], np.uint64)
        found["validation"] = dataclasses.replace(found["validation"], digests=digests)
        predictions.write(folder / "predictions.h5", found)
    seen, drawn, plain = [], [], bootstrap.resamples
    monkeypatch.setattr(judge, "folds", lambda *_, keys, **__: seen.append(keys) or np.arange(90) % 3)
    monkeypatch.setattr(bootstrap, "resamples", lambda n, *others: drawn.append((n, others[-1])) or plain(n, *others))
    ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE)
    assert seen == [keys] and len(drawn) > 100
    parts = [[key for number, key in enumerate(keys) if number % 3 != fold] for fold in range(3)]
    assert all(found in [keys, list(made["test"].ids), *parts] for _, found in drawn)
    assert all(part in [found for _, found in drawn] for part in parts)  # of the choice for each fold


@pytest.fixture
def by_product(made):
    """The data set with two photos a product on validation and test, both with the first one's labels."""
    splits = dict(made.splits)
    for name in ("validation", "test"):
        count = len(made[name].ids)
        together = [f"{number // 2}" if number < 20 else "" for number in range(count)]
        targets = made[name].targets[[number - number % 2 if number < 20 else number for number in range(count)]]
        splits[name] = dataclasses.replace(made[name], annotations=targets, together=together)
    return dataclasses.replace(made, splits=splits)


def test_a_products_photos_are_averaged_before_anything_is_fitted_and_get_the_same_labels(
    by_product, members, tmp_path
):
    recipe = dataclasses.replace(RECIPE, average_together=True)
    content = ensembles.fit("made", by_product, members, tmp_path / "ensemble", recipe)
    assert content.products == 80 and content.test.photos == 20 and "over 80 products" in ensembles.summary(content)
    for name, table in predictions.read(tmp_path / "ensemble/predictions.h5").items():
        assert table.ids == tuple(by_product[name].ids)
        for array in (table.probabilities, table.decided):
            assert np.array_equal(array[:20:2], array[1:20:2])
    table = predictions.read(tmp_path / "ensemble/predictions.h5")["validation"]
    rows = [row for row in range(90) if row >= 20 or row % 2 == 0]
    decided, targets = table.decided[rows], by_product["validation"].targets[rows]
    assert content.headline["micro_f1"].value == pytest.approx(micro_f1(targets, decided))


def test_without_averaging_products_shape_folds_and_draws_alone(by_product, members, tmp_path):
    content = ensembles.fit("made", by_product, members, tmp_path / "ensemble", RECIPE)
    assert content.products is None and content.test.photos == 30 and "products" not in ensembles.summary(content)


def test_averaging_where_nothing_belongs_together_is_refused_at_once(made, by_product):
    recipe = dataclasses.replace(RECIPE, average_together=True)
    with pytest.raises(InputError, match=r"ensemble\.average_together is True, and no photos belong together"):
        ensembles.check(made, recipe)
    ensembles.check(made, RECIPE)
    ensembles.check(by_product, recipe)


def test_features_are_compared_where_a_store_has_them(made, members, tmp_path, write_store):
    root = write_store(tmp_path / "store", made, failed=("validation 7",))
    content = ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE, root)
    assert content.shift.features[0].splits == ("train", "validation")
    assert ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE).shift.features == []


def test_members_of_other_labels_are_refused(made, members, tmp_path):
    path = members["fair"] / "predictions.h5"
    predictions.write(path, predictions.read(path), labels=[1, 2, 5, 9])
    with pytest.raises(InputError, match=r"predictions of fair are of other labels .*make train MODEL=fair"):
        ensembles.fit("made", made, members, tmp_path / "ensemble", RECIPE)


def test_whatever_an_ensembles_json_holds_it_decides_or_is_refused(stacked, spoilt):
    path = stacked / "ensemble.json"
    content = json.loads(path.read_text())

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(spoilt(content) | spoilt({key: content[key] for key in ("decision", "members", "methods")}))
    def spoil(found):
        path.write_text(json.dumps(found))
        for read in (results.read_ensemble, ensembles.load_decision, lambda folder: ensembles.is_done(folder, {})):
            try:
                read(stacked)
            except InputError as error:
                assert "\n" not in str(error)

    spoil()


@pytest.mark.parametrize("content", ["[]", "null", "5", "{", ""])
def test_an_ensembles_json_of_another_shape_is_named_with_the_mend(content, stacked):
    (stacked / "ensemble.json").write_text(content)
    for read in (ensembles.load_decision, lambda folder: ensembles.is_done(folder, {})):
        with pytest.raises(InputError, match=r"ensemble.json .*: remove it and run the same command again"):
            read(stacked)


def test_an_ensemble_of_another_version_is_not_done_and_decides_nothing(stacked):
    content = json.loads((stacked / "ensemble.json").read_text())
    assert ensembles.is_done(stacked, content["identity"])
    del content["version"]
    (stacked / "ensemble.json").write_text(json.dumps(content))
    assert not ensembles.is_done(stacked, content["identity"])
    with pytest.raises(InputError, match=r"ensemble.json is missing or of another version: run `make ensemble`"):
        ensembles.load_decision(stacked)


@pytest.fixture
def one_colour(made, tmp_path, write_result):
    """A data set whose photos each have exactly one colour, its members, and the folder of their ensemble."""
    splits = {}
    for name, split in made.splits.items():
        targets = split.targets.copy()
        targets[:, 1] = 1 - targets[:, 0]
        splits[name] = dataclasses.replace(split, annotations=targets)
    dataset = dataclasses.replace(made, splits=splits)
    found = {name: write_member(tmp_path / name, dataset, 6, seed, write_result) for seed, name in enumerate("ab")}
    return dataset, found, tmp_path / "ensemble"


def test_a_group_of_which_every_photo_has_one_label_gets_one_in_every_split_and_when_it_is_read_back(one_colour):
    dataset, members, folder = one_colour
    ensembles.fit("made", dataset, members, folder, RECIPE)
    found = predictions.read(folder / "predictions.h5")
    for table in found.values():
        assert (table.decided[:, :2].sum(axis=1) == 1).all()
        assert not (table.decided[:, 2:].sum(axis=1) == 1).all()
    single = {name: predictions.read(path / "predictions.h5")["test"].probabilities for name, path in members.items()}
    probabilities, decided, needed = ensembles.decide(ensembles.load_decision(folder), single)
    assert np.array_equal(decided, found["test"].decided)
    assert np.array_equal(needed[:, 0], probabilities[:, 1]) and len(set(needed[:, 2].tolist())) == 1
    assert [label.threshold is None for label in results.read_ensemble(folder).labels] == [True, True, False, False]


def test_where_the_recipe_allows_none_thresholds_alone_decide(one_colour):
    dataset, members, folder = one_colour
    content = ensembles.fit("made", dataset, members, folder, dataclasses.replace(RECIPE, allow_none=True))
    decided = predictions.read(folder / "predictions.h5")["test"].decided
    assert not (decided[:, :2].sum(axis=1) == 1).all()
    assert not content.judging.one_each and all(label.threshold is not None for label in content.labels)


def test_the_figures_are_of_the_decisions_that_are_made(one_colour):
    dataset, members, folder = one_colour
    content = ensembles.fit("made", dataset, members, folder, RECIPE)
    decided = predictions.read(folder / "predictions.h5")["validation"].decided
    assert micro_f1(dataset["validation"].targets, decided) == content.headline["micro_f1"].value


METRICS = {
    "macro_f1": {},
    "image_f_beta": {"beta": 2.0},
    "mean_average_precision": {},
    "top_1": {"group": "colour"},
    "saved_cost": {"cost_false_negative": 4.0},
    "recall_at_precision": {"wished": 0.6},
    "precision_at_recall": {"wished": 0.6},
}


@pytest.mark.parametrize("metric", METRICS)
def test_the_ensemble_is_made_for_the_metric_of_its_recipe_and_the_headline_is_that_of_what_is_written(
    metric, made, members, tmp_path
):
    exclusive = with_one_colour_each(made) if metric == "top_1" else made
    recipe = dataclasses.replace(RECIPE, metric=metric, methods=("mean", "PSO", "log-loss weights"), **METRICS[metric])
    ensembles.check_metric(exclusive, recipe)
    content = ensembles.fit("made", exclusive, members, tmp_path / "ensemble", recipe)
    assert results.read_ensemble(tmp_path / "ensemble") == content and content.judging == recipe.judging
    measure = measures.of(recipe.judging.metric, made.labels.groups)
    targets, found = exclusive["validation"].targets, predictions.read(tmp_path / "ensemble" / "predictions.h5")
    if not measure.ranks:
        assert content.figure.value == pytest.approx(measure.score(targets, found["validation"].decided))
        answer = found["test"].decided
    else:
        assert content.figure.in_sample == pytest.approx(measure.score(targets, found["validation"].probabilities))
        answer = found["test"].probabilities
    assert content.test.figure.value == pytest.approx(measure.score(exclusive["test"].targets, answer))
    assert content.figure.low <= content.figure.value <= content.figure.high
    assert content.chosen.fixed == results.Decider("log-loss weights", measure.rule)
    assert all(next(iter(row.scores)) == metric for row in content.methods)
    told = ensembles.summary(content).splitlines()
    assert told[0].startswith(f"ensemble: {content.title} {content.figure.value:.3f}")
    left = [label for label in content.labels if label.left]
    if measure.left:
        chances = {label: bool(measure.left(np.float32([label.threshold]))[0]) for label in content.labels}
        assert left == [label for label, is_left in chances.items() if is_left]
        assert content.automated == pytest.approx(1 - len(left) / len(content.labels))
        assert sum("of the decisions are automated" in line for line in told) == 1
    else:
        assert not left and content.automated is None


def with_one_colour_each(made):
    """The same data set, whose photos have exactly one of the labels of the first group."""
    columns = [column for column, group in enumerate(made.labels.groups) if group == "colour"]
    splits = {}
    for name, split in made.splits.items():
        targets = split.targets.copy()
        targets[:, columns] = np.arange(len(columns)) == (np.arange(len(targets)) % len(columns))[:, np.newaxis]
        splits[name] = dataclasses.replace(split, annotations=csr_array(targets))
    return dataclasses.replace(made, splits=splits)


def test_top_1_of_labels_that_are_no_answer_is_refused(made):
    with pytest.raises(InputError, match=r"'top_1' of colour, and photos of train have several of these: name a group"):
        ensembles.check_metric(made, Ensemble(metric="top_1", group="colour"))
    with pytest.raises(InputError, match=r"ensemble\.group is 'color'. Did you mean colour"):
        ensembles.check_metric(made, Ensemble(metric="top_1", group="color"))


def test_an_ensemble_for_another_metric_is_another_and_one_for_micro_f1_is_what_it_was(made, members):
    plain, macro = (ensembles.identity(made, members, Ensemble(**how)) for how in ({}, {"metric": "macro_f1"}))
    assert not {"metric", "beta", "wished", "group"} & plain["recipe"].keys()
    assert macro["recipe"] == {**plain["recipe"], "metric": "macro_f1"}

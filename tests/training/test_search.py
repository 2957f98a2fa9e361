import dataclasses

import numpy as np
import pytest

from mlob.errors import InputError
from mlob.recipes import LINEAR, MLP, Experiment, Head, Training
from mlob.training import batches, fit, search

SMALL = Experiment(("any",), Head(units=(8,)), Training(epochs=6, batch=32, learning_rate=1e-2))


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    targets = (generator.random((400, 4)) < (0.6, 0.4, 0.2, 0.1)).astype(np.uint8)
    features = targets @ generator.normal(size=(4, 12)) + generator.normal(size=(400, 12))
    ids = np.array([str(number) for number in range(400)], object)
    return batches.train_and_dev(batches.Rows(ids, features.astype(np.float16), targets))


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by a second an epoch: a budget of n seconds is n epochs."""
    now = [0.0]
    judged = fit._judged

    def slow(*arguments):
        now[0] += 1
        return judged(*arguments)

    monkeypatch.setattr(fit, "_judged", slow)
    monkeypatch.setattr(search.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def look(rows, clock, tmp_path):
    def look(experiment=SMALL, budget=40, **others):
        where = {"name": "head", "groups": ("a",) * 4, "folder": tmp_path / "search", "key": "key"}
        return search.search(experiment, *rows, budget_seconds=budget, **{**where, **others})

    return look


def test_the_recipe_as_it_is_comes_first_and_the_budget_ends_the_search(look, rows):
    found = look()
    first, *others = found
    assert (first.changes, first.epochs) == ("", 6)
    assert others and all(trial.changes for trial in others)
    assert 28 <= sum(trial.seconds for trial in found) <= 40
    for trial in found:
        assert trial.epochs == trial.seconds <= 6
        assert trial.kept is None or trial.probabilities().shape == rows[1].targets.shape


def test_the_first_trial_runs_to_its_end_whatever_the_budget(look):
    (only,) = look(budget=1)
    assert only.epochs == 6 and only.kept is not None


def test_a_second_call_goes_on_and_one_without_budget_left_trains_nothing(look, clock):
    few = look(budget=20)
    many = look(budget=40)
    assert [trial.changes for trial in many[: len(few)]] == [trial.changes for trial in few] and len(many) > len(few)
    before = clock[0]
    again = look(budget=30)
    assert clock[0] == before and [trial.changes for trial in again] == [trial.changes for trial in many]


def test_a_killed_trial_is_run_again_with_the_same_values(look, monkeypatch):
    tried, override = [], search.recipes.override

    def killed(experiment, pairs):
        tried.append(pairs)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return override(experiment, pairs)

    monkeypatch.setattr(search.recipes, "override", killed)
    with pytest.raises(KeyboardInterrupt):
        look()
    look()
    assert tried[3] == tried[2] != tried[1]


def test_another_key_starts_anew(look):
    assert look(budget=14)[0].number == 0
    assert look(budget=14, key="other")[0].number == 0
    assert len(look(budget=14)) == len(look(budget=14, key="other"))


def test_a_trial_whose_loss_bursts_is_the_worst_and_the_search_goes_on(look, monkeypatch):
    plain, calls = fit.fit, []

    def bursting(*arguments, **others):
        calls.append(others["name"])
        if len(calls) == 2:
            raise InputError("The loss is nan at step 3.")
        return plain(*arguments, **others)

    monkeypatch.setattr(fit, "fit", bursting)
    found = look()
    assert (found[1].kept, found[1].dev_micro_f1, found[1].epochs) == (None, 0.0, 0) and len(found) > 2


def test_a_recipe_whose_own_loss_bursts_is_told(look, monkeypatch):
    def bursting(*arguments, **others):
        raise InputError("The loss is nan at step 3.")

    monkeypatch.setattr(fit, "fit", bursting)
    with pytest.raises(InputError, match="The loss is nan"):
        look()


@pytest.mark.parametrize("experiment", [SMALL, Experiment((), LINEAR), Experiment((), MLP, Training(optimizer="sgd"))])
def test_the_recipes_own_values_are_among_those_tried(experiment):
    space, own = search._space(experiment), search._params(experiment)
    assert set(own) == set(space)
    for field, values in space.items():
        assert values._contains(values.to_internal_repr(own[field]))
    assert ("training.weight_decay" in space) == (experiment.training.optimizer == "adamw")


def test_changes_are_what_set_takes(look):
    for trial in look()[1:]:
        pairs = search.recipes.parse(trial.changes)[Experiment]
        changed = search.recipes.override(SMALL, pairs)
        assert changed != SMALL and changed == dataclasses.replace(SMALL, head=changed.head, training=changed.training)
        assert changed.training.epochs == SMALL.training.epochs

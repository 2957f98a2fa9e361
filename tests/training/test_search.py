import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlob import files, loading
from mlob.errors import InputError
from mlob.recipes import LINEAR, MLP, Experiment, Head, Network, Phase, Training
from mlob.training import fit, predicting, search
from mlob.training.trained import Trained

SMALL = Experiment(("any",), Head(units=(8,)), Training(epochs=6, batch=32, learning_rate=1e-2))


@pytest.fixture(scope="module")
def rows(rows_of):
    return rows_of(400, (0.6, 0.4, 0.2, 0.1), 12)


def count_epochs(patch):
    """Let time pass by a second an epoch: a budget of n seconds is n epochs. Give a list that holds the time alone."""
    now = [0.0]
    highest = predicting.highest_micro_f1

    def judged(*arguments):
        now[0] += 1
        return highest(*arguments)

    patch.setattr(predicting, "highest_micro_f1", judged)
    patch.setattr(search.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def clock(monkeypatch):
    return count_epochs(monkeypatch)


@pytest.fixture
def look(rows, clock, tmp_path):
    def look(experiment=SMALL, budget=14, **others):
        where = {"name": "head", "groups": ("a",) * 4, "folder": tmp_path / "search", "key": "key"}
        return search.search(experiment, *rows, budget_seconds=budget, **{**where, **others})

    return look


@pytest.fixture(scope="module")
def searched(rows, tmp_path_factory):
    """The trials of a search that goes on long enough to stop some of them."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        count_epochs(patch)
        return search.search(SMALL, *rows, name="head", groups=("a",) * 4, budget_seconds=40, folder=folder, key="key")


@pytest.mark.slow
def test_the_recipe_as_it_is_comes_first_and_the_budget_ends_the_search(searched, rows):
    first, *others = searched
    assert (first.changes, first.epochs) == ("", 6)
    assert others and all(trial.changes for trial in others)
    assert 28 <= sum(trial.seconds for trial in searched) <= 40
    for trial in searched:
        assert trial.epochs == trial.seconds <= 6
        assert trial.path is None or trial.probabilities().shape == rows[1].targets.shape


def test_the_first_trial_runs_to_its_end_whatever_the_budget(look):
    (only,) = look(budget=1)
    assert only.epochs == 6 and only.path is not None


@pytest.mark.slow
def test_a_second_call_goes_on_and_one_without_budget_left_trains_nothing(look, clock):
    few = look(budget=14)
    many = look(budget=20)
    assert [trial.changes for trial in many[: len(few)]] == [trial.changes for trial in few] and len(many) > len(few)
    before = clock[0]
    again = look(budget=16)
    assert clock[0] == before and [trial.changes for trial in again] == [trial.changes for trial in many]


@pytest.mark.slow
def test_a_killed_trial_is_run_again_with_the_same_values(look, monkeypatch):
    tried, override = [], loading.override

    def killed(experiment, pairs):
        tried.append(pairs)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return override(experiment, pairs)

    monkeypatch.setattr(loading, "override", killed)
    with pytest.raises(KeyboardInterrupt):
        look()
    look()
    assert tried[3] == tried[2] != tried[1]


@pytest.mark.slow
def test_another_key_starts_anew(look):
    assert look(budget=12)[0].number == 0
    assert look(budget=12, key="other")[0].number == 0
    assert len(look(budget=12)) == len(look(budget=12, key="other"))


@pytest.mark.slow
def test_a_trial_whose_loss_bursts_is_the_worst_and_the_search_goes_on(look, monkeypatch):
    plain, calls = fit.fit, []

    def bursting(*arguments, **others):
        calls.append(others["name"])
        if len(calls) == 2:
            raise InputError("The loss is nan at step 3.")
        return plain(*arguments, **others)

    monkeypatch.setattr(fit, "fit", bursting)
    found = look()
    assert (found[1].path, found[1].dev_micro_f1, found[1].epochs) == (None, 0.0, 0) and len(found) > 2


def test_a_recipe_whose_own_loss_bursts_is_told(look, monkeypatch):
    def bursting(*arguments, **others):
        raise InputError("The loss is nan at step 3.")

    monkeypatch.setattr(fit, "fit", bursting)
    with pytest.raises(InputError, match="The loss is nan"):
        look()


@pytest.mark.parametrize("experiment", [SMALL, Experiment((), LINEAR), Experiment((), MLP, Training(optimizer="sgd"))])
def test_the_recipes_own_values_are_among_those_tried(experiment):
    space, own = search.space(experiment), search.own_values(experiment)
    assert set(own) == set(space)
    for field, values in space.items():
        assert values._contains(values.to_internal_repr(own[field]))
    assert ("training.weight_decay" in space) == (experiment.training.optimizer == "adamw")


@pytest.mark.slow
def test_changes_are_what_set_takes(searched):
    for trial in searched[1:]:
        pairs = loading.parse(trial.changes)[Experiment]
        changed = loading.override(SMALL, pairs)
        assert changed != SMALL and changed == dataclasses.replace(SMALL, head=changed.head, training=changed.training)
        assert changed.training.epochs == SMALL.training.epochs


# The journal


@pytest.fixture(scope="module")
def one_trial(rows, tmp_path_factory):
    """The folder of a search whose first trial is done."""
    folder = tmp_path_factory.mktemp("one trial")
    where = {"name": "head", "groups": ("a",) * 4, "folder": folder, "key": "key"}
    search.search(SMALL, *rows, budget_seconds=1e-9, **where)
    return folder


@pytest.fixture
def journal(one_trial, look, tmp_path):
    """The journal of a search of one trial that is done: a file, and the trials."""
    shutil.copytree(one_trial, tmp_path / "search")
    return tmp_path / "search" / "journal.log", look(budget=1e-9)


@pytest.mark.parametrize("half", [b'{"op_code":5,"worker', b"{", b"\xff\xfe", b"\0" * 100])
def test_half_a_line_at_the_end_of_the_journal_is_dropped_and_told(look, journal, capsys, half):
    path, trials = journal
    whole = path.read_bytes()
    path.write_bytes(whole + half)
    assert look(budget=1e-9) == trials
    after = path.read_bytes()
    assert after.startswith(whole) and all(json.loads(line) for line in after.splitlines())
    assert "is not whole" in capsys.readouterr().err
    look(budget=1e-9)
    assert "is not whole" not in capsys.readouterr().err


def test_a_lock_that_was_left_behind_is_told_before_the_wait(look, journal, monkeypatch):
    path, trials = journal
    lock, told = path.with_name("journal.log.lock"), []
    lock.symlink_to(path)

    def say(text):
        told.append(text)
        lock.unlink(missing_ok=True)  # its holder ends, before the wait does

    monkeypatch.setattr(search, "say", say)
    assert look(budget=1e-9) == trials
    assert str(lock) in told[0] and "30 s at most" in told[0]


def test_the_lock_of_a_journal_named_by_a_relative_path_is_a_link_to_it(look, journal, monkeypatch, tmp_path):
    acquire, targets = optuna.storages.journal.JournalFileSymlinkLock.acquire, set()

    def seen(lock):
        acquire(lock)
        targets.add(os.path.exists(lock._lock_file))
        return True

    monkeypatch.setattr(optuna.storages.journal.JournalFileSymlinkLock, "acquire", seen)
    monkeypatch.chdir(tmp_path)
    look(budget=1e-9, folder=pathlib.Path("search"))
    assert targets == {True}


LINES = st.lists(
    st.binary(max_size=20) | st.sampled_from([b"{}", b"[]", b"5", b"null", b'{"op_code": 0}', b'{"op_code": 4}'])
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_bytes_the_journal_holds_it_is_gone_on_from_or_refused(journal, look, clock, monkeypatch, data):
    def at_once(experiment, train, dev, *, after_epoch, **others):
        clock[0] += 1
        after_epoch([{"epoch": 1, "loss": 0.5, "dev_loss": 0.5, "dev_micro_f1": 0.5, "learning_rate": 0.1}])
        return Trained(None, lambda features: np.zeros(dev.targets.shape, np.float32), [], 0, 1.0)

    path, _ = journal
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines)))
    lines[at : at + data.draw(st.integers(0, 2))] = [line + b"\n" for line in data.draw(LINES)]
    content = bytearray(b"".join(lines))
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    monkeypatch.setattr(fit, "fit", at_once)
    try:
        found = look(budget=1e-9)
    except InputError as error:
        assert f"remove {path.parent} to search from the start" in str(error)
    else:
        assert found and all(isinstance(trial, search.Trial) for trial in found)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"not an array", "cut", "other"])
def test_probabilities_that_are_damaged_or_missing_are_told(journal, content):
    _, (trial, *_) = journal
    whole = trial.path.read_bytes()
    if content is None:
        trial.path.unlink()
    elif content == "other":
        np.save(trial.path, np.zeros(3))
    else:
        trial.path.write_bytes(whole[:-10] if content == "cut" else content)
    with pytest.raises(InputError, match=r"0000\.npy is missing or damaged .*to search from the start"):
        trial.probabilities()


def test_a_second_search_in_one_folder_is_refused_while_the_first_runs_and_not_after(look, tmp_path):
    (tmp_path / "search").mkdir()
    with files.alone(tmp_path / "search"), pytest.raises(InputError, match="Another process is at work"):
        look(budget=1)
    assert len(look(budget=1)) == 1
    assert not list((tmp_path / "search").glob(".*"))


NETWORK = Experiment(
    ("photos",),
    Head(units=(8,), dropout=0.3),
    network=Network("lite", phases=(Phase(learning_rate=1e-2), Phase(learning_rate=1e-4))),
)


def test_of_a_network_the_rates_of_its_phases_are_tried_and_a_head_taken_over_stays_as_it_is():
    tried = search.space(NETWORK)
    rates = {field: (of.low, of.high) for field, of in tried.items() if field.endswith("learning_rate")}
    assert {*rates} == {"network.phases[0].learning_rate", "network.phases[1].learning_rate"}
    assert rates["network.phases[1].learning_rate"] == pytest.approx((1e-5, 1e-3))
    values = search.own_values(NETWORK)
    assert values["network.phases[0].learning_rate"] == 1e-2 and values["head.dropout"] == 0.3
    pairs = loading.parse(",".join(f"{field}={value}" for field, value in values.items()))[Experiment]
    assert loading.override(NETWORK, pairs) == NETWORK
    begun = dataclasses.replace(NETWORK, start="first")
    assert {*tried} - {*search.space(begun)} == {"head.dropout"}

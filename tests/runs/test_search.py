import dataclasses

import numpy as np
import pytest

from mlob import loading
from mlob.evaluation.bootstrap import Interval
from mlob.recipes import LINEAR, Augmentation, Experiment, Head, Judging, Network, Phase, Training
from mlob.runs import search as searches
from mlob.runs.job import Job
from mlob.training import search
from mlob.training.search import Trial

JUDGE = Judging(folds=3, draws=50)
BASE = Experiment(("one",), LINEAR, Training(epochs=3, learning_rate=0.03))
CHANGES = "training.learning_rate=0.1,head.units=[8,4],head.dropout=0.25"


@pytest.fixture(scope="module")
def stores(made, write_store, tmp_path_factory):
    return {"one": write_store(tmp_path_factory.mktemp("features") / "one", made)}


@pytest.fixture
def look(made, stores, tmp_path, monkeypatch):
    """Judge made-up trials: each decides dev right but for a share of the cells; None for one that was stopped."""

    def look(wrong, judging=JUDGE):
        def tried(experiment, train, dev, **others):
            return [trial(number, share, dev.targets, tmp_path) for number, share in enumerate(wrong)]

        monkeypatch.setattr(search, "search", tried)
        job = Job("head", BASE, made, stores)
        judged = searches.run(job, tmp_path / "search", judging, budget_seconds=9)
        searches.write_recipe(tmp_path / "search" / "recipe.py", "tiny", job, judged)
        return judged

    return look


def trial(number, wrong, targets, folder):
    changes = CHANGES if number else ""
    if wrong is None:
        return Trial(number, changes, {}, 0.3, 1, 1.0, None)
    flipped = np.random.default_rng(0).random(targets.shape) < wrong
    np.save(folder / f"{number}.npy", np.where(flipped, 1 - targets, targets).astype(np.float32))
    return Trial(number, changes, {}, 0.5, 3, 2.0, folder / f"{number}.npy")


def test_trials_are_judged_against_the_recipe_as_it_is(look, tmp_path):
    found = look([0.3, None, 0.1, 0.2])
    base, stopped, best, middle = found.trials
    assert base.gain == Interval(0, 0, 0) and stopped.figure is None
    assert found.best == best and best.gain.low > 0
    assert best.gain.value == pytest.approx(best.figure.value - base.figure.value)
    assert best.figure.value > middle.figure.value > base.figure.value
    assert searches.read(tmp_path / "search" / "search.json") == found


def test_the_gain_that_luck_has_no_say_in_is_not_above_the_best_ones(look):
    clear = look([0.3, 0.1, 0.29])
    assert clear.elsewhere == clear.best.gain
    near = look([0.2, 0.21, 0.19, 0.205])
    assert near.elsewhere.value <= near.best.gain.value


def test_the_best_recipe_is_a_file_that_loads(look, tmp_path):
    look([0.3, 0.1])
    found = loading.load(tmp_path / "search" / "recipe.py", [])
    training = dataclasses.replace(BASE.training, learning_rate=0.1)
    assert found == Experiment(("one",), dataclasses.replace(LINEAR, units=(8, 4), dropout=0.25), training)
    text = (tmp_path / "search" / "recipe.py").read_text()
    assert "Command: make train SUITE=tiny MODEL=head_searched" in text and "momentum" not in text
    assert "import Experiment, Head, Training\n" in text
    look([0.1, 0.3])
    assert "import Experiment, Head, Training\n" in (tmp_path / "search" / "recipe.py").read_text()


def test_what_is_told_names_the_changes_or_that_there_are_none(look):
    told = searches.summary(look([0.3, 0.1, None]))
    assert told.startswith("3 trials, 1 stopped early. The best is trial 1:\n") and f"SET={CHANGES}" in told
    assert searches.summary(look([0.1, 0.3])) == "2 trials, 0 stopped early: none is better than the recipe as it is."


def test_a_recipe_is_written_with_the_fields_that_differ_from_the_defaults():
    assert searches.code_of(Experiment(("a", "b"))) == "Experiment(stores=('a', 'b'))"
    assert searches.code_of(Experiment(("a",), Head(units=(5,)))) == "Experiment(stores=('a',), head=Head(units=(5,)))"


def test_another_judging_judges_what_was_kept(look):
    one, other = look([0.3, 0.1]), look([0.3, 0.1], dataclasses.replace(JUDGE, folds=7, draws=60))
    assert (one.judging.folds, other.judging) == (3, Judging(folds=7, draws=60))
    assert one.best.gain != other.best.gain


def test_the_recipe_of_a_network_is_written_with_the_kinds_that_it_is_made_of(tmp_path):
    phases = (Phase(learning_rate=1e-4, augmentation=Augmentation(flip=True)), Phase(epochs=3))
    recipe = Experiment(("photos",), network=Network("lite", phases=phases, views=("flip",)))
    code = searches.code_of(recipe)
    used = ", ".join(kind for kind in searches.KINDS if f"{kind}(" in code)
    path = tmp_path / "recipe.py"
    path.write_text(f"from mlob.recipes import {used}\nrecipe = {code}\n")
    assert loading.load(path, []) == recipe
    assert "Phase(epochs=3)" in code and "Head" not in used

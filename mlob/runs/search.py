"""A search over a recipe's fields, judged: what it gained on dev, and how much of it is luck. Product: search.json."""

import dataclasses
import pathlib
from typing import Any

from mlob import loading, machine, recipes, workspace
from mlob.data.dataset import DataSet
from mlob.evaluation import dev, judge
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.crossfit import folds
from mlob.files import read_record, write_json, write_text
from mlob.recipes import Experiment, Judging
from mlob.runs import model

RECIPE = '''"""{name}, changed by a search of {trials} trials on {photos:,} dev photos.

Command: make train SUITE={suite} MODEL={name}_searched
Measured on dev: {gain:+.4f} micro-F1, which flatters it; {elsewhere:+.4f} where it was chosen on other photos.
"""

from mlob.recipes import {used}

recipe = {recipe}
'''


@dataclasses.dataclass(frozen=True)
class JudgedTrial:
    """A trial, judged on dev.

    Attributes:
        number: the first, 0, is the recipe as it is.
        changes: of the recipe, as SET takes them.
        values: {field: number or text}.
        dev_micro_f1: after its last epoch, at its best threshold there.
        epochs, seconds: that it took.
        micro_f1: cross-fitted; None where the trial was stopped early.
        gain: of that on the recipe as it is.
    """

    number: int
    changes: str
    values: dict[str, Any]
    dev_micro_f1: float | None
    seconds: float
    micro_f1: Interval | None
    gain: Interval | None
    epochs: int = 0


@dataclasses.dataclass(frozen=True)
class Search:
    """search.json: trials judged on `photos` rows of dev.

    Attributes:
        best: the trial with the highest micro-F1.
        elsewhere: the gain where each photo is decided by the trial that is best on the other folds.
    """

    trials: list[JudgedTrial]
    best: JudgedTrial
    elsewhere: Interval
    photos: int
    judging: Judging | None = None


def run(
    suite: str,
    name: str,
    experiment: Experiment,
    dataset: DataSet,
    *,
    stores: model.Stores,
    folder: pathlib.Path,
    judging: Judging,
    budget_seconds: float,
    memory_bytes: int | None = None,
) -> Search:
    """Search until the budget is spent, judge the trials, write search.json and the best recipe as a file.

    Args:
        suite, name: of the suite, of the model.
        experiment: its recipe.
        dataset: the `DataSet`.
        stores: {store name: features/<set>/<data set>}.
        folder: runs/<suite>/<model>/search.
        judging: the suite's `Judging`.
        budget_seconds: of training, that of earlier calls included.
        memory_bytes: that the features of train may take, as `batches.train_and_dev` has it.
    """
    machine.load_keras()
    from mlob.training import search

    train, on_dev = model.train_and_dev(experiment, dataset, stores, memory_bytes)
    wanted = model.identity(experiment, dataset, stores)
    trials = search.search(
        experiment,
        train,
        on_dev,
        name=name,
        groups=dataset.labels.groups,
        budget_seconds=budget_seconds,
        folder=folder,
        key=model.key(wanted),
    )
    found = _judged(trials, on_dev, judging)
    write_text(folder / workspace.BEST_RECIPE, _recipe(suite, name, experiment, found))
    write_json(folder / workspace.SEARCH, {"identity": wanted, **dataclasses.asdict(found), **machine.facts()})
    return found


def read(path: pathlib.Path) -> Search:
    """Read search.json.

    Raises:
        InputError: as `files.read_record`.
    """
    return read_record(path, Search)


def summary(found: Search) -> str:
    """Tell the best trial, and what choosing it is worth."""
    stopped = sum(trial.micro_f1 is None for trial in found.trials)
    tried = f"{len(found.trials)} trials, {stopped} stopped early"
    if not found.best.changes:
        return f"{tried}: none is better than the recipe as it is."
    return (
        f"{tried}; the best, trial {found.best.number}:\n  SET={found.best.changes}\n"
        f"micro-F1 on the {found.photos:,} dev photos {_value(found.best.micro_f1):.4f}: {_gained(found.best.gain)} "
        f"against the recipe as it is; chosen on the other folds each time {_gained(found.elsewhere)}, which the "
        "choice does not flatter."
    )


def _gained(gain):
    return f"{gain.value:+.4f} (95% {gain.low:+.4f} to {gain.high:+.4f})"


def _judged(trials, on_dev, judging):
    """Judge the trials that ran to their end against the first, and the choice among them."""
    fold = folds(on_dev.targets, judging.folds, seed=judging.seed, keys=on_dev.keys)
    decided = {
        (str(trial.number), ""): dev.decide(trial.probabilities(), on_dev.targets, fold)
        for trial in trials
        if trial.path
    }
    elsewhere = judge.chosen_elsewhere(on_dev.targets, decided, fold)
    named = {number: own for (number, _), own in decided.items()} | {"elsewhere": elsewhere}
    compared = {each.model: each for each in dev.compare(named, on_dev.targets, judging, on_dev.keys)}
    judged = [_judged_trial(trial, compared.get(str(trial.number))) for trial in trials]
    best = max(judged, key=lambda trial: _value(trial.micro_f1))
    return Search(judged, best, compared["elsewhere"].gain, len(on_dev.ids), judging)


def _value(figure):
    return figure.value if figure else -1


def _judged_trial(trial, compared):
    figures = {"micro_f1": compared and compared.micro_f1, "gain": compared and compared.gain}
    names = {field.name for field in dataclasses.fields(JudgedTrial)} - figures.keys()
    return JudgedTrial(**{name: getattr(trial, name) for name in names}, **figures)


def _recipe(suite, name, experiment, found):
    """Write the best trial's recipe as the text of a file for experiments/<suite>."""
    code = code_of(loading.override(experiment, loading.parse(found.best.changes)[recipes.Experiment]))
    return RECIPE.format(
        name=name,
        suite=suite,
        trials=len(found.trials),
        photos=found.photos,
        gain=found.best.gain.value,
        elsewhere=found.elsewhere.value,
        used=", ".join(kind for kind in ("Experiment", "Head", "Training") if f"{kind}(" in code),
        recipe=code,
    )


def code_of(value):
    """Give Python's text of a recipe, with the fields that differ from the defaults."""
    if not dataclasses.is_dataclass(value):
        return repr(value)
    shown = [field for field in dataclasses.fields(value) if getattr(value, field.name) != field.default]
    return (
        f"{type(value).__name__}({', '.join(f'{field.name}={code_of(getattr(value, field.name))}' for field in shown)})"
    )

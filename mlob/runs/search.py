"""A search over a recipe's fields, judged: what it gained on dev, and how much of it is luck. Product: search.json."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlob import loading, machine, recipes, workspace
from mlob.ensemble import measures
from mlob.ensemble.measures import Measure
from mlob.evaluation import choice, dev
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.crossfit import folds
from mlob.files import ANEW, read_json, record, write_json, write_text
from mlob.recipes import Judging, Metric
from mlob.runs.job import Job, measure_of, one_each
from mlob.training.batches import Labelled

KINDS = ("Experiment", "Head", "Training", "Network", "Phase", "Augmentation", "Convolutions")  # a recipe is made of

if TYPE_CHECKING:
    from mlob.training.search import Trial

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
        figure: of the metric, cross-fitted; None where the trial was stopped early.
        gain: of that on the recipe as it is.
    """

    number: int
    changes: str
    values: dict[str, Any]
    dev_micro_f1: float | None
    seconds: float
    figure: Interval | None
    gain: Interval | None
    epochs: int = 0


@dataclasses.dataclass(frozen=True)
class Search:
    """search.json: trials judged on `photos` rows of dev.

    Attributes:
        best: the trial with the highest figure.
        elsewhere: the gain where each photo is decided by the trial that is best on the other folds.
    """

    trials: list[JudgedTrial]
    best: JudgedTrial
    elsewhere: Interval
    photos: int
    judging: Judging | None = None

    @property
    def metric(self) -> Metric:
        """What trials are judged by, once they have run."""
        return self.judging.metric if self.judging else Metric()


def run(job: Job, folder: pathlib.Path, judging: Judging, budget_seconds: float) -> Search:
    """Search until the budget is spent, judge the trials, and write search.json.

    Args:
        job: the recipe to change, and what it is tried on.
        folder: runs/<suite>/<model>/search.
        judging: the suite's.
        budget_seconds: of training, that of earlier calls included.
    """
    machine.load_keras()
    from mlob.training import search

    train, on_dev = job.train_and_dev()
    identity = job.identity
    trials = search.search(
        job.experiment,
        train,
        on_dev,
        name=job.name,
        groups=job.dataset.labels.groups,
        begin=job.begin,
        budget_seconds=budget_seconds,
        folder=folder,
        key=job.key,
    )
    judged = _judge(trials, on_dev, judging, one_each(job.dataset, judging), measure_of(job.dataset, judging))
    write_json(folder / workspace.SEARCH, {"identity": identity, **dataclasses.asdict(judged), **machine.facts()})
    return judged


def write_recipe(path: pathlib.Path, suite: str, job: Job, search: Search) -> None:
    """Write the best trial's recipe as a file for experiments/<suite>."""
    code = code_of(loading.override(job.experiment, loading.parse(search.best.changes)[recipes.Experiment]))
    gain = search.best.gain.value if search.best.gain else 0.0
    text = RECIPE.format(
        name=job.name,
        suite=suite,
        trials=len(search.trials),
        photos=search.photos,
        gain=gain,
        elsewhere=search.elsewhere.value,
        used=", ".join(kind for kind in KINDS if f"{kind}(" in code),
        recipe=code,
    )
    write_text(path, text)


def read(path: pathlib.Path) -> Search:
    """Read search.json.

    Raises:
        InputError: as `files.read_record`.
    """
    content = read_json(path, ANEW)
    if isinstance(content, dict) and isinstance(content.get("trials"), list):
        for trial in filter(lambda trial: isinstance(trial, dict), [*content["trials"], content.get("best")]):
            trial.setdefault("figure", trial.get("micro_f1"))  # as it was named before there were other metrics
    return record(path, Search, content)


def summary(search: Search) -> str:
    """Tell the best trial, and what choosing it is worth."""
    stopped = sum(trial.figure is None for trial in search.trials)
    tried = f"{len(search.trials)} trials, {stopped} stopped early"
    best = search.best
    if not (best.changes and best.figure and best.gain):
        return f"{tried}: none is better than the recipe as it is."
    return (
        f"{tried}. The best is trial {best.number}:\n  SET={best.changes}\n"
        f"Its {measures.title(search.metric)} on the {search.photos:,} dev photos: {best.figure.value:.4f}, a gain of "
        f"{_gain(best.gain)} over the recipe as it is.\n"
        f"Part of that is luck. Choosing the trial for each photo on the other folds gains {_gain(search.elsewhere)}."
    )


def _gain(gain: Interval) -> str:
    return f"{gain.value:+.4f} (95% {gain.low:+.4f} to {gain.high:+.4f})"


def _judge(
    trials: Sequence[Trial], on_dev: Labelled, judging: Judging, groups: np.ndarray | None, measure: Measure
) -> Search:
    """Judge the trials that ran to their end against the first, and the choice among them."""
    fold = folds(on_dev.targets, judging.folds, seed=judging.seed, keys=on_dev.keys)
    answers = {
        (str(trial.number), ""): dev.answer(trial.probabilities(), on_dev.targets, fold, groups, measure)
        for trial in trials
        if trial.path
    }
    candidates = choice.Candidates(on_dev.targets, answers, fold, on_dev.keys)
    elsewhere = choice.highest_elsewhere(candidates, next(iter(answers)), measure)
    named = {number: own for (number, _), own in answers.items()} | {"elsewhere": elsewhere}
    compared = {each.model: each for each in dev.compare(named, on_dev.targets, judging, on_dev.keys, measure)}
    judged = [_judged_trial(trial, compared.get(str(trial.number))) for trial in trials]
    best = max(judged, key=lambda trial: trial.figure.value if trial.figure else -math.inf)
    return Search(judged, best, compared["elsewhere"].gain, len(on_dev.ids), judging)


def _judged_trial(trial: Trial, compared: dev.Compared | None) -> JudgedTrial:
    return JudgedTrial(
        trial.number,
        trial.changes,
        trial.values,
        trial.dev_micro_f1,
        trial.seconds,
        compared.figure if compared else None,
        compared.gain if compared else None,
        trial.epochs,
    )


def code_of(value: Any) -> str:
    """Give Python's text of a recipe, with the fields that differ from the defaults."""
    if isinstance(value, tuple):
        return f"({', '.join(map(code_of, value))}{',' * (len(value) == 1)})"
    if not dataclasses.is_dataclass(value):
        return repr(value)
    shown = [field for field in dataclasses.fields(value) if getattr(value, field.name) != field.default]
    return (
        f"{type(value).__name__}({', '.join(f'{field.name}={code_of(getattr(value, field.name))}' for field in shown)})"
    )

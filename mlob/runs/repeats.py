"""Models trained several times, compared by the task that a suite is about. Products: runs/<suite>/<model>/repeats/."""

import dataclasses
import itertools
import pathlib
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from mlob import predictions, workspace
from mlob.data.dataset import DataSet, Split
from mlob.evaluation import repeats, tasks
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.repeats import Repeated
from mlob.labels import columns_of
from mlob.recipes import Judging
from mlob.runs import model as runs


@dataclasses.dataclass(frozen=True)
class Compared:
    """A model's trainings on the task.

    Attributes:
        trainings: how many there are.
        top_1, top_5: shares of the photos, means over trainings.
        gain: in top-1, over the first model.
        on_test: top-1 on test, which nothing was chosen on; None where test has no labels.
    """

    model: str
    trainings: int
    top_1: Repeated
    top_5: Repeated
    gain: Interval
    on_test: Repeated | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Models that learn a task, on the photos that have one of its labels; each against the first.

    Attributes:
        photos, on_test: how many of validation have one, and of test where that has labels.
    """

    task: str
    photos: int
    against: str
    models: list[Compared]
    on_test: int = 0


@dataclasses.dataclass(frozen=True)
class _Ranked:
    """What trainings say of the photos of a split that have one label of the task.

    Attributes:
        ranks: {model: int (trainings, n)}, as of `tasks.ranks`.
        keys: one a photo.
    """

    ranks: dict[str, np.ndarray]
    keys: list[Hashable]


def compare(
    dataset: DataSet, trainings: Mapping[str, Sequence[pathlib.Path]], task: str, judging: Judging
) -> Comparison | None:
    """Compare models by a task, over all their trainings.

    Args:
        dataset: the `DataSet`.
        trainings: {model: folders of its runs}; what others are measured against is the first that learns the task.
        task: a group of labels.
        judging: draws and seed of the bootstrap.

    Returns:
        None where no model learns the task.
    """
    columns, test = np.array(columns_of(dataset.labels.groups)[task]), dataset.splits.get("test")
    validation = _ranked(runs.labelled_validation(dataset), trainings, columns)
    if not validation.ranks:
        return None
    tested = _ranked(test, trainings, columns) if test and test.annotations is not None else None
    first = next(iter(validation.ranks))
    models = [_compared(model, validation, first, tested, judging) for model in validation.ranks]
    return Comparison(task, len(validation.keys), first, models, len(tested.keys) if tested else 0)


def _ranked(split: Split, trainings: Mapping[str, Sequence[pathlib.Path]], columns: np.ndarray) -> _Ranked:
    """Rank the true label of each photo in the probabilities of all trainings of the models that learn the task."""
    rows = tasks.rows_of(split.labelled_targets, columns)
    truth = split.labelled_targets[np.ix_(rows, columns)] == 1
    tables = {
        model: [predictions.read(folder / workspace.PREDICTIONS)[split.name] for folder in folders]
        for model, folders in trainings.items()
    }
    ranks = {
        model: np.stack([tasks.ranks(truth, table.probabilities[np.ix_(rows, columns)]) for table in own])
        for model, own in tables.items()
        if all(table.probabilities[:, columns].any() for table in own)
    }
    some = next(iter(tables.values()))[0]
    return _Ranked(ranks, list(itertools.compress(some.keys(split.ids, split.together), rows)))


def _compared(model: str, found: _Ranked, first: str, tested: _Ranked | None, judging: Judging) -> Compared:
    ranks, keys = found.ranks[model], found.keys
    right = ranks == 0
    return Compared(
        model,
        len(ranks),
        repeats.mean(right, judging, keys),
        repeats.mean(ranks < tasks.FIRST, judging, keys),
        repeats.gain(right, found.ranks[first] == 0, judging, keys),
        repeats.mean(tested.ranks[model] == 0, judging, tested.keys) if tested else None,
    )

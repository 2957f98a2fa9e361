"""Models trained several times, compared by the task that a suite is about. Products: runs/<suite>/<model>/repeats/."""

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from mlob import predictions, workspace
from mlob.data.dataset import DataSet
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
    """

    model: str
    trainings: int
    top_1: Repeated
    top_5: Repeated
    gain: Interval


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Models that learn a task, on the photos of validation that have one of its labels; each against the first."""

    task: str
    photos: int
    against: str
    models: list[Compared]


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
    split, columns = runs.labelled_validation(dataset), np.array(columns_of(dataset.labels.groups)[task])
    rows = tasks.rows_of(split.labelled_targets, columns)
    truth = split.labelled_targets[np.ix_(rows, columns)] == 1
    tables = {
        model: [predictions.read(folder / workspace.PREDICTIONS)["validation"] for folder in folders]
        for model, folders in trainings.items()
    }
    ranks = {
        model: np.stack([tasks.ranks(truth, table.probabilities[np.ix_(rows, columns)]) for table in own])
        for model, own in tables.items()
        if all(table.probabilities[:, columns].any() for table in own)
    }
    if not ranks:
        return None
    first = next(iter(ranks))
    keys = list(itertools.compress(tables[first][0].keys(split.ids, split.together), rows))
    return Comparison(
        task,
        int(rows.sum()),
        first,
        [_compared(model, own, ranks[first], judging, keys) for model, own in ranks.items()],
    )


def _compared(model, ranks, first, judging, keys):
    right = ranks == 0
    return Compared(
        model,
        len(ranks),
        repeats.mean(right, judging, keys),
        repeats.mean(ranks < tasks.FIRST, judging, keys),
        repeats.gain(right, first == 0, judging, keys),
    )

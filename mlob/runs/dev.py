"""Models compared on dev, the rows of train by which recipes are chosen: validation stays unseen."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from mlob import predictions, workspace
from mlob.data.dataset import DataSet
from mlob.evaluation import dev
from mlob.evaluation.crossfit import folds
from mlob.predictions import Table
from mlob.recipes import Judging, Metric
from mlob.runs.job import measure_of, one_each


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Models on the dev photos that all of them have, by falling figures, each against the model `against`."""

    photos: int
    against: str
    models: list[dev.Compared]
    metric: Metric = Metric()  # noqa: RUF009  it is frozen


def compare(dataset: DataSet, runs: Mapping[str, pathlib.Path], judging: Judging) -> Comparison | None:
    """Judge models on the dev rows that all of them have, and each against the first, on the same photos.

    Figures are at the thresholds of the metric's rule, calibrated ones, cross-fitted.

    Args:
        dataset: the `DataSet`.
        runs: {model: runs/<suite>/<model>}; the first is what the others are measured against.
        judging: the suite's `Judging`.

    Returns:
        None where fewer than two dev rows are common to all, which compare nothing.
    """
    tables = {name: predictions.read(folder / workspace.PREDICTIONS)["dev"] for name, folder in runs.items()}
    shared = set.intersection(*(set(table.ids) for table in tables.values()))
    photos = [(row, name) for row, name in enumerate(dataset["train"].ids) if name in shared]
    if len(photos) < 2:
        return None
    rows, ids = zip(*photos, strict=True)
    train = dataset["train"]
    together = None if train.together is None else [train.together[row] for row in rows]
    targets, keys = train.labelled_targets[list(rows)], next(iter(tables.values())).keys(ids, together)
    fold = folds(targets, judging.folds, seed=judging.seed, keys=keys)
    groups, measure = one_each(dataset, judging), measure_of(dataset, judging)
    answers = {name: dev.answer(_at(table, ids), targets, fold, groups, measure) for name, table in tables.items()}
    models = sorted(dev.compare(answers, targets, judging, keys, measure), key=lambda model: -model.figure.value)
    return Comparison(len(ids), next(iter(runs)), models, judging.metric)


def _at(table: Table, ids: Sequence[str]) -> np.ndarray:
    place = {name: row for row, name in enumerate(table.ids)}
    return table.probabilities[[place[name] for name in ids]]

"""How each model of a suite learned: history.csv, with the steps that its epochs took."""

import csv
import dataclasses
import math
import pathlib

from mlob import workspace
from mlob.errors import InputError
from mlob.files import read_record
from mlob.recipes import Experiment
from mlob.runs import results

COLUMNS = ("epoch", "loss", "dev_loss", "dev_micro_f1")


@dataclasses.dataclass(frozen=True)
class History:
    """What each epoch came to, a number each; `step` counts the training steps done until then."""

    step: list[float]
    epoch: list[float]
    loss: list[float]
    dev_loss: list[float]
    dev_micro_f1: list[float]


@dataclasses.dataclass(frozen=True)
class TrainedBy:
    """The part of recipe.json that is read here, of a model with a head."""

    recipe: Experiment


def read(folder: pathlib.Path) -> dict[str, History]:
    """Read the histories of the models in runs/<suite> that have epochs: {model: History}, by name.

    Raises:
        InputError: a file has other columns, or something in them that is not a number.
    """
    epochs = {path.parent: _columns(path) for path in sorted(folder.glob(f"*/{workspace.HISTORY}"))}
    return {run.name: _history(run, columns) for run, columns in epochs.items() if columns["epoch"]}


def _history(run: pathlib.Path, columns: dict[str, list[float]]) -> History:
    steps = _steps_an_epoch(run)
    return History(step=[epoch * steps for epoch in columns["epoch"]], **columns)


def _columns(path: pathlib.Path) -> dict[str, list[float]]:
    with open(path, encoding="utf-8", newline="") as file:
        epochs = list(csv.DictReader(file))
    try:
        return {column: [float(epoch[column] or "nan") for epoch in epochs] for column in COLUMNS}
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: expected the columns {', '.join(COLUMNS)} with a number for each epoch ({error}): train this "
            "model again."
        ) from error


def _steps_an_epoch(run: pathlib.Path) -> int:
    batch = read_record(run / workspace.RECIPE, TrainedBy).recipe.training.batch
    return math.ceil(results.read(run).rows["train"] / max(batch, 1))

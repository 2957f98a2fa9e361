"""Fit a head on features, or a network on photos; stopping and schedules look at dev, never at validation."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

import numpy as np

from mlob.errors import InputError
from mlob.labels import count_known
from mlob.models import heads
from mlob.models.beginning import Beginning
from mlob.progress import bar
from mlob.recipes import Experiment
from mlob.training import batches, devices, sampling
from mlob.training.checkpoint import Arrays, Checkpoint
from mlob.training.learner import Facts, Learner
from mlob.training.predicting import predict
from mlob.training.trained import COLUMNS, Epoch, Trained


@devices.shared_out()
def fit(
    experiment: Experiment,
    train: batches.Labelled,
    dev: batches.Labelled,
    *,
    name: str,
    groups: Sequence[str] | None = None,
    begin: Beginning | None = None,
    checkpoint: Checkpoint | None = None,
    after_epoch: Callable[[list[Epoch]], None] | None = None,
) -> Trained:
    """Train the model of an experiment.

    Killed and called again with the same checkpoint it goes on after the last whole epoch, and ends with the same bytes
    as if it had not been: the order of rows depends on seed and epoch, all other state is in the checkpoint.

    Args:
        experiment: the recipe.
        train, dev: the rows; dev resident.
        name: of the model, for the progress bar.
        groups: the group of each label (labels,), for a head with `groups` and for tasks.
        begin: what a network, or a head with a start, begins with.
        checkpoint: written after every epoch, and left for the caller to remove.
        after_epoch: function that is given the history after every epoch; what it raises ends the training.

    Raises:
        InputError: the model has no label, nothing is known of dev, the checkpoint is damaged, or the loss is no
            longer finite; the checkpoint of the last whole epoch stays.
    """
    labels, columns = train.targets.shape[1], sampling.own_columns(experiment, train.targets, groups)
    if not len(columns):
        least, most = experiment.least_share, experiment.most_share
        raise InputError(
            f"No label of the model is on {least:g} to {most:g} of the training rows: change least_share or most_share."
        )
    if len(columns) < labels:
        train, dev = _only(train, columns), _only(dev, columns)
        groups = [groups[column] for column in columns] if groups else None
    if not count_known(dev.targets):
        raise InputError(
            f"Training stops by {len(dev.ids):,} photos of train of which nothing is known: annotate them."
        )
    before, arrays = _resumed(checkpoint)
    started = time.monotonic() - before.seconds
    learner = Learner(experiment, train, dev, groups, begin, before)
    if checkpoint and arrays and not learner.takes(arrays):
        raise checkpoint.damaged("its arrays do not fit this head")

    def epoch_done() -> None:
        if checkpoint:
            learner.write(checkpoint, seconds=time.monotonic() - started)
        if after_epoch:
            after_epoch(learner.history)

    _run_epochs(learner, name, epoch_done)
    learned = learner.predictor()
    model = learned if len(columns) == labels else heads.spread(learned, columns, labels)
    return Trained(
        model,
        functools.partial(predict, model),
        learner.history,
        model.count_params(),
        time.monotonic() - started,
        warm_up_seconds=learner.warm - started if learner.warm else 0.0,
        steps_seconds=learner.steps_seconds,
        waiting_seconds=learner.waiting_seconds,
    )


def _only(rows: batches.Labelled, columns: np.ndarray) -> batches.Labelled:
    """Give the rows with the targets of some labels alone."""
    return dataclasses.replace(rows, targets=rows.targets[:, columns])


def _resumed(checkpoint: Checkpoint | None) -> tuple[Facts, Arrays]:
    """Give the facts and arrays that a training goes on from, or begins with."""
    content = checkpoint.read() if checkpoint else None
    if not (checkpoint and content):
        return Facts([]), {}
    facts, arrays = content
    match facts:
        case {"history": [_, *_] as rows, "precision": str(), "jit": bool(), "seconds": float()}:
            if all(map(_is_epoch, rows)):
                return Facts(rows, facts["precision"], facts["jit"], facts["seconds"]), arrays
    raise checkpoint.damaged("its history is not of a training")


def _is_epoch(row: object) -> bool:
    """Say whether this is a history's row of an epoch."""
    return (
        isinstance(row, dict)
        and {*row} == {*COLUMNS}
        and all(isinstance(number, int | float) for number in row.values())
    )


def _run_epochs(learner: Learner, name: str, epoch_done: Callable[[], None]) -> None:
    """Run the epochs that are left, and show how far they are; `epoch_done` is called after each."""
    with bar(name, learner.rows, unit="rows") as advance:
        if learner.history:
            advance(learner.rows_done, "done before")
        while not learner.is_done():
            learner.run_epoch(advance)
            epoch_done()

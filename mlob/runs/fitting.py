"""A run's model, fitted on train; or on validation too, each photo of which a fit without it predicts."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mlob import machine, workspace
from mlob.data import splits
from mlob.evaluation.crossfit import folds
from mlob.files import atomic
from mlob.progress import say
from mlob.runs.job import Job
from mlob.training import batches
from mlob.training.batches import Labelled, Rows
from mlob.training.checkpoint import Checkpoint
from mlob.training.trained import Epoch, Trained

if TYPE_CHECKING:
    import keras

DONE = "done"  # the folder of a fit's outcome, beside its checkpoint


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A model, and what it says of the photos that a run predicts.

    Attributes:
        trained: what predicts other photos.
        probabilities: {split: float32 (rows, labels)}, those of dev by a fit on the rest of train alone.
        train, dev: the rows of train that the model learned from, and those that it chose by.
    """

    trained: Trained
    probabilities: dict[str, np.ndarray]
    train: Labelled
    dev: Labelled


@dataclasses.dataclass(frozen=True)
class Part:
    """One of several fits, done.

    Attributes:
        probabilities: float32 (n, labels) of the rows that it left out.
        history, seconds, note, setting: as of `Trained`.
        model: a head or network; None of other kinds, which are fitted anew on all rows.
    """

    probabilities: np.ndarray
    history: list[Epoch]
    seconds: float
    note: str
    setting: Any
    model: keras.Model | None


def fitter(job: Job) -> Callable[..., Trained]:
    """Give the function that fits a job's model: of rows to train on, dev and, as `checkpoint`, a `Checkpoint`."""
    machine.load_keras()
    from mlob.training import fit, kinds

    experiment, groups = job.experiment, job.dataset.labels.groups
    if kind := kinds.KINDS.get(experiment.head.kind):
        return lambda train, dev, checkpoint: kind.fit(experiment.head, train.resident(), dev, groups)
    return functools.partial(fit.fit, experiment, name=job.name, groups=groups, begin=job.begin)


def alone(trained: Trained, train: Labelled, dev: Labelled, rows: Mapping[str, Rows]) -> Fitted:
    """Give a model that was fitted once, on train without dev, and what it says.

    Args:
        trained: the model.
        train, dev: its rows.
        rows: {split: its rows, unread}.
    """
    features = {split: own.features for split, own in rows.items() if split != "train"} | {"dev": dev.features}
    return Fitted(trained, {split: trained.predict(own) for split, own in features.items()}, train, dev)


def refitted(job: Job, train: Labelled, dev: Labelled, rows: Mapping[str, Rows], folder: pathlib.Path) -> Fitted:
    """Fit on train and on validation.

    A fit on train alone decides what is chosen on dev, and predicts dev. Then each fold of validation is predicted by a
    fit on the other folds and on train, dev included unless the recipe looks at it. All other photos are predicted by
    the mean of these fits; or, of kinds without chance, by one more fit on all of it. A job that was killed goes on
    behind the last fit that was whole.

    Args:
        job: the recipe, and what it is trained on.
        train, dev: rows of train, unread.
        rows: {split: its rows, unread}, of validation and, where it is there, test.
        folder: of the run; its checkpoints are left for the caller to remove.
    """
    machine.load_keras()
    shown, looks_at_dev = dev.resident(), _looks_at_dev(job, len(train.ids))
    first = _part(job, folder, "train", lambda kept: _trained(job, train, shown, kept), shown)
    base = train if looks_at_dev else batches.joined(train, dev)
    validation, fold = _folded(job, rows["validation"])
    parts, out_of_fold = [], np.zeros(validation.targets.shape, np.float32)
    for number in np.unique(fold).tolist():
        inside, name = fold == number, f"fold_{number + 1}"
        learned, out = batches.joined(base, validation.take(~inside)), validation.take(inside).resident()
        say(f"{job.name}, {name.replace('_', ' ')} of {job.folds}: {len(learned.ids):,} photos")
        part = _part(job, folder, name, _again(job, first, learned, shown if looks_at_dev else out), out)
        out_of_fold[inside] = part.probabilities
        parts.append(part)
    last = _together(job, parts, batches.joined(base, validation), first)
    seconds = first.seconds + sum(part.seconds for part in parts)
    trained = dataclasses.replace(last, seconds=last.seconds + seconds, history=first.history, note=first.note)
    test = {"test": trained.predict(rows["test"].features)} if "test" in rows else {}
    return Fitted(trained, {"validation": out_of_fold, **test, "dev": first.probabilities}, base, dev)


def _trained(job: Job, train: Labelled, dev: Labelled, kept: Checkpoint) -> Trained:
    """Fit once."""
    return fitter(job)(batches.held(train, job.memory_bytes, dev.features.nbytes), dev, checkpoint=kept)


def _trained_at(job: Job, setting: Any, train: Labelled) -> Trained:
    """Fit a kind of head that has no epochs once more, with what was chosen before."""
    from mlob.training import kinds

    fit_at = kinds.KINDS[job.experiment.head.kind].fit_at
    return fit_at(setting, job.experiment.head, train.resident(), job.dataset.labels.groups)


def _again(job: Job, first: Part, rows: Labelled, dev: Labelled) -> Callable[[Checkpoint], Trained]:
    """Give the function that fits a model once more, on other rows.

    Args:
        first: the fit that chose, where the kind of head chooses something.
        dev: a fold of validation that it does not learn from, of which its history tells, where the recipe looks at no
            dev.
    """
    if first.setting is not None:
        return lambda kept: _trained_at(job, first.setting, rows)
    return lambda kept: _trained(job, rows, dev, kept)


def _together(job: Job, parts: list[Part], rows: Labelled, first: Part) -> Trained:
    """Give what all fits have learned."""
    from mlob.models import heads
    from mlob.training import predicting

    if first.setting is not None:
        return _trained_at(job, first.setting, rows)
    model = heads.mean_of([part.model for part in parts if part.model])
    return Trained(model, lambda features: predicting.predict(model, features), [], model.count_params(), 0.0)


def _part(job: Job, folder: pathlib.Path, name: str, train: Callable[[Checkpoint], Trained], out: Labelled) -> Part:
    """Fit one of several times, unless that was done.

    Args:
        job: the recipe, and what it is trained on.
        folder: of the run.
        name: of the fit.
        train: fits it, and keeps a checkpoint.
        out: the rows that it leaves out, resident.
    """
    from mlob.models import heads

    place = folder / workspace.CHECKPOINT / name
    done, head = Checkpoint(place / DONE, job.identity), place / workspace.HEAD
    if content := done.read():
        facts, arrays = content
        return Part(arrays["probabilities"][0], **facts, model=heads.load(head) if facts["setting"] is None else None)
    trained = train(Checkpoint(place, job.identity))
    probabilities = trained.predict(out.features)
    facts = {"history": trained.history, "seconds": trained.seconds, "note": trained.note, "setting": trained.setting}
    if trained.setting is None:
        with atomic(head) as part:
            trained.model.save(part)
    done.write(facts, probabilities=[probabilities])
    return Part(probabilities, **facts, model=trained.model if trained.setting is None else None)


def _looks_at_dev(job: Job, rows: int) -> bool:
    """Say whether a recipe stops, or lowers its rate, by what it finds on dev while it trains."""
    from mlob.training import schedule

    phases = schedule.phases(job.experiment, rows)
    return any(phase.patience or phase.schedule == "plateau" for phase in phases)


def _folded(job: Job, rows: Rows) -> tuple[Labelled, np.ndarray]:
    """Give the rows of validation and the fold of each, int (n,): the ensemble's folds, where it has as many."""
    split = job.dataset["validation"]
    keys = splits.keys_of(split.ids, rows.ids, rows.digests, split.together)
    fold = folds(split.ids, job.folds, seed=job.fold_seed, keys=keys)
    number = dict(zip(split.ids, fold.tolist(), strict=True))
    return batches.Labelled(**vars(rows)), np.array([number[name] for name in rows.ids])

"""A run: one model trained, its predictions written, judged on validation. Products: runs/<suite>/<model>/."""

import csv
import dataclasses
import io
import pathlib

import numpy as np

from mlob import fields, machine, predictions, workspace
from mlob.data import preflight
from mlob.data.dataset import DataSet, Split
from mlob.evaluation import judge, scores, tasks
from mlob.evaluation.crossfit import folds
from mlob.features import log
from mlob.files import archive_fault, atomic, read_record, write_json, write_text
from mlob.labels import Labels, positives, prevalence
from mlob.progress import say
from mlob.recipes import Experiment, Judging
from mlob.runs import fitting, results
from mlob.runs.job import Job, measure_of, one_each
from mlob.runs.results import Result
from mlob.training import batches, sampling
from mlob.training.checkpoint import Checkpoint
from mlob.training.trained import COLUMNS, Epoch, Trained

PREDICTED = ("validation", "test")  # splits, of which the second may be missing
FEWEST_ROWS = 20_000  # from here on a head has rows enough, and one regression a label takes hours


def is_done(folder: pathlib.Path, wanted: dict) -> bool:
    """Say whether a run's folder holds the result of just this identity, and its head whole; what is not, is told."""
    if not all((folder / name).is_file() for name in (workspace.RESULT, workspace.RECIPE)):
        return False
    if read_record(folder / workspace.RECIPE, dict) != wanted:
        return False
    if fault := archive_fault(folder / workspace.HEAD):
        say(f"{folder / workspace.HEAD} {fault}: {folder.name} is made anew.")
    return not fault


def labelled_validation(dataset: DataSet) -> Split:
    """Give the validation split, on which everything is judged.

    Raises:
        InputError: it is missing, too small, or without labels.
    """
    preflight.check(dataset, ["validation"])
    return dataset["validation"]


def train(job: Job, folder: pathlib.Path, judging: Judging) -> Result:
    """Train one model, predict validation and test, judge it, write its folder; result.json comes last.

    Args:
        job: the recipe, and what it is trained on.
        folder: runs/<suite>/<model>.
        judging: the suite's `Judging`.
    """
    preflight.check(job.dataset, ["validation"])
    predicted = [split for split in PREDICTED if split in job.dataset.splits]
    rows = {split: job.rows_of(split) for split in ("train", *predicted)}
    (folder / workspace.RESULT).unlink(missing_ok=True)  # it says that all else in the folder is there and fits
    train, dev = batches.cut(rows["train"], job.experiment.training.limit)
    kept = Checkpoint(folder / workspace.CHECKPOINT, job.identity)
    if job.folds:
        fitted = fitting.refitted(job, train, dev, rows, folder)
    else:
        dev = dev.resident()
        held = batches.held(train, job.memory_bytes, dev.features.nbytes)
        fitted = fitting.alone(fitting.fitter(job)(held, dev, checkpoint=kept), train, dev, rows)
    head, groups = fitted.trained, job.dataset.labels.groups
    if job.experiment.network and head.steps_seconds:
        say(pace(job.name, head))
    with atomic(folder / workspace.HEAD) as part:
        head.model.save(part)
    prevalence = _own_prevalence(job.experiment, fitted.train.targets, groups)
    tables = _predicted(fitted, job.dataset, rows, prevalence)
    result = _result(job, head, tables["validation"], judging, _counts(job.dataset, rows, fitted))
    write(folder, result, tables, head.history, job.identity, job.dataset.labels)
    kept.remove()
    return result


def plan(job: Job) -> list[str]:
    """Say what a recipe that asks for folds will cost, or why it learns from train alone; nothing of any other."""
    if job.why_alone:
        return [f"{job.name} learns from train alone: {job.why_alone}"]
    if not job.folds:
        return []
    validation = len(job.dataset["validation"].ids)
    fits = f"{job.folds + 1 + (job.experiment.head.kind in fields.KINDS)} fits"
    return [f"{job.name} learns from {validation:,} photos of validation too, by {job.folds} folds: {fits} in all"]


def _counts(dataset, rows, fitted):
    """Count the photos used of each split, and those without features."""
    failed = sum(len(dataset[split].ids) - len(own.ids) for split, own in rows.items())
    validation = len(dataset["validation"].ids)
    return {"train": len(fitted.train.ids), "dev": len(fitted.dev.ids), "validation": validation, "failed": failed}


def _result(job, head, table, judging, counts):
    return Result(
        method=job.name,
        **judged_on_validation(table, job.dataset, judging),
        **_costs(head, job, counts["train"]),
        seed=job.experiment.seed,
        rows=counts,
        note="; ".join(filter(None, (head.note, noted(job)))),
        fingerprint=job.identity["fingerprint"],
        **machine.facts(),
    )


def write(
    folder: pathlib.Path,
    result: Result,
    tables: dict[str, predictions.Table],
    history: list[Epoch],
    identity: dict,
    labels: Labels,
) -> None:
    """Write a run's folder but for its head; result.json comes last.

    Args:
        tables: {split: predictions}.
        history: a row an epoch; none where the model has no epochs.
        identity: all that shaped the run.
    """
    attributes = {"labels": labels.ids, "seed": result.seed, **identity}
    predictions.write(folder / workspace.PREDICTIONS, tables, **attributes)
    _write_history(folder / workspace.HISTORY, history)
    write_json(folder / workspace.RECIPE, identity)
    results.write(folder, result)


def judge_again(folder: pathlib.Path, dataset: DataSet, judging: Judging) -> Result | None:
    """Judge a run by its predictions, without training, where its result is of another `Judging` or version.

    Returns:
        The result, as result.json holds it now, or None where it stays as it was.
    """
    result = results.read(folder)
    if result.judging == judging and result.version == results.VERSION:
        return None
    table = predictions.read(folder / workspace.PREDICTIONS)["validation"]
    changes = judged_on_validation(table, dataset, judging) | {"version": results.VERSION}
    result = dataclasses.replace(result, **changes)
    results.write(folder, result)
    return result


def judged_on_validation(table: predictions.Table, dataset: DataSet, judging: Judging) -> dict:
    """Judge a model's predictions of validation: fields of its `Result`, {scores, tasks, judging, thresholds}."""
    split = labelled_validation(dataset)
    targets, keys = split.labelled_targets, table.keys(split.ids, split.together)
    measure = measure_of(dataset, judging)
    judged = judge.judge_model(table.probabilities, targets, judging, keys, one_each(dataset, judging), measure)
    in_train = positives(dataset["train"].labelled_targets).sum(axis=0)
    of_tasks = tasks.judge(targets, table.probabilities, dataset.labels.groups, in_train, judging, keys)
    return {"scores": judged.scores, "tasks": of_tasks, "judging": judging, "thresholds": measure.plainest}


def wants_reference(dataset: DataSet, reference: Experiment) -> bool:
    """Say whether train is so small that logistic regression must stand in the table."""
    return min(reference.training.limit or FEWEST_ROWS, len(dataset["train"].ids)) < FEWEST_ROWS


def summary(result: Result, task: str = "") -> str:
    """Tell a result in one line; of a suite about a task first how often the likeliest label of that is right."""
    figure, note = result.figure, f" ({result.note})" if result.note else ""
    top_1 = next((own.scores["top_1"] for own in result.tasks if own.group == task), None)
    first = f"top-1 of {task} {top_1.value:.3f} ({top_1}), " if top_1 else ""
    return (
        f"{result.method}: {first}{result.title} {figure.value:.3f} ({figure}) on validation, cross-fitted; "
        f"{result.parameters.own / 1e6:.2f} M parameters trained in {result.seconds.training:.0f} s{note}"
    )


def pace(name: str, trained: Trained) -> str:
    """Tell how much of its time a network's training waited for photos."""
    waited = trained.waiting_seconds / trained.steps_seconds
    return f"{name}: {trained.steps_seconds:,.0f} s of steps, {waited:.1%} of them waiting for data"


def compare(
    folder: pathlib.Path, reference: pathlib.Path, dataset: DataSet, judging: Judging, own_note: str = ""
) -> str:
    """Note in a run's result by how much its head falls short of logistic regression on the same features.

    It does where the 95% interval of the difference, on the same draws of validation photos, excludes 0. It stands
    behind the run's own note, and is given back alone.
    """
    split = labelled_validation(dataset)
    targets = split.labelled_targets
    tables = {
        name: predictions.read(path / workspace.PREDICTIONS)["validation"]
        for name, path in (("own", folder), ("reference", reference))
    }
    keys = tables["own"].keys(split.ids, split.together)
    fold = folds(targets, judging.folds, seed=judging.seed, keys=keys)
    groups, measure = one_each(dataset, judging), measure_of(dataset, judging)
    own, other = (
        judge.answer_alone(each, targets, fold, groups, measure.plainest, measure)
        for each in predictions.align(tables, split.ids)
    )
    _, (_, gap) = scores.measured(measure, targets, own, other, judging=judging, keys=keys)
    below = f"below logistic by {gap.value:.3f} ({gap})" if gap.low > 0 else ""
    result, note = results.read(folder), "; ".join(filter(None, (own_note, below)))
    if result.note != note:
        results.write(folder, dataclasses.replace(result, note=note))
    return below


def _predicted(fitted, dataset, rows, prevalence):
    """Lay out what was said of every photo of validation and test, and of the rows of dev: {split: table}."""
    tables = {
        split: predictions.cover(dataset[split], own, fitted.probabilities[split], prevalence)
        for split, own in rows.items()
        if split in PREDICTED
    }
    dev = fitted.dev
    return {**tables, "dev": predictions.Table(tuple(dev.ids), fitted.probabilities["dev"], digests=dev.digests)}


def _own_prevalence(experiment, targets, groups):
    """Give each label's prevalence in the rows to train on, 0 for labels that the model does not learn."""
    own = sampling.own_columns(experiment, targets, groups)
    shares = np.zeros(targets.shape[1])
    shares[own] = prevalence(targets)[own]
    return shares


def _begun_on(job):
    return {job.begin.source.kind} if job.begin and job.begin.source else set()


def noted(job: Job) -> str:
    """Say what a model begins with, which labels it learns where it predicts 0 for others, and from which photos."""
    experiment = job.experiment
    groups, least, most = [each.group for each in experiment.tasks], experiment.least_share, experiment.most_share
    parts = [f"begins with the head of {experiment.start}"] if experiment.start else []
    parts += [f"learns {', '.join(groups)} alone"] if groups else []
    parts += [f"learns labels on {least:.2%} of the photos or more"] if least > 0 else []
    parts += [f"learns labels on less than {most:.2%} of the photos"] if most < 1 else []
    parts += [f"learns from validation too, by {job.folds} folds"] if job.folds else []
    parts += [f"learns from train alone: {job.why_alone}"] if job.why_alone else []
    return "; ".join(parts)


def _costs(head, job, rows):
    """Fields of a `Result`: what the head and the features of its stores cost."""
    logs = {name: log.read(folder) for name, folder in job.stores.items()}
    weights = {each.weights for each in logs.values()} | _begun_on(job)
    costs = {name: results.StoreCost(each.parameters, round(each.seconds, 1)) for name, each in logs.items()}
    together = results.cost([head.parameters], [head.seconds], costs)
    epochs = len(head.history)
    return {
        "parameters": together.parameters,
        "seconds": together.seconds,
        "stores": costs,
        "rows_per_second": round(rows * max(epochs, 1) / head.seconds, 1),
        "epochs": epochs,
        "weights": ", ".join(sorted(weights - {"no"})) or "from scratch",
    }


def _write_history(path, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())

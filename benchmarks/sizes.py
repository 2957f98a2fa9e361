"""What learns best from how many photos: heads, logistic regression, kernel machines, alone and together.

    python -m benchmarks.sizes --suite fashion_products --model bagged --data FOLDER --weights FOLDER

draws parts of a data set, so many photos to train on and 15 of validation for each 70 of these, and judges on all the
rest, which nothing was fitted on: the members of the default suite for own photos, on the stores that the named model
reads, beside the default head. Thresholds, and weights of members, are the fixed ones: calibrated, of lowest log-loss.
"""

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Mapping

import click
import numpy as np

from mlob import machine, steps
from mlob.data.dataset import DataSet, Split
from mlob.ensemble import methods
from mlob.ensemble.measures import MICRO_F1
from mlob.ensemble.thresholds import CALIBRATED
from mlob.evaluation import scores
from mlob.recipes import KERNEL, LOGISTIC, Ensemble, Experiment, Head, Training
from mlob.runs import fitting
from mlob.runs.job import Job
from mlob.training import batches
from mlob.training.batches import Labelled
from mlob.workspace import Workspace

SOFTMAX = Training(loss="categorical")
EXPERIMENTS = {
    "default head": Experiment(("all",)),
    "logistic": Experiment(("all",), LOGISTIC),
    "softmax a group": Experiment(("all",), Head(groups=True), SOFTMAX),
    "softmax a group, by folds": Experiment(("all",), Head(groups=True), dataclasses.replace(SOFTMAX, folds=5)),
    "kernel": Experiment(("all",), KERNEL),
    "kernel, by folds": Experiment(("all",), KERNEL, Training(folds=5)),
}
TOGETHER = {
    "kernel by folds, and logistic": ("kernel, by folds", "logistic"),
    "kernel and softmax a group, by folds": ("kernel, by folds", "softmax a group, by folds"),
    "all three": ("kernel, by folds", "softmax a group, by folds", "logistic"),
}
VALIDATION = 15 / 70  # photos of validation for each one to train on

Predicted = dict[str, np.ndarray]  # {split: float32 (n, labels)}


def drawn(rows: Labelled, photos: int, seed: int) -> dict[str, Labelled]:
    """Draw `photos` rows to train on and some of validation; the rest is test."""
    order = np.random.default_rng(seed).permutation(len(rows.ids))
    ends = photos, photos + round(VALIDATION * photos)
    parts = dict(zip(("train", "validation", "test"), np.split(order, ends), strict=True))
    return {split: rows.take(np.isin(np.arange(len(order)), own)) for split, own in parts.items()}


def dataset_of(whole: DataSet, rows: Mapping[str, Labelled]) -> DataSet:
    """Give a data set whose splits are these rows."""
    splits = {
        split: Split(split, tuple(own.ids.tolist()), ((),) * len(own.ids), own.targets) for split, own in rows.items()
    }
    return dataclasses.replace(whole, splits=splits)


def predicted(name: str, dataset: DataSet, rows: Mapping[str, Labelled]) -> Predicted:
    """Fit a model, and predict validation and test."""
    job, (train, dev) = Job(name, EXPERIMENTS[name], dataset, {}), batches.cut(rows["train"])
    if not job.folds:
        return fitting.alone(fitting.fitter(job)(train, dev, checkpoint=None), train, dev, rows).probabilities
    with tempfile.TemporaryDirectory() as folder:
        return fitting.refitted(job, train, dev, rows, pathlib.Path(folder)).probabilities


def decided(members: list[Predicted], dataset: DataSet) -> np.ndarray:
    """Decide test by what is fixed in advance, fitted on validation: uint8 (n, labels)."""
    recipe = Ensemble(methods=(methods.LOG_LOSS,), rules=(CALIBRATED,))
    fit = methods.fit(recipe.methods, recipe.rules, groups=dataset.labels.groups, seed=0, swarm=recipe.swarm)
    validation, test = (np.stack([own[split] for own in members]) for split in ("validation", "test"))
    fitted = fit(validation, dataset["validation"].labelled_targets)
    return fitted[methods.LOG_LOSS if len(members) > 1 else methods.BEST_SINGLE, CALIBRATED](test)


def measured(whole: DataSet, all_rows: Labelled, photos: int, seed: int) -> str:
    """Fit all models on one draw, and lay their figures on the rest out as Markdown."""
    rows = drawn(all_rows, photos, seed)
    dataset = dataset_of(whole, rows)
    models = {name: predicted(name, dataset, rows) for name in EXPERIMENTS}
    found = {name: decided([own], dataset) for name, own in models.items()}
    found |= {name: decided([models[member] for member in members], dataset) for name, members in TOGETHER.items()}
    test, judging = rows["test"], Ensemble().judging
    figures = scores.measured(MICRO_F1, test.targets, *found.values(), judging=judging, keys=test.keys)
    lines = [
        f"## {photos:,} photos to train on, draw {seed + 1}\n",
        f"{len(rows['validation'].ids):,} of validation, {len(test.ids):,} to judge by.\n",
        "| model | micro-F1 | 95% interval | over the default head | 95% interval |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, (own, gain) in zip(found, figures, strict=True):
        lines.append(
            f"| {name} | {own.value:.4f} | {own.low:.4f} to {own.high:.4f} | {gain.value:+.4f} | {gain.low:+.4f} to "
            f"{gain.high:+.4f} |"
        )
    return "\n".join([*lines, ""])


@click.command()
@click.option("--suite", required=True, help="Whose data and stores are taken.")
@click.option("--model", required=True, help="One of its models, whose stores all models read here.")
@click.option("--data", envvar="MLOB_DATA", help="The data folder, if it is not the suite's own.")
@click.option("--weights", envvar="MLOB_WEIGHTS", help="A weights file or a folder of them.")
@click.option("--photos", default="1000,3000,5500", show_default=True, help="To train on.")
@click.option("--draws", default=3, show_default=True, type=click.IntRange(1), help="Of each number of photos.")
def main(suite: str, model: str, data: str | None, weights: str | None, photos: str, draws: int) -> None:
    """Print the tables."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    work = Workspace(suite, data=data, weights=weights)
    steps.extract(work, [model])
    read = [batches.read([*work.stores(model).values()], work.dataset[split]) for split in ("train", "validation")]
    rows = batches.joined(*(Labelled(**vars(own)) for own in read)).resident()
    named = f"--suite {suite} --model {model} --photos {photos}"
    print(f"# What learns from how many photos\n\n`python -m benchmarks.sizes {named}`\n")
    print(f"{machine.processor()}. Micro-F1 on photos that nothing was fitted on.\n")
    for count in map(int, photos.split(",")):
        for seed in range(draws):
            print(measured(work.dataset, rows, count, seed), flush=True)


if __name__ == "__main__":
    main()

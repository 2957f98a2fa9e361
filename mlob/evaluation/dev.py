"""Models compared on dev, the rows of train by which recipes are chosen: validation stays unseen."""

import numpy as np

from mlob.ensemble import methods
from mlob.evaluation import bootstrap, judge
from mlob.evaluation.crossfit import folds
from mlob.metrics import micro_f1
from mlob.predictions import table as tables


def compare(dataset, runs, judging):
    """Judge models on the dev rows that all of them have, and each against the first, on the same photos.

    Args:
        dataset: the `DataSet`.
        runs: {model: runs/<suite>/<model>}; the first is what the others are measured against.
        judging: the suite's `Judging`.

    Returns:
        {"photos", "against": the first's name, "models": a list of {model, micro_f1, gain}, by falling micro-F1}.
        Figures are {value, low, high}: at calibrated thresholds, cross-fitted, with 95% intervals over photos.
        None where fewer than two dev rows are common to all, which compare nothing.
    """
    predicted = {name: tables.read(folder / "predictions.h5")["dev"] for name, folder in runs.items()}
    shared = set.intersection(*(set(table.ids) for table in predicted.values()))
    photos = [(row, name) for row, name in enumerate(dataset["train"].ids) if name in shared]
    if len(photos) < 2:
        return None
    rows, ids = zip(*photos, strict=True)
    targets, keys = dataset["train"].targets[list(rows)], next(iter(predicted.values())).keys(ids)
    fold = folds(targets, judging.folds, seed=judging.seed, keys=keys)
    held = {name: decide(_at(table, ids), targets, fold) for name, table in predicted.items()}
    models = [
        {"model": name, "micro_f1": found, "gain": gain} for name, found, gain in figures(held, targets, judging, keys)
    ]
    models.sort(key=lambda model: -model["micro_f1"]["value"])
    return {"photos": len(ids), "against": next(iter(held)), "models": models}


def decide(probabilities, targets, fold):
    """Decide at calibrated thresholds, each row by a fit that did not see it: uint8 (n, labels).

    One threshold for all would charge a loss that moves each label's probabilities for what the ensemble's thresholds
    undo.

    Args: as of `judge.decide_alone`.
    """
    return judge.decide_alone(probabilities, targets, fold, methods.calibrated)


def figures(held, targets, judging, keys=None):
    """Yield each model's name, its micro-F1, and its gain on the first model's, both {value, low, high}.

    Args:
        held: {name: decisions uint8 (n, labels)}.
        targets: uint8 (n, labels).
        judging: the `Judging`.
        keys: one a row, equal for photos of equal content, which are drawn together; None takes all as different.
    """
    drawn = bootstrap.micro_f1_draws(targets, *held.values(), keys=keys, draws=judging.draws, seed=judging.seed)
    scores = np.array([micro_f1(targets, decided) for decided in held.values()])
    for name, score, draws in zip(held, scores, drawn, strict=True):
        yield name, _figure(score, draws), _figure(score - scores[0], draws - drawn[0])


def _at(table, ids):
    place = {name: row for row, name in enumerate(table.ids)}
    return table.probabilities[[place[name] for name in ids]]


def _figure(value, draws):
    low, high = bootstrap.interval(draws)
    return {"value": float(value), "low": low, "high": high}

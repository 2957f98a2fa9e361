"""Figures on dev: several models' decisions on the same rows, each against the first."""

import numpy as np

from mlob.ensemble.thresholds import CALIBRATED
from mlob.evaluation import bootstrap, judge
from mlob.metrics import micro_f1


def decide(probabilities, targets, fold):
    """Decide at calibrated thresholds, each row by a fit that did not see it: uint8 (n, labels).

    One threshold for all would charge a loss that moves each label's probabilities for what the ensemble's thresholds
    undo.

    Args: as of `judge.decide_alone`.
    """
    return judge.decide_alone(probabilities, targets, fold, CALIBRATED)


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


def _figure(value, draws):
    low, high = bootstrap.interval(draws)
    return {"value": float(value), "low": low, "high": high}

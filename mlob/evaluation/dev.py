"""Figures on dev: several models' decisions on the same rows, each against the first."""

import dataclasses

import numpy as np

from mlob.ensemble.thresholds import CALIBRATED
from mlob.evaluation import judge, scores
from mlob.evaluation.bootstrap import Interval, Keys
from mlob.recipes import Judging


@dataclasses.dataclass(frozen=True)
class Compared:
    """A model's micro-F1, and its gain on that of the first model, on the same photos."""

    model: str
    micro_f1: Interval
    gain: Interval


def decide(probabilities: np.ndarray, targets: np.ndarray, fold: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Decide at calibrated thresholds, each row by a fit that did not see it: uint8 (n, labels).

    One threshold for all would charge a loss that moves each label's probabilities for what the ensemble's thresholds
    undo.

    Args: as of `judge.decide_alone`.
    """
    return judge.decide_alone(probabilities, targets, fold, groups, CALIBRATED)


def compare(decided: dict[str, np.ndarray], targets: np.ndarray, judging: Judging, keys: Keys = None) -> list[Compared]:
    """Compare models' decisions with those of the first.

    Args:
        decided: {model: decisions uint8 (n, labels)}.
        targets: uint8 (n, labels).
        judging: draws and seed of the bootstrap.
        keys: one a row, equal for photos of equal content, which are drawn together; None takes all as different.
    """
    figures = scores.micro_f1s(targets, *decided.values(), judging=judging, keys=keys)
    return [Compared(model, *figure) for model, figure in zip(decided, figures, strict=True)]

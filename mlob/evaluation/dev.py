"""Figures on dev: several models' answers on the same rows, each against the first."""

import dataclasses

import numpy as np

from mlob.ensemble.measures import MICRO_F1, Measure
from mlob.evaluation import judge, scores
from mlob.evaluation.bootstrap import Interval, Keys
from mlob.recipes import Judging


@dataclasses.dataclass(frozen=True)
class Compared:
    """A model's figure, and its gain on that of the first model, on the same photos."""

    model: str
    figure: Interval
    gain: Interval


def answer(
    probabilities: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
    groups: np.ndarray | None,
    measure: Measure = MICRO_F1,
) -> np.ndarray:
    """Give what the measure judges of a model (`judge.answer_alone`) at the measure's rule: calibrated thresholds.

    One threshold for all would charge a loss that moves each label's probabilities for what the ensemble's thresholds
    undo.

    Args: as of `judge.decide_alone`.
    """
    return judge.answer_alone(probabilities, targets, fold, groups, measure.rule, measure)


def compare(
    answers: dict[str, np.ndarray],
    targets: np.ndarray,
    judging: Judging,
    keys: Keys = None,
    measure: Measure = MICRO_F1,
) -> list[Compared]:
    """Compare models' answers with those of the first.

    Args:
        answers: {model: what the measure judges (n, labels)}.
        targets: uint8 (n, labels).
        judging: draws and seed of the bootstrap.
        keys: one a row, equal for photos of equal content, which are drawn together; None takes all as different.
    """
    figures = scores.measured(measure, targets, *answers.values(), judging=judging, keys=keys)
    return [Compared(model, *figure) for model, figure in zip(answers, figures, strict=True)]

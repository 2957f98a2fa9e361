"""The metrics that decisions are judged by, each with its 95% interval over photos."""

import dataclasses

import numpy as np

from mlob.ensemble.measures import MICRO_F1, Measure
from mlob.evaluation import bootstrap
from mlob.evaluation.bootstrap import Interval, Keys
from mlob.metrics import POOLED, image_f1, macro_f1, pooled
from mlob.recipes import Judging

# A metric of all decisions pooled is added in `metrics.POOLED`; another one here: a function of targets and decisions,
# 0/1 (n, labels), and its bootstrap draws (draws,).
NOT_POOLED = {
    "macro_f1": (macro_f1, bootstrap.macro_f1_draws),
    "image_f1": (image_f1, bootstrap.image_f1_draws),
}


@dataclasses.dataclass(frozen=True)
class Score(Interval):
    """A cross-fitted figure with its interval; `in_sample` is the same on the photos that were fitted on."""

    in_sample: float


def values(targets: np.ndarray, decided: np.ndarray) -> dict[str, float]:
    """Give every metric of decisions: {name: figure}, micro-F1 first."""
    others = {name: metric(targets, decided) for name, (metric, _) in NOT_POOLED.items()}
    of_pooled = pooled(targets, decided)
    return {"micro_f1": of_pooled["micro_f1"], **others, **of_pooled}


def intervals(targets: np.ndarray, decided: np.ndarray, judging: Judging, keys: Keys = None) -> dict[str, Interval]:
    """Give every metric of decisions with its interval.

    Args:
        targets, decided: 0/1 (n, labels).
        judging: draws and seed of the bootstrap.
        keys: one a photo, equal for photos of equal content, which are drawn together.
    """
    draws, seed = judging.draws, judging.seed
    counts = bootstrap.count_draws(targets, decided, keys=keys, draws=draws, seed=seed)[0]
    drawn = {name: metric(*counts) for name, metric in POOLED.items()}
    for name, (_, metric_draws) in NOT_POOLED.items():
        drawn[name] = metric_draws(targets, decided, keys=keys, draws=draws, seed=seed)
    return {name: bootstrap.interval(value, drawn[name]) for name, value in values(targets, decided).items()}


def scores(
    targets: np.ndarray,
    out_of_fold: np.ndarray,
    in_sample: np.ndarray,
    judging: Judging,
    keys: Keys = None,
    *,
    measure: Measure = MICRO_F1,
    ranked: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Score]:
    """Give every metric of the decisions of fits that did not see the photo, and of the fit on all photos beside it.

    Args:
        measure: that of `judging.metric`, whose figure stands first.
        ranked: the probabilities behind both decisions, where the measure ranks.
    """
    fitted = values(targets, in_sample)
    cross_fitted = intervals(targets, out_of_fold, judging, keys)
    found = {name: Score(each.value, each.low, each.high, fitted[name]) for name, each in cross_fitted.items()}
    name, (own, beside) = judging.metric.name, ranked or (out_of_fold, in_sample)
    if name not in found:
        figure = measured(measure, targets, own, judging=judging, keys=keys)[0][0]
        found[name] = Score(figure.value, figure.low, figure.high, measure.score(targets, beside))
    return {name: found[name], **found}


def measured(
    measure: Measure, targets: np.ndarray, *answers: np.ndarray, judging: Judging, keys: Keys = None
) -> list[tuple[Interval, Interval]]:
    """Give the figure of each of several answers, and its gain on that of the first, all on the same draws.

    Args:
        answers: what the measure judges, each (n, labels).
    """
    drawn = bootstrap.draws_of(measure, targets, *answers, keys=keys, draws=judging.draws, seed=judging.seed)
    figures = [measure.score(targets, each) for each in answers]
    return [
        (bootstrap.interval(value, draws), bootstrap.interval(value - figures[0], draws - drawn[0]))
        for value, draws in zip(figures, drawn, strict=True)
    ]

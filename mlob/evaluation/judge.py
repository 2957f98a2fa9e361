"""Judge decisions on validation: cross-fitted figures with intervals, the in-sample ones beside them.

What is said of an ensemble, its headline and every verdict, is said of its nested decisions: each photo is decided by
what `choice` takes on the other folds, and by a fit that did not see it.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping

import numpy as np

from mlob.ensemble import methods
from mlob.ensemble.thresholds import ONE_THRESHOLD
from mlob.evaluation import bootstrap, choice, scores, tasks
from mlob.evaluation.bootstrap import Interval, Keys
from mlob.evaluation.choice import MICRO_F1, Candidates, Choice, Measure, Name
from mlob.evaluation.crossfit import crossfit, fits, folds, out_of_fold
from mlob.evaluation.scores import Score
from mlob.evaluation.tasks import TaskScores
from mlob.labels import Labels, count_known, positives
from mlob.metrics import counts, f1, ratio
from mlob.recipes import Judging

ENSEMBLE = "ensemble"  # the name of the nested decisions, among those of methods
ALONE = ("model", ONE_THRESHOLD)  # what a model alone is decided by
Fit = Callable[..., dict]  # of members, targets and keys: {Name: Decision}


@dataclasses.dataclass(frozen=True)
class Judged:
    """A method fitted on all photos, and what is known of it.

    Attributes:
        decision: of the fit on all photos.
        out_of_fold: uint8 (n, labels), each photo decided by a fit that did not see it.
        scores: by metric.
    """

    decision: methods.Decision
    out_of_fold: np.ndarray
    scores: dict[str, Score]


@dataclasses.dataclass(frozen=True)
class Pair:
    """Micro-F1 of a method, or of ENSEMBLE's nested decisions, less that of another method on the same photos."""

    method: str
    against: str
    gain: Interval


@dataclasses.dataclass(frozen=True)
class GroupScores:
    """How good the nested decisions are on a group of labels.

    Attributes:
        labels: how many there are.
        validation: how often one of them is on a photo of validation.
        scores: by metric.
        gain: in micro-F1 over the best single member.
    """

    group: str
    labels: int
    validation: int
    scores: dict[str, Interval]
    gain: Interval


@dataclasses.dataclass(frozen=True)
class LabelScores:
    """How good the nested decisions are on a label.

    Attributes:
        train, validation: photos that have it.
        threshold: of the chosen method, fitted on all photos; None where a photo gets the likeliest label of the group.
    """

    id: int
    name: str
    group: str
    train: int
    validation: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    threshold: float | None


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is known of all methods, and of the one that is chosen.

    Attributes:
        judged: each method and rule.
        choice: what decides on other photos.
        nested: decisions uint8 (n, labels), each photo by what is chosen on the other folds, fitted on these.
        headline: by metric, of the nested decisions; in-sample, of the chosen method.
        optimism: by how much the in-sample micro-F1 of each method lies above its cross-fitted one.
        pairs: on the same photos.
        groups, labels, tasks: figures of the nested decisions, and of their probabilities.
        folds: how many there were.
    """

    judged: dict[Name, Judged]
    choice: Choice
    nested: np.ndarray
    headline: dict[str, Score]
    optimism: dict[str, float]
    pairs: list[Pair]
    groups: list[GroupScores]
    labels: list[LabelScores]
    tasks: list[TaskScores]
    folds: int

    @property
    def decision(self) -> methods.Decision:
        """The chosen method, fitted on all photos."""
        return self.judged[self.choice.name].decision


def judge(
    fit: Fit,
    members: np.ndarray,
    targets: np.ndarray,
    judging: Judging,
    *,
    labels: Labels,
    train_positives: np.ndarray,
    keys: Keys = None,
) -> Verdict:
    """Fit methods on all photos, judge them by fits that did not see the photo decided on, and choose one.

    Args:
        fit: function of members, targets and keys that gives {(method, rule): Decision}.
        members: float32 (members, n, labels) on validation.
        targets: uint8 (n, labels); what is unknown is neither fitted on nor judged.
        judging: folds, draws and seed.
        labels: who they are.
        train_positives: integers (labels,), photos of train with each label.
        keys: one a photo, equal for photos of equal content, which are drawn together.
    """
    fold = folds(targets, judging.folds, seed=judging.seed, keys=keys)
    fitted = fit(members, targets, *([] if keys is None else [keys]))
    fitted_elsewhere = fits(fit, members, targets, fold, keys)
    decided = out_of_fold(fitted_elsewhere, members, fold)
    judged = judge_each(fitted, decided, members, targets, judging, keys)
    candidates = Candidates(targets, decided, fold, keys)
    chosen, names = choice.choose(candidates, judging), choice.nested(candidates, judging)
    nested, beside = choice.taken(candidates, names), decided[methods.BEST_SINGLE, chosen.fixed[1]]
    blends = [{ENSEMBLE: each[name].probabilities} for each, name in zip(fitted_elsewhere, names, strict=True)]
    decision, probabilities = fitted[chosen.name], out_of_fold(blends, members, fold)[ENSEMBLE]
    return Verdict(
        judged,
        chosen,
        nested,
        scores.scores(targets, nested, decision(members), judging, keys),
        {full_name(name): _optimism(each.scores["micro_f1"]) for name, each in judged.items()},
        paired(targets, decided, nested, judging, keys),
        by_group(labels, targets, nested, beside, judging, keys),
        by_label(labels, train_positives, targets, nested, decision),
        tasks.judge(targets, probabilities, labels.groups, train_positives, judging, keys),
        len(np.unique(fold)),
    )


def judge_each(
    fitted: Mapping[Name, methods.Decision],
    decided: Mapping[Name, np.ndarray],
    members: np.ndarray,
    targets: np.ndarray,
    judging: Judging,
    keys: Keys = None,
) -> dict[Name, Judged]:
    """Score each method by its decisions that are out of fold, and beside them by those of the fit on all photos.

    Args:
        fitted: {name: the fit on all photos}.
        decided: {name: uint8 (n, labels), each photo by a fit that did not see it}, as `crossfit` gives them.
    """
    return {
        name: Judged(decision, decided[name], scores.scores(targets, decided[name], decision(members), judging, keys))
        for name, decision in fitted.items()
    }


def decide_alone(
    probabilities: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
    groups: np.ndarray | None,
    rule: str = ONE_THRESHOLD,
) -> np.ndarray:
    """Decide by one model, each row by a fit that did not see it: uint8 (n, labels).

    Args:
        probabilities: float32 (n, labels).
        targets: uint8 (n, labels).
        fold: of each row (n,), as `crossfit.folds` gives it.
        groups: of which a row gets the likeliest label, as `methods.Decision` has them.
        rule: a name in `thresholds.RULES`.
    """
    fit = lambda members, rows: {"model": methods.mean_at(rule, members, rows, groups)}  # noqa: E731
    return crossfit(fit, probabilities[np.newaxis], targets, fold)["model"]


def judge_model(
    member: np.ndarray, targets: np.ndarray, judging: Judging, keys: Keys = None, groups: np.ndarray | None = None
) -> Judged:
    """Judge one model, float32 (n, labels), at one threshold; equal photos share fold and draw.

    Args:
        groups: of which a photo gets the likeliest label, as `methods.Decision` has them.
    """
    members, fold = member[np.newaxis], folds(targets, judging.folds, seed=judging.seed, keys=keys)
    fitted = {ALONE: methods.mean_at(ONE_THRESHOLD, members, targets, groups)}
    decided = {ALONE: decide_alone(member, targets, fold, groups)}
    return judge_each(fitted, decided, members, targets, judging, keys)[ALONE]


def paired(
    targets: np.ndarray,
    decided: Mapping[Name, np.ndarray],
    nested: np.ndarray,
    judging: Judging,
    keys: Keys = None,
    measure: Measure = MICRO_F1,
) -> list[Pair]:
    """Test on the same photos the ensemble against every method, and these against `best single` and `mean`.

    Args:
        decided: {(method, rule): decisions (n, labels)}. Methods are compared with each other at the same rule.
        nested: the ensemble's decisions, whose gain owes nothing to the luck of a choice.
    """
    named = {ENSEMBLE: nested, **{full_name(name): own for name, own in decided.items()}}
    draws = measure.draws(targets, *named.values(), keys=keys, draws=judging.draws, seed=judging.seed)
    drawn = dict(zip(named, draws, strict=True))
    figures = {name: measure.value(targets, own) for name, own in named.items()}
    gain = lambda name, other: bootstrap.interval(figures[name] - figures[other], drawn[name] - drawn[other])  # noqa: E731
    return [Pair(name, other, gain(name, other)) for name, other in _pairs(decided)]


def full_name(name: Name) -> str:
    """Name a method and its rule in one text."""
    return ", ".join(name)


def by_label(
    labels: Labels,
    train_positives: np.ndarray,
    targets: np.ndarray,
    decided: np.ndarray,
    decision: methods.Decision,
) -> list[LabelScores]:
    """Score decisions 0/1 (n, labels) label by label; `decision` has the thresholds."""
    groups = [-1] * len(labels) if decision.groups is None else decision.groups.tolist()
    true_positives, predicted_positives, positives = counts(targets, decided, axis=0)
    columns = {
        "id": labels.ids,
        "name": labels.names,
        "group": labels.groups,
        "train": train_positives.tolist(),
        "validation": positives.tolist(),
        "accuracy": ratio(np.count_nonzero(np.equal(targets, decided), axis=0), count_known(targets, axis=0)).tolist(),
        "precision": ratio(true_positives, predicted_positives).tolist(),
        "recall": ratio(true_positives, positives).tolist(),
        "f1": f1(true_positives, predicted_positives, positives).tolist(),
        "threshold": [
            own if group < 0 else None for own, group in zip(decision.thresholds.tolist(), groups, strict=True)
        ],
    }
    return [LabelScores(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def by_group(
    labels: Labels,
    targets: np.ndarray,
    decided: np.ndarray,
    other: np.ndarray,
    judging: Judging,
    keys: Keys = None,
) -> list[GroupScores]:
    """Score decisions 0/1 (n, labels) on each group of labels, and their gain on the decisions `other` there."""
    of_groups = []
    for group in dict.fromkeys(labels.groups):
        inside = np.equal(labels.groups, group)
        truth, own = targets[:, inside], decided[:, inside]
        _, (_, gain) = scores.micro_f1s(truth, other[:, inside], own, judging=judging, keys=keys)
        of_group = scores.intervals(truth, own, judging, keys)
        of_groups.append(GroupScores(group, int(inside.sum()), int(positives(truth).sum()), of_group, gain))
    return of_groups


def _optimism(score: Score) -> float:
    return score.in_sample - score.value


def _pairs(decided: Collection[Name]) -> list[tuple[str, str]]:
    """Name what is compared: the ensemble with each method, and each with the references at its rule."""
    references = [(name, (other, name[1])) for name in decided for other in (methods.BEST_SINGLE, methods.MEAN)]
    pairs = [(full_name(name), full_name(other)) for name, other in references if name != other and other in decided]
    return [*((ENSEMBLE, full_name(name)) for name in decided), *pairs]

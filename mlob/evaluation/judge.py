"""Judge decisions on validation: cross-fitted figures with intervals, the in-sample ones beside them.

What is said of an ensemble, its headline and every verdict, is said of its nested decisions: each photo is decided by
what `choice` takes on the other folds, and by a fit that did not see it.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping

import numpy as np

from mlob.ensemble import measures, methods
from mlob.ensemble.measures import MICRO_F1, Measure
from mlob.ensemble.thresholds import ONE_THRESHOLD
from mlob.evaluation import bootstrap, choice, scores, tasks
from mlob.evaluation.bootstrap import Interval, Keys
from mlob.evaluation.choice import Candidates, Choice, Name
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
    """The figure of a method, or of ENSEMBLE's nested decisions, less that of another method on the same photos."""

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
        gain: over the best single member: in the metric, and in micro-F1 where that asks for the likeliest label of one
            group.
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
        left: whether it is left to people, since that threshold does not promise what is wished.
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
    left: bool = False


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is known of all methods, and of the one that is chosen.

    Attributes:
        judged: each method and rule.
        choice: what decides on other photos.
        nested: decisions uint8 (n, labels), each photo by what is chosen on the other folds, fitted on these.
        headline: by metric, of the nested decisions; in-sample, of the chosen method.
        optimism: by how much the in-sample figure of each method lies above its cross-fitted one.
        pairs: on the same photos.
        groups, labels, tasks: figures of the nested decisions, and of their probabilities.
        folds: how many there were.
        automated: share of the decisions on labels that are not left to people; None where the metric leaves none.
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
    automated: float | None

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
    measure = measures.of(judging.metric, labels.groups)
    fold = folds(targets, judging.folds, seed=judging.seed, keys=keys)
    fitted = fit(members, targets, *([] if keys is None else [keys]))
    fitted_elsewhere = fits(fit, members, targets, fold, keys)
    decided = out_of_fold(fitted_elsewhere, members, fold)
    blends = [{name: each.probabilities for name, each in every.items()} for every in fitted_elsewhere]
    judged_by = out_of_fold(blends, members, fold) if measure.ranks else decided
    judged = judge_each(fitted, decided, members, targets, judging, keys, measure, judged_by)
    candidates = Candidates(targets, judged_by, fold, keys)
    chosen, names = choice.choose(candidates, judging, measure), choice.nested(candidates, judging, measure)
    nested = choice.taken(dataclasses.replace(candidates, decided=decided), names)
    answer, beside = choice.taken(candidates, names), judged_by[methods.BEST_SINGLE, chosen.fixed[1]]
    nested_blends = [{ENSEMBLE: each[name]} for each, name in zip(blends, names, strict=True)]
    decision, probabilities = fitted[chosen.name], out_of_fold(nested_blends, members, fold)[ENSEMBLE]
    return Verdict(
        judged,
        chosen,
        nested,
        _scores(decision, nested, answer, members, targets, judging, keys, measure),
        {full_name(name): _optimism(each.scores[judging.metric.name]) for name, each in judged.items()},
        paired(targets, judged_by, answer, judging, keys, measure),
        by_group(labels, targets, nested, beside, judging, keys, measure, answer),
        by_label(labels, train_positives, targets, nested, decision, measure),
        tasks.judge(targets, probabilities, labels.groups, train_positives, judging, keys),
        len(np.unique(fold)),
        automated(targets, decision, measure),
    )


def judge_each(
    fitted: Mapping[Name, methods.Decision],
    decided: Mapping[Name, np.ndarray],
    members: np.ndarray,
    targets: np.ndarray,
    judging: Judging,
    keys: Keys = None,
    measure: Measure = MICRO_F1,
    judged_by: Mapping[Name, np.ndarray] | None = None,
) -> dict[Name, Judged]:
    """Score each method by its decisions that are out of fold, and beside them by those of the fit on all photos.

    Args:
        fitted: {name: the fit on all photos}.
        decided: {name: uint8 (n, labels), each photo by a fit that did not see it}, as `crossfit` gives them.
        measure: that of `judging.metric`.
        judged_by: {name: what the measure judges (n, labels)}; the decisions unless it ranks.
    """
    answers = decided if judged_by is None else judged_by
    return {
        name: Judged(
            decision,
            decided[name],
            _scores(decision, decided[name], answers[name], members, targets, judging, keys, measure),
        )
        for name, decision in fitted.items()
    }


def _scores(decision, decided, answer, members, targets, judging, keys, measure):
    """Score decisions out of fold, and what the measure judges of them, beside those of the fit on all photos."""
    ranked = (answer, decision.probabilities(members)) if measure.ranks else None
    return scores.scores(targets, decided, decision(members), judging, keys, measure=measure, ranked=ranked)


def decide_alone(
    probabilities: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
    groups: np.ndarray | None,
    rule: str = ONE_THRESHOLD,
    measure: Measure = MICRO_F1,
) -> np.ndarray:
    """Decide by one model, each row by a fit that did not see it: uint8 (n, labels).

    Args:
        probabilities: float32 (n, labels).
        targets: uint8 (n, labels).
        fold: of each row (n,), as `crossfit.folds` gives it.
        groups: of which a row gets the likeliest label, as `methods.Decision` has them.
        rule: a name among the measure's rules.
        measure: what the decisions are made for.
    """
    fit = lambda members, rows: {"model": methods.mean_at(rule, members, rows, groups, measure)}  # noqa: E731
    return crossfit(fit, probabilities[np.newaxis], targets, fold)["model"]


def answer_alone(
    probabilities: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
    groups: np.ndarray | None,
    rule: str,
    measure: Measure,
) -> np.ndarray:
    """Give what the measure judges of one model: decisions (`decide_alone`), or its probabilities where it ranks."""
    return probabilities if measure.ranks else decide_alone(probabilities, targets, fold, groups, rule, measure)


def judge_model(
    member: np.ndarray,
    targets: np.ndarray,
    judging: Judging,
    keys: Keys = None,
    groups: np.ndarray | None = None,
    measure: Measure = MICRO_F1,
) -> Judged:
    """Judge one model, float32 (n, labels), at the measure's plainest rule; equal photos share fold and draw.

    Args:
        groups: of which a photo gets the likeliest label, as `methods.Decision` has them.
        measure: that of `judging.metric`.
    """
    members, fold = member[np.newaxis], folds(targets, judging.folds, seed=judging.seed, keys=keys)
    fitted = {ALONE: methods.mean_at(measure.plainest, members, targets, groups, measure)}
    decided = {ALONE: decide_alone(member, targets, fold, groups, measure.plainest, measure)}
    judged_by = {ALONE: member} if measure.ranks else None
    return judge_each(fitted, decided, members, targets, judging, keys, measure, judged_by)[ALONE]


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
        decided: {(method, rule): what the measure judges (n, labels)}. Methods are compared with each other at the same
            rule.
        nested: the ensemble's answers, whose gain owes nothing to the luck of a choice.
    """
    named = {ENSEMBLE: nested, **{full_name(name): own for name, own in decided.items()}}
    draws = bootstrap.draws_of(measure, targets, *named.values(), keys=keys, draws=judging.draws, seed=judging.seed)
    drawn = dict(zip(named, draws, strict=True))
    figures = {name: measure.score(targets, own) for name, own in named.items()}
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
    measure: Measure = MICRO_F1,
) -> list[LabelScores]:
    """Score decisions 0/1 (n, labels) label by label; `decision` has thresholds, `measure` knows what they leave."""
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
        "left": (measure.left(decision.thresholds) if measure.left else np.zeros(len(labels), bool)).tolist(),
    }
    return [LabelScores(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def by_group(
    labels: Labels,
    targets: np.ndarray,
    decided: np.ndarray,
    other: np.ndarray,
    judging: Judging,
    keys: Keys = None,
    measure: Measure = MICRO_F1,
    answer: np.ndarray | None = None,
) -> list[GroupScores]:
    """Score decisions 0/1 (n, labels) on each group of labels, and their gain on the answers `other` there.

    Args:
        other: what the measure judges of what they are compared with (n, labels).
        answer: what it judges of the decisions; these themselves unless it ranks.
    """
    named, of_groups = judging.metric.name, []
    answer = decided if answer is None else answer
    if measure.likeliest:  # it knows one group alone
        measure, named = MICRO_F1, "micro_f1"
    for group in dict.fromkeys(labels.groups):
        inside = np.equal(labels.groups, group)
        truth, own, *pair = (each[:, inside] for each in (targets, decided, other, answer))
        _, (figure, gain) = scores.measured(measure, truth, *pair, judging=judging, keys=keys)
        of_group = {named: figure} | scores.intervals(truth, own, judging, keys)
        of_groups.append(GroupScores(group, int(inside.sum()), int(positives(truth).sum()), of_group, gain))
    return of_groups


def automated(targets: np.ndarray, decision: methods.Decision, measure: Measure) -> float | None:
    """Give the share of the decisions on labels that are not left to people; None where the metric leaves none."""
    if not measure.left:
        return None
    return float(ratio(count_known(targets[:, ~measure.left(decision.thresholds)]), count_known(targets)))


def _optimism(score: Score) -> float:
    return score.in_sample - score.value


def _pairs(decided: Collection[Name]) -> list[tuple[str, str]]:
    """Name what is compared: the ensemble with each method, and each with the references at its rule."""
    references = [(name, (other, name[1])) for name in decided for other in (methods.BEST_SINGLE, methods.MEAN)]
    pairs = [(full_name(name), full_name(other)) for name, other in references if name != other and other in decided]
    return [*((ENSEMBLE, full_name(name)) for name in decided), *pairs]

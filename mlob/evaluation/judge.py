"""Judge decisions on validation: cross-fitted figures with intervals, the in-sample ones beside them."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from mlob.ensemble import methods
from mlob.ensemble.thresholds import ONE_THRESHOLD
from mlob.evaluation import bootstrap, scores, tasks
from mlob.evaluation.bootstrap import Interval, Keys
from mlob.evaluation.crossfit import crossfit, fits, folds, out_of_fold
from mlob.evaluation.scores import Score
from mlob.evaluation.tasks import TaskScores
from mlob.labels import Labels, count_known, positives
from mlob.metrics import counts, f1, micro_f1, ratio
from mlob.recipes import Judging

Name = tuple[str, str]  # of a method, and of the rule that its thresholds are chosen by
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
    """Two methods on the same photos: micro-F1 of `method` less that of `against`."""

    method: str
    against: str
    gain: Interval


@dataclasses.dataclass(frozen=True)
class GroupScores:
    """How good the chosen method is on a group of labels.

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
    """How good the chosen method is on a label.

    Attributes:
        train, validation: photos that have it.
        threshold: None where a photo gets the likeliest label of the group.
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
        chosen: the one with the highest cross-fitted micro-F1 but for the constant answer.
        elsewhere: micro-F1 where each photo is decided on by the method that is highest on the other folds: what
            choosing the highest gains by luck is gone from it.
        optimism: by how much the in-sample micro-F1 of each method lies above its cross-fitted one.
        pairs: of methods on the same photos.
        groups, labels, tasks: the chosen method's figures.
        folds: how many there were.
    """

    judged: dict[Name, Judged]
    chosen: Name
    elsewhere: Interval
    optimism: dict[str, float]
    pairs: list[Pair]
    groups: list[GroupScores]
    labels: list[LabelScores]
    tasks: list[TaskScores]
    folds: int

    @property
    def decision(self) -> methods.Decision:
        """The chosen method, fitted on all photos."""
        return self.judged[self.chosen].decision

    @property
    def out_of_fold(self) -> np.ndarray:
        """The chosen method's decisions uint8 (n, labels), each by a fit that did not see the photo."""
        return self.judged[self.chosen].out_of_fold


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
    chosen = choose(targets, decided)
    blends = [{chosen: fitted[chosen].probabilities} for fitted in fitted_elsewhere]
    probabilities = out_of_fold(blends, members, fold)[chosen]
    return Verdict(
        judged,
        chosen,
        scores.micro_f1_of(targets, chosen_elsewhere(targets, decided, fold), judging, keys),
        {full_name(name): _optimism(each.scores["micro_f1"]) for name, each in judged.items()},
        paired(targets, decided, chosen, judging, keys),
        by_group(labels, targets, decided[chosen], decided[methods.BEST_SINGLE, chosen[1]], judging, keys),
        by_label(labels, train_positives, targets, decided[chosen], judged[chosen].decision),
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


def choose(targets: np.ndarray, decided: Mapping[Name, np.ndarray]) -> Name:
    """Name the method whose decisions have the highest micro-F1; the constant answer is not a candidate.

    Args:
        decided: {(method, rule): decisions (n, labels)}; of equals the first is taken.
    """
    figures = {name: micro_f1(targets, own) for name, own in decided.items() if name[0] != methods.CONSTANT}
    return max(figures, key=lambda name: figures[name])


def chosen_elsewhere(targets: np.ndarray, decided: Mapping[Name, np.ndarray], fold: np.ndarray) -> np.ndarray:
    """Decide on each photo by the method that `choose` takes on the other folds: uint8 (n, labels).

    The highest of many figures is partly luck; here a fold's own photos, and their luck, play no part in the choice.
    """
    elsewhere = np.zeros(targets.shape, np.uint8)
    for number in np.unique(fold):
        inside = fold == number
        name = choose(targets[~inside], {name: own[~inside] for name, own in decided.items()})
        elsewhere[inside] = decided[name][inside]
    return elsewhere


def paired(
    targets: np.ndarray, decided: Mapping[Name, np.ndarray], chosen: Name, judging: Judging, keys: Keys = None
) -> list[Pair]:
    """Test methods in pairs on the same photos: every one against `best single` and `mean`, and `chosen` against all.

    Args:
        decided: {(method, rule): decisions (n, labels)}. A method is compared at its own rule.
        chosen: one of them.
    """
    draws = bootstrap.micro_f1_draws(targets, *decided.values(), keys=keys, draws=judging.draws, seed=judging.seed)
    drawn = dict(zip(decided, draws, strict=True))
    figures = {name: micro_f1(targets, own) for name, own in decided.items()}
    gain = lambda name, other: bootstrap.interval(figures[name] - figures[other], drawn[name] - drawn[other])  # noqa: E731
    return [Pair(full_name(name), full_name(other), gain(name, other)) for name, other in _pairs(decided, chosen)]


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


def _pairs(decided: Mapping[Name, np.ndarray], chosen: Name) -> Iterable[tuple[Name, Name]]:
    """Pairs of different methods, each once."""
    references = [(name, (other, name[1])) for name in decided for other in (methods.BEST_SINGLE, methods.MEAN)]
    pairs = [*references, *((chosen, other) for other in decided)]
    return dict.fromkeys((name, other) for name, other in pairs if name != other and other in decided)

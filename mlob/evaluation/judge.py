"""Judge decisions on validation: cross-fitted figures with intervals, the in-sample ones beside them."""

import typing

import numpy as np

from mlob.ensemble import methods
from mlob.ensemble.thresholds import ONE_THRESHOLD
from mlob.evaluation import bootstrap
from mlob.evaluation.crossfit import crossfit, folds
from mlob.metrics import accuracy, counts, f1, image_f1, macro_f1, micro_f1, precision, ratio, recall

FIGURES = {
    "micro_f1": (micro_f1, bootstrap.micro_f1_interval),
    "macro_f1": (macro_f1, bootstrap.macro_f1_interval),
    "image_f1": (image_f1, bootstrap.image_f1_interval),
}
POOLED = {"accuracy": accuracy, "precision": precision, "recall": recall}


class Judged(typing.NamedTuple):
    """A method fitted on all photos, and what is known of it."""

    decision: methods.Decision
    held: np.ndarray  # cross-fitted decisions uint8 (n, labels)
    figures: dict  # as result.json holds them


def judge(fit, members, targets, fold, judging, keys=None):
    """Fit methods on all photos, and judge them by decisions of fits that did not see the photo decided on.

    Args:
        fit: function of members, targets and keys that gives {name: Decision}.
        members: float32 (members, n, labels) on validation.
        targets: uint8 (n, labels).
        fold: of each photo (n,), as `crossfit.folds` gives it.
        judging: the `Judging`.
        keys: one a photo, equal for photos of equal content, which are drawn together; None takes all as different.

    Returns:
        {name: Judged}.
    """
    fitted = fit(members, targets, *([] if keys is None else [keys]))
    held = crossfit(fit, members, targets, fold, keys)
    return {
        name: Judged(decision, held[name], figures(targets, held[name], decision(members), judging, keys))
        for name, decision in fitted.items()
    }


def fit_alone(members, targets, keys=None):
    """Fit what one model is decided by, one threshold, as `judge` and `crossfit` take it."""
    return {"model": methods.mean_at(ONE_THRESHOLD, members, targets)}


def decide_alone(probabilities, targets, fold, rule=ONE_THRESHOLD):
    """Decide by one model, each row by a fit that did not see it: uint8 (n, labels).

    Args:
        probabilities: float32 (n, labels).
        targets: uint8 (n, labels).
        fold: of each row (n,), as `crossfit.folds` gives it.
        rule: a name in `thresholds.RULES`.
    """
    fits = lambda members, rows: {"model": methods.mean_at(rule, members, rows)}  # noqa: E731
    return crossfit(fits, probabilities[np.newaxis], targets, fold)["model"]


def judge_model(member, targets, judging, keys=None):
    """Judge one model at one threshold: a `Judged`; equal photos, whose keys are equal, share fold and draw."""
    fold = folds(targets, judging.folds, seed=judging.seed, keys=keys)
    return judge(fit_alone, member[np.newaxis], targets, fold, judging, keys)["model"]


def choose(targets, held):
    """Name the method whose decisions have the highest micro-F1; the constant answer does not stand for election.

    Args:
        held: {(method, rule): decisions (n, labels)}; of equals the first is taken.
    """
    scores = {name: micro_f1(targets, decided) for name, decided in held.items() if name[0] != methods.CONSTANT}
    return max(scores, key=scores.get)


def chosen_elsewhere(targets, held, fold):
    """Decide on each photo by the method that `choose` takes on the other folds: what choosing gains unfairly is gone.

    The highest of many figures is high by luck too; here the luck of a fold's photos has no say in the choice.

    Returns:
        uint8 (n, labels).
    """
    decided = np.zeros(targets.shape, np.uint8)
    for number in np.unique(fold):
        inside = fold == number
        name = choose(targets[~inside], {name: found[~inside] for name, found in held.items()})
        decided[inside] = held[name][inside]
    return decided


def figures(targets, cross_fitted, in_sample, judging, keys=None):
    """Give the figures of decisions.

    Returns:
        `micro_f1`, `macro_f1` and `image_f1` (the mean of each photo's), each {cross_fitted, low, high, in_sample}
        with 95% intervals over photos; `accuracy`, `precision` and `recall` of all decisions pooled, cross-fitted.
    """
    found = {}
    for name, (metric, _) in FIGURES.items():
        held = figure(name, targets, cross_fitted, judging, keys)
        found[name] = {"cross_fitted": held.pop("value"), **held, "in_sample": metric(targets, in_sample)}
    return {**found, **{name: metric(targets, cross_fitted) for name, metric in POOLED.items()}}


def figure(name, targets, predicted, judging, keys=None):
    """Give one of FIGURES: {value, low, high}."""
    metric, interval = FIGURES[name]
    low, high = interval(targets, predicted, keys=keys, draws=judging.draws, seed=judging.seed)
    return {"value": metric(targets, predicted), "low": low, "high": high}


def paired(targets, held, chosen, judging, keys=None):
    """Test methods in pairs on the same photos: every one against `best single` and `mean`, and `chosen` against all.

    Args:
        held: {(method, rule): decisions (n, labels)}. A method is compared at its own rule.
        chosen: one of them.

    Returns:
        A list of {method, against, gain, low, high}: micro-F1 of the one less that of the other, and the 95% interval.
    """
    draws = bootstrap.micro_f1_draws(targets, *held.values(), keys=keys, draws=judging.draws, seed=judging.seed)
    drawn = dict(zip(held, draws, strict=True))
    scores = {name: micro_f1(targets, decided) for name, decided in held.items()}
    found = []
    for one, other in _pairs(held, chosen):
        low, high = bootstrap.interval(drawn[one] - drawn[other])
        gain = {"gain": scores[one] - scores[other], "low": low, "high": high}
        found.append({"method": full_name(one), "against": full_name(other), **gain})
    return found


def full_name(name):
    """Name a method and its rule in one text, as ensemble.json does."""
    return ", ".join(name)


def by_label(labels, train_targets, targets, predicted, thresholds):
    """Give one dict a label: who it is, its photos in train and validation, figures of `predicted`, its threshold."""
    true_positives, predicted_positives, positives = counts(targets, predicted, axis=0)
    columns = {
        "id": labels.ids,
        "name": labels.names,
        "group": labels.groups,
        "train": train_targets.sum(axis=0).tolist(),
        "validation": positives.tolist(),
        "accuracy": np.mean(np.equal(targets, predicted), axis=0).tolist(),
        "precision": ratio(true_positives, predicted_positives).tolist(),
        "recall": ratio(true_positives, positives).tolist(),
        "f1": f1(true_positives, predicted_positives, positives).tolist(),
        "threshold": thresholds.tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def by_group(labels, targets, predicted, other, judging, keys=None):
    """Give one dict a group of labels: figures of `predicted` there, and its gain on the decisions `other`."""
    found = []
    for group in dict.fromkeys(labels.groups):
        inside = np.equal(labels.groups, group)
        pair = targets[:, inside], predicted[:, inside]
        low, high = bootstrap.micro_f1_difference(
            *pair, other[:, inside], keys=keys, draws=judging.draws, seed=judging.seed
        )
        gain = micro_f1(*pair) - micro_f1(pair[0], other[:, inside])
        found.append(
            {
                "group": group,
                "labels": int(inside.sum()),
                "validation": int(pair[0].sum()),
                "micro_f1": figure("micro_f1", *pair, judging, keys),
                "macro_f1": figure("macro_f1", *pair, judging, keys),
                **{name: metric(*pair) for name, metric in POOLED.items()},
                "gain": {"value": gain, "low": low, "high": high},
            }
        )
    return found


def _pairs(held, chosen):
    """Pairs of different methods, each once."""
    references = [(one, (other, one[1])) for one in held for other in (methods.BEST_SINGLE, methods.MEAN)]
    pairs = [*references, *((chosen, other) for other in held)]
    return dict.fromkeys((one, other) for one, other in pairs if one != other and other in held)

"""Judge decisions on validation: cross-fitted figures with intervals, the in-sample ones beside them."""

import numpy as np

from mlob.ensemble import methods
from mlob.evaluation import bootstrap
from mlob.evaluation.crossfit import crossfit, folds
from mlob.metrics import counts, f1, macro_f1, micro_f1, ratio


def judge(fit, members, targets, recipe):
    """Fit methods on all photos, and judge them by decisions of fits that did not see the photo decided on.

    Args:
        fit: function of members and targets that gives {name: Decision}.
        members: float32 (members, n, labels) on validation.
        targets: uint8 (n, labels).
        recipe: the `Ensemble`: folds, draws, seed.

    Returns:
        {name: (Decision fitted on all photos, cross-fitted decisions uint8 (n, labels), figures)}, the figures as
        result.json holds them.
    """
    fitted = fit(members, targets)
    held = crossfit(fit, members, targets, folds(targets, recipe.folds, seed=recipe.seed))
    return {
        name: (decision, held[name], figures(targets, held[name], decision(members), recipe))
        for name, decision in fitted.items()
    }


def judge_model(member, targets, recipe):
    """Judge one model at one global threshold: (Decision, decisions, figures)."""
    fit = lambda members, rows: {"model": methods.one_global(members, rows)}  # noqa: E731
    return judge(fit, member[np.newaxis], targets, recipe)["model"]


def figures(targets, cross_fitted, in_sample, recipe):
    """Give `micro_f1` and `macro_f1`, each {cross_fitted, low, high, in_sample}; 95% intervals over photos."""
    pairs = {"micro_f1": (micro_f1, bootstrap.micro_f1_interval), "macro_f1": (macro_f1, bootstrap.macro_f1_interval)}
    found = {}
    for name, (metric, interval) in pairs.items():
        low, high = interval(targets, cross_fitted, draws=recipe.draws, seed=recipe.seed)
        found[name] = {
            "cross_fitted": float(metric(targets, cross_fitted)),
            "low": low,
            "high": high,
            "in_sample": float(metric(targets, in_sample)),
        }
    return found


def by_label(labels, train_targets, targets, predicted):
    """Give one dict a label: id, name, group, photos in train and validation, F1, precision, recall of `predicted`."""
    true_positives, predicted_positives, positives = counts(targets, predicted, axis=0)
    columns = zip(
        labels.ids,
        labels.names,
        labels.groups,
        train_targets.sum(axis=0).tolist(),
        positives.tolist(),
        f1(true_positives, predicted_positives, positives).tolist(),
        ratio(true_positives, predicted_positives).tolist(),
        ratio(true_positives, positives).tolist(),
        strict=True,
    )
    keys = ("id", "name", "group", "train", "validation", "f1", "precision", "recall")
    return [dict(zip(keys, column, strict=True)) for column in columns]

"""scikit-learn's multinomial Naive Bayes, on counts of words and the like: a linear head, fitted in one pass."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.errors import InputError
from mlob.labels import Exclusive, clearly_exclusive_groups, is_known, positives
from mlob.metrics import highest_micro_f1
from mlob.models import heads
from mlob.models.heads import Features, as_float32
from mlob.recipes import Head
from mlob.training import batches
from mlob.training.predicting import predict
from mlob.training.trained import Trained

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SMOOTHING = (1.0, 0.1, 0.01)  # values of alpha, 1 being scikit-learn's own
NEVER, ALWAYS = -20, 20  # log-odds of a label that no row has, or that all have
Linear = tuple[np.ndarray, np.ndarray]  # coefficients float32 (d, labels), intercepts float32 (labels,)


def fit(head: Head, train: batches.Labelled, dev: batches.Labelled, groups: Sequence[str] | None = None) -> Trained:
    """Fit one model a group of which no row has two labels, and one a label of the others; alpha is chosen on dev.

    A group or label is fitted on the rows that know it.

    Args:
        head: the recipe's, of which no field counts.
        train, dev: the rows, resident, with features of 0 or more.
        groups: the group of each label (labels,).

    Raises:
        InputError: the features are no counts: maps, or some below 0.
    """
    started = time.monotonic()
    prepared = _prepared(train, groups)
    fits = [_trained(alpha, train, *prepared) for alpha in SMOOTHING]
    best = max(fits, key=lambda own: highest_micro_f1(dev.targets, own.predict(dev.features)))  # the first of equals
    note = f"alpha = {best.setting:g}, chosen on dev"
    return dataclasses.replace(best, seconds=time.monotonic() - started, note=note)


def fit_at(alpha: float, head: Head, train: batches.Labelled, groups: Sequence[str] | None = None) -> Trained:
    """Fit the models at one alpha; the other arguments are those of `fit`."""
    started = time.monotonic()
    fitted = _trained(alpha, train, *_prepared(train, groups))
    return dataclasses.replace(fitted, seconds=time.monotonic() - started)


def _prepared(train: batches.Labelled, groups: Sequence[str] | None) -> tuple[csr_array, list[Exclusive]]:
    """Give the rows as they are fitted, and the groups that have a model each."""
    return _rows(train.features), clearly_exclusive_groups(groups, train.targets)


def _trained(alpha: float, train: batches.Labelled, rows: csr_array, exclusive: list[Exclusive]) -> Trained:
    started = time.monotonic()
    model = heads.linear(train.features.shape[1:], None, *_fitted(rows, train.targets, exclusive, alpha), exclusive)
    return Trained(
        model=model,
        predict=functools.partial(predict, model),
        history=[],
        parameters=model.count_params(),
        seconds=time.monotonic() - started,
        setting=alpha,
    )


def _rows(features: Features) -> csr_array:
    from scipy.sparse import csr_array

    rows = as_float32(features[:])
    if rows.ndim > 2 or rows.min(initial=0) < 0:
        raise InputError("Naive Bayes learns from counts, 0 or more: expected a store of texts, or another head.kind.")
    return csr_array(rows)


def _fitted(rows: csr_array, targets: np.ndarray, exclusive: Sequence[Exclusive], alpha: float) -> Linear:
    """Fit all labels."""
    coefficients = np.zeros((rows.shape[1], targets.shape[1]), np.float32)
    intercepts = np.full(targets.shape[1], NEVER, np.float32)
    for columns, _ in exclusive:
        own = list(columns)
        coefficients[:, own], intercepts[own] = _of_group(rows, targets[:, own], alpha)
    rest = set(range(targets.shape[1])).difference(*(group.columns for group in exclusive))
    for column in sorted(rest):
        coefficients[:, column], intercepts[column] = _of_label(rows, targets[:, column], alpha)
    return coefficients, intercepts


def _of_group(rows: csr_array, targets: np.ndarray, alpha: float) -> Linear:
    """Fit the classes of a group; those that no row has are never predicted.

    Outputs are relative to those of one class that some rows have, "none" where that is a class (`heads`' softmaxes
    take it as 0). So the highest is 0 or more, and those of classes that no row has stay below.
    """
    from sklearn.naive_bayes import MultinomialNB

    none = targets.shape[1]
    true = positives(targets)
    known = true.any(axis=1) | (targets <= 1).all(axis=1)
    classes = np.where(true.any(axis=1), true.argmax(axis=1), none)[known]
    coefficients = np.zeros((rows.shape[1], none + 1), np.float32)
    intercepts = np.full(none + 1, NEVER, np.float32)
    model = MultinomialNB(alpha=alpha).fit(rows[known], classes)
    of_terms, priors = model.feature_log_prob_.T, model.class_log_prior_
    coefficients[:, model.classes_] = of_terms - of_terms[:, [-1]]  # the last class is "none", where some have it
    intercepts[model.classes_] = priors - priors[-1]
    return coefficients[:, :none], intercepts[:none]


def _of_label(rows: csr_array, target: np.ndarray, alpha: float) -> tuple[np.ndarray, np.float32]:
    """Fit a label by itself: coefficients (d,), and the intercept."""
    from sklearn.naive_bayes import MultinomialNB

    if (known := is_known(target)) is not None:
        rows, target = rows[known], target[known]
    if not 0 < np.count_nonzero(target) < len(target):
        return np.zeros(rows.shape[1], np.float32), np.float32(ALWAYS if target.any() else NEVER)
    model = MultinomialNB(alpha=alpha).fit(rows, target)
    (absent, present), (without, having) = model.feature_log_prob_, model.class_log_prior_
    return (present - absent).astype(np.float32), np.float32(having - without)

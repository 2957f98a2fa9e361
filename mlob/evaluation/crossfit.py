"""Judge what is fitted on photos with the same photos: each decided on by a fit that did not see it."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from mlob.data.splits import places
from mlob.errors import InputError
from mlob.evaluation.bootstrap import Keys
from mlob.labels import positives

Method = TypeVar("Method")  # whatever names a method: a text, or a method and its rule
Fitted = TypeVar("Fitted")


def folds(targets: np.ndarray, count: int, *, seed: int, keys: Keys = None) -> np.ndarray:
    """Fold of each photo, integers (n,) from 0 to count - 1, every label spread evenly over the folds.

    Fewer different photos than folds make a fold each.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011). Equal seeds give equal folds.

    Args:
        targets: 0/1 (n, labels); what is unknown counts as 0.
        keys: one a photo, equal for photos of equal content, which then share a fold; None takes all as different.

    Raises:
        InputError: fewer than two folds, or than two different photos.
    """
    place = places(len(targets), keys)
    different = np.zeros((place.max(initial=-1) + 1, np.shape(targets)[1]), np.uint8)
    np.maximum.at(different, place, positives(np.asarray(targets)).astype(np.uint8))
    return _folds(different, count, seed)[place]


def crossfit(
    fit: Callable[..., Mapping[Method, Callable[[np.ndarray], np.ndarray]]],
    members: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
    keys: Keys = None,
) -> dict[Method, np.ndarray]:
    """Decide on each photo by a fit that did not see it: {method: uint8 (n, labels)}; arguments as of `fits`."""
    return out_of_fold(fits(fit, members, targets, fold, keys), members, fold)


def fits(
    fit: Callable[..., Mapping[Method, Fitted]],
    members: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
    keys: Keys = None,
) -> list[Mapping[Method, Fitted]]:
    """Fit on all folds but one, for each fold in order.

    Args:
        fit: given some photos' members and targets, and their keys where there are any, returns {method: what was
            fitted}.
        members: float32 (members, n, labels).
        targets: 0/1 (n, labels).
        fold: integers (n,).
        keys: one a photo, equal for photos of equal content.
    """
    fitted = []
    for number in np.unique(fold):
        outside = fold != number
        keys_outside = [] if keys is None else [list(itertools.compress(keys, outside))]
        fitted.append(fit(members[:, outside], targets[outside], *keys_outside))
    return fitted


def out_of_fold(
    functions: Sequence[Mapping[Method, Callable[[np.ndarray], np.ndarray]]], members: np.ndarray, fold: np.ndarray
) -> dict[Method, np.ndarray]:
    """Give what functions of members (members, rows, labels) make of each fold: {method: (n, labels)}.

    Args:
        functions: {method: its function}, for each fold in order.
        members: float32 (members, n, labels).
        fold: integers (n,).
    """
    made: dict[Method, np.ndarray] = {}
    for number, of_fold in zip(np.unique(fold), functions, strict=True):
        inside = fold == number
        rows = members[:, inside]
        for method, function in of_fold.items():
            part = function(rows)
            made.setdefault(method, np.zeros(members.shape[1:], part.dtype))[inside] = part
    return made


def _folds(targets: np.ndarray, count: int, seed: int) -> np.ndarray:
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    if min(count, len(targets)) < 2:
        raise InputError(
            f"Cross-fitting needs two folds and two different photos at least; found {count} folds and "
            f"{len(targets)} photos: raise ensemble.folds, or label more photos."
        )
    count = min(count, len(targets))
    padded = np.pad(targets, ((0, 0), (0, 1)))  # a single column is refused; one of zeros changes nothing
    fold = np.empty(len(targets), np.int64)
    splits = MultilabelStratifiedKFold(count, shuffle=True, random_state=seed).split(padded, padded)
    for number, (_, inside) in enumerate(splits):
        fold[inside] = number
    return fold

"""Judge what is fitted on photos with the same photos: each decided on by a fit that did not see it."""

import itertools
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from mlob.data.splits import places
from mlob.errors import InputError
from mlob.evaluation.bootstrap import Keys
from mlob.labels import positives

Method = TypeVar("Method")  # whatever names a method: a text, or a method and its rule


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
    """Decide on each photo by a fit that did not see it.

    Args:
        fit: given some photos' members and targets, and their keys where there are any, returns {method: function that
            decides on other photos' members}.
        members: float32 (members, n, labels).
        targets: 0/1 (n, labels).
        fold: integers (n,).
        keys: one a photo, equal for photos of equal content.

    Returns:
        {method: uint8 (n, labels)}.
    """
    decided: dict[Method, np.ndarray] = {}
    for number in np.unique(fold):
        inside = fold == number
        keys_outside = [] if keys is None else [list(itertools.compress(keys, ~inside))]
        for method, decide in fit(members[:, ~inside], targets[~inside], *keys_outside).items():
            decided.setdefault(method, np.zeros(targets.shape, np.uint8))[inside] = decide(members[:, inside])
    return decided


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

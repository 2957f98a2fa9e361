"""Means of the members' probabilities, and the constant answer that each ensemble has to beat: functions of arrays.

Members are float32 (members, n, labels) in [0, 1]; a mean is float32 (n, labels) in [0, 1].
"""

import numpy as np
from numpy.typing import ArrayLike

from mlob.errors import InputError
from mlob.labels import count_known, positives
from mlob.metrics import f1, ratio

SMALLEST = np.float32(1e-7)  # what a probability of 0 counts as where it is divided by


def arithmetic(members: np.ndarray, weights: ArrayLike | None = None) -> np.ndarray:
    """Weighted mean of the members; equal `weights` (members,) unless given, else scaled to sum 1.

    Raises:
        InputError: not one weight for each member, a weight below 0 or not finite, or all of them 0.
    """
    shares = np.ones(len(members)) if weights is None else np.asarray(weights, np.float64)
    if shares.shape != (len(members),) or not (shares.min() >= 0 and 0 < shares.sum() < np.inf):
        raise InputError(
            f"An ensemble's weights must be {len(members)} finite numbers from 0 up, one for each member and "
            f"not all 0; found {shares.tolist()}."
        )
    mean = np.tensordot((shares / shares.sum()).astype(np.float32), members, axes=1)
    return np.minimum(mean, 1, out=mean)  # the rounded weights may sum to a little above 1


def arithmetic_by_label(members: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of the members, each label with its own weights (members, labels), whose columns sum to 1."""
    mean = np.einsum("mnl,ml->nl", members, weights.astype(np.float32))
    return np.minimum(mean, 1, out=mean)


def harmonic(members: np.ndarray) -> np.ndarray:
    """Harmonic mean, members / sum(1 / p): near 0 as soon as one member is. Below 1e-7, p counts as 1e-7.

    Where all members agree it is their probability, to the last bit.
    """
    inverse = np.zeros(members.shape[1:], np.float32)
    for member in members:
        inverse += 1 / np.maximum(member, SMALLEST)
    return np.clip(len(members) / inverse, members.min(axis=0), members.max(axis=0))


def commonest(prevalences: ArrayLike, k: int) -> np.ndarray:
    """The k commonest labels as a 0/1 vector uint8 (labels,), from each label's prevalence.

    Of equally common labels the first columns are taken.
    """
    answer = np.zeros(np.shape(prevalences), np.uint8)
    answer[np.argsort(-np.asarray(prevalences, np.float64), kind="stable")[:k]] = 1
    return answer


def best_constant(targets: np.ndarray) -> np.ndarray:
    """The one answer uint8 (labels,) for every photo with the highest micro-F1 on `targets` (n, labels).

    It is the k commonest labels for the best k; of equally good k the smallest. A label is as common as in the photos
    that know it.
    """
    frequency, known = np.count_nonzero(positives(targets), axis=0), count_known(targets, axis=0)
    prevalences = ratio(frequency, known)
    order = np.argsort(-prevalences, kind="stable")
    true_positives, predicted_positives = (np.cumsum(np.append(0, each[order])) for each in (frequency, known))
    return commonest(prevalences, int(np.argmax(f1(true_positives, predicted_positives, frequency.sum()))))

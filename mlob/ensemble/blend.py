"""Means of the members' probabilities, and the constant answer that each of them has to beat.

Members are float32 (members, n, labels) in [0, 1]; a mean is float32 (n, labels) in [0, 1].
"""

import numpy as np

from mlob.errors import InputError
from mlob.metrics import f1

SMALLEST = np.float32(1e-7)  # what a probability of 0 counts as where it is divided by


def arithmetic(members, weights=None):
    """Weighted mean of the members; equal `weights` (members,) unless given, else scaled to sum 1.

    Raises:
        InputError: not one weight a member, a weight below 0 or not finite, or all of them 0.
    """
    weights = np.ones(len(members)) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (len(members),) or not (weights.min() >= 0 and 0 < weights.sum() < np.inf):
        raise InputError(
            f"An ensemble's weights must be {len(members)} finite numbers from 0 up, one for each member and "
            f"not all 0; found {weights.tolist()}."
        )
    mean = np.tensordot((weights / weights.sum()).astype(np.float32), members, axes=1)
    return np.minimum(mean, 1, out=mean)  # the rounded weights may sum to a little above 1


def harmonic(members):
    """Harmonic mean, members / sum(1 / p): near 0 as soon as one member is. Below 1e-7, p counts as 1e-7.

    Where all members agree it is what they say, to the last bit.
    """
    inverse = np.zeros(members.shape[1:], np.float32)
    for member in members:
        inverse += 1 / np.maximum(member, SMALLEST)
    return np.clip(len(members) / inverse, members.min(axis=0), members.max(axis=0))


def commonest(shares, k):
    """The k commonest labels as a 0/1 vector uint8 (labels,), from each label's share of the photos.

    Of equally common labels the first columns are taken.
    """
    answer = np.zeros(len(shares), np.uint8)
    answer[np.argsort(-np.asarray(shares, np.float64), kind="stable")[:k]] = 1
    return answer


def best_constant(targets):
    """The one answer uint8 (labels,) for every photo with the highest micro-F1 on `targets` (n, labels).

    It is the k commonest labels for the best k; of equally good k the smallest.
    """
    frequency = np.count_nonzero(targets, axis=0)
    true_positives = np.cumsum(np.append(0, np.sort(frequency)[::-1]))
    predicted_positives = len(targets) * np.arange(len(true_positives))
    return commonest(frequency, np.argmax(f1(true_positives, predicted_positives, frequency.sum())))

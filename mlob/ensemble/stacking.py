"""Stacking: what all members say about all labels of a photo, made into better probabilities. What the stackers share.

A stacker (`linear`, `convolution`, `trees`) starts from the blend with the lowest log-loss (`simplex`) and corrects it;
how far to go is chosen on inner folds. Members are float32 (members, n, labels) in [0, 1], targets 0/1 (n, labels).

A fitted stacker has `predict(members)`, which gives float32 (n, labels) in [0, 1] for other photos, and `out_of_fold`,
the same for the photos of the fit, each by a fit on the other inner folds. Thresholds are chosen on these: a stacker is
too sure of itself on the photos it has learned. All else in it is arrays.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from mlob.data.splits import places
from mlob.ensemble import fitness
from mlob.errors import InputError

FOLDS = 5
SMALLEST = 1e-4  # probabilities count as at least this and at most 1 less this: logits end at 9.2
RANK = 64  # principal components of the logits that a stacker may look at; 30 and 100 did alike


def inner_folds(
    members: np.ndarray, targets: np.ndarray, seed: int, keys: Sequence[Hashable] | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw the inner folds: masks (n,) of the photos to fit on, and of the others.

    Args:
        keys: one for each photo, equal for photos of equal content, which then share a fold; None takes all as
            different.

    Raises:
        InputError: members that cannot be used (`fitness.check`); fewer than two different photos.
    """
    fitness.check(members, targets)
    place = places(len(targets), keys)
    count = int(place.max(initial=-1)) + 1
    if count < 2:
        raise InputError(f"A stacker needs at least 2 different photos, for two inner folds; found {count}.")
    fold = np.random.default_rng(seed).permutation(count)[place] % FOLDS
    return [(fold != number, fold == number) for number in range(min(FOLDS, count))]


def logits(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds float32, between -9.2 and 9.2."""
    clipped = np.clip(probabilities, np.float32(SMALLEST), np.float32(1 - SMALLEST))
    return np.log(clipped / (1 - clipped))


def side_by_side(members: np.ndarray) -> np.ndarray:
    """Logits of all members, float32 (n, members * labels)."""
    return np.concatenate(logits(members), axis=1)


def principal_axes(columns: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (columns,) of (n, columns), and first principal axes (columns, components).

    The axes are scaled so that the first component has deviation 1; where nothing varies they are left as they are.
    """
    from sklearn.utils.extmath import randomized_svd

    centre = columns.mean(axis=0)
    rank = min(RANK, *columns.shape)
    _, sizes, axes = randomized_svd(columns - centre, rank, random_state=seed)
    deviation = sizes[0] / np.sqrt(len(columns))
    return centre, (axes.T / (deviation if deviation > SMALLEST else 1)).astype(np.float32)

"""Weights for each group of labels: a member good at colours may be poor at sleeves."""

from collections.abc import Callable, Sequence

import numpy as np

from mlob.errors import InputError
from mlob.labels import positives


def search(
    find: Callable[[np.ndarray, np.ndarray], np.ndarray],
    members: np.ndarray,
    targets: np.ndarray,
    groups: Sequence[str],
) -> np.ndarray:
    """Search for the members' weights in each group of labels by itself.

    A group without a positive takes the weights of all labels together.

    Args:
        find: any search: of members and targets, gives weights (members,).
        members: float32 (members, n, labels) in [0, 1].
        targets: 0/1 (n, labels).
        groups: the group of each label (labels,), as in `Labels.groups`.

    Returns:
        float64 (members, labels); each column sums to 1.

    Raises:
        InputError: not one group for each label.
    """
    names, targets = np.asarray(groups), np.asarray(targets)
    if names.shape != targets.shape[1:]:
        raise InputError(f"Expected a group for each of {targets.shape[1]} labels; found {names.size}.")
    weights = np.zeros((len(members), len(names)))
    for group in dict.fromkeys(names.tolist()):
        inside = names == group
        columns = inside if positives(targets[:, inside]).any() else np.full(len(names), True)
        weights[:, inside] = find(members[:, :, columns], targets[:, columns])[:, np.newaxis]
    return weights

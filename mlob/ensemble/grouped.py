"""Weights for each group of labels: a member good at colours may be poor at sleeves."""

import numpy as np

from mlob.errors import InputError


def search(find, members, targets, groups):
    """Search for the members' weights in each group of labels by itself.

    A group without a positive takes the weights of all labels together.

    Args:
        find: any search: of members and targets, gives an object with `weights` (members,).
        members: float32 (members, n, labels) in [0, 1].
        targets: 0/1 (n, labels).
        groups: the group of each label (labels,), as in `Labels.groups`.

    Returns:
        float64 (members, labels); each column sums to 1.

    Raises:
        InputError: not one group a label.
    """
    groups, targets = np.asarray(groups), np.asarray(targets)
    if groups.shape != targets.shape[1:]:
        raise InputError(f"Expected a group for each of {targets.shape[1]} labels; found {groups.size}.")
    weights = np.zeros((len(members), len(groups)))
    for group in dict.fromkeys(groups.tolist()):
        inside = groups == group
        columns = inside if targets[:, inside].any() else np.full(len(groups), True)
        weights[:, inside] = find(members[:, :, columns], targets[:, columns]).weights[:, np.newaxis]
    return weights


def arithmetic(members, weights):
    """Weighted mean float32 (n, labels) of members, each label with its own weights (members, labels)."""
    mean = np.einsum("mnl,ml->nl", members, weights.astype(np.float32))
    return np.minimum(mean, 1, out=mean)

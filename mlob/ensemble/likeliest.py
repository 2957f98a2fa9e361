"""Groups of labels of which every photo has exactly one: a photo gets the likeliest, and no threshold is asked.

The groups are `labels.one_each` of the training photos: int64 (labels,), the number of the group that each label
belongs to, or -1 where the label is decided by its threshold. None stands for no such group.
"""

from collections.abc import Iterator

import numpy as np


def give(decided: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Give each photo the likeliest label of each group, the first of equals, in place of what thresholds decided.

    Args:
        decided: uint8 (n, labels), by thresholds; it stays as it is.
        probabilities: float32 (n, labels).
    """
    if groups is None:
        return decided
    given = decided.copy()
    for columns in _columns(groups):
        best = columns[probabilities[:, columns].argmax(axis=1)]
        given[:, columns] = columns == best[:, np.newaxis]
    return given


def needed(probabilities: np.ndarray, thresholds: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Say what each probability had to reach, float32 (n, labels): in a group, the highest of its other labels."""
    reached = np.tile(np.float32(thresholds), (len(probabilities), 1))
    for columns in _columns(groups) if groups is not None else ():
        second, best = np.partition(probabilities[:, columns], (-2, -1), axis=1)[:, -2:].T[:, :, np.newaxis]
        reached[:, columns] = np.where(probabilities[:, columns] == best, second, best)
    return reached


def _columns(groups: np.ndarray) -> Iterator[np.ndarray]:
    """Give the columns of each group's labels."""
    for group in np.unique(groups[groups >= 0]):
        yield np.flatnonzero(groups == group)

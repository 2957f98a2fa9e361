"""Groups of labels that exclude each other: a photo has at most one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from keras import KerasTensor


class Exclusive(NamedTuple):
    """Labels of which a photo has exactly one, or at most one.

    Attributes:
        columns: of its labels.
        has_none: whether "none of them" is a class too.
    """

    columns: tuple[int, ...]
    has_none: bool


def exclusive_groups(groups: Sequence[str], targets: np.ndarray) -> list[Exclusive]:
    """Find the groups of labels of which no row has two.

    Where every row has one, the group's probabilities sum to 1; where some have none, "none" is one class more. Groups
    of a single label are left out: a softmax over a label and "none" is a sigmoid.

    Args:
        groups: the group of each label (labels,).
        targets: uint8 (n, labels) of the training rows.
    """
    of_label, exclusive = np.asarray(groups), []
    for group in dict.fromkeys(of_label.tolist()):
        columns = np.flatnonzero(of_label == group)
        positives = targets[:, columns].sum(axis=1)
        if len(columns) > 1 and positives.max() <= 1:
            exclusive.append(Exclusive(tuple(columns.tolist()), bool(positives.min() == 0)))
    return exclusive


def with_none(outputs: KerasTensor) -> KerasTensor:
    """Append the output of the class "none", which is 0, to a group's outputs (..., labels)."""
    from keras import ops

    return ops.pad(outputs, [*[(0, 0)] * (len(outputs.shape) - 1), (0, 1)])

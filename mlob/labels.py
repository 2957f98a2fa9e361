"""Labels: the columns of every target and probability matrix, their names and their groups."""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of a data set, in column order: column j is label `ids[j]`, columns are sorted by label id.

    Attributes:
        ids: as in annotation and submission files (iMaterialist counts from 1).
        names: one for each column.
        groups: the task that each label belongs to ("colour", "sleeve"), one for each column.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> dict[int, int]:
        """Give {label id: column}."""
        return {label: column for column, label in enumerate(self.ids)}

    def targets(self, label_sets: Sequence[Collection[int]]) -> np.ndarray:
        """Turn the label ids of each photo into a uint8 matrix (n, labels) of 0 and 1.

        A label that is repeated on a photo counts once.
        """
        columns = self.columns()
        rows = [row for row, labels in enumerate(label_sets) for _ in labels]
        hits = [columns[label] for labels in label_sets for label in labels]
        targets = np.zeros((len(label_sets), len(self)), np.uint8)
        targets[rows, hits] = 1
        return targets

"""Labels: the columns of every target and probability matrix, their names and their groups.

Targets are uint8 (n, labels): 0 where a photo lacks the label, 1 where it has it, `UNKNOWN` where nobody looked. The
one array holds both what is true and what is known, so that rows and columns of it never come apart.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LEAST_EXPECTED = 3  # rows of two labels, of which none comes in 1 of 20 cases by chance
UNKNOWN = 255  # readers write this one; whatever is above 1 counts as unknown


def is_known(targets: np.ndarray) -> np.ndarray | None:
    """Say which targets are known, bool (n, labels); None where all are, so that nothing need be masked."""
    return targets <= 1 if targets.size and targets.max() > 1 else None


def positives(targets: np.ndarray) -> np.ndarray:
    """Say which labels are known to be there, bool (n, labels)."""
    return targets == 1


def count_known(targets: np.ndarray, axis: int | None = None) -> Any:
    """Count the targets that are known: all of them, or with axis=0 those of each label, with axis=1 of each row."""
    targets = np.asarray(targets)
    known = is_known(targets)
    if known is not None:
        return np.count_nonzero(known, axis=axis)
    return targets.size if axis is None else np.full(targets.shape[1 - axis], targets.shape[axis])


def prevalence(targets: np.ndarray) -> np.ndarray:
    """Give each label's share of the rows that know it, float64 (labels,); 0 where none does."""
    return np.count_nonzero(positives(targets), axis=0) / np.maximum(count_known(targets, axis=0), 1)


def known_entries(targets: np.ndarray, *beside: np.ndarray) -> list[np.ndarray]:
    """Line up what is known, and what lies beside it.

    Args:
        targets: (n, labels), or the column of one label (n,).
        beside: arrays (..., n, labels), or (..., n), such as probabilities, or those of several members.

    Returns:
        Targets of 0 and 1 (known,), and each other array (..., known).
    """
    known = is_known(targets)
    flat = [np.reshape(each, (*each.shape[: each.ndim - targets.ndim], -1)) for each in (targets, *beside)]
    return flat if known is None else [np.compress(known.ravel(), each, axis=-1) for each in flat]


class Exclusive(NamedTuple):
    """Labels of which a photo has exactly one, or at most one.

    Attributes:
        columns: of its labels.
        has_none: whether "none of them" is a class too.
    """

    columns: tuple[int, ...]
    has_none: bool


def columns_of(groups: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Give the columns of each group, in the order in which they first come: {group: columns}."""
    return {group: tuple(np.flatnonzero(np.equal(groups, group)).tolist()) for group in dict.fromkeys(groups)}


def exclusive_groups(groups: Sequence[str], targets: np.ndarray) -> list[Exclusive]:
    """Find the groups of labels of which no row has two.

    Where every row has one, the group's probabilities sum to 1; where some have none, "none" is one class more. Rows
    that know nothing of a group say nothing. Groups of a single label are left out: a softmax over a label and "none"
    is a sigmoid.

    Args:
        groups: the group of each label (labels,).
        targets: uint8 (n, labels) of the training rows.
    """
    exclusive = []
    for columns in columns_of(groups).values():
        rows = targets[:, list(columns)]
        counts = positives(rows)[(rows <= 1).all(axis=1) | positives(rows).any(axis=1)].sum(axis=1)
        if len(columns) > 1 and counts.max(initial=0) <= 1 and len(counts):
            exclusive.append(Exclusive(columns, bool(counts.min() == 0)))
    return exclusive


def clearly_exclusive_groups(groups: Sequence[str] | None, targets: np.ndarray) -> list[Exclusive]:
    """Find the exclusive groups that are so beyond chance: what a model with a softmax for each is built on.

    If its labels came independently, a group would have some number of rows with two of them. Where fewer than 3 are
    expected, none comes about by chance too often (1 in 20) to tell anything, and the group is left out.

    Args:
        groups, targets: as of `exclusive_groups`; without groups there are none.
    """
    exclusive = exclusive_groups(groups, targets) if groups else []
    return [group for group in exclusive if _expected_twos(targets[:, list(group.columns)]) >= LEAST_EXPECTED]


def _expected_twos(targets: np.ndarray) -> float:
    """Count the rows (n, labels) expected with two labels or more, if each came by itself as often as it does."""
    shares = prevalence(targets)
    none = np.prod(1 - shares)
    one = sum(share * np.prod(np.delete(1 - shares, place)) for place, share in enumerate(shares))
    return float(len(targets) * (1 - none - one))


def one_each(exclusive: Sequence[Exclusive], labels: int) -> np.ndarray | None:
    """Number the groups of which every row has exactly one label, int64 (labels,), with -1 for labels of other groups.

    None where no group is such.

    Args:
        exclusive: the `exclusive_groups` of some rows.
        labels: the number of labels.
    """
    numbers = np.full(labels, -1)
    found = [group.columns for group in exclusive if not group.has_none]
    for number, columns in enumerate(found):
        numbers[list(columns)] = number
    return numbers if found else None


def completed(targets: np.ndarray, exclusive: Sequence[Exclusive]) -> np.ndarray:
    """Give targets in which a row that has one label of an exclusive group is known to lack the others."""
    if is_known(targets) is None:
        return targets
    completed = targets.copy()
    for columns, _ in exclusive:
        rows = targets[:, list(columns)]
        has_one = positives(rows).any(axis=1, keepdims=True)
        completed[:, list(columns)] = np.where(has_one & (rows > 1), 0, rows)
    return completed


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of a data set, in column order: column j is label `ids[j]`, columns are sorted by label id.

    Attributes:
        ids: as in annotation and submission files (iMaterialist counts from 1).
        names: one for each column.
        groups: the task that each label belongs to ("colour", "sleeve"), one for each column.
        ids_are_own: the data set itself numbers its labels; else only mlob does, and nobody else knows the numbers.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    ids_are_own: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def unique_names(self) -> tuple[str, ...]:
        """Give the names; one that two groups have stands behind its group: "colour: other"."""
        counts = collections.Counter(self.names)
        return tuple(
            name if counts[name] == 1 else f"{group}: {name}"
            for name, group in zip(self.names, self.groups, strict=True)
        )

    def annotate(
        self, n: int, rows: np.ndarray, labels: np.ndarray, unknown: tuple[np.ndarray, np.ndarray] | None = None
    ) -> "csr_array":
        """Give the annotations of n photos, sparse uint8 (n, labels): 1 and `UNKNOWN` are stored, the rest is 0.

        Args:
            n: number of photos.
            rows, labels: int (hits,), a photo and the column of a label that it has; a pair may be repeated.
            unknown: rows and columns of entries that nobody looked at; a label that a photo has is known.
        """
        from scipy.sparse import csr_array

        def stored(rows: np.ndarray, columns: np.ndarray) -> csr_array:
            cells = np.asarray(rows, np.int32), np.asarray(columns, np.int32)
            matrix = csr_array((np.ones(len(rows), np.uint8), cells), shape=(n, len(self)))
            matrix.sum_duplicates()
            matrix.data[:] = 1
            return matrix

        present = stored(rows, labels)
        if unknown is None or not len(unknown[0]):
            return present
        unseen = stored(*unknown)
        unseen = unseen - unseen.multiply(present)  # a label that somebody saw is known
        unseen.eliminate_zeros()
        unseen.data[:] = UNKNOWN
        return (present + unseen).tocsr()

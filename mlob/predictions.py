"""The HDF5 contract of predictions: ids x labels for validation, test and dev."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlob import hdf5
from mlob.data import splits
from mlob.errors import InputError

if TYPE_CHECKING:
    from mlob.data.dataset import Split
    from mlob.training.batches import Rows

MADE_ANEW = "remove its folder and run the same command again."
ABOUT = "about"  # beside the splits: what all predictions of a file have in common
KINDS = {"probabilities": np.float32, "decided": np.uint8, "digests": np.uint64}


@dataclasses.dataclass(frozen=True)
class Table:
    """Predictions for the photos of one split.

    Attributes:
        ids: in annotation order; a photo that cannot be read is there too, with the labels' prevalence in train.
        probabilities: float32 (n, labels) in [0, 1].
        decided: uint8 (n, labels), what an ensemble decides; on validation each photo by a fit that did not see it.
        digests: uint64 (n,), equal for photos of equal bytes, 0 for one that cannot be read; None where none is known.
    """

    ids: tuple[str, ...]
    probabilities: np.ndarray
    decided: np.ndarray | None = None
    digests: np.ndarray | None = None

    @property
    def decisions(self) -> np.ndarray:
        """What an ensemble decides, uint8 (n, labels).

        Raises:
            InputError: a model's predictions decide nothing.
        """
        if self.decided is None:
            raise InputError(f"These predictions hold no decisions, as an ensemble's do: {MADE_ANEW}")
        return self.decided

    def keys(self, ids: Iterable[str], together: Sequence[str] | None = None) -> list[Hashable]:
        """Give each photo a key; arguments as of `splits.keys_of`."""
        return splits.keys_of(ids, self.ids, self.digests, together)


def cover(split: Split, rows: Rows, probabilities: np.ndarray, prevalence: np.ndarray) -> Table:
    """Lay probabilities out over every photo of a split.

    Args:
        split: all photos.
        rows: those that have features.
        probabilities: float32 (rows, labels).
        prevalence: float (labels,) in train: the best guess for a photo that cannot be read.
    """
    full = np.tile(np.asarray(prevalence, np.float32), (len(split.ids), 1))
    digests = np.zeros(len(split.ids), np.uint64)
    place = {name: row for row, name in enumerate(split.ids)}
    read = [place[name] for name in rows.ids]
    full[read], digests[read] = probabilities, 0 if rows.digests is None else rows.digests
    return Table(tuple(split.ids), full, digests=digests)


def write(path: pathlib.Path, tables: Mapping[str, Table], **attributes: Any) -> None:
    """Write one `Table` a split, atomically.

    Args:
        path: runs/<suite>/<model>/predictions.h5.
        tables: {split: Table}.
        attributes: labels, seed, and what shaped the run (recipe, data, fingerprint): kept as JSON in data sets of the
            group `about`, since HDF5's own attributes hold no more than 64 KB, which 9,000 labels fill.
    """
    with hdf5.writing(path, [*tables, ABOUT] if attributes else list(tables)) as file:
        for split, table in tables.items():
            file[f"{split}/ids"] = hdf5.text_array(table.ids)
            file[f"{split}/probabilities"] = table.probabilities.astype(np.float32)
            for name in ("decided", "digests"):
                if (values := getattr(table, name)) is not None:
                    file[f"{split}/{name}"] = values
        for name, value in attributes.items():
            file[f"{ABOUT}/{name}"] = np.bytes_(json.dumps(value))


def read(path: pathlib.Path) -> dict[str, Table]:
    """Read predictions: {split: Table}.

    Raises:
        InputError: no such file, or not one of ours; probabilities outside [0, 1] or not finite.
    """
    with hdf5.reading(path, MADE_ANEW, MADE_ANEW) as file:
        tables = {split: _table(group) for split, group in file.items() if split != ABOUT}
    for split, table in tables.items():
        low, high = table.probabilities.min(initial=0), table.probabilities.max(initial=0)
        if not (low >= 0 and high <= 1):
            raise InputError(f"{path}: the {split} probabilities run from {low} to {high}; expected 0 to 1.")
    return tables


def read_labels(path: pathlib.Path) -> list[int] | None:
    """Read the ids of the labels, in column order; None where a file of predictions does not say."""
    with hdf5.reading(path, MADE_ANEW, MADE_ANEW) as file:
        return json.loads(file[ABOUT]["labels"][()]) if ABOUT in file and "labels" in file[ABOUT] else None


def align(tables: Mapping[str, Table], ids: Sequence[str] | None = None) -> np.ndarray:
    """Stack several members' tables of one split, joined by id.

    Args:
        tables: {member: Table}.
        ids: the order of the rows; the first member's where None.

    Returns:
        float32 (members, n, labels).

    Raises:
        InputError: members with predictions of different photos, or different labels.
    """
    ids = ids or next(iter(tables.values())).ids
    shapes = {name: table.probabilities.shape[1] for name, table in tables.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"The members' predictions have different numbers of labels ({shapes}): train them again.")
    return np.stack([_rows(name, table, ids) for name, table in tables.items()])


def _rows(name: str, table: Table, ids: Sequence[str]) -> np.ndarray:
    if table.ids == tuple(ids):
        return table.probabilities
    place = {photo: row for row, photo in enumerate(table.ids)}
    missing = [photo for photo in ids if photo not in place]
    if missing or len(place) != len(ids):
        raise InputError(
            f"The predictions of {name} are of other photos than the rest ({len(missing)} of {len(ids)} "
            f"missing): remove its run folder and run `make train MODEL={name}`."
        )
    return table.probabilities[[place[photo] for photo in ids]]


def _table(group: hdf5.Group) -> Table:
    arrays = {name: hdf5.values(group[name]) for name in KINDS if name == "probabilities" or name in group}
    table = Table(hdf5.texts(group["ids"]), **arrays)
    expected = {name: table.probabilities.shape for name in ("probabilities", "decided")} | {"digests": ()}
    for name, array in arrays.items():
        if (array.dtype, array.shape[1:], len(array)) != (KINDS[name], expected[name][1:], len(table.ids)):
            raise ValueError(f"{name} are {array.dtype} {array.shape} of {len(table.ids)} photos")
    if table.probabilities.ndim != 2:
        raise ValueError(f"probabilities are {table.probabilities.shape}")
    return table

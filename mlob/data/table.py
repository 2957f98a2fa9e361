"""The format of one table, photos.csv, with the columns `image`, `labels` (separated by |) and optionally `split`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import listing
from mlob.data.listing import Listed, Listing
from mlob.data.splits import SPLITS
from mlob.errors import InputError
from mlob.recipes import Annotations
from mlob.texts import Mirrors

if TYPE_CHECKING:
    import pandas as pd

    from mlob.data.places import Folder

FILES = ("photos.csv",)


def read(folder: Folder, names: list[str], asked: Annotations) -> Listing:
    """Read the table in a folder.

    Raises:
        InputError: the table cannot be read; a value in the column split is not the name of a split.
    """
    path = folder / FILES[0]
    table = listing.read_csv(path, ("image", "labels"), ("split",))
    labels = [
        [name for part in cell.split("|") if (name := part.strip())] for cell in map(listing.composed, table.labels)
    ]
    return list_photos(path, table, labels, sorted({name for photo in labels for name in photo}))


def list_photos(path: Folder, table: pd.DataFrame, labels: Sequence[Sequence[str]], names: list[str]) -> Listing:
    """List the photos of a table that names its labels and does not number them.

    Args:
        path: of the table.
        table: with a column `image`, and perhaps a column `split`.
        labels: for each row the names of its labels.
        names: of all labels, sorted; they get the ids 1, 2, 3, …

    Raises:
        InputError: a value in the column split is not the name of a split.
    """
    columns = {name: column for column, name in enumerate(names)}
    known = listing.labels(((number, name, "label") for number, name in enumerate(names, 1)), path)
    rows = np.repeat(np.arange(len(labels)), [len(row) for row in labels])
    hits = np.array([columns[name] for row in labels for name in row], np.int64)
    ids = listing.ids(table.image, path)
    annotations = known.annotate(len(ids), rows, hits)
    splits = _splits(path, table) if "split" in table else None
    return Listing(known, [Listed(path, ids, Mirrors.single(ids), annotations, splits, ids_are_paths=True)])


def _splits(path: Folder, table: pd.DataFrame) -> np.ndarray:
    if unknown := sorted(set(table.split) - set(SPLITS)):
        raise InputError(f"{path}: the column split holds {unknown[0]!r}; expected {', '.join(SPLITS)}.")
    return table.split.to_numpy(object)

"""The format of one table, photos.csv, with the columns `image`, `labels` (separated by |) and optionally `split`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlob.data import listing
from mlob.data.listing import Listed, Listing
from mlob.data.splits import SPLITS
from mlob.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from mlob.data.places import Folder

FILES = ("photos.csv",)


def read(folder: Folder, names: list[str]) -> Listing:
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
    numbers = {name: number for number, name in enumerate(names, 1)}
    return Listing(
        listing.labels(((number, name, "label") for name, number in numbers.items()), path),
        [
            Listed(
                path=path,
                ids=tuple(table.image),
                urls=tuple((image,) for image in table.image),
                label_sets={
                    image: {numbers[name] for name in row} for image, row in zip(table.image, labels, strict=True)
                },
                splits=_splits(path, table) if "split" in table else None,
                ids_are_paths=True,
            )
        ],
    )


def _splits(path: Folder, table: pd.DataFrame) -> list[str]:
    if unknown := sorted(set(table.split) - set(SPLITS)):
        raise InputError(f"{path}: the column split holds {unknown[0]!r}; expected {', '.join(SPLITS)}.")
    return list(table.split)

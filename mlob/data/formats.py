"""The formats in which photos and their labels are read, in one table.

To add a format, write a function `read(folder, names)` that gives a `Listing`, and add a line to `FORMATS`. A small
format is written in this file, so that no other file changes; a long one in a module of its own.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import imaterialist, listing, places, table
from mlob.data.listing import Listing
from mlob.errors import InputError

if TYPE_CHECKING:
    from mlob.data.places import Folder


@dataclasses.dataclass(frozen=True)
class Format:
    """How annotations are laid out in a folder.

    Attributes:
        files: names of files. A folder with one of them has this format.
        read: (folder, names of the files in it) -> `Listing`; raises InputError.
    """

    files: tuple[str, ...]
    read: Callable[[Folder, list[str]], Listing]

    def file_among(self, names: list[str]) -> str:
        """Give the first of the format's files that is among some names; empty if none is."""
        return next((file for file in self.files if file in names), "")


def _read_one_hot(folder: Folder, names: list[str]) -> Listing:
    """Read labels.csv: a column `image`, a column of 0 and 1 for each label, and optionally a column `split`."""
    path = folder / "labels.csv"
    rows = listing.read_csv(path, ("image",), ("split",))
    cells = rows.drop(columns=["image", "split"], errors="ignore")
    labels = [listing.composed(column.strip()) for column in cells.columns]
    if wrong := [label for label, count in collections.Counter(labels).items() if count > 1 or not label]:
        raise InputError(f"{path}: expected a different name for each label's column, found {wrong[0]!r}: rename it.")
    values = cells.map(str.strip).to_numpy(object)
    bad_cells = np.argwhere((values != "0") & (values != "1"))
    if len(bad_cells):
        row, column = bad_cells[0]
        raise InputError(
            f"{path}, row {row + 2} (image {rows.image[row]!r}), column {labels[column]!r}: expected 0 or 1, found "
            f"{values[row, column]!r}: correct the cell."
        )
    photos = [[labels[column] for column in np.flatnonzero(row == "1")] for row in values]
    return table.list_photos(path, rows, photos, sorted(labels))


FORMATS = {
    "one table": Format(table.FILES, table.read),
    "one-hot table": Format(("labels.csv",), _read_one_hot),
    "iMaterialist 2018": Format(imaterialist.FILES, imaterialist.read),
}


def read(folder: Folder) -> Listing:
    """Read the annotations in a folder, in any of the formats.

    Args:
        folder: a `pathlib.Path`, or a `UPath` into a bucket.

    Raises:
        InputError: there is no folder, or it has none of the formats, or two of them; the annotations cannot be right;
            a bucket cannot be read.
    """
    names = places.names(folder)
    if not names and not folder.is_dir():
        raise InputError(f"The data folder {folder} does not exist: name it with DATA= (--data).")
    formats = [known for known in FORMATS.values() if known.file_among(names)]
    if not formats:
        expected = ", ".join(f"{known.files[0]} ({name})" for name, known in FORMATS.items())
        raise InputError(
            f"{folder} holds no annotations: expected one of {expected}. The README's section on your own photos shows "
            "each format."
        )
    if len(formats) > 1:
        found = " and ".join(known.file_among(names) for known in formats)
        raise InputError(f"{folder} holds {found}, two formats: move one of them elsewhere.")
    annotations = formats[0].read(folder, names)
    listing.check(annotations)
    return annotations

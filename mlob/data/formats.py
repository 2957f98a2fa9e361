"""The formats in which the labels of a folder of photos are read, in one table.

To add a format, write a function `read(folder, names)` that gives `Listing`, and add a line to `FORMATS`: a small
one stands in this file, so that nothing else is touched.
"""

import dataclasses
import pathlib
from collections.abc import Callable

from mlob.data import imaterialist, listing, places, table
from mlob.data.listing import Listing
from mlob.errors import InputError


@dataclasses.dataclass(frozen=True)
class Format:
    """A way to lay out annotations in a folder.

    Attributes:
        files: names of files; a folder that holds one of them is laid out so.
        read: (folder, names of the files in it) -> `Listing`; raises InputError.
    """

    files: tuple[str, ...]
    read: Callable[[pathlib.Path, list[str]], Listing]


FORMATS = {
    "one table": Format(table.FILES, table.read),
    "iMaterialist 2018": Format(imaterialist.FILES, imaterialist.read),
}


def read(folder: pathlib.Path) -> Listing:
    """Read the annotations in a folder, in whichever format they are.

    Args:
        folder: a `pathlib.Path`, or a `UPath` into a bucket.

    Raises:
        InputError: no folder, none of the formats or two of them; annotations that cannot be right; a bucket that
            cannot be read.
    """
    names = places.names(folder)
    if not names and not folder.is_dir():
        raise InputError(f"The data folder {folder} does not exist: name it with DATA= (--data).")
    files = {name: file for name, known in FORMATS.items() for file in reversed(known.files) if file in names}
    if not files:
        expected = "; or ".join(f"{known.files[0]} ({name})" for name, known in FORMATS.items())
        raise InputError(
            f"{folder} holds no annotations: expected {expected}. The README's section on your own photos shows each "
            "format."
        )
    if len(files) > 1:
        raise InputError(f"{folder} holds {' and '.join(files.values())}, two layouts: move one of them elsewhere.")
    found = FORMATS[next(iter(files))].read(folder, names)
    listing.check(found)
    return found

"""What a format reads from a folder of photos, and the checks that are the same for every format."""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import io
import itertools
import pathlib
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import places
from mlob.errors import InputError
from mlob.labels import Labels
from mlob.texts import BLOCK, Mirrors, Texts

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

    from mlob.data.parquet import Rows
    from mlob.data.places import Folder

LONGEST = {
    "image id": 1024,
    "url": 16_384,
    "label": 1024,
}  # characters; our tables are read with these limits
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, line ends, halves of characters


@dataclasses.dataclass(frozen=True)
class Listed:
    """The photos that one file lists, in its order.

    Attributes:
        path: the file, for messages.
        ids: one for each photo, unique in the file.
        urls: for each photo, web addresses (mirrors) or paths inside the data folder.
        annotations: uint8 (n, labels), sparse as of `Labels.annotate`, or not where most entries are unknown.
        splits: the name of each photo's split, an array of texts (n,), empty where it is to be drawn; None where all
            are, except that photos without labels are then the ones to predict.
        ids_are_paths: ids may be paths inside the data folder, not only file names.
        together: for each photo the name of what it belongs to, empty for a photo by itself; None where all are.
        first_row: number of the first photo's row, where the file has rows.
        places: of the photos, where the annotations hold them; None where they are looked for by id or url.
        texts: the text beside each photo, empty where there is none; None where no column holds some.
    """

    path: Folder
    ids: Texts
    urls: Mirrors
    annotations: np.ndarray | csr_array
    splits: np.ndarray | None
    ids_are_paths: bool = False
    together: Texts | None = None
    first_row: int = 0
    places: Rows | None = None
    texts: Texts | None = None

    @property
    def is_labelled(self) -> np.ndarray:
        """Which photos have a label, bool (n,)."""
        return (self.annotations == 1).sum(axis=1) > 0

    def take(self, rows: np.ndarray) -> Listed:
        """Give the photos of some rows, by number."""
        ids = self.ids.take(rows)
        return dataclasses.replace(
            self,
            ids=ids,
            urls=Mirrors.single(ids) if self.urls.lines is self.ids else self.urls.take(rows),
            annotations=self.annotations[rows],
            splits=None if self.splits is None else self.splits[rows],
            together=None if self.together is None else self.together.take(rows),
            places=None if self.places is None else self.places.take(rows),
            texts=None if self.texts is None else self.texts.take(rows),
        )


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a format reads from a folder: the labels, and the photos of each file. A split is in one file only.

    Attributes:
        told: how the files were understood, in lines for people: columns, separator, what was left out.
    """

    labels: Labels
    files: list[Listed]
    told: tuple[str, ...] = ()


def check(listing: Listing) -> None:
    """Refuse ids and urls that cannot be right.

    Raises:
        InputError: an id that is empty, repeated or a path; a url that leads out of the data folder; a text that could
            not be read back once it is written.
    """
    for file in listing.files:
        _check_ids(file)
        _check_inside(file)


def matching(names: Sequence[str], pattern: str) -> list[str]:
    """Give the names of files that match a pattern such as "*.json", sorted; hidden ones are left out."""
    return [name for name in sorted(fnmatch.filter(names, pattern)) if not name.startswith(".")]


def labels(rows: Iterable[tuple[int, str, str]], path: Folder, ids_are_own: bool = False) -> Labels:
    """Turn (id, name, group) rows, sorted by id, into `Labels`.

    Args:
        path: of the file that names them, for messages.
        ids_are_own: the file has these ids; else they are numbers that only mlob gives.
    """
    numbers, names, groups = zip(*rows, strict=True) if (rows := list(rows)) else ((), (), ())
    collections.deque(checked("label", (*names, *groups), path), 0)
    return Labels(numbers, names, groups, ids_are_own)


def composed(text: str) -> str:
    """Give a text in one of the two forms that Unicode has for it: é may be one character, or an e and an accent."""
    return unicodedata.normalize("NFC", text)


def local(urls: Sequence[str]) -> str:
    """Give the first url that is a path and not a web address; empty if there is none."""
    return next((url for url in urls if "://" not in url), "")


def ids(texts: Iterable[str], path: Folder) -> Texts:
    """Gather the ids of photos; `path` is that of the file that holds them, for messages.

    Raises:
        InputError: there are none; or as of `checked`.
    """
    gathered = Texts(checked("image id", texts, path))
    if not gathered:
        raise InputError(f"{path} lists no images: add some, or remove the file.")
    return gathered


def urls(addresses: Iterable[Sequence[str]], path: Folder) -> Mirrors:
    """Gather the addresses of photos, for each none or several.

    Raises:
        InputError: as of `checked`.
    """
    return Mirrors(list(checked("url", each, path)) for each in addresses)


def rows_of(names: Texts, ids: Texts, path: Folder) -> np.ndarray:
    """Find the rows of the photos that annotations name, int (names,).

    Raises:
        InputError: one of them is not among the file's photos.
    """
    import pandas as pd

    if names == ids:
        return np.arange(len(ids))
    rows = pd.Index(list(dict.fromkeys(ids))).get_indexer(list(names))
    if (rows < 0).any():
        raise InputError(
            f"{path} annotates the image {names[int(np.argmax(rows < 0))]!r}, which is not among its images: add the "
            "image, or remove the annotation."
        )
    return rows


def checked(what: str, texts: Iterable[str], path: Folder) -> Iterator[str]:
    """Pass texts on; refuse one that HDF5, CSV tables or a terminal would not give back unchanged.

    Args:
        what: a key of `LONGEST`.
        texts: to be written later.
        path: of the file that holds the texts, for messages.

    Raises:
        InputError: a text is too long, or holds a character that is not printable.
    """
    iterator = iter(texts)
    while block := list(itertools.islice(iterator, BLOCK)):
        if max(map(len, block)) > LONGEST[what] or UNWRITABLE.search("".join(block)):
            _refuse_text(what, block, path)
        yield from block


def _refuse_text(what: str, texts: Sequence[str], path: Folder) -> None:
    """Refuse the first text that is too long or holds a character that is not printable."""
    for text in texts:
        if len(text) > LONGEST[what]:
            raise InputError(
                f"{path}: the {what} {text[:40]!a}… has {len(text):,} characters, expected at most {LONGEST[what]:,}."
            )
        if character := UNWRITABLE.search(text):
            raise InputError(
                f"{path}: the {what} {text[:40]!a} holds {character[0]!a}, which is not printable: correct it."
            )


def read_csv(path: Folder, needed: Sequence[str], optional: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file as text.

    Args:
        needed: columns that it must have.
        optional: columns that it may have.

    Raises:
        InputError: the file is not a CSV table in UTF-8; a column is missing, or is there twice.
    """
    import pandas as pd

    with places.reached(path):
        data = path.read_bytes()
    wrong = (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, UnicodeDecodeError)
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):  # more values than columns
            table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, index_col=False)
    except wrong as error:
        raise InputError(
            f"{path} is not a CSV table in UTF-8 ({str(error).strip()}): save it as one; put a value with a comma "
            "in quotes."
        ) from error
    header = list(pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, header=None, nrows=1).iloc[0])
    if twice := [name for name in (*needed, *optional) if header.count(name) > 1]:
        raise InputError(f"{path} has the column {twice[0]} {header.count(twice[0])} times: keep one.")
    table.columns = header  # as in the file: pandas renames columns without a name, and those of equal names
    if not set(needed) <= set(header):
        raise InputError(
            f"{path}: expected the columns {', '.join(needed)} and (optional) {', '.join(optional)}, found "
            f"{', '.join(header)}."
        )
    return table


def _check_ids(file: Listed) -> None:
    names, counts = np.unique(file.ids.array, return_counts=True)
    if (counts > 1).any():
        raise InputError(_twice(file, str(names[np.argmax(counts > 1)])))
    is_odd = np.strings.str_len(file.ids.array) == 0
    if not file.ids_are_paths:
        is_odd |= _holds(file.ids.array, "/", "\\") | np.isin(file.ids.array, [".", ".."])
    if is_odd.any():
        odd = file.ids[int(np.argmax(is_odd))]
        raise InputError(f"{file.path}: the image id {odd!r} is empty or a path; expected a plain name or number.")


def _twice(file: Listed, name: str) -> str:
    """Say that a photo is listed twice, in which rows, and whether with the same labels."""
    first, second = np.flatnonzero(file.ids.array == name)[:2].tolist()
    rows = f", in the rows {first + file.first_row:,} and {second + file.first_row:,}" if file.first_row else ""
    is_same = not (file.annotations[[first]] != file.annotations[[second]]).sum()
    mend = "remove one" if is_same else "put all of its labels into one row and remove one"
    other = "" if is_same else " with different labels"
    return f"{file.path}: the image {name!r} is listed twice{rows}{other}: {mend}; ids are unique in a split."


def _check_inside(file: Listed) -> None:
    lines = file.urls.lines.array
    for row in np.flatnonzero(_holds(lines, "..", "\\", "\n/") | np.strings.startswith(lines, "/")).tolist():
        place = pathlib.PurePath(local(file.urls[row]))
        if place.is_absolute() or ".." in place.parts or "\\" in str(place):
            raise InputError(
                f"{file.path}: the image {file.ids[row]!r} points to {str(place)!r}, outside the data folder: expected "
                "a path inside it, or a web address."
            )


def _holds(texts: np.ndarray, *parts: str) -> np.ndarray:
    """Say which texts hold one of some parts, bool (n,)."""
    return np.any([np.strings.find(texts, part) >= 0 for part in parts], axis=0)

"""What a format reads from a folder of photos, and the checks that are the same for every format."""

from __future__ import annotations

import dataclasses
import io
import pathlib
import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlob.data import places
from mlob.errors import InputError
from mlob.labels import Labels

if TYPE_CHECKING:
    import pandas as pd

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
        label_sets: {photo: the ids of its labels}; a photo that is missing here has no labels.
        splits: the name of each photo's split; None if the splits are to be drawn.
        ids_are_paths: ids may be paths inside the data folder, not only file names.
    """

    path: Folder
    ids: tuple[str, ...]
    urls: tuple[tuple[str, ...], ...]
    label_sets: dict[str, set[int]]
    splits: Sequence[str] | None
    ids_are_paths: bool = False


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a format reads from a folder: the labels, and the photos of each file. A split is in one file only."""

    labels: Labels
    files: list[Listed]


def check(listing: Listing) -> None:
    """Refuse ids, urls and labels that cannot be right.

    Raises:
        InputError: an id that is empty, repeated or a path; a url that leads out of the data folder; labels for a photo
            that is not listed; an unknown label; a text that could not be read back once it is written.
    """
    for file in listing.files:
        _check_ids(file)
        check_text("url", (url for urls in file.urls for url in urls), file.path)
        _check_inside(file)
        _check_labels(file, listing.labels)


def labels(rows: Iterable[tuple[int, str, str]], path: Folder) -> Labels:
    """Turn (id, name, group) rows, sorted by id, into `Labels`.

    Args:
        path: of the file that names them, for messages.
    """
    ids, names, groups = zip(*rows, strict=True) if (rows := list(rows)) else ((), (), ())
    check_text("label", (*names, *groups), path)
    return Labels(ids, names, groups)


def composed(text: str) -> str:
    """Give a text in one of the two forms that Unicode has for it: é may be one character, or an e and an accent."""
    return unicodedata.normalize("NFC", text)


def local(urls: tuple[str, ...]) -> str:
    """Give the first url that is a path and not a web address; empty if there is none."""
    return next((url for url in urls if "://" not in url), "")


def check_text(what: str, texts: Iterable[str], path: Folder) -> None:
    """Refuse texts that HDF5, CSV tables or a terminal would not give back unchanged.

    Args:
        what: a key of `LONGEST`.
        path: of the file that holds the texts, for messages.
    """
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
        raise InputError(
            f"{path} has the column {twice[0]} {header.count(twice[0])} times: keep one (in photos.csv all "
            "labels of a photo are in one cell, separated by |)."
        )
    table.columns = header  # as in the file: pandas renames columns without a name, and those of equal names
    if not set(needed) <= set(header):
        raise InputError(
            f"{path}: expected the columns {', '.join(needed)} and (optional) {', '.join(optional)}, found "
            f"{', '.join(header)}."
        )
    return table


def _check_ids(file: Listed) -> None:
    if not file.ids:
        raise InputError(f"{file.path} lists no images: add some, or remove the file.")
    seen = set()
    for name in file.ids:
        if name in seen:
            raise InputError(f"{file.path}: the image {name!r} is listed twice: remove one; ids are unique in a split.")
        if not name or (not file.ids_are_paths and ("/" in name or "\\" in name or name in (".", ".."))):
            raise InputError(f"{file.path}: the image id {name!r} is empty or a path; expected a plain name or number.")
        seen.add(name)
    check_text("image id", file.ids, file.path)


def _check_inside(file: Listed) -> None:
    for name, urls in zip(file.ids, file.urls, strict=True):
        place = pathlib.PurePath(local(urls))
        if place.is_absolute() or ".." in place.parts or "\\" in str(place):
            raise InputError(
                f"{file.path}: the image {name!r} points to {str(place)!r}, outside the data folder: expected a "
                "path inside it, or a web address."
            )


def _check_labels(file: Listed, known: Labels) -> None:
    photos, ids = set(file.ids), set(known.ids)
    for name, label_set in file.label_sets.items():
        if name not in photos:
            raise InputError(
                f"{file.path} annotates the image {name!r}, which is not among its images: add the image, or "
                "remove the annotation."
            )
        if unknown := label_set - ids:
            raise InputError(
                f"{file.path}: the label {min(unknown)} is not in the label map ({len(known)} labels): "
                "correct the annotation, or add the label to the map."
            )

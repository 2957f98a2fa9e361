"""The format of iMaterialist 2018: train.json, validation.json, test.json, and optionally a label map."""

from __future__ import annotations

import array
import dataclasses
import fnmatch
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mlob.data.annotations import coco, listing, records
from mlob.data.annotations.listing import Listed, Listing
from mlob.data.annotations.records import Json, Records
from mlob.data.splits import SPLITS
from mlob.errors import InputError
from mlob.labels import Labels
from mlob.recipes import Annotations
from mlob.texts import Mirrors, Texts

if TYPE_CHECKING:
    from mlob.data.places import Folder

LAYOUT = '{"images": [{"imageId", "url"}], "annotations": [{"imageId", "labelId"}]}'
FILES = tuple(f"{split}.json" for split in SPLITS)


def find(folder: Folder, names: list[str]) -> str:
    """Give the first file of a split, empty if there is none; COCO's files may have the same names."""
    return next((file for file in FILES if file in names and not coco.is_coco(folder / file)), "")


def read(folder: Folder, names: list[str], asked: Annotations) -> Listing:
    """Read the JSON files and the label map of a folder.

    Args:
        folder: a `pathlib.Path`, or a `UPath` into a bucket.
        names: of the files in the folder.
        asked: how a table is to be read; these files tell it themselves.

    Raises:
        InputError: a file is cut short or has another layout; there are two label maps; a value has a wrong type.
    """
    files = [_read_split(folder / file, split) for file, split in zip(FILES, SPLITS, strict=True) if file in names]
    maps = [name for name in sorted(fnmatch.filter(names, "*label_map*.csv")) if not name.startswith(".")]
    if len(maps) > 1:
        raise InputError(f"{folder} has {len(maps)} label maps, {' and '.join(maps)}: keep one, or rename the others.")
    labels = _label_map(folder / maps[0]) if maps else _numbered(files, folder)
    return Listing(labels, [_listed(file, labels) for file in files])


@dataclasses.dataclass(frozen=True)
class _Annotated:
    """A file as it stands: photos, and hits, each a row and the number of a label that it has."""

    path: Folder
    split: str
    ids: Texts
    urls: Mirrors
    rows: np.ndarray
    numbers: np.ndarray


def _read_split(path: Folder, split: str) -> _Annotated:
    images, annotations, _ = records.photos(path, LAYOUT)
    ids = listing.ids((records.photo_id(record, path) for record in images), path)
    urls = listing.urls((records.addresses(record, path) for record in images), path)
    return _Annotated(path, split, ids, urls, *_hits(annotations, ids, path))


def _hits(annotations: Records | list, ids: Texts, path: Folder) -> tuple[np.ndarray, np.ndarray]:
    """Give the row and the number of each label of each photo; several annotations of one photo add up."""
    numbers, counts = array.array("q"), array.array("i")

    def names() -> Iterator[str]:
        for annotation in annotations:
            yield records.photo_id(annotation, path)
            found = _label_numbers(annotation, path)
            numbers.extend(found)
            counts.append(len(found))

    rows = listing.rows_of(Texts(listing.checked("image id", names(), path)), ids, path)
    return np.repeat(rows, counts), np.frombuffer(numbers, np.int64)


def _listed(file: _Annotated, labels: Labels) -> Listed:
    columns = np.searchsorted(labels.ids, file.numbers).clip(max=max(len(labels) - 1, 0))
    known = np.array(labels.ids, np.int64)
    if len(wrong := file.numbers[known[columns] != file.numbers] if len(known) else file.numbers):
        raise InputError(
            f"{file.path}: the label {wrong.min()} is not in the label map ({len(labels)} labels): correct the "
            "annotation, or add the label to the map."
        )
    splits = np.broadcast_to(np.array(file.split), len(file.ids))
    return Listed(file.path, file.ids, file.urls, labels.annotate(len(file.ids), file.rows, columns), splits)


def _label_numbers(annotation: Json, path: Folder) -> list[int]:
    value = records.field(annotation, ("labelId", "label_id"), path)
    try:
        return [records.whole(label) for label in (value if isinstance(value, list) else [value])]
    except ValueError as error:
        raise InputError(
            f"{path}: the labels of image {records.photo_id(annotation, path)!r} are {value!r}; expected whole numbers."
        ) from error


# Labels


def _label_map(path: Folder) -> Labels:
    table = listing.read_csv(path, ("labelId", "labelName"), ("taskId", "taskName"))
    names = map(listing.composed, table.labelName)
    groups = map(listing.composed, table.taskName) if "taskName" in table else itertools.repeat("label")
    try:
        rows = sorted(zip(map(records.whole, table.labelId), names, groups, strict=False))
    except ValueError as error:
        raise InputError(f"{path}: expected whole numbers as labelId ({error}).") from error
    for (label, *_), (following, *_) in itertools.pairwise(rows):
        if label == following:
            raise InputError(f"{path}: the label {label} is listed twice: remove one of the two.")
    return listing.labels(rows, path, ids_are_own=True)


def _numbered(files: list[_Annotated], folder: Folder) -> Labels:
    """Give the labels that occur, each named by its number: there is no label map."""
    numbers = np.unique(np.concatenate([file.numbers for file in files])).tolist()
    return listing.labels(((number, str(number), "label") for number in numbers), folder, ids_are_own=True)

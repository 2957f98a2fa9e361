"""The format of iMaterialist 2018: train.json, validation.json, test.json, and optionally a label map."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import numpy as np

from mlob.data.annotations import coco, listing, records
from mlob.data.annotations.listing import Listed, Listing
from mlob.data.annotations.records import Json, Photos
from mlob.data.splits import SPLITS
from mlob.data.tree import Tree
from mlob.errors import InputError
from mlob.labels import Labels
from mlob.recipes import Annotations

if TYPE_CHECKING:
    from mlob.data.places import Folder

LAYOUT = '{"images": [{"imageId", "url"}], "annotations": [{"imageId", "labelId"}]}'
FILES = tuple(f"{split}.json" for split in SPLITS)


def find(tree: Tree, names: list[str]) -> str:
    """Give the first file of a split, empty if there is none; COCO's files may have the same names."""
    return next((file for file in FILES if file in names and not coco.is_coco(tree.root / file)), "")


def read(tree: Tree, names: list[str], asked: Annotations) -> Listing:
    """Read the JSON files and the label map of a folder.

    Args:
        tree: the data folder.
        names: of the files in the folder.
        asked: how a table is to be read; these files tell it themselves.

    Raises:
        InputError: a file is cut short or has another layout; there are two label maps; a value has a wrong type.
    """
    folder = tree.root
    files = [_read_split(folder / file, split) for file, split in zip(FILES, SPLITS, strict=True) if file in names]
    maps = listing.matching(names, "*label_map*.csv")
    if len(maps) > 1:
        raise InputError(f"{folder} has {len(maps)} label maps, {' and '.join(maps)}: keep one, or rename the others.")
    labels = _label_map(folder / maps[0]) if maps else _numbered(files, folder)
    return Listing(labels, [_listed(file, labels) for file in files])


@dataclasses.dataclass(frozen=True)
class _Annotated:
    """A file as it stands: photos, and hits, each a row and the number of a label that it has."""

    photos: Photos
    rows: np.ndarray
    numbers: np.ndarray


def _read_split(path: Folder, split: str) -> _Annotated:
    photos, annotations, _ = records.photos(path, split, LAYOUT)
    return _Annotated(photos, *records.hits(annotations, photos, lambda each: _label_numbers(each, path)))


def _listed(file: _Annotated, labels: Labels) -> Listed:
    known = np.array(labels.ids, np.int64)
    if len(wrong := file.numbers[~np.isin(file.numbers, known)]):
        raise InputError(
            f"{file.photos.path}: the label {wrong.min()} is not in the label map ({len(labels)} labels): correct the "
            "annotation, or add the label to the map."
        )
    columns = np.searchsorted(known, file.numbers)
    return file.photos.annotated(labels.annotate(len(file.photos.ids), file.rows, columns))


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

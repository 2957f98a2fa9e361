"""The format of iMaterialist 2018: train.json, validation.json, test.json, and optionally a label map."""

from __future__ import annotations

import array
import dataclasses
import fnmatch
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import listing, records
from mlob.data.listing import Listed, Listing
from mlob.data.records import Json, Records
from mlob.data.splits import SPLITS
from mlob.errors import InputError
from mlob.labels import Labels
from mlob.recipes import Annotations
from mlob.texts import Mirrors, Texts

if TYPE_CHECKING:
    from mlob.data.places import Folder

LARGEST = 2**62  # of the number of a label
FILES = tuple(f"{split}.json" for split in SPLITS)


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
    content = records.read(path)
    known = content if isinstance(content, dict) else {}
    images, annotations = known.get("images"), known.get("annotations")
    if not isinstance(images, Records | list) or not isinstance(annotations, Records | list | None):
        raise InputError(
            f'{path} has another layout: expected {{"images": [{{"imageId", "url"}}], "annotations": '
            f'[{{"imageId", "labelId"}}]}}, found {_shape(content)}.'
        )
    ids = listing.ids((_id(record, path) for record in images), path)
    urls = listing.urls((_urls(record, path) for record in images), path)
    return _Annotated(path, split, ids, urls, *_hits(annotations or [], ids, path))


def _hits(annotations: Records | list, ids: Texts, path: Folder) -> tuple[np.ndarray, np.ndarray]:
    """Give the row and the number of each label of each photo; several annotations of one photo add up."""
    numbers, counts = array.array("q"), array.array("i")

    def names() -> Iterator[str]:
        for annotation in annotations:
            yield _id(annotation, path)
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


# Values


def _field(record: Json, names: tuple[str, ...], path: Folder) -> Json:
    if isinstance(record, dict):
        for name in names:
            if name in record:
                return record[name]
    raise InputError(f"{path}: expected a field {' or '.join(names)}, found {_shape(record)}.")


def _id(record: Json, path: Folder) -> str:
    name = _field(record, ("imageId", "image_id", "id"), path)
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise InputError(f"{path}: the image id {name!r} is neither text nor a whole number: correct it.")
    return str(name)


def _urls(record: dict[str, Json], path: Folder) -> tuple[str, ...]:
    value = record.get("url")
    urls = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(url, str) for url in urls):
        raise InputError(
            f"{path}: the url of image {_id(record, path)!r} is {value!r}; expected text or a list of texts."
        )
    return tuple(urls)


def _label_numbers(annotation: Json, path: Folder) -> list[int]:
    value = _field(annotation, ("labelId", "label_id"), path)
    try:
        return [_whole(label) for label in (value if isinstance(value, list) else [value])]
    except ValueError as error:
        raise InputError(
            f"{path}: the labels of image {_id(annotation, path)!r} are {value!r}; expected whole numbers."
        ) from error


def _whole(label: Json) -> int:
    if isinstance(label, bool) or not isinstance(label, int | str):
        raise ValueError(label)
    if abs(number := int(label)) > LARGEST:
        raise ValueError(label)
    return number


def _shape(content: Json) -> str:
    return f"the keys {', '.join(map(str, content))}" if isinstance(content, dict) else f"a {type(content).__name__}"


# Labels


def _label_map(path: Folder) -> Labels:
    table = listing.read_csv(path, ("labelId", "labelName"), ("taskId", "taskName"))
    names = map(listing.composed, table.labelName)
    groups = map(listing.composed, table.taskName) if "taskName" in table else itertools.repeat("label")
    try:
        rows = sorted(zip(map(int, table.labelId), names, groups, strict=False))
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

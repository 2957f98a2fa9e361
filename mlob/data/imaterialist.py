"""The format of iMaterialist 2018: train.json, validation.json, test.json, and optionally a label map."""

from __future__ import annotations

import collections
import fnmatch
import itertools
from typing import TYPE_CHECKING

from mlob.data import listing, places
from mlob.data.listing import Listed, Listing
from mlob.data.splits import SPLITS
from mlob.errors import InputError
from mlob.files import read_json
from mlob.labels import Labels

if TYPE_CHECKING:
    from mlob.data.places import Folder

FILES = tuple(f"{split}.json" for split in SPLITS)
Json = dict | list | str | int | float | bool | None  # any value, before it is checked


def read(folder: Folder, names: list[str]) -> Listing:
    """Read the JSON files and the label map of a folder.

    Args:
        folder: a `pathlib.Path`, or a `UPath` into a bucket.
        names: of the files in the folder.

    Raises:
        InputError: a file is cut short or has another layout; there are two label maps; a value has a wrong type.
    """
    files = [_read_split(folder / file, split) for file, split in zip(FILES, SPLITS, strict=True) if file in names]
    maps = [name for name in sorted(fnmatch.filter(names, "*label_map*.csv")) if not name.startswith(".")]
    if len(maps) > 1:
        raise InputError(f"{folder} has {len(maps)} label maps, {' and '.join(maps)}: keep one, or rename the others.")
    return Listing(_label_map(folder / maps[0]) if maps else _numbered(files, folder), files)


def _read_split(path: Folder, split: str) -> Listed:
    with places.reached(path):
        content = read_json(path)
    known = content if isinstance(content, dict) else {}
    records, annotations = known.get("images"), known.get("annotations")
    if not isinstance(records, list) or not isinstance(annotations, list | None):
        raise InputError(
            f'{path} has another layout: expected {{"images": [{{"imageId", "url"}}], "annotations": '
            f'[{{"imageId", "labelId"}}]}}, found {_shape(content)}.'
        )
    ids = tuple(_id(record, path) for record in records)
    urls = tuple(_urls(record, path) for record in records)
    return Listed(path, ids, urls, _label_sets(annotations or [], path), [split] * len(ids))


def _label_sets(annotations: list[Json], path: Folder) -> dict[str, set[int]]:
    """Gather the label ids of each photo; several annotations of one photo add up."""
    sets: dict[str, set[int]] = collections.defaultdict(set)
    for annotation in annotations:
        sets[_id(annotation, path)].update(_label_numbers(annotation, path))
    return dict(sets)


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
    return int(label)


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
    return listing.labels(rows, path)


def _numbered(files: list[Listed], folder: Folder) -> Labels:
    """Give the labels that occur, each named by its number: there is no label map."""
    ids = {label for file in files for label_set in file.label_sets.values() for label in label_set}
    return listing.labels(((label, str(label), "label") for label in sorted(ids)), folder)

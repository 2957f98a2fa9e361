"""The format of iMaterialist 2017: a row for each photo and task; a task without a row is unknown, not absent.

A label may belong to several tasks ("black" to the colours of shoes and of dresses), so a column is a task and a label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mlob.data.annotations import listing, records
from mlob.data.annotations.listing import Listing
from mlob.data.annotations.records import Photos, Records
from mlob.data.tree import Tree
from mlob.errors import InputError
from mlob.labels import UNKNOWN, Labels
from mlob.recipes import Annotations

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from mlob.data.places import Folder

LARGEST = 10**9  # of the number of a task or a label; the two make one of 64 bits
LAYOUT = '{"images": [{"imageId", "url"}], "annotations": [{"imageId", "taskId", "labelId"}]}'
FILES = {"train": "*train.data.json", "validation": "*validation.data.json", "test": "*test.image.json"}


@dataclasses.dataclass(frozen=True)
class Answers:
    """A file as it stands: photos, and rows, each a photo with a task and the label that it has there."""

    photos: Photos
    rows: np.ndarray
    tasks: np.ndarray
    labels: np.ndarray


def find(tree: Tree, names: list[str]) -> str:
    """Give the first file of a split, empty if there is none."""
    return next((name for pattern in FILES.values() for name in listing.matching(names, pattern)), "")


def read(tree: Tree, names: list[str], asked: Annotations) -> Listing:
    """Read the JSON files of a folder, and the maps that name tasks and labels.

    Args:
        tree: the data folder.
        names: of the files in the folder.
        asked: how a table is to be read; these files tell it themselves.

    Raises:
        InputError: a file is missing, is there twice, is cut short or has another layout; a value has a wrong type.
    """
    folder = tree.root
    tasks = _map(_only(folder, names, "*task_map.json"), "task")
    known = _map(_only(folder, names, "*label_map.json"), "label")
    splits = {split: pattern for split, pattern in FILES.items() if listing.matching(names, pattern)}
    files = [_read_split(_only(folder, names, pattern), split) for split, pattern in splits.items()]
    for file in files:
        _check(file, "task", file.tasks, tasks)
        _check(file, "label", file.labels, known)
    step = 10 ** len(str(max(known)))
    numbers = np.unique(np.concatenate([file.tasks * step + file.labels for file in files])).tolist()
    rows = ((number, known[number % step], tasks[number // step]) for number in numbers)
    labels = listing.labels(rows, folder)
    listed = [file.photos.annotated(_annotations(file, labels, step)) for file in files]
    return Listing(labels, listed, tuple(_told(labels, step)))


def _told(labels: Labels, step: int) -> Iterator[str]:
    yield f"{len(labels):,} labels in {len(set(labels.groups)):,} tasks. A task without a row is unknown for the photo."
    for number, name, group in zip(labels.ids[:1], labels.names, labels.groups, strict=False):
        task, label = divmod(number, step)
        example = f"{number} is label {label} ({name}) of task {task} ({group})"
        yield f"A label's number is that of its task and its own: {example}."


def _annotations(file: Answers, labels: Labels, step: int) -> np.ndarray | csr_array:
    """Give targets uint8 (n, labels), written out: most are unknown, and a sparse array would store each of these."""
    if not len(file.rows):
        return labels.annotate(len(file.photos.ids), file.rows, file.rows)
    numbers = np.array(labels.ids)
    targets = np.full((len(file.photos.ids), len(labels)), UNKNOWN, np.uint8)
    for task in np.unique(file.tasks).tolist():
        first, last = np.searchsorted(numbers, [task * step, (task + 1) * step])
        targets[file.rows[file.tasks == task], first:last] = 0
    targets[file.rows, np.searchsorted(numbers, file.tasks * step + file.labels)] = 1
    return targets


# Files


def _read_split(path: Folder, split: str) -> Answers:
    photos, annotations, _ = records.photos(path, split, LAYOUT)
    rows, numbers = records.hits(
        annotations, photos, lambda row: [records.number(row, name, path) for name in ("taskId", "labelId")]
    )
    return Answers(photos, rows[::2], tasks=numbers[::2], labels=numbers[1::2])


def _map(path: Folder, kind: str) -> dict[int, str]:
    """Read {number: name} of the tasks or the labels."""
    content = records.read(path)
    rows = content.get(f"{kind}Info") if isinstance(content, dict) else None
    if not isinstance(rows, Records | list) or not rows:
        raise InputError(
            f'{path} has another layout: expected {{"{kind}Info": [{{"{kind}Id", "{kind}Name"}}]}}, found '
            f"{records.shape(content)}."
        )
    pairs = [
        (records.number(row, f"{kind}Id", path), listing.composed(records.text(row, f"{kind}Name", path)))
        for row in rows
    ]
    if len(names := dict(pairs)) < len(pairs):
        raise InputError(f"{path}: a {kind} is listed twice: remove one of the two.")
    if odd := [number for number in names if not 0 <= number < LARGEST]:
        raise InputError(f"{path}: expected numbers below {LARGEST:,} as {kind}Id, found {odd[0]}: correct it.")
    return names


def _check(file: Answers, kind: str, numbers: np.ndarray, known: dict[int, str]) -> None:
    if unknown := set(np.unique(numbers).tolist()) - known.keys():
        raise InputError(
            f"{file.photos.path}: the {kind} {min(unknown)} is not in the map of {kind}s ({len(known):,}): correct the "
            f"row, or add the {kind} to the map."
        )


def _only(folder: Folder, names: list[str], pattern: str) -> Folder:
    found = listing.matching(names, pattern)
    if len(found) != 1:
        held = f"{len(found)}, {' and '.join(found)}: keep one" if found else "none: copy it there"
        raise InputError(f"{folder}: expected one file named {pattern}, found {held}.")
    return folder / found[0]

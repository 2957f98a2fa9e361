"""Corrections by hand: a data folder's corrections.csv or corrections.json overrides the labels of photos it names.

corrections.csv is review.csv as people edited it: of its rows those count that have a mark in the column `checked`, or
all where there is no such column. corrections.json is an export of Label Studio from the tasks that `mlob review`
writes: of its tasks those count that were answered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlob.data.annotations import csvtable, labelstudio, listing
from mlob.data.annotations.listing import Listed, Listing
from mlob.errors import InputError, nearest
from mlob.files import from_cell
from mlob.labels import Labels

if TYPE_CHECKING:
    from mlob.data.places import Folder

TABLE, EXPORT = "corrections.csv", "corrections.json"
FILES = (TABLE, EXPORT)
SPLIT, PHOTO, LABELS, CHECKED = "split", "photo", "labels", "checked"  # columns; tasks have the first two as fields
SEPARATOR = "|"


@dataclasses.dataclass(frozen=True)
class Correction:
    """What a person found on a photo: columns of labels; `split` is empty where any will do."""

    photo: str
    split: str
    columns: tuple[int, ...]


def apply(annotations: Listing, folder: Folder, names: Sequence[str]) -> Listing:
    """Override the labels of photos that a data folder's corrections name; tell how many.

    A photo of a split without labels moves to train, or into the draw where the splits are drawn: it is labelled now.

    Args:
        annotations: as the format reads them.
        folder: the data folder.
        names: of the files in it.

    Raises:
        InputError: there are two files of corrections, or one that cannot be read, or that names a label or a photo
            that there is not.
    """
    found = [name for name in FILES if name in names]
    if not found:
        return annotations
    if len(found) > 1:
        raise InputError(f"{folder} holds {' and '.join(found)}: keep one of them.")
    path = folder / found[0]
    read = _from_table if found[0] == TABLE else _from_export
    corrections = {(each.split, each.photo): each for each in read(path, annotations.labels)}
    places = [_places(file, corrections) for file in annotations.files]
    if missing := [key for key in corrections if not any(key in known for known in places)]:
        raise InputError(
            f"{path} corrects {len(missing):,} photos that are not in the data, the first is {missing[0][1]!r}: remove "
            "them there."
        )
    files, told = [], []
    for file, known in zip(annotations.files, places, strict=True):
        corrected, lines = _corrected(file, known, corrections, annotations.labels)
        files.append(corrected)
        told += lines
    line = "; ".join([f"{found[0]} corrects the labels of {len(corrections):,} photos", *told])
    return dataclasses.replace(annotations, files=files, told=(*annotations.told, f"{line}."))


def _from_table(path: Folder, labels: Labels) -> Iterator[Correction]:
    layout, table = csvtable.read(path)
    if not {PHOTO, LABELS} <= set(layout.header):
        raise InputError(
            f"{path}: expected the columns {PHOTO} and {LABELS}, and perhaps {SPLIT} and {CHECKED}, as review.csv has "
            f"them; found {', '.join(layout.header)}."
        )
    columns = {name: column for column, name in enumerate(labels.unique_names())}
    for row, record in enumerate(table.rename_columns(list(layout.header)).to_pylist(), layout.first_row):
        if record.get(CHECKED, "x").strip():
            texts = [listing.composed(part.strip()) for part in from_cell(record[LABELS]).split(SEPARATOR)]
            chosen = [_column(text, columns, f"{path}, row {row}") for text in texts if text]
            yield Correction(from_cell(record[PHOTO]), record.get(SPLIT, "").strip(), tuple(chosen))


def _from_export(path: Folder, labels: Labels) -> Iterator[Correction]:
    columns = {pair: column for column, pair in enumerate(zip(labels.groups, labels.names, strict=True))}
    for task in labelstudio.tasks(path):
        where = f"{path}, task {task.name}"
        if PHOTO not in task.data:
            raise InputError(f"{where}: it has no field {PHOTO!r}, as the tasks of `mlob review` have: export those.")
        if task.answers is not None:
            pairs = [
                (group, choice)
                for group, choices in task.answers.items()
                if group in labels.groups or group not in task.data  # JSON-MIN tells questions and fields not apart
                for choice in choices
            ]
            chosen = tuple(_column(pair, columns, where) for pair in pairs)
            yield Correction(task.data[PHOTO], task.data.get(SPLIT, ""), chosen)


def _column(label: str | tuple[str, str], columns: Mapping[Any, int], where: str) -> int:
    """Find the column of a label, by its name or by group and name."""
    if label not in columns:
        text, *known = (each if isinstance(each, str) else ": ".join(each) for each in (label, *columns))
        raise InputError(f"{where}: there is no label {text!r}{nearest(text, known)}")
    return columns[label]


def _places(file: Listed, corrections: Mapping[tuple[str, str], Correction]) -> dict[tuple[str, str], int]:
    """Find the rows of a file that corrections name; where splits are drawn, a photo may have come from any."""
    rows = {name: row for row, name in enumerate(file.ids)}
    splits = np.full(len(file.ids), "", object) if file.splits is None else file.splits
    found = ((key, rows[key[1]]) for key in corrections if key[1] in rows)
    return {key: row for key, row in found if "" in (key[0], splits[row]) or key[0] == splits[row]}


def _corrected(
    file: Listed,
    known: Mapping[tuple[str, str], int],
    corrections: Mapping[tuple[str, str], Correction],
    labels: Labels,
) -> tuple[Listed, list[str]]:
    """Override the annotations of some rows of a file; say how many have changed and moved."""
    from scipy.sparse import vstack

    found, rows = [corrections[key].columns for key in known], np.fromiter(known.values(), np.int64, len(known))
    columns = np.array([column for each in found for column in each], np.int64)
    own = labels.annotate(len(rows), np.repeat(np.arange(len(rows)), list(map(len, found))), columns)
    order = np.arange(len(file.ids))
    order[rows] = len(order) + np.arange(len(rows))
    changed = len(np.unique((file.annotations[rows] != own).nonzero()[0]))
    splits, moved = _moved(file, rows)
    told = [f"{changed:,} have other labels than before"] if changed else []
    told += [f"{count:,} move from {split} to {where}" for split, count, where in moved]
    annotations = vstack([file.annotations, own], "csr")[order]
    return dataclasses.replace(file, annotations=annotations, splits=splits), told


def _moved(file: Listed, rows: np.ndarray) -> tuple[np.ndarray | None, list[tuple[str, int, str]]]:
    """Move rows that lie in splits without labels to train, or into the draw; say (split, count, where to) of each.

    Left there, they would turn the split's other photos into photos that have none of the labels.

    Raises:
        InputError: the split has a file of its own, out of which nothing can move.
    """
    if file.splits is None:
        return None, []
    splits, moved = file.splits.astype(object), []
    is_labelled = file.is_labelled
    for split in sorted(set(file.splits[rows]) - {""}):
        inside = rows[file.splits[rows] == split]
        if is_labelled[file.splits == split].any():
            continue
        if (file.splits == split).all():
            raise InputError(
                f"The corrections name photos of {split}, which {file.path} gives no labels: remove them there, or add "
                "the photos to another split."
            )
        splits[inside] = "" if (file.splits == "").any() else "train"
        moved.append((split, len(inside), "train" if splits[inside[0]] else "the splits that are drawn"))
    return splits, moved

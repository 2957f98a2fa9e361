"""Groups of labels: labels.csv gives them to any format, and those that a suite calls exclusive are checked."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from mlob.data.annotations import columns, listing
from mlob.data.annotations.listing import Listed, Listing
from mlob.errors import InputError, counted, nearest, some
from mlob.labels import Labels

if TYPE_CHECKING:
    from mlob.data.places import Folder

FILE = "labels.csv"


def apply(annotated: Listing, folder: Folder) -> Listing:
    """Give labels the groups, and perhaps the names, that labels.csv lists: columns label, group and optionally name.

    Labels that it lacks stay as they are. A name that labels of two groups share is looked up with its group.

    Raises:
        InputError: labels.csv cannot be read or has other columns; it lists a label twice; two labels would have one
            name in one group.
    """
    path, labels = folder / FILE, annotated.labels
    rows = _rows(path)
    of_name = collections.defaultdict(list)
    for column, name in enumerate(labels.names):
        of_name[name].append(column)
    names, groups, unused = list(labels.names), list(labels.groups), []
    for label, group, name in rows:
        found = of_name[label]
        found = found if len(found) < 2 else [column for column in found if labels.groups[column] == group]
        unused += [] if found else [label]
        for column in found:
            names[column], groups[column] = name or label, group
    if twice := [pair for pair, count in collections.Counter(zip(groups, names, strict=True)).items() if count > 1]:
        raise InputError(f"{path}: two labels of the group {twice[0][0]} would be called {twice[0][1]!r}: rename one.")
    known = {label for label, *_ in rows}
    told = _told(rows, unused, [name for name in labels.names if name not in known])
    changed = Labels(labels.ids, tuple(names), tuple(groups), labels.ids_are_own)
    return dataclasses.replace(annotated, labels=changed, told=(*annotated.told, told))


def _rows(path: Folder) -> list[tuple[str, str, str]]:
    """Read labels.csv: (label, group, name or nothing) of each row."""
    table = columns.read(path, "utf-8")
    of_key = {columns.key(name): name for name in table.cells}
    if not {"label", "group"} <= of_key.keys():
        raise InputError(
            f"{path}: expected the columns label, group and (optional) name, found {', '.join(table.cells)}: correct "
            "the header, or move the file elsewhere if it lists photos."
        )
    cells = [
        [listing.composed(text).strip() for text in table.texts(of_key[each])] if each in of_key else [""] * len(table)
        for each in ("label", "group", "name")
    ]
    rows = list(zip(*cells, strict=True))
    if twice := [pair for pair, count in collections.Counter(row[:2] for row in rows).items() if count > 1]:
        raise InputError(f"{path}: the label {twice[0][0]!r} is listed twice: remove one of the rows.")
    for number, (label, group, _) in enumerate(rows, table.first_row):
        if not label or not group:
            raise InputError(f"{path}, row {number:,}: expected a label and its group, found an empty cell: fill it.")
    return rows


def _told(rows: list[tuple[str, str, str]], unused: list[str], missing: list[str]) -> str:
    used = len(rows) - len(unused)
    parts = [f"{FILE}: groups of {counted(used, 'label')}"]
    parts += [f"not in it: {len(missing):,} ({some(missing)})"] if missing else []
    parts += [f"of no photo: {len(unused):,} of its labels ({some(unused)})"] if unused else []
    return "; ".join(parts) + "."


def check_exclusive(annotated: Listing, groups: Iterable[str]) -> None:
    """Refuse a photo with two labels of a group that is called exclusive.

    Raises:
        InputError: there is such a photo, or no such group.
    """
    for group in groups:
        own = np.flatnonzero(np.asarray(annotated.labels.groups) == group)
        if not len(own):
            raise InputError(
                f"annotations.exclusive names the group {group!r}{nearest(group, set(annotated.labels.groups))}"
            )
        for file in annotated.files:
            _check_file(file, annotated.labels, group, own)


def _check_file(file: Listed, labels: Labels, group: str, own: np.ndarray) -> None:
    has = file.annotations[:, own] == 1
    several = np.flatnonzero(np.asarray(has.sum(axis=1)) > 1)
    if len(several):
        row = int(several[0])
        names = [repr(labels.names[own[column]]) for column in has[[row]].nonzero()[1]]
        where = f", row {row + file.first_row:,}" if file.first_row else ""
        raise InputError(
            f"{file.path}{where}: the image {file.ids[row]!r} has {len(names)} labels of the group {group}, "
            f"{' and '.join(names[:2])}, and annotations.exclusive names it ({len(several):,} such in all): keep one."
        )

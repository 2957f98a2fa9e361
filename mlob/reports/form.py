"""What submission.csv looks like: its columns, how photos and labels are written, and in which order."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from mlob.data.dataset import DataSet
from mlob.errors import InputError
from mlob.files import from_cell, to_cell
from mlob.labels import Labels
from mlob.recipes import Submission

IDS, NAMES, PHOTOS, PAIRS, PROBABILITIES = "ids", "names", "photos", "pairs", "probabilities"
DEFAULTS = {IDS: ("image_id", "label_id", " "), NAMES: ("image", "labels", "|")}  # two columns, and a separator


@dataclasses.dataclass(frozen=True)
class Form:
    """What submission.csv looks like.

    Attributes:
        layout: a name in `submission.LAYOUTS`.
        header: of all columns.
        ids: the photos in the order of their rows, as they are written.
        rows: integers (n,), the row of test that each of them is.
        labels: how each label is written, by column of the decisions.
        columns: integers, the labels in the order of their columns, where each has one.
        separator: of the labels in a cell.
        place: of the photos' column among all.
        delimiter: of the cells in a row.
        is_exact: texts are written as they are, for a program that knows them; else a cell that a spreadsheet would run
            as a formula gets an apostrophe.
    """

    layout: str
    header: tuple[str, ...]
    ids: Sequence[str]
    rows: np.ndarray
    labels: tuple[str, ...]
    columns: np.ndarray
    separator: str
    place: int = 0
    delimiter: str = ","
    is_exact: bool = True

    @functools.cached_property
    def column(self) -> dict[str, int]:
        """The column of the decisions in which each label is, by how it is written."""
        return {text: number for number, text in enumerate(self.labels)}

    def row(self, name: str, cells: Sequence[str]) -> list[str]:
        """Put a photo and the cells beside it in the order of the columns."""
        row = [*cells[: self.place], name, *cells[self.place :]]
        return row if self.is_exact else [to_cell(cell) for cell in row]

    def cells(self, row: Sequence[str]) -> tuple[str, list[str]]:
        """Take a row apart again: the photo, and the cells beside it.

        Raises:
            ValueError: it has more cells than the header, or fewer.
        """
        if len(row) != len(self.header):
            raise ValueError(f"a row is {self.delimiter.join(row)!r}")
        cells = list(row) if self.is_exact else [from_cell(cell) for cell in row]
        return cells.pop(self.place), cells


def default(dataset: DataSet, asked: Submission) -> Form:
    """Give the form where no sample tells one."""
    layout, kind = asked.layout or PHOTOS, kind_of(dataset, asked)
    image, label, separator = DEFAULTS[kind]
    texts, ids = written(dataset.labels, kind), dataset["test"].ids
    is_exact = dataset.labels.ids_are_own
    columns = (
        [text if is_exact else to_cell(text) for text in texts] if layout == PROBABILITIES else [asked.label or label]
    )
    return Form(
        layout,
        (asked.image or image, *columns),
        ids,
        np.arange(len(ids)),
        texts,
        np.arange(len(texts)),
        asked.separator or separator,
        is_exact=is_exact,
    )


def kind_of(dataset: DataSet, asked: Submission) -> str:
    """Say whether labels are written as ids or as names.

    Raises:
        InputError: ids are asked for, yet nobody but mlob knows them.
    """
    is_own = dataset.labels.ids_are_own
    if asked.labels == IDS and not is_own:
        raise InputError(
            f"submission.labels is 'ids', yet the labels of {dataset.folder} have names alone, and only mlob numbers "
            "them: leave it out."
        )
    return asked.labels or (IDS if is_own else NAMES)


def written(labels: Labels, kind: str) -> tuple[str, ...]:
    """Give each label as it is written."""
    return tuple(map(str, labels.ids)) if kind == IDS else labels.unique_names()


def check(form: Form) -> None:
    """Refuse a form from which the labels could not be read back.

    Raises:
        InputError: two labels are written alike, or one holds the separator.
    """
    if twice := [text for text, count in collections.Counter(form.labels).items() if count > 1]:
        raise InputError(f"Two labels are written {twice[0]!r} in submission.csv: rename one, or its group.")
    if form.layout == PHOTOS and (odd := [text for text in form.labels if form.separator in text]):
        raise InputError(
            f"The label {odd[0]!r} holds {form.separator!r}, which separates the labels in submission.csv: name "
            "another separator, for example SET=submission.separator=;"
        )

"""The format of Fashion Product Images: styles.csv, and images/<id>.jpg.

A table like any other, except that names of products hold commas without quotes, so that rows are longer than the
header, and that "NA" stands for nothing.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from mlob.data import places
from mlob.data.annotations import columns, csvtable, table
from mlob.data.annotations.columns import Columns
from mlob.data.annotations.listing import Listing
from mlob.data.tree import Tree
from mlob.errors import InputError
from mlob.recipes import Annotations

if TYPE_CHECKING:
    from mlob.data.places import Folder

FILE = "styles.csv"
IMAGE = "id"
GROUPS = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage")
NOTHING = "NA"


@dataclasses.dataclass
class Rows:
    """The rows of a table with a cell for each column of the header; counts what was mended.

    Attributes:
        long: rows that were longer than the header.
        nothing: cells of groups that held "NA".
    """

    path: Folder
    layout: csvtable.Layout
    long: int = 0
    nothing: int = 0

    def read(self, lines: Iterator[list[str]]) -> Iterator[list[str]]:
        """Give the rows that are not empty, each as long as the header.

        Raises:
            InputError: a row is shorter than the header, or a cell goes on over several lines.
        """
        groups = [self.layout.header.index(group) for group in GROUPS]
        for number, row in enumerate(lines, self.layout.first_row):
            if any(row):
                self._check(number, row)
                cells = self._cells(row)
                for group in groups:
                    if cells[group] == NOTHING:
                        cells[group] = ""
                        self.nothing += 1
                yield cells

    def _cells(self, row: list[str]) -> list[str]:
        """Put surplus cells into the last column."""
        last = len(self.layout.header) - 1
        self.long += len(row) > last + 1
        return [*row[:last], ",".join(row[last:])]

    def _check(self, number: int, row: list[str]) -> None:
        is_open, header = any("\n" in cell for cell in row), self.layout.header
        if is_open or len(row) < len(header):
            found = "a quote that is not closed" if is_open else f"{len(row)}"
            raise InputError(
                f"{self.path}, row {number:,}: expected {len(header)} cells ({', '.join(header)}), found {found}: "
                "correct the row."
            )


def find(tree: Tree, names: list[str]) -> str:
    """Give styles.csv where it has the columns of this format."""
    is_told = FILE in names and {IMAGE, *GROUPS} <= set(csvtable.look(tree.root / FILE).header)
    return FILE if is_told else ""


def read(tree: Tree, names: list[str], asked: Annotations) -> Listing:
    """Read the table, its seven columns of labels each a group.

    Raises:
        InputError: a row is shorter than the header; the table cannot be read; a cell cannot be right.
    """
    path = tree.root / FILE
    layout = csvtable.look(path, asked.encoding)
    try:
        with places.reached(path), path.open("r", encoding=asked.encoding, newline="") as file:
            gathered, told = _columns(path, file, layout)
    except (csv.Error, UnicodeError) as error:
        raise InputError(
            f"{path} is not a CSV table in {asked.encoding.upper()} ({error}): save it as one, or name its encoding, "
            "SET=annotations.encoding=…"
        ) from error
    asked = dataclasses.replace(asked, image=asked.image or IMAGE, labels=asked.labels or GROUPS)
    found = table.understood(gathered, asked)
    return dataclasses.replace(found, told=(*found.told, *told))


def _columns(path: Folder, file: IO[str], layout: csvtable.Layout) -> tuple[Columns, list[str]]:
    lines = csv.reader(itertools.islice(file, layout.skipped, None), delimiter=layout.delimiter)
    header = layout.header
    if twice := [name for name in header if header.count(name) > 1]:
        raise InputError(f"{path} has the column {twice[0]!r} {header.count(twice[0])} times: keep one.")
    next(line for line in lines if line)
    rows = Rows(path, layout)
    gathered = columns.of_rows(path, layout, rows.read(lines))
    counted = {
        f"Rows that are longer than the header, so that the rest belongs to {header[-1]}: {rows.long:,}.": rows.long,
        f"Cells that hold {NOTHING}, which is none: {rows.nothing:,}.": rows.nothing,
    }
    return gathered, [line for line, count in counted.items() if count]

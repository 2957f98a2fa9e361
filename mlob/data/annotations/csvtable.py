"""A CSV file as columns of text: its encoding, its delimiter and its header are found out; pyarrow parses it.

Cells are text and stay as they are: "NA", "001", "1.0" and "True" are no numbers and not missing.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
from typing import TYPE_CHECKING

from mlob.data import places
from mlob.errors import InputError

if TYPE_CHECKING:
    import pyarrow

    from mlob.data.places import Folder

SAMPLE_BYTES = 65_536  # of the file's beginning, by which it is understood
BLOCK_BYTES = 2**24  # that are parsed at once; no row may be longer
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a CSV file is written.

    Attributes:
        delimiter: between cells.
        header: the names of the columns.
        skipped: lines before the header: Excel's `sep=;`.
        encoding: of the text.
        has_mark: whether a byte-order mark stands first.
    """

    delimiter: str
    header: tuple[str, ...]
    skipped: int
    encoding: str
    has_mark: bool

    @property
    def first_row(self) -> int:
        """The number of the first row below the header, as a spreadsheet counts."""
        return 2 + self.skipped

    def told(self) -> str:
        """Say it in a few words."""
        between = DELIMITERS.get(self.delimiter, repr(self.delimiter))
        mark = " with a byte-order mark" if self.has_mark else ""
        return f"cells separated by {between}, {self.encoding.upper()}{mark}"


def look(path: Folder, encoding: str = "utf-8") -> Layout:
    """Find out how a CSV file is written, from its beginning.

    Raises:
        InputError: the file is empty; there is no such encoding.
    """
    _check_known(encoding)
    with places.reached(path), path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    mark = sample.startswith(codecs.BOM_UTF8) and codecs.lookup(encoding).name == "utf-8"
    text = sample.removeprefix(codecs.BOM_UTF8 if mark else b"").decode(encoding, "replace")
    lines = io.StringIO(text, newline="").readlines()
    first = lines[0].strip() if lines else ""
    named = first[4:5] or "\t" if first.lower().startswith("sep=") and len(first) <= 5 else ""
    lines = lines[bool(named) :]
    rows = {mark: rows for mark in ([named] if named else DELIMITERS) if (rows := _parsed(lines, mark))}
    if not rows:
        raise InputError(f"{path} is not a CSV table (it is empty): save it as one, its first row the columns' names.")
    delimiter = max(rows, key=lambda mark: (len(rows[mark][0]) > 1, _is_even(rows[mark]), len(rows[mark][0])))
    return Layout(delimiter, tuple(cell.strip() for cell in rows[delimiter][0]), bool(named), encoding, mark)


def read(path: Folder, encoding: str = "utf-8") -> tuple[Layout, pyarrow.Table]:
    """Read a CSV file: how it is written, and its columns of text, named f0, f1, …

    Raises:
        InputError: it is not a CSV table in this encoding; a row has more or fewer cells than the header.
    """
    import pyarrow
    from pyarrow import csv as parser

    layout = look(path, encoding)
    types = {f"f{number}": pyarrow.string() for number in range(len(layout.header))}
    try:
        with places.reached(path), path.open("rb") as file:
            table = parser.read_csv(
                file,
                parser.ReadOptions(
                    skip_rows=layout.skipped,
                    autogenerate_column_names=True,
                    encoding=layout.encoding,
                    block_size=BLOCK_BYTES,
                ),
                parser.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
                parser.ConvertOptions(column_types=types),
            )
    except (pyarrow.ArrowInvalid, UnicodeError) as error:
        raise _refusal(path, layout, error) from error
    return layout, table.slice(1, _filled(table) - 1)


def _filled(table: pyarrow.Table) -> int:
    """Count the rows up to the last one that is not empty: spreadsheets write empty rows below a table."""
    for row in range(table.num_rows, 1, -1):
        if any(column[row - 1].as_py() for column in table.columns):
            return row
    return 1


def _check_known(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise InputError(
            f"annotations.encoding is {encoding!r}, which is no encoding: expected utf-8, latin-1, cp1252 or another."
        ) from error


def _parsed(lines: list[str], delimiter: str) -> list[list[str]]:
    """Give the rows of a sample that are not empty."""
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return []


def _is_even(rows: list[list[str]]) -> bool:
    """Say whether all rows have as many cells as the header; the last one may be cut."""
    return all(len(row) == len(rows[0]) for row in rows[:-1] or rows)


def _refusal(path: Folder, layout: Layout, error: Exception) -> InputError:
    """Say what is wrong with a file that pyarrow does not take, and where."""
    if line := _undecoded(path, layout.encoding):
        utf_16 = line[1].startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return InputError(
            f"{path} is not a CSV table in {layout.encoding.upper()} (line {line[0]}: {line[1][:60]!r}): save it as "
            f"one, or name what it is in, for example SET=annotations.encoding={'utf-16' if utf_16 else 'latin-1'}."
        )
    if found := _uneven(path, layout):
        row, count = found
        return InputError(
            f"{path} is not a CSV table (row {row:,} has {count} cell{'s' * (count != 1)}, the header has "
            f"{len(layout.header)}): correct the row; put a value with a {_singular(layout.delimiter)} in quotes."
        )
    return InputError(f"{path} is not a CSV table ({' '.join(str(error).split())[:200]}): save it as one.")


def _singular(delimiter: str) -> str:
    return DELIMITERS.get(delimiter, repr(delimiter)).removesuffix("s")


def _undecoded(path: Folder, encoding: str) -> tuple[int, bytes] | None:
    """Find the first line that is not in an encoding."""
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):  # whose lines end otherwise
        return None
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number, line.rstrip()
    return None


def _uneven(path: Folder, layout: Layout) -> tuple[int, int] | None:
    """Find the first row with more or fewer cells than the header, and how many it has."""
    with path.open("rb") as file:
        text = io.TextIOWrapper(file, layout.encoding, "replace", newline="")
        rows = (row for row in csv.reader(text, delimiter=layout.delimiter) if row)
        try:
            wrong = ((number, len(row)) for number, row in enumerate(rows, 1) if number > layout.skipped)
            return next(((number, count) for number, count in wrong if count != len(layout.header)), None)
        except csv.Error:
            return None

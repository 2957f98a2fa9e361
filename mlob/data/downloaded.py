"""The table of a split's downloads, images/<split>.csv: what became of each photo."""

import contextlib
import csv
import io
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from mlob.errors import InputError
from mlob.files import from_cell, to_cell, write_text
from mlob.progress import bar


class Row(NamedTuple):
    """A photo's row in the table.

    Attributes:
        state: "done" or "failed".
        reason: of the failure, else empty.
        size: side of the prepared photo, pixels.
        digest: of the bytes that the address gave.
    """

    id: str
    state: str
    reason: str
    url: str
    size: str
    digest: str = ""


def read(table: pathlib.Path) -> dict[str, Row]:
    """Read {id: Row}, the last row of each id; half a line at the end, which a kill may leave, is ignored.

    Raises:
        InputError: the file has other columns.
    """
    if not table.is_file():
        return {}
    content = table.read_text("utf-8", errors="replace")
    columns, lines = list(Row._fields), io.StringIO(content[: content.rfind("\n") + 1], newline="")
    try:
        rows = list(csv.reader(lines)) or [columns]
    except csv.Error:
        rows = [[]]
    if rows[0] not in (columns, columns[:-1]):  # older tables have no digests
        raise InputError(
            f"{table} is not a table of downloads: expected the columns {', '.join(columns)}: move it elsewhere."
        )
    whole = [Row(*map(from_cell, row)) for row in rows[1:] if len(row) == len(rows[0])]
    return {row.id: row for row in whole}


def write(table: pathlib.Path, rows: Iterable[Row]) -> None:
    """Write the whole table, unless the file is already the same."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([Row._fields, *map(_cells, rows)])
    if not table.is_file() or table.read_text("utf-8", errors="replace") != lines.getvalue():
        write_text(table, lines.getvalue())


@contextlib.contextmanager
def journal(table: pathlib.Path, description: str, total: int) -> Iterator[Callable[[Row], None]]:
    """Give a function that appends a row to the table at once, and shows the progress."""
    failed = 0
    with open(table, "a", encoding="utf-8", newline="") as lines, bar(description, total) as advance:
        writer = csv.writer(lines, lineterminator="\n")

        def note(row: Row) -> None:
            nonlocal failed
            writer.writerow(_cells(row))
            lines.flush()
            failed += row.state == "failed"
            advance(1, f"{failed:,} failed" if failed else "")

        yield note


def _cells(row: Row) -> list[str]:
    return [to_cell(value) for value in row]

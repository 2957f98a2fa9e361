"""A table's columns as text, from CSV, TSV or parquet; what is computed on them runs in pyarrow, chunk by chunk."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlob.data import parquet
from mlob.data.annotations import csvtable, listing
from mlob.errors import InputError, nearest
from mlob.texts import BLOCK, Texts

if TYPE_CHECKING:
    import pyarrow

    from mlob.data.places import Folder

SUFFIXES = (".csv", ".tsv", ".parquet")
FEW_VALUES = 1000  # of a column, that are counted one by one


class Parts(NamedTuple):
    """What the cells of a column hold: part `codes[i]` of `values` stands in row `rows[i]`; both int32."""

    rows: np.ndarray
    codes: np.ndarray
    values: list[str]


@dataclasses.dataclass(frozen=True)
class Columns:
    """A table.

    Attributes:
        path: of its file, for messages.
        cells: {name: cells of a column}, texts or lists of texts.
        floats: names of the columns of floating-point numbers, which have no texts of their own.
        dropped: names of the columns that hold neither texts nor numbers.
        unnamed: what the columns without a name are called here.
        first_row: number of the first row below the header, as a spreadsheet counts.
        told: how the file is written, in a few words.
    """

    path: Folder
    cells: dict[str, pyarrow.ChunkedArray]
    floats: tuple[str, ...]
    dropped: tuple[str, ...]
    unnamed: tuple[str, ...]
    first_row: int
    told: str
    _counts: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(next(iter(self.cells.values()), ()))

    def find(self, name: str, field: str) -> str:
        """Give a column that a recipe names; case, blanks and marks between words make no difference.

        Raises:
            InputError: there is none.
        """
        if name in self.cells:
            return name
        if found := [column for column in self.cells if key(column) == key(name)]:
            return found[0]
        raise InputError(
            f"{self.path} has no column {name!r}, which annotations.{field} names{nearest(name, self.cells)}"
        )

    def texts(self, name: str) -> Texts:
        """Give the cells of a column as they are."""
        return Texts(itertools.chain.from_iterable(chunk.to_pylist() for chunk in self._chunks(name)))

    def parts(self, name: str, separator: str = "") -> Parts:
        """Give what the cells of a column hold: whole cells or parts, without blanks around, in one form of Unicode.

        Args:
            separator: between parts; empty keeps each cell whole.
        """
        seen: dict[str, int] = {}
        rows, codes, start = [], [], 0
        for chunk in self._chunks(name):
            of_row, parts = _flat(chunk, separator)
            encoded = parts.dictionary_encode()
            values = [listing.composed(text).strip() for text in encoded.dictionary.to_pylist()]
            numbers = np.array([seen.setdefault(value, len(seen)) for value in values], np.int32)
            codes.append(numbers[encoded.indices.to_numpy()] if len(numbers) else numbers)
            rows.append((of_row + start).astype(np.int32))
            start += len(chunk)
        empty = [np.array([], np.int32)]
        return Parts(np.concatenate(rows or empty), np.concatenate(codes or empty), list(seen))

    def is_list(self, name: str) -> bool:
        """Say whether the cells of a column are lists of texts."""
        import pyarrow

        return pyarrow.types.is_list(self.cells[name].type)

    def row_with(self, name: str, mark: str) -> int | None:
        """Give the number of the first row in whose cell of a column a mark stands; None where none does."""
        from pyarrow import compute

        if self.is_list(name):
            return None
        row = self.first_row
        for chunk in self._chunks(name):
            found = compute.index(compute.match_substring(chunk, mark), True).as_py()
            if found >= 0:
                return row + found
            row += len(chunk)
        return None

    def count(self, name: str, pattern: str) -> int:
        """Count the cells of a column that match a regular expression as a whole, blanks around them aside."""
        from pyarrow import compute

        if self.is_list(name):
            return 0
        if name not in self._counts:
            has_few = self.distinct(name) <= FEW_VALUES
            counts = compute.value_counts(self.cells[name]).to_pylist() if has_few else []
            self._counts[name] = {each["values"]: each["counts"] for each in counts}
        if few := self._counts[name]:  # Python on each value is faster than pyarrow on each cell
            return sum(count for value, count in few.items() if re.fullmatch(pattern, value.strip()))
        found = (compute.match_substring_regex(chunk, rf"^\s*({pattern})\s*$") for chunk in self._chunks(name))
        return sum(compute.sum(each).as_py() or 0 for each in found)

    def distinct(self, name: str) -> int:
        """Count the different cells of a column."""
        from pyarrow import compute

        return len(self) if self.is_list(name) else compute.count_distinct(self.cells[name]).as_py()

    def _chunks(self, name: str) -> list[Any]:
        return [chunk for chunk in self.cells[name].chunks if len(chunk)]


def key(name: str) -> str:
    """Give a column's name as it is compared: case, blanks and marks between words make no difference."""
    return re.sub(r"[\W_]+", "", name.casefold())


def read(path: Folder, encoding: str) -> Columns:
    """Read a table.

    Raises:
        InputError: it cannot be read, or two of its columns have one name.
    """
    if path.suffix.lower() == ".parquet":
        return of_arrow(path, parquet.read([path]), "parquet")
    return _csv(path, encoding)


def of_rows(path: Folder, layout: csvtable.Layout, rows: Iterator[list[str]]) -> Columns:
    """Gather rows of texts, each as long as the header, into columns, block by block."""
    import pyarrow

    chunks: list[list[pyarrow.Array]] = [[] for _ in layout.header]
    while block := list(itertools.islice(rows, BLOCK)):
        for chunk, cells in zip(chunks, zip(*block, strict=True), strict=True):
            chunk.append(pyarrow.array(cells, pyarrow.string()))
    named = zip(layout.header, chunks, strict=True)
    columns = {name: pyarrow.chunked_array(chunk, pyarrow.string()) for name, chunk in named}
    return Columns(path, columns, (), (), (), layout.first_row, layout.told())


def release() -> None:
    """Give back the memory that tables took: pyarrow keeps it for further ones, 100 bytes for each row."""
    import pyarrow

    pyarrow.default_memory_pool().release_unused()


def _csv(path: Folder, encoding: str) -> Columns:
    layout, table = csvtable.read(path, encoding)
    names = unique_names(path, layout.header)
    cells = {name: table.column(number) for number, name in enumerate(names)}
    unnamed = tuple(name for name, given in zip(names, layout.header, strict=True) if not given)
    return Columns(path, cells, (), (), unnamed, layout.first_row, layout.told())


def of_arrow(path: Folder, table: pyarrow.Table, told: str) -> Columns:
    """Give a table of Arrow's, whose cells become texts.

    Args:
        path: of its file, for messages.
        told: how the file is written, in a few words.

    Raises:
        InputError: two columns have one name.
    """
    import pyarrow

    types = {name: table.column(number).type for number, name in enumerate(unique_names(path, table.column_names))}
    cells = {name: _as_text(table.column(number)) for number, name in enumerate(types)}
    dropped = tuple(name for name, column in cells.items() if column is None)
    floats = tuple(name for name, kind in types.items() if pyarrow.types.is_floating(kind))
    kept = {name: column for name, column in cells.items() if column is not None}
    return Columns(path, kept, floats, dropped, (), 1, told)


def holds_numbers(kind: pyarrow.DataType) -> bool:
    """Say whether the cells of a column are whole numbers, or lists of them."""
    import pyarrow

    return pyarrow.types.is_integer(kind.value_type if _holds_lists(kind) else kind)


def numbers(column: pyarrow.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Give how many whole numbers each cell holds, int64 (n,), and these one after another; no value is no number."""
    from pyarrow import compute

    if not _holds_lists(column.type):
        return column.is_valid().to_numpy().astype(np.int64), column.drop_null().to_numpy()
    counts = compute.fill_null(compute.list_value_length(column), 0).to_numpy().astype(np.int64)
    return counts, compute.fill_null(compute.list_flatten(column), -1).to_numpy()


def lists(counts: np.ndarray, codes: np.ndarray, values: list[str]) -> pyarrow.ChunkedArray:
    """Give cells of lists of texts: how many each holds, `counts` (n,), and which `values` these are, `codes`."""
    import pyarrow

    texts = pyarrow.array(values, pyarrow.string()).take(pyarrow.array(codes))
    return pyarrow.chunked_array([pyarrow.ListArray.from_arrays(np.append(0, np.cumsum(counts)), texts)])


def _as_text(column: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray | None:
    """Give a column of parquet as texts, an empty one where there is no value; None where it cannot be."""
    import pyarrow
    from pyarrow import compute

    kind = pyarrow.list_(pyarrow.string()) if _holds_lists(column.type) else pyarrow.string()
    try:
        texts = column.cast(kind)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        return None
    return texts if pyarrow.types.is_list(kind) else compute.fill_null(texts, "")


def _holds_lists(kind: pyarrow.DataType) -> bool:
    import pyarrow

    return any(is_kind(kind) for is_kind in (pyarrow.types.is_list, pyarrow.types.is_large_list))


def _flat(chunk: pyarrow.Array, separator: str) -> tuple[np.ndarray, pyarrow.Array]:
    """Give the parts of cells, and for each the number of its cell."""
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_list(chunk.type):
        lists = chunk
    elif separator:
        lists = compute.split_pattern(chunk, separator)
    else:
        return np.arange(len(chunk)), chunk
    return compute.list_parent_indices(lists).to_numpy(), compute.fill_null(compute.list_flatten(lists), "")


def unique_names(path: Folder, header: tuple[str, ...] | list[str]) -> list[str]:
    """Give the columns' names; columns without one are numbered.

    Raises:
        InputError: two have one name.
    """
    names = [listing.composed(name).strip() or f"column {number}" for number, name in enumerate(header, 1)]
    if twice := [name for name, count in collections.Counter(names).items() if count > 1]:
        raise InputError(
            f"{path} has the column {twice[0]} {names.count(twice[0])} times: keep one, or give each a name of its own "
            "(all labels of a photo may be in one cell, separated by |)."
        )
    return names

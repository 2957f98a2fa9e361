"""Numbers that other programs made of photos: a table, Parquet or CSV, or NumPy's file with a file of ids."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import parquet
from mlob.data.annotations import columns, csvtable
from mlob.data.annotations.table import IMAGE
from mlob.errors import InputError, counted, nearest

if TYPE_CHECKING:
    import pyarrow

NUMPY, TEXT = ".npy", ".txt"
SUFFIXES = (*columns.SUFFIXES, NUMPY)
INDEX = "indexlevel0"  # the column, as `columns.key` has it, in which pandas writes an index without a name
LARGEST = float(np.finfo(np.float16).max)


@dataclasses.dataclass(frozen=True)
class Vectors:
    """A row of numbers for each id.

    Attributes:
        path: of the file.
        ids: unique texts (n,).
        values: float16 (n, d), all of them finite.
        names: of the d columns; none where the file has no names for them.
    """

    path: pathlib.Path
    ids: Sequence[str]
    values: np.ndarray
    names: tuple[str, ...]


def read(path: pathlib.Path, ids: str = "") -> Vectors:
    """Read a table.

    Args:
        path: of a table with a column of ids, all other columns numbers, or one of them lists of numbers; or of an
            array (n, d) or (n,).
        ids: name of that column, where it is not called image, file, path, photo or id; or of an array the path of its
            ids: a text a line, or an array (n,).

    Raises:
        InputError: there is no such file; a cell is no number, or none that float16 holds; an id has two rows that
            differ; numbers of ids and rows, or lengths of rows, differ.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is no table of features: expected a file that ends in {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise InputError(f"There is no file {path}: name a table of features.")
    kind = path.suffix.lower()
    names, values, headed = _of_array(path, ids) if kind == NUMPY else _of_table(path, ids)
    if not values.size:
        raise InputError(f"{path} holds no numbers: expected a row for each photo.")
    _check_values(path, names, values, headed)
    halves = values.astype(np.float32).astype(np.float16)  # in two steps, so that all formats round alike
    _check_small(path, values, halves, headed)
    return _unique(path, names, halves, headed)


# Tables


def _of_table(path: pathlib.Path, ids: str) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """Read a table with a column of ids: these, float64 (n, d), and the names of the columns."""
    table = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    image = _column_of_ids(path, table.column_names, ids)
    rest = [name for name in table.column_names if name != image]
    names = _texts(path, image, table.column(image))
    lists = [name for name in rest if _holds_lists(table.column(name).type)]
    if lists and len(rest) > 1:
        raise InputError(
            f"{path}: the column {lists[0]!r} holds lists, and there are others beside it, {_some(rest, lists[0])}; "
            "expected one column of lists, or columns of numbers: drop the rest."
        )
    if lists:
        return names, _of_lists(path, lists[0], table.column(lists[0]), names), ()
    numbers = [_numbers(path, name, table.column(name)) for name in rest]
    return names, np.column_stack(numbers) if numbers else np.empty((len(names), 0)), tuple(rest)


def _parquet(path: pathlib.Path) -> pyarrow.Table:
    table = parquet.read([path])
    return table.rename_columns(columns.unique_names(path, table.column_names))


def _csv(path: pathlib.Path) -> pyarrow.Table:
    layout, table = csvtable.read(path)
    return table.rename_columns(columns.unique_names(path, layout.header))


def _column_of_ids(path: pathlib.Path, names: Sequence[str], asked: str) -> str:
    """Find the column of ids: that which is asked for, else the one that is called so, else an index of pandas."""
    if asked:
        alike = [name for name in names if asked == name] or [n for n in names if columns.key(n) == columns.key(asked)]
        if not alike:
            raise InputError(f"{path} has no column {asked!r}, which --ids names{nearest(asked, names)}")
        return alike[0]
    found = [name for name in names if columns.key(name) in IMAGE]
    indices = [name for name in names if name == "column 1" or columns.key(name) == INDEX]
    if len(found) > 1:
        raise InputError(f"{path} has {len(found)} columns that may name photos, {' and '.join(found)}: say --ids.")
    if found and indices:
        raise InputError(
            f"{path} has a column without a name beside {found[0]!r}, as pandas writes an index: save it without "
            "(index=False), so that row numbers are not taken for features."
        )
    if not (found or indices):
        raise InputError(
            f"{path} has no column of photos' ids: expected one called image, file, path, photo or id, found "
            f"{_some(names)}. Name it with --ids."
        )
    return (found or indices)[0]


def _some(names: Sequence[str], without: str = "") -> str:
    kept = [name for name in names if name != without]
    return ", ".join(kept[:5]) + (", …" if len(kept) > 5 else "") or "none"


def _texts(path: pathlib.Path, name: str, column: pyarrow.ChunkedArray) -> list[str]:
    import pyarrow

    if pyarrow.types.is_floating(column.type):
        raise InputError(f"{path}, column {name!r}: ids are floating-point numbers: save them as text.")
    try:
        texts = column.cast(pyarrow.string()).to_pylist()
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise InputError(f"{path}, column {name!r}: ids are {column.type}, not texts: save them as text.") from error
    return _stripped(path, texts)


def _stripped(path: pathlib.Path, ids: Sequence[str | None]) -> list[str]:
    stripped = [(each or "").strip() for each in ids]
    if "" in stripped:
        raise InputError(
            f"{path} has a row without an id, the {stripped.index('') + 1:,}. one: give it one, or drop it."
        )
    return stripped


def _holds_lists(kind: pyarrow.DataType) -> bool:
    import pyarrow

    types = pyarrow.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _of_lists(path: pathlib.Path, name: str, column: pyarrow.ChunkedArray, ids: Sequence[str]) -> np.ndarray:
    """Give a column of lists as an array (n, d)."""
    from pyarrow import compute

    lengths = compute.fill_null(compute.list_value_length(column), 0).to_numpy()
    if len(odd := np.flatnonzero(lengths != lengths[:1])):
        raise InputError(
            f"{path}, column {name!r}: the lists differ in length, {lengths[0]:,} numbers of {ids[0]!r} and "
            f"{lengths[odd[0]]:,} of {ids[odd[0]]!r}: expected as many for each photo."
        )
    return _numbers(path, name, compute.list_flatten(column)).reshape(len(ids), -1 if len(ids) else 0)


def _numbers(path: pathlib.Path, name: str, column: pyarrow.ChunkedArray) -> np.ndarray:
    """Give a column as float64 (n,), NaN where there is no value; texts of CSV are parsed."""
    import pyarrow
    from pyarrow import compute

    kind = column.type
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        cells = compute.utf8_trim_whitespace(column)
        try:
            column = compute.if_else(compute.equal(cells, ""), "nan", cells).cast(pyarrow.float64())
        except pyarrow.ArrowInvalid:
            raise _no_number(path, name, next(filter(_is_no_number, cells.to_pylist()))) from None
    elif not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_boolean(kind)):
        raise _no_number(path, name, f"cells of the type {kind}")
    return np.asarray(column.to_numpy(), np.float64)


def _is_no_number(cell: str | None) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return True
    return "_" in (cell or "")  # Python's own way to write numbers


def _no_number(path: pathlib.Path, name: str, found: str) -> InputError:
    return InputError(
        f"{path}, column {name!r}: expected numbers, found {found!r:.60}: drop the column, or name it with --ids where "
        "it holds the ids. Lists of numbers are read from Parquet."
    )


# Arrays


def _of_array(path: pathlib.Path, ids: str) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """Read NumPy's file and its ids: these, and float64 (n, d)."""
    if not ids:
        raise InputError(f"{path} holds no ids: name a file of them, a text a line or an array, with --ids.")
    values, names = _array(path), _ids(pathlib.Path(ids))
    if values.dtype.kind not in "fiub" or values.ndim not in (1, 2):
        raise InputError(f"{path} holds {values.dtype} {list(values.shape)}; expected numbers, [n, d] or [n].")
    if len(names) != len(values):
        raise InputError(
            f"{path} has {counted(len(values), 'row')}, and {ids} {counted(len(names), 'id')}: expected as many."
        )
    return names, values.reshape(len(values), -1 if len(values) else 0).astype(np.float64), ()


def _ids(path: pathlib.Path) -> list[str]:
    if not path.is_file() or path.suffix.lower() not in (NUMPY, TEXT):
        raise InputError(
            f"--ids={path} is no file of ids: expected one that ends in {TEXT} (a text a line) or {NUMPY}."
        )
    if path.suffix.lower() == TEXT:
        try:
            return _stripped(path, path.read_text("utf-8-sig").splitlines())
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not in UTF-8 ({error.reason}): save it so.") from error
    found = _array(path)
    if found.ndim != 1 or found.dtype.kind not in "iuU":
        raise InputError(f"{path} holds {found.dtype} {list(found.shape)}; expected texts or whole numbers, [n].")
    return _stripped(path, found.astype(str).tolist())


def _array(path: pathlib.Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # damage shows in a dozen ways
        raise InputError(
            f"{path} is no array that NumPy reads without running code ({error!s:.80}): save it with np.save, texts as "
            "np.array(ids, str)."
        ) from error


# Values


def _check_values(path: pathlib.Path, ids: Sequence[str], values: np.ndarray, names: Sequence[str]) -> None:
    """Refuse what is no number, and what float16 does not hold."""
    if not (is_finite := np.isfinite(values)).all():
        raise InputError(
            f"{path} holds no number (empty, NaN or infinite) in {counted(int((~is_finite).any(1).sum()), 'row')}, for "
            f"example {_where(ids, ~is_finite, names)}: drop such rows, or put a number there."
        )
    if (is_large := np.abs(values) > LARGEST).any():
        example = f"{values[is_large][0]:,g} {_where(ids, is_large, names)}"
        raise InputError(
            f"{path} holds numbers beyond {LARGEST:,.0f}, for example {example}, and stores are of float16: divide the "
            "column, or take logarithms."
        )


def _check_small(path: pathlib.Path, values: np.ndarray, halves: np.ndarray, names: Sequence[str]) -> None:
    """Refuse columns of which float16 leaves nothing but zeros."""
    lost = np.flatnonzero(values.any(axis=0) & ~halves.any(axis=0))
    if len(lost):
        largest = np.abs(values[:, lost[0]]).max()
        raise InputError(
            f"{path}: all numbers in {_column(lost[0], names)} are at most {largest:.2g}, which float16, the type of "
            "stores, takes for 0: multiply the column."
        )


def _where(ids: Sequence[str], found: np.ndarray, names: Sequence[str]) -> str:
    row, column = np.argwhere(found)[0].tolist()
    return f"in {_column(column, names)} of {ids[row]!r}"


def _column(number: int, names: Sequence[str]) -> str:
    return f"the column {names[number]!r}" if names else f"number {number + 1}"


def _unique(path: pathlib.Path, ids: list[str], values: np.ndarray, names: tuple[str, ...]) -> Vectors:
    """Leave one of equal rows of an id, the first; of an id whose rows differ nobody knows which is meant."""
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if (before := first.setdefault(name, row)) != row and not np.array_equal(values[before], values[row]):
            raise InputError(
                f"{path} has two rows of {name!r} that differ, the {before + 1:,}. and the {row + 1:,}.: keep one."
            )
    kept = [*first.values()]
    return Vectors(path, [*first], values if len(kept) == len(ids) else values[kept], names)

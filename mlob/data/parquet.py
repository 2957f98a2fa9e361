"""Photos in Parquet files, read in place: a row group at a time, as the format has it, and each once if read in order.

Pages within a row group cannot be reached by themselves; the row groups of Hugging Face hold 100 or 1,000 photos.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from mlob.data.places import MOST_BYTES, Inside, Place, reached
from mlob.errors import InputError, Unreadable
from mlob.texts import Texts

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

    from mlob.data.places import Folder

BYTES, PATH = "bytes", "path"  # the parts of Hugging Face's image column: the photo, and its name
MOST_GROUP_BYTES = 2**30  # of a row group's photos, which are in memory at once
KEPT_BYTES = 2**28  # of row groups in memory, in each process; two may be more, since threads read across a border
UNKNOWN_SIZE = 0  # Parquet does not tell how long a value is
POINTER = b"version https://git-lfs"  # begins what Git leaves in place of a large file

_groups: dict[tuple[Folder, str, str, int], pyarrow.Array] = {}  # that were read, the last one used last
_reading = threading.Lock()  # so that threads that decode neighbours read their row group once


class Damaged(Exception):
    """The bytes of a file are not those of a Parquet file."""


@dataclasses.dataclass(frozen=True, slots=True)
class InParquet(Inside):
    """A photo in a column of a Parquet file. `group`: of rows, in the file; `row`: in the group."""

    column: str
    group: int
    row: int

    def _read(self) -> bytes:
        with reached(self.home):
            photos = _group(self.home, str(self.tag), self.column, self.group)
        photo = photos[self.row].as_py() if self.row < len(photos) else None
        if photo is None:
            raise Unreadable("no photo in this row")
        if len(photo) > MOST_BYTES:
            raise Unreadable("too many bytes")
        return photo


class File(NamedTuple):
    """A Parquet file with photos. `tag`: changes with the file; `rows`: in each row group."""

    path: Folder
    tag: str
    column: str
    rows: tuple[int, ...]


class _Group(NamedTuple):
    """A row group: its number in the file, and the numbers of its first row and of the file's, over all files."""

    file: File
    number: int
    first: int
    first_of_file: int


class Rows(Sequence[Place | None]):
    """The places of photos in Parquet files, 8 bytes each: a place is built when it is used."""

    def __init__(self, files: Sequence[File], rows: np.ndarray | None = None) -> None:
        """Take the photos of files, one file after another; `rows` chooses among them by number, int64 (n,)."""
        self._files, self._groups, first = files, [], 0
        for file in files:
            first_of_file = first
            for number, count in enumerate(file.rows):
                self._groups.append(_Group(file, number, first, first_of_file))
                first += count
        self._firsts = np.array([group.first for group in self._groups], np.int64)
        self._rows = np.arange(first) if rows is None else rows

    def take(self, rows: np.ndarray) -> Rows:
        """Give the photos that a mask or numbers choose."""
        return Rows(self._files, self._rows[rows])

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> InParquet: ...
    @overload
    def __getitem__(self, at: slice) -> Rows: ...
    def __getitem__(self, at: int | slice) -> InParquet | Rows:
        if isinstance(at, slice):
            return Rows(self._files, self._rows[at])
        number = int(self._rows[at])
        group = self._groups[int(np.searchsorted(self._firsts, number, side="right")) - 1]
        file, inside = group.file, str(number - group.first_of_file)
        row = number - group.first
        return InParquet(file.path, inside, UNKNOWN_SIZE, file.tag, file.column, group.number, row)


def opened(path: Folder) -> pyarrow.parquet.ParquetFile:
    """Open a Parquet file.

    Raises:
        InputError: it is not one, or is not complete.
    """
    with reached(path):
        try:
            return _open(path)
        except Damaged as error:
            with path.open("rb") as file:
                is_pointer = file.read(len(POINTER)) == POINTER
            mend = "run `git lfs pull`" if is_pointer else "copy it again, or move it out of the data folder"
            raise InputError(f"{path} is not a complete Parquet file ({error}): {mend}.") from error


def schema(path: Folder) -> pyarrow.Schema:
    """Give the names and types of a file's columns, and what their writer says of them.

    Raises:
        InputError: as of `opened`.
    """
    with opened(path) as content:
        return content.schema_arrow


def photo_columns(schema: pyarrow.Schema) -> list[str]:
    """List the columns that hold photos: binary ones, and structs with binary `bytes`."""
    return [field.name for field in schema if _is_binary(field.type) or _holds_bytes(field.type)]


def file(path: Folder, column: str) -> File:
    """Describe a Parquet file whose photos are in a column.

    Raises:
        InputError: it has no such column, or a row group that is too large.
    """
    with opened(path) as content:
        schema, metadata = content.schema_arrow, content.metadata
        if column not in photo_columns(schema):
            raise InputError(
                f"{path}: expected the photos in the column {column} as in the other files, found the columns "
                f"{', '.join(f'{field.name} ({field.type})' for field in schema)}."
            )
        leaf = _leaf(schema, column)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    for number, group in enumerate(groups):
        sizes = [group.column(at).total_uncompressed_size for at in range(group.num_columns)
                 if group.column(at).path_in_schema == leaf]  # fmt: skip
        if sum(sizes) > MOST_GROUP_BYTES:
            raise InputError(
                f"{path}: the row group {number} holds {sum(sizes) / 2**30:.1f} GiB of photos; expected at most "
                f"{MOST_GROUP_BYTES / 2**30:g}, since all are in memory at once: write it with row_group_size=100."
            )
    return File(path, _tag(path), column, tuple(group.num_rows for group in groups))


def read(paths: Sequence[Folder]) -> pyarrow.Table:
    """Read Parquet files, row after row, without their photos; a column that a file lacks has no values there.

    Raises:
        InputError: the files differ in the type of a column, or one is damaged.
    """
    import pyarrow

    tables = [_columns(path) for path in paths]
    try:
        return pyarrow.concat_tables(tables, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise InputError(
            f"{paths[0]} and the files beside it differ in the type of a column: {_line(error)}"
        ) from error


def names(files: Sequence[File]) -> Texts:
    """Give the names of photos, (n,), that stand beside their bytes; empty where there is none."""
    return Texts(np.concatenate([_names(file).array for file in files]))


def _names(file: File) -> Texts:
    columns = _columns(file.path, [f"{file.column}.{PATH}"]).columns
    if not columns:
        return Texts([""] * sum(file.rows))
    return Texts(name or "" for chunk in columns[0].chunks for name in chunk.field(PATH).to_pylist())


def _columns(path: Folder, columns: Sequence[str] | None = None) -> pyarrow.Table:
    """Read some columns of a file, by default those without photos."""
    with reached(path), opened(path) as content:
        kinds = content.schema_arrow
        chosen = columns or [name for name in kinds.names if name not in photo_columns(kinds)]
        try:
            with _understood():
                table = content.read(columns=chosen)
                table.validate(full=True)  # texts, too
                return table
        except Damaged as error:
            raise InputError(f"{path} is damaged ({error}): copy it again.") from error


def _group(path: Folder, tag: str, column: str, number: int) -> pyarrow.Array:
    """Give the photos of a row group; those used last stay in memory."""
    key = path, tag, column, number
    with _reading:
        if key in _groups:
            _groups[key] = _groups.pop(key)
            return _groups[key]
        photos = _read_group(path, column, number)
        while len(_groups) > 1 and sum(kept.nbytes for kept in _groups.values()) + photos.nbytes > KEPT_BYTES:
            del _groups[next(iter(_groups))]
        _groups[key] = photos
        return photos


def _read_group(path: Folder, column: str, number: int) -> pyarrow.Array:
    try:
        with _open(path) as content, _understood():
            leaf = _leaf(content.schema_arrow, column)
            photos = content.read_row_group(number, columns=[leaf]).column(column).combine_chunks()
    except FileNotFoundError as error:
        raise Unreadable("no file") from error
    except Damaged as error:
        raise Unreadable("damaged in the Parquet file") from error
    return photos if _is_binary(photos.type) else photos.field(BYTES)


def _open(path: Folder) -> pyarrow.parquet.ParquetFile:
    import pyarrow.parquet

    source = path if isinstance(path, pathlib.Path) else path.open("rb")
    with _understood():
        return pyarrow.parquet.ParquetFile(source)


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Turn errors in the bytes of a Parquet file into `Damaged`; those of the disk or the bucket pass through."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and (error.errno or type(error) is not OSError):
            raise
        raise Damaged(_line(error)) from error


def _leaf(schema: pyarrow.Schema, column: str) -> str:
    return column if _is_binary(schema.field(column).type) else f"{column}.{BYTES}"


def _is_binary(kind: pyarrow.DataType) -> bool:
    import pyarrow

    return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)


def _holds_bytes(kind: pyarrow.DataType) -> bool:
    import pyarrow

    return pyarrow.types.is_struct(kind) and any(part.name == BYTES and _is_binary(part.type) for part in kind)


def _tag(path: Folder) -> str:
    if isinstance(path, pathlib.Path):
        status = path.stat()
        return f"{status.st_size}-{status.st_mtime_ns}"
    info = path.fs.info(path.path)
    return f"{info['size']}-{info.get('ETag') or info.get('etag') or ''}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]

"""Zip and tar archives: their photos are read in place, without unpacking."""

import dataclasses
import os
import pathlib
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from mlob.data.places import MOST_BYTES, Inside
from mlob.errors import InputError, Unreadable
from mlob.progress import say

SUFFIXES = (".zip", ".tar")
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # in practically all zips
LOCAL_HEADER = 30  # bytes before a zip's member; the last four give the lengths of the name and the extra field
BROKEN = (  # what a broken archive raises; an impossible size raises one of the last three
    tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError, struct.error,
    LookupError, OverflowError, MemoryError,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class InTar(Inside):
    """A file in a tar. `start`: where its bytes begin."""

    home: pathlib.Path
    start: int

    def _read(self) -> bytes:
        with open(self.home, "rb") as archive:
            return _exactly(archive, self.start, self.size)


@dataclasses.dataclass(frozen=True, slots=True)
class InZip(Inside):
    """A file in a zip. `start`: where its local header begins; `method`: of compression, None if it is encrypted.

    It is read without `zipfile`, whose lock would let one thread read at a time, and which would read the index of the
    whole archive in every worker.
    """

    home: pathlib.Path
    start: int
    packed_size: int
    method: int | None

    def _read(self) -> bytes:
        if self.method not in PACKED:
            raise Unreadable("encrypted, or compressed in an unusual way")
        if self.packed_size > MOST_BYTES:
            raise Unreadable("too many bytes")
        data = self._packed()
        try:
            if self.method == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
        except zlib.error as error:
            raise Unreadable("damaged in the archive") from error
        if zlib.crc32(data) != self.tag:
            raise Unreadable("damaged in the archive")
        return data

    def _packed(self) -> bytes:
        with open(self.home, "rb") as archive:
            name, extra = struct.unpack("<HH", _exactly(archive, self.start, LOCAL_HEADER)[-4:])
            return _exactly(archive, self.start + LOCAL_HEADER + name + extra, self.packed_size)


def contents(archive: pathlib.Path) -> dict[str, Inside]:
    """List the files in a zip or tar, except links and paths that lead out of the archive's folder.

    Returns:
        {path inside: place}. If two files have the same path, the last one, as unpacking would leave it.

    Raises:
        InputError: the file is not an archive, or is not complete.
    """
    files: dict[str, Inside] = {}
    refused = []
    try:
        if not archive.is_file():
            raise ValueError("not a regular file")
        for inside, place in (_zip_entries if archive.suffix.lower() == ".zip" else _tar_entries)(archive):
            path = pathlib.PureWindowsPath(inside)  # splits at both slashes, knows drives
            if place is None or path.anchor or ".." in path.parts:
                refused.append(inside)
            elif not _is_apple_double(path):
                files[path.as_posix()] = place
    except BROKEN as error:
        kind = archive.suffix[1:].lower()
        raise InputError(
            f"{archive} is not a complete {kind} archive ({error}): copy it again, or move it out of the data folder."
        ) from error
    if refused:
        count = f"{len(refused):,} {'entry was' if len(refused) == 1 else 'entries were'}"
        say(f"{archive}: {count} skipped (a link, a device, or a path out of the folder), first {refused[0]!r}.")
    return files


def _is_apple_double(path: pathlib.PurePath) -> bool:
    """Tell whether a file is one of macOS's notes about another file, which have that file's suffix."""
    return "__MACOSX" in path.parts or path.name.startswith("._")


def _zip_entries(archive: pathlib.Path) -> Iterator[tuple[str, InZip | None]]:
    """Yield (path, place) for each file in a zip; the place of a link is None."""
    with zipfile.ZipFile(archive) as index:
        for info in index.infolist():
            if not info.is_dir():
                name, method = _name(info), None if info.flag_bits & 1 else info.compress_type
                about = name, info.file_size, info.CRC, info.header_offset, info.compress_size
                yield name, None if stat.S_ISLNK(info.external_attr >> 16) else InZip(archive, *about, method)


def _name(info: zipfile.ZipInfo) -> str:
    """Give a zip entry's name. Without the flag for UTF-8 zipfile reads it as cp437, though many are UTF-8."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _tar_entries(archive: pathlib.Path) -> Iterator[tuple[str, InTar | None]]:
    """Yield (path, place) for each entry of a tar except folders; None for links, devices and sparse files."""
    with tarfile.open(archive, "r:") as index:
        while info := index.next():
            if index.offset < info.offset_data:  # a negative size, which could loop for ever
                raise ValueError(f"{info.name!r} ends before it begins")
            is_plain = info.isreg() and not info.issparse()
            if not info.isdir():
                place = InTar(archive, info.name, info.size, info.mtime, info.offset_data)
                yield info.name, place if is_plain else None
            index.members.clear()  # type: ignore[attr-defined]  # unknown to typeshed; it keeps kilobytes an entry


def _exactly(archive: IO[bytes], start: int, size: int) -> bytes:
    if start + size > os.fstat(archive.fileno()).st_size:
        raise Unreadable("cut short in the archive")
    archive.seek(start)
    return archive.read(size)

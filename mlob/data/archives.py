"""Zip and tar archives, whose photos are read where they lie, without unpacking."""

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

from mlob.data import images
from mlob.data.places import Inside
from mlob.errors import InputError
from mlob.progress import say

SUFFIXES = (".zip", ".tar")
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # in all zips but exotic ones
LOCAL_HEADER = 30  # bytes, of a zip's member; the last four are the lengths of what follows before the content
BROKEN = (  # a size that cannot be ends in one of the last three
    tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError, struct.error,
    LookupError, OverflowError, MemoryError,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class InTar(Inside):
    """A file in a tar: `start` is where its bytes begin."""

    home: pathlib.Path
    start: int

    def _read(self) -> bytes:
        with open(self.home, "rb") as archive:
            return _exactly(archive, self.start, self.size)


@dataclasses.dataclass(frozen=True, slots=True)
class InZip(Inside):
    """A file in a zip: `start` is where its local header begins, `method` None where it is encrypted.

    It is read without `zipfile`, which would lock its threads out of one another's reads, and have every worker read
    the index of the whole archive.
    """

    home: pathlib.Path
    start: int
    packed_size: int
    method: int | None

    def _read(self) -> bytes:
        if self.method not in PACKED:
            raise images.Unreadable("encrypted, or compressed in an unusual way")
        if self.packed_size > images.MOST_BYTES:
            raise images.Unreadable("too many bytes")
        data = self._packed()
        try:
            if self.method == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
        except zlib.error as error:
            raise images.Unreadable("damaged in the archive") from error
        if zlib.crc32(data) != self.tag:
            raise images.Unreadable("damaged in the archive")
        return data

    def _packed(self) -> bytes:
        with open(self.home, "rb") as archive:
            name, extra = struct.unpack("<HH", _exactly(archive, self.start, LOCAL_HEADER)[-4:])
            return _exactly(archive, self.start + LOCAL_HEADER + name + extra, self.packed_size)


def contents(archive: pathlib.Path) -> dict[str, Inside]:
    """List the files in a zip or tar, without what would leave the folder that it was unpacked into.

    Returns:
        {path inside: place}; of two files of one path the last, as unpacking leaves it.

    Raises:
        InputError: no archive, or not a whole one.
    """
    found: dict[str, Inside] = {}
    left = []
    try:
        if not archive.is_file():
            raise ValueError("no plain file")
        for inside, place in (_zip_entries if archive.suffix.lower() == ".zip" else _tar_entries)(archive):
            path = pathlib.PureWindowsPath(inside)  # knows both slashes, and drives
            if place is None or path.anchor or ".." in path.parts:
                left.append(inside)
            elif not _is_apple_double(path):
                found[path.as_posix()] = place
    except BROKEN as error:
        kind = archive.suffix[1:].lower()
        raise InputError(
            f"{archive} is no whole {kind} archive ({error}): copy it again, or move it out of the data folder."
        ) from error
    if left:
        count = f"{len(left):,} {'entry is' if len(left) == 1 else 'entries are'}"
        say(f"{archive}: {count} not read, leading out of its folder or no plain file: {left[0]!r} first.")
    return found


def _is_apple_double(path: pathlib.PurePath) -> bool:
    """Tell whether a file is the Finder's note on another one, which has a photo's suffix."""
    return "__MACOSX" in path.parts or path.name.startswith("._")


def _zip_entries(archive: pathlib.Path) -> Iterator[tuple[str, InZip | None]]:
    """Yield (path, place) of each file in a zip, None in place of a link."""
    with zipfile.ZipFile(archive) as index:
        for info in index.infolist():
            if not info.is_dir():
                name, method = _name(info), None if info.flag_bits & 1 else info.compress_type
                about = name, info.file_size, info.CRC, info.header_offset, info.compress_size
                yield name, None if stat.S_ISLNK(info.external_attr >> 16) else InZip(archive, *about, method)


def _name(info: zipfile.ZipInfo) -> str:
    """Give a zip entry's name: where no flag says UTF-8, zipfile takes it for cp437, and many are UTF-8 even so."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _tar_entries(archive: pathlib.Path) -> Iterator[tuple[str, InTar | None]]:
    """Yield (path, place) of each entry of a tar but folders, None in place of links, devices and files with holes."""
    with tarfile.open(archive, "r:") as index:
        while info := index.next():
            if index.offset < info.offset_data:  # a negative size, which may lead back for ever
                raise ValueError(f"{info.name!r} ends before it begins")
            is_plain = info.isreg() and not info.issparse()
            if not info.isdir():
                place = InTar(archive, info.name, info.size, info.mtime, info.offset_data)
                yield info.name, place if is_plain else None
            index.members.clear()  # type: ignore[attr-defined]  # unknown to typeshed; it keeps kilobytes an entry


def _exactly(archive: IO[bytes], start: int, size: int) -> bytes:
    if start + size > os.fstat(archive.fileno()).st_size:
        raise images.Unreadable("cut short in the archive")
    archive.seek(start)
    return archive.read(size)

"""Where photos are: in a folder, in an archive (never unpacked) or in a bucket. `images` reads what they hold.

A place is a `pathlib.Path`, or an `Inside` for a file in an archive or a bucket. Both have `read_bytes()`, `name`,
`stem`, `suffix` and `str()`, and both can be pickled and sent to workers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlob.errors import InputError, Unreadable

if TYPE_CHECKING:
    from upath import UPath

    Folder = pathlib.Path | UPath  # a data folder: on a disk, or in a bucket

MOST_BYTES = 256 * 2**20  # of one photo's file; a few kilobytes in a zip can unpack to gigabytes
NOWHERE = "none"  # the version of a photo without a file
READS = 64  # at the same time from a bucket, where each one waits tens of milliseconds for its first byte
OPTIONS: dict[str, dict] = {  # by the scheme of an address
    "s3": {"config_kwargs": {"max_pool_connections": READS}},  # the default is 10
    "gs": {},
}


@dataclasses.dataclass(frozen=True, slots=True)
class Inside:
    """A file in an archive or a bucket.

    Attributes:
        home: the archive, or the address of a bucket's folder.
        inside: the path from there, with slashes.
        size: bytes.
        tag: differs between two versions of the file of equal size: a time, a checksum, a bucket's tag.
    """

    home: Folder
    inside: str
    size: int
    tag: str | float

    def __str__(self) -> str:
        return posixpath.join(str(self.home), self.inside)

    @property
    def name(self) -> str:
        """The file's own name."""
        return posixpath.basename(self.inside)

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return posixpath.splitext(self.name)[1]

    def read_bytes(self) -> bytes:
        """Read the file.

        Raises:
            Unreadable: the file is gone, damaged, cut short or too large.
        """
        if not 0 <= self.size <= MOST_BYTES:
            raise Unreadable("too many bytes")
        return self._read()

    def _read(self) -> bytes:
        raise NotImplementedError


Place = pathlib.Path | Inside


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class InMemory(Inside):
    """A file that lies in memory alone, under a name. Two of them are two places, whatever they hold."""

    data: bytes

    def __str__(self) -> str:
        return self.inside

    def _read(self) -> bytes:
        return self.data


def in_memory(name: str, data: bytes) -> InMemory:
    """Give the place of a file's bytes."""
    return InMemory(pathlib.Path(), name, len(data), "", data)


@dataclasses.dataclass(frozen=True, slots=True)
class InBucket(Inside):
    """An object in a bucket."""

    home: UPath

    def _read(self) -> bytes:
        if not self.size:  # an empty range cannot be requested
            return b""
        with reached(self):
            try:
                path = posixpath.join(self.home.path, self.inside)
                return self.home.fs.cat_file(path, start=0, end=self.size)  # a range saves the request for the size
            except FileNotFoundError as error:
                raise Unreadable("no file") from error
            except PermissionError as error:
                if "expired" in str(error):  # no fault of the photo
                    raise
                raise Unreadable("access denied") from error


def version(place: Place | None) -> str:
    """Give a text that changes when the photo's bytes change, without reading them; `NOWHERE` if there is no file."""
    if place is None:
        return NOWHERE
    if not isinstance(place, pathlib.Path):
        return f"{place.size}:{place.tag}"
    try:
        status = place.stat()
    except OSError:
        return NOWHERE
    return f"{status.st_size}:{status.st_mtime_ns}"


# The data folder


def data_folder(data: Folder | str) -> Folder:
    """Give the folder that DATA= names: a `pathlib.Path`, or a `UPath` for an address such as s3://bucket/prefix.

    Raises:
        InputError: another kind of address, or the extra that reads it is not installed.
    """
    if "://" not in str(data):
        return pathlib.Path(str(data))
    scheme, _, rest = str(data).partition("://")
    if scheme not in OPTIONS or not rest.split("/")[0]:
        raise InputError(f"{data} is not an address that photos can be read from: expected a folder, s3://… or gs://….")
    try:
        from upath import UPath

        bucket = UPath(str(data).rstrip("/"), use_listings_cache=False, **OPTIONS[scheme])
        bucket.fs  # noqa: B018, imports the package that reads such addresses
    except ImportError as error:
        raise InputError(f'{data} needs packages that are not installed: pip install "mlob[{scheme}]".') from error
    return bucket


def is_remote(place: Folder | Place | str) -> bool:
    """Tell whether something is in a bucket, from which many photos are read at the same time."""
    return "://" in str(place)


def data_name(folder: Folder) -> str:
    """Give the last part of a data folder's path, or the name of a bucket."""
    return folder.resolve().name or folder.drive


def names(folder: Folder) -> list[str]:
    """List the names of the files directly in a data folder; none if there is no such folder.

    Raises:
        InputError: the folder is in a bucket that cannot be read.
    """
    if isinstance(folder, pathlib.Path):
        return files_in(folder)
    with reached(folder):
        try:
            entries = folder.fs.ls(folder.path, detail=True)
        except FileNotFoundError:
            return []
    return [posixpath.basename(info["name"]) for info in entries if info["type"] == "file"]


def files_in(folder: pathlib.Path) -> list[str]:
    """List the names of the files directly in a folder on a disk; none if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def folders_in(folder: pathlib.Path) -> list[str]:
    """List the names of the folders directly in a folder on a disk."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_dir()]


@contextlib.contextmanager
def reached(place: Folder | Place) -> Iterator[None]:
    """Turn any error of a bucket into one sentence, so that a run stops and can be resumed, not fail photo by photo.

    Raises:
        InputError: the place is in a bucket and could not be read. Errors of other places pass through.
    """
    try:
        yield
    except (InputError, Unreadable, AttributeError, TypeError):  # the last two are our own mistakes
        raise
    except Exception as error:  # each store, and each library that it uses, has its own errors
        if not is_remote(place):
            raise
        raise InputError(
            f"{place} cannot be read ({' '.join(str(error).split()) or type(error).__name__}): check the address, "
            "the connection and your credentials, and run the same command again."
        ) from error

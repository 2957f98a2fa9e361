"""Where a photo lies: in a folder, in an archive (never unpacked) or in a bucket. What photos hold is images.py's.

A place is a `pathlib.Path`, or a file inside of something that is no folder: `read_bytes()`, `name`, `stem`, `suffix`
and a text that names it are what both have. Places can be pickled, for workers elsewhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlob.data import images
from mlob.errors import InputError

if TYPE_CHECKING:
    from upath import UPath

    Folder = pathlib.Path | UPath  # a data folder: on a disk, or in a bucket

NOWHERE = "none"  # the version of a photo without a file
READS = 64  # under way at once in a bucket, where each waits tens of milliseconds for its first byte
OPTIONS: dict[str, dict] = {
    "s3": {"config_kwargs": {"max_pool_connections": READS}},
    "gs": {},
}  # s3fs opens 10 unless told


@dataclasses.dataclass(frozen=True, slots=True)
class Inside:
    """A file inside of something that is no folder.

    Attributes:
        home: the archive, or the address of a bucket's folder.
        inside: the path from there, with slashes.
        size: bytes.
        tag: what another version of equal size would differ in: a time, a checksum, a bucket's tag.
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
            images.Unreadable: gone, damaged, cut short, of too many bytes.
        """
        if not 0 <= self.size <= images.MOST_BYTES:
            raise images.Unreadable("too many bytes")
        return self._read()

    def _read(self) -> bytes:
        raise NotImplementedError


Place = pathlib.Path | Inside


@dataclasses.dataclass(frozen=True, slots=True)
class InBucket(Inside):
    """An object in a bucket."""

    home: UPath

    def _read(self) -> bytes:
        if not self.size:  # of nothing, no range can be asked for
            return b""
        with reached(self):
            try:
                path = posixpath.join(self.home.path, self.inside)
                return self.home.fs.cat_file(path, start=0, end=self.size)  # the range spares a question for the size
            except FileNotFoundError as error:
                raise images.Unreadable("no file") from error
            except PermissionError as error:
                if "expired" in str(error):  # which no photo is to blame for
                    raise
                raise images.Unreadable("access denied") from error


def version(place: Place | None) -> str:
    """Give a text that changes when a photo's bytes do, without reading them; `NOWHERE` where there is no file."""
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
    """Give the folder that DATA= names: a `pathlib.Path`, or a `UPath` of an address such as s3://bucket/prefix.

    Raises:
        InputError: an address of another kind, or of one whose extra is not installed.
    """
    if "://" not in str(data):
        return pathlib.Path(str(data))
    scheme, _, rest = str(data).partition("://")
    if scheme not in OPTIONS or not rest.split("/")[0]:
        raise InputError(f"{data} is no address that photos are read from: expected a folder, s3://… or gs://….")
    try:
        from upath import UPath

        found = UPath(str(data).rstrip("/"), use_listings_cache=False, **OPTIONS[scheme])
        found.fs  # noqa: B018, imports the package that reads such addresses
    except ImportError as error:
        raise InputError(f'{data} needs packages that are not installed: pip install "mlob[{scheme}]".') from error
    return found


def is_remote(place: Folder | Place | str) -> bool:
    """Tell whether something lies in a bucket, where many reads are kept under way."""
    return "://" in str(place)


def data_name(folder: Folder) -> str:
    """The last part of a data folder's path; of a whole bucket, the bucket."""
    return folder.resolve().name or folder.drive


def names(folder: Folder) -> list[str]:
    """List the names of the files right in a data folder, none where there is no such folder.

    Raises:
        InputError: it lies in a bucket that cannot be read.
    """
    if isinstance(folder, pathlib.Path):
        return files_in(folder)
    with reached(folder):
        try:
            found = folder.fs.ls(folder.path, detail=True)
        except FileNotFoundError:
            return []
    return [posixpath.basename(info["name"]) for info in found if info["type"] == "file"]


def files_in(folder: pathlib.Path) -> list[str]:
    """List the names of the files right in a folder on a disk, none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextlib.contextmanager
def reached(place: Folder | Place) -> Iterator[None]:
    """Say in one sentence that a bucket cannot be read: a run then stops and can go on, rather than fail every photo.

    Raises:
        InputError: whatever went wrong with a place that lies in a bucket; elsewhere nothing changes.
    """
    try:
        yield
    except (InputError, images.Unreadable, AttributeError, TypeError):  # the latter two are faults of ours
        raise
    except Exception as error:  # each store, and each library below it, has its own kinds
        if not is_remote(place):
            raise
        raise InputError(
            f"{place} cannot be read ({' '.join(str(error).split()) or type(error).__name__}): see that the address is "
            "right, the store within reach and your credentials good for it, and run the same command again."
        ) from error

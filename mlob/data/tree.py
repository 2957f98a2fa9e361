"""The files in a data folder, and those in its archives as if these had been unpacked there."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
import posixpath
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlob.data import archives
from mlob.data.places import InBucket, Inside, files_in, folders_in, reached
from mlob.data.splits import SPLITS
from mlob.progress import say

if TYPE_CHECKING:
    from upath import UPath

    from mlob.data.places import Folder

FLAT = "images"  # the folder for photos of any split

# {folder, relative to the data folder: {file name: place, or None for a file on disk}}; other folders are empty
Files = Mapping[str, Mapping[str, Inside | None]]


@dataclasses.dataclass(frozen=True)
class Tree:
    """A data folder's files. Each folder, archive and bucket is listed once."""

    root: Folder

    @functools.cached_property
    def files(self) -> Files:
        """The files on disk, each folder scanned at its first use; or all objects of a bucket."""
        return _Scanned(self.root) if isinstance(self.root, pathlib.Path) else _objects(self.root)

    @functools.cached_property
    def members(self) -> Files:
        """The files in the archives that are in the data folder or in its images/."""
        return self._unpacked(homes=2)

    def beside(self) -> Files:
        """Give the files in the archives, each once: where it would be if the archive were unpacked where it lies."""
        return self._unpacked(homes=1)

    @functools.cached_property
    def folders(self) -> list[str]:
        """The folder itself, "", and the folders below it, sorted by path; hidden ones are left out."""
        below = _folders(self.root) if isinstance(self.root, pathlib.Path) else iter(self.files)
        return sorted(folder for folder in below if not any(map(_is_hidden, folder.split("/"))))

    def _unpacked(self, homes: int) -> Files:
        members: dict[str, dict[str, Inside | None]] = collections.defaultdict(dict)
        for folder, archive in self._archives():
            for inside, place in archives.contents(archive).items():
                parent, file = posixpath.split(inside)
                for home in _homes(folder, archive.stem, parent)[:homes]:
                    members[home].setdefault(file, place)
        return members

    def _archives(self) -> Iterator[tuple[str, pathlib.Path]]:
        """Give (folder, path) of each archive, and report those that are not read."""
        for folder in ("", FLAT):
            for file in sorted(self.files[folder]):
                path, kind = self.root / folder / file, file.lower()
                if kind.endswith(archives.COMPRESSED):
                    say(f"{path} is not read: a compressed tar has no random access. Unpack it, or turn it into a zip.")
                elif kind.endswith(archives.SUFFIXES) and isinstance(path, pathlib.Path):
                    yield folder, path
                elif kind.endswith(archives.SUFFIXES):
                    say(f"{path} is not read: archives are read from a disk only. Unpack it into the bucket.")


class _Scanned(dict[str, dict[str, None]]):
    """The files of folders on a disk, each scanned at its first use."""

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__()
        self.root = root

    def __missing__(self, folder: str) -> dict[str, None]:
        self[folder] = dict.fromkeys(files_in(self.root / folder))
        return self[folder]


def _folders(root: pathlib.Path) -> Iterator[str]:
    """Give the folders of a disk, each once: links may lead in a circle."""
    seen, waiting = set(), [""]
    while waiting:
        folder = waiting.pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield folder
            below = (name for name in folders_in(root / folder) if not _is_hidden(name))
            waiting += [posixpath.join(folder, name) for name in below]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _objects(root: UPath) -> Files:
    with reached(root):
        listed = root.fs.find(root.path, detail=True)
    objects: dict[str, dict[str, Inside]] = collections.defaultdict(dict)
    start = posixpath.join(root.path, "")
    for key, info in listed.items():
        inside = key.removeprefix(start)
        parent, file = posixpath.split(inside)
        objects[parent][file] = InBucket(root, inside, info["size"], info.get("ETag") or info.get("etag") or "")
    return objects


def _homes(folder: str, stem: str, parent: str) -> list[str]:
    """Give the folders that a file in an archive's folder `parent` counts as part of.

    They are those that unpacking would give: beside the archive, or in a folder of the archive's name. The photos in
    train.zip belong to train alone, whatever its folders are called, since each split may count its ids from 1.
    """
    if stem in SPLITS:
        within = f"{parent}/".removeprefix("/").removeprefix(f"{FLAT}/").removeprefix(f"{stem}/")
        return [posixpath.join(FLAT, stem, within).rstrip("/")]
    return [posixpath.join(folder, parent).rstrip("/"), posixpath.join(folder, stem, parent).rstrip("/")]

"""What lies in a data folder: its files, and those in its archives as if they had been unpacked where they lie."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
import posixpath
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlob.data import archives
from mlob.data.places import InBucket, Inside, files_in, reached
from mlob.data.splits import SPLITS
from mlob.progress import say

if TYPE_CHECKING:
    from upath import UPath

    from mlob.data.places import Folder

FLAT = "images"  # the folder where photos of any split may lie

# {folder, relative to the data folder: {file name: place, or None for a plain file}}; empty for any other folder
Files = Mapping[str, Mapping[str, Inside | None]]


@dataclasses.dataclass(frozen=True)
class Tree:
    """A data folder's files; whatever is listed is listed once."""

    root: Folder

    @functools.cached_property
    def files(self) -> Files:
        """The files on disk, each folder scanned when it is first asked for; of a bucket, all objects."""
        return _Scanned(self.root) if isinstance(self.root, pathlib.Path) else _objects(self.root)

    @functools.cached_property
    def members(self) -> Files:
        """What archives in the data folder or in its images/ hold."""
        members: dict[str, dict[str, Inside | None]] = collections.defaultdict(dict)
        for folder, archive in self._archives():
            for inside, place in archives.contents(archive).items():
                parent, file = posixpath.split(inside)
                for home in _unpacked(folder, archive.stem, parent):
                    members[home].setdefault(file, place)
        return members

    def _archives(self) -> Iterator[tuple[str, pathlib.Path]]:
        """Give (folder, path) of each archive, and tell of those that are not read."""
        for folder in ("", FLAT):
            for file in sorted(self.files[folder]):
                path, kind = self.root / folder / file, file.lower()
                if kind.endswith(archives.COMPRESSED):
                    say(f"{path} is not read: a compressed tar has no random access. Unpack it, or make it a zip.")
                elif kind.endswith(archives.SUFFIXES) and isinstance(path, pathlib.Path):
                    yield folder, path
                elif kind.endswith(archives.SUFFIXES):
                    say(f"{path} is not read: in a bucket photos lie one by one, archives on a disk.")


class _Scanned(dict[str, dict[str, None]]):
    """The files of folders on a disk, each scanned when it is first asked for."""

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__()
        self.root = root

    def __missing__(self, folder: str) -> dict[str, None]:
        self[folder] = dict.fromkeys(files_in(self.root / folder))
        return self[folder]


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


def _unpacked(folder: str, stem: str, parent: str) -> list[str]:
    """Give the folders where what lies in an archive's folder `parent` may be looked for.

    That is right where the archive lies, or in a folder of the archive's name. The photos of train.zip are those of
    train alone, whatever its folders are called: ids start anew in each split.
    """
    if stem in SPLITS:
        within = f"{parent}/".removeprefix("/").removeprefix(f"{FLAT}/").removeprefix(f"{stem}/")
        return [posixpath.join(FLAT, stem, within).rstrip("/")]
    return [posixpath.join(folder, parent).rstrip("/"), posixpath.join(folder, stem, parent).rstrip("/")]

"""The format of folders of classes: train/dress/1.jpg, or dress/1.jpg where the splits are to be drawn."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import archives, locate
from mlob.data.annotations import listing
from mlob.data.annotations.listing import Listed, Listing
from mlob.data.places import Inside
from mlob.data.splits import NAMES, SPLITS
from mlob.data.tree import FLAT, Tree
from mlob.errors import InputError, counted, some
from mlob.recipes import Annotations
from mlob.texts import Mirrors

if TYPE_CHECKING:
    from mlob.data.places import Folder

GROUP = "class"


@dataclasses.dataclass(frozen=True)
class Room:
    """A folder of photos.

    Attributes:
        path: from the data folder.
        split: that the path names, empty if it names none.
        label: the class that the path names, empty if it names none.
        is_nested: whether the path goes on below the class.
        photos: names of its photos, sorted.
        others: number of its files that are not photos.
    """

    path: str
    split: str
    label: str
    is_nested: bool
    photos: list[str]
    others: int


def find(tree: Tree, names: list[str]) -> str:
    """Give the first folder of a class that holds photos; empty if there is none."""
    return next((f"{room.path}/" for room in _rooms(tree) if room.label and room.photos), "")


def read(tree: Tree, names: list[str], asked: Annotations) -> Listing:
    """Read the classes of photos from the folders that they lie in.

    Args:
        tree: the data folder.
        names: of the files in the folder.
        asked: how a table is to be read; there is none.

    Raises:
        InputError: there are fewer than two classes.
    """
    folder, rooms = tree.root, _rooms(tree)
    classes = sorted({room.label for room in rooms if room.photos and room.split != "test"} - {""})
    if len(classes) < 2:
        raise InputError(
            f"{folder} has class folders with photos to train on for {some(classes) or 'no class'} alone, expected "
            "at least two: add the others, or a table of the photos' labels, photos.csv."
        )
    labels = listing.labels(((number, name, GROUP) for number, name in enumerate(classes, 1)), folder)
    column_of = {name: column for column, name in enumerate(classes)}
    counts = [len(room.photos) for room in rooms]
    columns = np.repeat([column_of.get(room.label, -1) for room in rooms], counts)
    splits = _splits(rooms, columns, np.repeat([room.split for room in rooms], counts))
    ids = listing.ids((posixpath.join(room.path, photo) for room in rooms for photo in room.photos), folder)
    labelled = np.flatnonzero(columns >= 0)
    unknown = _unseen(columns, splits, len(classes))
    annotations = labels.annotate(len(ids), labelled, columns[labelled], unknown)
    listed = Listed(folder, ids, Mirrors.single(ids), annotations, splits, ids_are_paths=True)
    return Listing(labels, [listed], (*_told(rooms, column_of), *_told_archives(folder, rooms, names)))


def _splits(rooms: list[Room], columns: np.ndarray, named: np.ndarray) -> np.ndarray | None:
    """Give the split of each photo: to predict where it has no class, drawn where there is no validation folder."""
    if not any(room.split for room in rooms):
        return None
    if not (named == "validation").any():
        named = np.where(named == "train", "", named)
    splits = np.where(columns >= 0, named, "test")
    return None if (splits == "").all() else splits


def _unseen(columns: np.ndarray, splits: np.ndarray | None, classes: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Give the entries of photos without a class among photos of test that have one: nobody looked at them."""
    if splits is None or not (columns[splits == "test"] >= 0).any():
        return None
    rows = np.flatnonzero(columns < 0)
    return np.repeat(rows, classes), np.tile(np.arange(classes), len(rows))


# Folders


def _rooms(tree: Tree) -> list[Room]:
    """List the folders below a data folder, sorted; those in its archives where no folder holds photos."""
    rooms = _understood(tree.root, {path: tree.files[path] for path in tree.folders})
    return rooms if any(room.photos for room in rooms) else _understood(tree.root, tree.beside())


def _understood(folder: Folder, files: Mapping[str, Mapping[str, Inside | None]]) -> list[Room]:
    """Tell the split and the class of each folder, {path: its files}, from its path.

    A folder that holds all photos, and images/, count as the data folder.

    Raises:
        InputError: folders of splits lie beside folders of classes.
    """
    photos = {path: sorted(filter(_is_photo, files[path])) for path in sorted(files)}
    top = _top([path for path, found in photos.items() if found])
    inside = {
        path: f"{path}/".removeprefix(top).removeprefix(f"{FLAT}/").strip("/").split("/")
        for path in photos
        if f"{path}/".startswith(top)
    }
    has_splits = _has_splits(folder, {parts[0] for path, parts in inside.items() if photos[path]} - {""})
    return [
        Room(path, *_read_path(parts, has_splits), photos[path], _visible(files[path]) - len(photos[path]))
        for path, parts in inside.items()
    ]


def _top(filled: list[str]) -> str:
    """Give the start of the paths that all folders with photos share, up to the folders of splits or classes."""
    shared = posixpath.commonpath(filled) if filled else ""
    above = itertools.takewhile(lambda name: name and name.lower() not in NAMES, shared.split("/"))
    return "".join(f"{name}/" for name in above)


def _has_splits(folder: Folder, names: set[str]) -> bool:
    """Say whether the uppermost folders are those of splits; a single one beside others is a class, as `train` may be.

    Raises:
        InputError: some are, and some are not.
    """
    splits = {name for name in names if name.lower() in NAMES}
    if len(splits) > 1 and (others := names - splits):
        raise InputError(
            f"{folder} holds folders of splits ({', '.join(sorted(splits))}) and others ({some(sorted(others))}): "
            "expected folders of splits alone, or of classes alone: move the rest elsewhere."
        )
    return bool(splits) and splits == names


def _read_path(parts: list[str], has_splits: bool) -> tuple[str, str, bool]:
    """Give split, class and whether the path goes on below the class."""
    split = NAMES.get(parts[0].lower(), "") if has_splits else ""
    label, *below = [*parts[bool(split) :], ""]
    return split, listing.composed(label), any(below)


def _visible(names: Iterable[str]) -> int:
    return sum(not name.startswith(".") for name in names)


def _is_photo(name: str) -> bool:
    return locate.has_suffix(name) and not name.startswith(".")


# What is told


def _told(rooms: list[Room], column_of: Mapping[str, int]) -> Iterator[str]:
    photos = collections.Counter[tuple[str, str]]()
    for room in rooms:
        photos[room.split, room.label] += len(room.photos)
    splits = [split for split in SPLITS if any(split == found for found, _ in photos)]
    yield (
        f"{len(column_of):,} classes, each the folder that a photo lies in; "
        + (f"splits by folder: {', '.join(splits)}." if splits else "no folders of splits, so they are drawn.")
    )
    if splits and "validation" not in splits:
        yield "There is no folder validation or val: photos of train are drawn for validation."
    kept = [room for room in rooms if room.label and not room.is_nested]
    if empty := [room.path for room in kept if not photos[room.split, room.label]]:
        yield f"{counted(len(empty), 'class folder holds', 'class folders hold')} no photos (0): {some(empty)}."
    if strange := [name for (_, name), count in photos.items() if count and name and name not in column_of]:
        yield f"test: {some(strange)} is no class of the other photos, so what lies there has no label."
    if nested := [room.path for room in rooms if room.is_nested and room.photos]:
        lie = counted(len(nested), "folder lies within a class and counts as it", "folders lie within classes")
        yield f"{lie}: {some(nested)}."
    if without := sum(count for (_, name), count in photos.items() if name not in column_of):
        yield f"{counted(without, 'photo lies', 'photos lie')} in no class folder: to predict."
    if others := sum(room.others for room in rooms if room.label):
        yield f"{counted(others, 'file is', 'files are')} not named as photos are, and left out."


def _told_archives(folder: Folder, rooms: list[Room], names: list[str]) -> Iterator[str]:
    packed = sorted(name for name in names if name.lower().endswith(archives.SUFFIXES))
    is_there = any(room.photos and (folder / room.path).is_dir() for room in rooms)
    if packed and is_there:
        yield f"Left out, since photos lie in folders: {some(packed)}."

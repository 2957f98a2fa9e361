"""Which folder of products belongs to which data folder.

Stores and runs lie in folders that may be named alike for several data folders; a text file in each of them tells whose
photos it was made of.
"""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mlob.data import places
from mlob.errors import InputError
from mlob.files import write_once, write_text

if TYPE_CHECKING:
    from mlob.data.places import Folder

NOTE = "folder.txt"  # holds the address of the data folder


def find(candidates: Iterable[pathlib.Path], data_folder: Folder, there: Iterable[pathlib.Path] = ()) -> pathlib.Path:
    """Find a data folder's own among folders of products, which may be missing still; no two data folders share one.

    A folder that notes no owner goes to the first data folder that asks for it. So does one whose owner is gone, where
    their last names are equal, since folders are moved.

    Args:
        candidates: the folders, without end, in the order in which they are handed out.
        data_folder: where the photos lie, on a disk or in a bucket.
        there: folders of products of whatever name, one of which may be its own since it was renamed.
    """
    for folder in there:
        if _is_same(owner(folder), data_folder):
            return folder
    free: list[pathlib.Path] = []
    for candidate in candidates:
        noted = owner(candidate)
        if noted and _is_same(noted, data_folder):
            return candidate
        if not noted or _was_moved(noted, data_folder):
            free.append(candidate)
        if not noted:
            break
    return free[0]


def numbered(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Give the folders name, name.2, name.3, … without end."""
    yield folder
    for number in itertools.count(2):
        yield folder.with_name(f"{folder.name}.{number}")


def claim(folder: pathlib.Path, data_folder: Folder) -> None:
    """Note in a folder of products whose photos it is made of.

    Raises:
        InputError: another job has begun it for another data folder meanwhile.
    """
    noted = write_once(folder / NOTE, address(data_folder))
    if _is_same(noted, data_folder):
        return
    if is_there(noted):
        raise InputError(f"{folder} was just begun for {noted}: run the same command again.")
    write_text(folder / NOTE, address(data_folder))


def owner(folder: pathlib.Path) -> str:
    """Read the address of the data folder that a folder of products was made of; empty where it notes none."""
    path = folder / NOTE
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def address(data_folder: Folder) -> str:
    """Give where a data folder lies; bytes in a path that are not UTF-8 are spelt out."""
    text = str(data_folder if places.is_remote(data_folder) else pathlib.Path(str(data_folder)).resolve())
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_there(address: str) -> bool:
    """Say whether a data folder is where its address says; of one in a bucket that is taken for granted."""
    return places.is_remote(address) or os.path.isdir(address)


def is_left(folder: pathlib.Path) -> bool:
    """Say whether the data folder that a folder of products was made of is gone."""
    noted = owner(folder)
    return bool(noted) and not is_there(noted)


def _was_moved(noted: str, data_folder: Folder) -> bool:
    """Whether an owner is gone, and may have been moved to where this data folder is."""
    return not is_there(noted) and pathlib.PurePath(noted).name == pathlib.PurePath(address(data_folder)).name


def _is_same(noted: str, data_folder: Folder) -> bool:
    here = address(data_folder)
    return noted == here or (os.path.isdir(noted) and os.path.isdir(here) and os.path.samefile(noted, here))

"""Which folder of a feature set holds the store of which data folder.

A store's folder has the last name of its data folder, which other data folders may have, too; a text file in it tells
whose photos it was made of.
"""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

from mlob.data import places
from mlob.errors import InputError
from mlob.features import store
from mlob.files import digest, write_once, write_text

if TYPE_CHECKING:
    from mlob.data.places import Folder

OWNER = "folder.txt"  # holds the address of the data folder


def find(feature_set_folder: pathlib.Path, data_folder: Folder) -> pathlib.Path:
    """Find the store folder of a data folder, which may be missing still; two data folders never share one.

    A store whose data folder is gone, or is not noted, goes to the first data folder of that name that asks for it,
    since folders are moved; the photos' contents decide later which of its features still hold.

    Args:
        feature_set_folder: features/<set>.
        data_folder: where the photos lie, on a disk or in a bucket.

    Returns:
        feature_set_folder / the last name of the data folder, followed by .2, .3, … where other data folders own the
        earlier ones.
    """
    candidates = _candidates(feature_set_folder, places.data_name(data_folder))
    owners = {candidate: _owner(candidate) for candidate in candidates}
    own = [candidate for candidate, owner in owners.items() if owner and _is_same(owner, data_folder)]
    free = [candidate for candidate, owner in owners.items() if not (owner and _exists(owner))]
    return (own or free)[0]


def claim(store_folder: pathlib.Path, data_folder: Folder) -> None:
    """Note in a store whose photos it is made of.

    Raises:
        InputError: another job has begun it for another data folder meanwhile.
    """
    owner = write_once(store_folder / OWNER, _address(data_folder))
    if _is_same(owner, data_folder):
        return
    if _exists(owner):
        raise InputError(f"{store_folder} was just begun for {owner}: run the same command again.")
    write_text(store_folder / OWNER, _address(data_folder))


def digests_table(features_folder: pathlib.Path, data_folder: Folder) -> pathlib.Path:
    """Name the table that remembers the digests of a data folder's photos, beside the folders of all feature sets."""
    address = digest(_address(data_folder))[:8]
    return features_folder / f"{places.data_name(data_folder)}-{address}-digests.csv"


def _candidates(feature_set_folder: pathlib.Path, name: str) -> list[pathlib.Path]:
    """List the folders name, name.2, name.3, … up to the first that names no data folder."""
    number = 2 if name == store.PREDICTED else 1  # the first is kept for photos to predict
    candidates: list[pathlib.Path] = []
    while not candidates or _owner(candidates[-1]):
        candidates.append(feature_set_folder / (name if number == 1 else f"{name}.{number}"))
        number += 1
    return candidates


def _owner(store_folder: pathlib.Path) -> str:
    """Read the address of the data folder that a store was made of; empty where it notes none."""
    path = store_folder / OWNER
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def _address(data_folder: Folder) -> str:
    """Give where a data folder lies; bytes in a path that are not UTF-8 are spelt out."""
    address = str(data_folder if places.is_remote(data_folder) else pathlib.Path(str(data_folder)).resolve())
    return address.encode("utf-8", "backslashreplace").decode("utf-8")


def _exists(address: str) -> bool:
    return places.is_remote(address) or os.path.isdir(address)


def _is_same(owner: str, data_folder: Folder) -> bool:
    here = _address(data_folder)
    return owner == here or (os.path.isdir(owner) and os.path.isdir(here) and os.path.samefile(owner, here))

"""Where a feature set keeps what it has of a data folder: under the folder's last name, which others may have, too."""

import itertools
import os
import pathlib

from mlob.data import places
from mlob.errors import InputError
from mlob.features import store
from mlob.files import digest, write_once, write_text

OWNER = "folder.txt"


def find(stores, folder):
    """Find the store of a data folder; two data folders never share one.

    A store whose data folder is gone, or is not noted, goes to the first that asks for it, since folders are moved; the
    photos' contents decide what it is worth.

    Args:
        stores: features/<set>.
        folder: the data folder.

    Returns:
        stores / its last name, with .2, .3 … at its end where other data folders of that name have those before.
    """
    name, free = places.data_name(folder), None
    for number in itertools.count(1):
        found = stores / (name if number == 1 else f"{name}.{number}")
        owner = _owner(found)
        if owner and _is_same(owner, folder):
            return found
        if found.name != store.PREDICTED and not (owner and _exists(owner)):
            free = free or found
        if free and not owner:
            return free


def digests(root, folder):
    """Name the table that keeps the digests of a data folder's photos, in the folder of all feature sets."""
    return root / f"{places.data_name(folder)}-{digest(_address(folder))[:8]}-digests.csv"


def claim(found, folder):
    """Note in a store whose photos it is of.

    Raises:
        InputError: another job has begun it for another data folder meanwhile.
    """
    owner = write_once(found / OWNER, _address(folder))
    if _is_same(owner, folder):
        return
    if _exists(owner):
        raise InputError(f"{found} was just begun for {owner}: run the same command again.")
    write_text(found / OWNER, _address(folder))


def _owner(found):
    """Give the address of the data folder that a store is of; empty where it has none."""
    path = found / OWNER
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def _address(folder):
    """Give where a data folder lies; bytes in a path that are not UTF-8 are spelt out."""
    found = str(folder if places.is_remote(folder) else pathlib.Path(folder).resolve())
    return found.encode("utf-8", "backslashreplace").decode("utf-8")


def _exists(address):
    return places.is_remote(address) or os.path.isdir(address)


def _is_same(owner, folder):
    here = _address(folder)
    return owner == here or (os.path.isdir(owner) and os.path.isdir(here) and os.path.samefile(owner, here))

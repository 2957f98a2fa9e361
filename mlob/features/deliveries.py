"""What goes into which shard, cut once for each delivery of photos and kept beside its shards.

Workers that start at different times find different shards there. Since they read the cut of a delivery and make none
of their own, they never make the same photo, nor a shard of the same name with other photos in it.
"""

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from mlob.errors import InputError
from mlob.features import log, store
from mlob.features.fingerprint import Fingerprint
from mlob.files import ANEW, write_once
from mlob.machine import processor

Row = TypeVar("Row")
SLICES = "slices.txt"  # a line for each shard: the files that go into it, each by the digest of its path


def next_number(store_folder: pathlib.Path) -> int:
    """Number the delivery that follows those that are there; a folder that a killed job left empty is none."""
    begun = {path.parent.name for path in store_folder.glob("[0-9]*/[!.]*")}
    numbers = (int(name) for name in begun if name.isdecimal())
    return max(numbers, default=0) + 1


def unmade(store_folder: pathlib.Path) -> dict[pathlib.Path, np.ndarray]:
    """List the shards that were planned and are not there: {path: files that go into it, uint64 (n,)}.

    Raises:
        InputError: the file of a delivery is damaged.
    """
    slices: dict[pathlib.Path, np.ndarray] = {}
    for cut in sorted(store_folder.glob(f"[0-9]*/{SLICES}")):
        for number, line in enumerate(cut.read_text("utf-8", "replace").splitlines()):
            if not (path := store.shard_path(cut.parent, number)).is_file():
                slices[path] = _files(cut, line)
    return slices


def begin(store_folder: pathlib.Path, number: int, lacking: Sequence[np.ndarray], *, of_pixels: bool = False) -> None:
    """Cut what a store lacks into a delivery's slices, unless another worker has begun it meanwhile.

    Args:
        store_folder: features/<set>/<data set>.
        number: of the delivery, the next one when it was found what is lacking.
        lacking: for each split the files that are lacking, uint64 (n,), in annotation order.
        of_pixels: the store holds pixels, in smaller slices.

    Raises:
        InputError: the folder cannot be written.
    """
    slices = [part for files in lacking for part in store.slices(files.tolist(), of_pixels=of_pixels)]
    lines = [" ".join(f"{file:016x}" for file in files) for files in slices]
    write_once(store_folder / f"{number:04}" / SLICES, "".join(f"{line}\n" for line in lines))


def write(
    store_folder: pathlib.Path,
    lacking: Sequence[Row],
    shard_of: Callable[[Sequence[Row]], store.Shard],
    fingerprint: Fingerprint,
) -> None:
    """Write rows that no network makes, such as those of texts, as one delivery.

    Args:
        store_folder: features/<set>/<data set>.
        lacking: what stands for each row that the store lacks.
        shard_of: gives the shard of a slice of them.
        fingerprint: of the store.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    folder = store_folder / f"{next_number(store_folder):04}"
    for number, part in enumerate(store.slices(lacking)):
        started, path = time.monotonic(), store.shard_path(folder, number)
        store.write(path, shard_of(part), fingerprint)
        seconds = {"read": 0.0, "forward": time.monotonic() - started, "write": 0.0}
        log.write(path, photos=len(part), seconds=seconds, weights="no", parameters=0, processor=processor())


def is_of_part(path: pathlib.Path, part: int, parts: int) -> bool:
    """Tell whether the i-th of n workers makes a shard, i from 1: every n-th of a delivery, whichever are there."""
    return int(path.stem) % parts == part - 1


def _files(path: pathlib.Path, line: str) -> np.ndarray:
    try:
        return np.array([int(file, 16) for file in line.split()], np.uint64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({line!r:.40}): {ANEW}") from error

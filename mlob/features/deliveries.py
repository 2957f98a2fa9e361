"""What goes into which shard, cut once for each delivery of photos and kept beside its shards.

Workers that start at different times find different shards there. Since they read the cut of a delivery and make none
of their own, they never make the same photo, nor a shard of the same name with other photos in it.
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from mlob.features import store
from mlob.files import write_once

SLICES = "slices.txt"  # a line for each shard: the files that go into it, each by the digest of its path


def folders(store_folder: pathlib.Path) -> list[pathlib.Path]:
    """List the folders of a store's deliveries, the first one first."""
    return sorted(path.parent for path in store_folder.glob(f"[0-9]*/{SLICES}"))


def unmade(store_folder: pathlib.Path) -> dict[pathlib.Path, np.ndarray]:
    """List the shards that were planned and are not there: {path: files that go into it, uint64 (n,)}."""
    slices: dict[pathlib.Path, np.ndarray] = {}
    for folder in folders(store_folder):
        for number, line in enumerate((folder / SLICES).read_text("utf-8").splitlines()):
            if not (path := store.shard_path(folder, number)).is_file():
                slices[path] = np.array([int(file, 16) for file in line.split()], np.uint64)
    return slices


def begin(store_folder: pathlib.Path, number: int, lacking: Sequence[np.ndarray]) -> None:
    """Cut what a store lacks into a delivery's slices, unless another worker has begun it meanwhile.

    Args:
        store_folder: features/<set>/<data set>.
        number: of the delivery, one more than those that were there when it was found what is lacking.
        lacking: for each split the files that are lacking, uint64 (n,), in annotation order.

    Raises:
        InputError: the folder cannot be written.
    """
    slices = [part for files in lacking for part in store.slices(files.tolist())]
    lines = [" ".join(f"{file:016x}" for file in files) for files in slices]
    write_once(store_folder / f"{number:04}" / SLICES, "".join(f"{line}\n" for line in lines))


def is_of_part(path: pathlib.Path, part: int, parts: int) -> bool:
    """Tell whether the i-th of n workers makes a shard, i from 1: every n-th of a delivery, whichever are there."""
    return int(path.stem) % parts == part - 1

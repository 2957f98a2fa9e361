"""Pixels that a store keeps as JPEGs, a fifth of their bytes or less.

They are encoded where shards are made, and decoded where rows are read. A row is a JPEG, bytes in an array of objects;
a shard holds all of them one after another, and where each ends.
"""

import itertools
from collections.abc import Iterable

import numpy as np

from mlob.data import images


def encode(photos: Iterable[np.ndarray]) -> np.ndarray:
    """Give uint8 photos (size, size, 3) as JPEGs: object (n,), of bytes."""
    return np.array([images.to_jpeg(photo) for photo in photos], object)


def decode(rows: Iterable[bytes], size: int) -> np.ndarray:
    """Give the pixels of JPEGs that `encode` made: uint8 (n, size, size, 3)."""
    return np.array([images.from_jpeg(row, size) for row in rows], np.uint8).reshape(-1, size, size, 3)


def join(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join JPEGs, object (n,): their bytes, uint8, one after another, and where each ends, int64 (n,)."""
    return np.frombuffer(b"".join(rows), np.uint8), np.cumsum([len(row) for row in rows], dtype=np.int64)


def part(joined: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Part what was joined: object (n,).

    Raises:
        ValueError: the ends are none of these bytes.
    """
    starts = [0, *ends.tolist()]
    if starts != sorted(starts) or starts[-1] != len(joined):
        raise ValueError(f"{len(joined)} bytes of JPEGs, which end elsewhere")
    return np.array([joined[start:end].tobytes() for start, end in itertools.pairwise(starts)], object)

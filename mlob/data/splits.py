"""Which photo belongs to which split, drawn by a hash, so that it never depends on order, machine or run."""

import hashlib
from collections.abc import Hashable, Sequence

import numpy as np

DEV_SHARE = 0.05
DEV_LEAST = 200
SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}
SPLITS = tuple(SHARES)
NAMES = {  # of splits, as files and folders of other people's data sets have them
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
    "testing": "test",
}


def dev_rows(keys: Sequence[Hashable]) -> np.ndarray:
    """Choose dev: the rows of train that early stopping, schedules and the choice of recipes may look at.

    These are 5% of the different photos, or 200 if that leaves four fifths to train on: those with the smallest hash of
    their key. Equal photos are chosen together.

    Args:
        keys: one for each row, equal for photos of equal content: `batches.Rows.keys`.

    Returns:
        A bool array (n,), True for dev.
    """
    different = len(set(keys))
    return _smallest(keys, max(round(DEV_SHARE * different), min(DEV_LEAST, different // 5)), "dev")


def limit_rows(ids: Sequence[str], count: int) -> np.ndarray:
    """Choose `count` rows (all, if there are fewer) by a hash of the id.

    Returns:
        A bool array (n,).
    """
    return _smallest(ids, count, "limit")


def places(n: int, keys: Sequence[Hashable] | None = None) -> np.ndarray:
    """Number the different photos among n from 0: int64 (n,), equal for photos with equal keys."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys or range(n)], np.int64)


def draw(digests: Sequence[int | str]) -> list[str]:
    """Draw a split for each photo by the digest of its bytes, so that equal photos stay together.

    Args:
        digests: `images.content_digest` of each photo, as a number or a text, or a text that stands for it.

    Returns:
        For each photo "train" (70%), "validation" (15%) or "test" (15%).
    """
    edges = np.cumsum(list(SHARES.values()))
    places = np.array([_fraction(digest, "split") for digest in digests])
    return [list(SHARES)[place] for place in np.searchsorted(edges[:-1], places, side="right")]


def _smallest(keys: Sequence[Hashable], count: int, salt: str) -> np.ndarray:
    """Choose the rows of the `count` different keys with the smallest hash."""
    fractions = {key: _fraction(key, salt) for key in keys}
    chosen = set(sorted(fractions, key=lambda key: fractions[key])[:count])
    return np.array([key in chosen for key in keys], bool)


def _fraction(key: Hashable, salt: str) -> float:
    """Hash a key to a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:6], "big") / 2**48

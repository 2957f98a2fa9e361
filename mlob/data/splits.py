"""Which photo belongs where: drawn by a hash, so that it never depends on order, machine or run."""

import hashlib
from collections.abc import Hashable, Sequence

import numpy as np

DEV_SHARE = 0.05
DEV_LEAST = 200
SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}
SPLITS = tuple(SHARES)


def dev_rows(keys: Sequence[Hashable]) -> np.ndarray:
    """Choose the rows of train that early stopping, schedules and the choice of recipes may look at.

    5% of the different photos, at least 200 where that leaves four fifths to train on, with the smallest hash of their
    key; equal photos are chosen together.

    Args:
        keys: one a row, equal for photos of equal content: `batches.Rows.keys`.

    Returns:
        A bool array (n,), True for dev.
    """
    different = len(set(keys))
    return _smallest(keys, max(round(DEV_SHARE * different), min(DEV_LEAST, different // 5)), "dev")


def limit_rows(ids: Sequence[str], count: int) -> np.ndarray:
    """Choose `count` rows (all, where there are fewer) by a hash of the id.

    Returns:
        A bool array (n,).
    """
    return _smallest(ids, count, "limit")


def places(n: int, keys: Sequence[Hashable] | None = None) -> np.ndarray:
    """Number the different ones among n photos from 0: each photo's number, integers (n,), equal where its key is."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys or range(n)], np.int64)


def draw(digests: Sequence[int | str]) -> list[str]:
    """Draw a split for each photo from the digest of its bytes, so that equal photos stay together.

    Args:
        digests: `images.content_digest` of each photo, as a number or a text, or a text that stands for it.

    Returns:
        A list of "train", "validation" or "test", in shares of 70, 15 and 15%.
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
    """Hash a key to [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:6], "big") / 2**48

"""Which photo belongs where: drawn by a hash, so that it never depends on order, machine or run."""

import hashlib

import numpy as np

DEV_SHARE = 0.05
DEV_LEAST = 200
SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}


def dev_rows(ids):
    """Choose the rows of train that early stopping, schedules and the choice of recipes may look at.

    5% of the rows, at least 200 where that leaves four fifths to train on, with the smallest hash of their id.

    Returns:
        A bool array (n,), True for dev.
    """
    count = max(round(DEV_SHARE * len(ids)), min(DEV_LEAST, len(ids) // 5))
    return _smallest(ids, count, "dev")


def limit_rows(ids, count):
    """Choose `count` rows (all, where there are fewer) by a hash of the id.

    Returns:
        A bool array (n,).
    """
    return _smallest(ids, count, "limit")


def draw(digests):
    """Draw a split for each photo from the digest of its bytes, so that equal photos stay together.

    Args:
        digests: integers, one a photo (`images.content_digest`), of any file or a text that stands for it.

    Returns:
        A list of "train", "validation" or "test", in shares of 70, 15 and 15%.
    """
    edges = np.cumsum(list(SHARES.values()))
    places = np.array([_fraction(digest, "split") for digest in digests])
    return [list(SHARES)[place] for place in np.searchsorted(edges[:-1], places, side="right")]


def _smallest(ids, count, salt):
    order = np.argsort([_fraction(name, salt) for name in ids], kind="stable")
    chosen = np.zeros(len(ids), bool)
    chosen[order[:count]] = True
    return chosen


def _fraction(key, salt):
    """Hash a key to [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:6], "big") / 2**48

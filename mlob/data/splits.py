"""Which photo belongs to which split, drawn by a hash, so that it never depends on order, machine or run."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

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
    their key. Photos of equal keys are chosen together.

    Args:
        keys: one for each row: `batches.Rows.keys`.

    Returns:
        A bool array (n,), True for dev.
    """
    different = len(set(keys))
    return _smallest(keys, max(round(DEV_SHARE * different), min(DEV_LEAST, different // 5)), "dev")


def keys(content: Sequence[Hashable], together: Sequence[str] | None = None) -> list[Hashable]:
    """Give each photo a key, equal for photos that may not be torn apart: equal ones, and those of one product.

    Two products that have a photo in common share a key, too. The keys follow from what they are keys of, in whatever
    order.

    Args:
        content: one for each photo, equal for photos of equal bytes.
        together: for each photo the name of what it belongs to, empty for a photo by itself; None where all are.

    Returns:
        Of a photo by itself its content; of others a text made of their product's name, of linked ones the first.
    """
    rows = [row for row, name in enumerate(together or ()) if name]
    if together is None or not rows:
        return list(content)
    names = sorted({together[row] for row in rows})
    number = {name: place for place, name in enumerate(names)}
    product, of_content = np.array([number[together[row]] for row in rows]), places(len(content), content)
    first = _first_products(of_content, of_content[rows], product, len(names))
    return [f"product {names[place]}" if place < len(names) else own for place, own in zip(first, content, strict=True)]


def keys_of(
    ids: Iterable[str], read: Iterable[str], digests: np.ndarray | None, together: Sequence[str] | None = None
) -> list[Hashable]:
    """Give each photo a key, as `keys` does: of its content where that is known, else of its id.

    Args:
        ids: of the photos.
        read: ids of those that were read.
        digests: uint64, one for each of these, 0 where it is not known; None where none is.
        together: for each photo the name of what it belongs to (`Split.together`).
    """
    known = {} if digests is None else dict(zip(read, digests.tolist(), strict=True))
    return keys([known.get(name) or name for name in ids], together)


def _first_products(of_content: np.ndarray, linked: np.ndarray, product: np.ndarray, count: int) -> np.ndarray:
    """Give the first product that each photo is linked with, by photos of equal content; `count` where there is none.

    Args:
        of_content: number of each photo's content, int (n,).
        linked, product: numbers of contents and products that belong together, int (links,).
        count: of products.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes = count + len(of_content)
    links = coo_array((np.ones(len(product), bool), (product, count + linked)), shape=(nodes, nodes))
    parts, part = connected_components(links, directed=False)
    first = np.full(parts, count)
    np.minimum.at(first, part[:count], np.arange(count))
    return first[part[count + of_content]]


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


def draw(keys: Sequence[Hashable]) -> list[str]:
    """Draw a split for each photo by its key, so that photos of equal keys stay together.

    Args:
        keys: the `keys` of the photos by their digests, or texts that stand for these.

    Returns:
        For each photo "train" (70%), "validation" (15%) or "test" (15%).
    """
    edges = np.cumsum(list(SHARES.values()))
    places = np.array([_fraction(key, "split") for key in keys])
    return [list(SHARES)[place] for place in np.searchsorted(edges[:-1], places, side="right")]


def kept_in_train(names: np.ndarray, keys: Sequence[Hashable], annotations: csr_array) -> np.ndarray:
    """Give the splits in which train has every label that is on two different photos or more.

    Of a label that the draw left out of train, the photo with the smallest hash moves there, with those of its key.

    Args:
        names: of the drawn splits, an array of texts (n,).
        keys: one for each photo; photos of equal keys stay together.
        annotations: sparse (n, labels), 1 where a photo has a label.
    """
    has, names, numbers = (annotations == 1).tocsc(), names.copy(), places(len(keys), keys)
    lost = np.asarray(has[names == "train"].sum(axis=0)) == 0
    for column in np.flatnonzero(lost).tolist():
        rows = has.indices[has.indptr[column] : has.indptr[column + 1]].tolist()
        fractions = {numbers[row]: _fraction(keys[row], "rare") for row in rows}
        if len(fractions) > 1 and not (names[rows] == "train").any():
            names[numbers == min(fractions, key=lambda number: fractions[number])] = "train"
    return names


def _smallest(keys: Sequence[Hashable], count: int, salt: str) -> np.ndarray:
    """Choose the rows of the `count` different keys with the smallest hash."""
    fractions = {key: _fraction(key, salt) for key in keys}
    chosen = set(sorted(fractions, key=lambda key: fractions[key])[:count])
    return np.array([key in chosen for key in keys], bool)


def _fraction(key: Hashable, salt: str) -> float:
    """Hash a key to a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:6], "big") / 2**48

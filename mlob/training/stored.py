"""Features on disk, as one matrix over shards and stores, read where it is indexed."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from mlob.features.extents import Extent

RUN = 256  # neighbouring rows that are read together


@dataclasses.dataclass(frozen=True)
class Stored:
    """A matrix (n, ...) on disk: the features of several stores side by side, read where it is indexed.

    Attributes:
        stores: for each store its shards.
        places: int32 (n, stores, 2), in each store each row's shard and its place in that.
    """

    stores: tuple[tuple[Extent, ...], ...]
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array that reading all of it would give."""
        return len(self), *row_shape(self.stores[0])[:-1], sum(self.widths)

    @property
    def widths(self) -> tuple[int, ...]:
        """How many of a row's features each store has."""
        return tuple(row_shape(shards)[-1] for shards in self.stores)

    @property
    def dtype(self) -> np.dtype:
        """Of the array that reading all of it would give: float16, or uint8 of pixels."""
        return np.result_type(*(shards[0].dtype for shards in self.stores if shards))

    @property
    def nbytes(self) -> int:
        """Of the array that reading all of it would give."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    @property
    def order(self) -> np.ndarray:
        """The rows as they lie in the first store, one shard after another: int (n,)."""
        order = _order(self.places[:, 0])
        return np.arange(len(self)) if order is None else order

    def take(self, chosen: np.ndarray) -> "Stored":
        """Give the rows that a bool mask chooses, unread."""
        return Stored(self.stores, self.places[chosen])

    def __getitem__(self, rows: slice | np.ndarray, /) -> np.ndarray:
        """Read rows, a slice or numbers, as they lie on disk."""
        places = self.places[rows]
        features = np.empty((len(places), *self.shape[1:]), self.dtype)
        column = 0
        for number, shards in enumerate(self.stores):
            columns = slice(column, column := column + row_shape(shards)[-1])
            order = _order(places[:, number])
            shard, rising = (places[:, number] if order is None else places[order, number]).T
            for start, stop in itertools.pairwise(_cuts(shard, rising)):
                part = shards[shard[start]].take(rising[start:stop])
                features[slice(start, stop) if order is None else order[start:stop], ..., columns] = part
        return features


def below(first: Stored, second: Stored) -> Stored:
    """Give matrices of the same stores as one, the second below the first."""
    places = second.places.copy()
    places[:, :, 0] += np.array([len(shards) for shards in first.stores], places.dtype)
    stores = tuple((*one, *other) for one, other in zip(first.stores, second.stores, strict=True))
    return Stored(stores, np.concatenate([first.places, places]))


def row_shape(shards: Sequence[Extent]) -> tuple[int, ...]:
    """Give the shape of a row; a shard whose photos all failed may not know it."""
    return max(shard.shape[1:] for shard in shards)


def _order(places: np.ndarray) -> np.ndarray | None:
    """Order (n, 2) shards and places in them as they lie on disk: int (n,), None where they are ordered already."""
    keys = places[:, 0].astype(np.int64) << 32 | places[:, 1]
    return None if (np.diff(keys) >= 0).all() else np.argsort(keys, kind="stable")


def _cuts(shards: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Find where a new read starts, and the end: at another shard, or a place more than a run behind the last."""
    new = (np.diff(shards) != 0) | (np.diff(places) > RUN)
    return np.unique([0, *(np.flatnonzero(new) + 1), len(places)])

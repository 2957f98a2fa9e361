"""A store as a table: its rows are found by the content of the photo, whatever that is called and wherever it lies.

A split is a list over the table, `<split>.h5` in the store: the id of each photo, in annotation order, and the digest
of its bytes. Beside it stands a digest of what was read, path, size and time of the file: while that stays the same,
the photo is not read again.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob import hdf5
from mlob.data.duplicates import Seen
from mlob.errors import InputError
from mlob.features import earlier, store
from mlob.files import digest

BLIND = ("scikit-learn", "none")  # runtimes of stores whose features were made without their photos

if TYPE_CHECKING:
    from mlob.data.dataset import DataSet, Split


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of a store, by content.

    Attributes:
        shards: paths.
        digests: of the photos' bytes, uint64 (rows,), rising.
        places: int32 (rows, 2), each row's shard and its place in that.
        failures: {digest: why a photo of these bytes has no features}.
    """

    shards: tuple[pathlib.Path, ...]
    digests: np.ndarray
    places: np.ndarray
    failures: dict[int, str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was extracted yet."""
        return not len(self.digests) and not self.failures

    def find(self, digests: np.ndarray) -> np.ndarray:
        """Find rows by content: int32 (n, 2), shard and place, -1 where there is none."""
        if not len(self.digests):
            return np.full((len(digests), 2), -1, np.int32)
        rows = np.searchsorted(self.digests, digests).clip(max=len(self.digests) - 1)
        return np.where((self.digests[rows] == digests)[:, None], self.places[rows], np.int32(-1))

    def has(self, digests: np.ndarray) -> np.ndarray:
        """Tell which contents have features: bool (n,)."""
        return self.find(digests)[:, 0] >= 0

    def has_failed(self, digests: np.ndarray) -> np.ndarray:
        """Tell of which contents it is known that they have none: bool (n,)."""
        return np.isin(digests, np.array([*self.failures], np.uint64))


@dataclasses.dataclass(frozen=True)
class Index:
    """A split as a list over the table, in annotation order.

    Attributes:
        ids: texts (n,).
        digests: of the photos' bytes, uint64 (n,), 0 where they were not read.
        seen: uint64 (n,), digest of what was read: path, size and time of the file; 0 where it was not read.
        failures: {id: why it has no features}.
        keys: uint64 (n,), by which rows are found where that is not the photo's content; None where it is.
    """

    ids: Sequence[str]
    digests: np.ndarray
    seen: np.ndarray
    failures: dict[str, str]
    keys: np.ndarray | None = None

    def is_of(self, ids: Sequence[str]) -> bool:
        """Tell whether it lists just these ids, in this order."""
        return len(self.ids) == len(ids) and all(one == other for one, other in zip(self.ids, ids, strict=True))

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """Find ids in the list: int (n,), -1 for one that is not there."""
        if self.is_of(ids):
            return np.arange(len(ids))
        known = {name: row for row, name in enumerate(self.ids)}
        return np.array([known.get(name, -1) for name in ids], int)


@dataclasses.dataclass(frozen=True)
class Located:
    """Where the features of a split lie.

    Attributes:
        shards: paths.
        places: int32 (n, 2), each photo's shard and its place there; -1 where it has no features.
        digests: of the photos, uint64 (n,), 0 where they have no features.
        failures: {id: why it has none}.
        missing: ids of the photos that are not extracted yet.
        keys: uint64 (n,), by which the features were found where that was not the photo's content.
    """

    shards: tuple[pathlib.Path, ...]
    places: np.ndarray
    digests: np.ndarray
    failures: dict[str, str]
    missing: list[str]
    keys: np.ndarray | None = None


def read(store_folder: pathlib.Path) -> Table:
    """Read where the rows of a store lie. Of rows of equal content the first counts, of failures the last.

    Raises:
        InputError: a shard is damaged, or of another fingerprint than the store.
    """
    paths = tuple(sorted(store_folder.glob("*/[0-9]*.h5")))
    headers = [store.header(path) for path in paths]
    if headers:
        declared = store.fingerprint(store_folder) or headers[0].fingerprint
        for header in headers:
            store.check_fingerprint(store_folder, declared.fields(), header.fingerprint)
    digests = np.concatenate([np.empty(0, np.uint64), *(header.digests for header in headers)])
    shards = np.repeat(np.arange(len(paths)), [len(header.digests) for header in headers])
    rows = np.concatenate([np.empty(0, int), *(np.arange(len(header.digests)) for header in headers)])
    digests, first = np.unique(digests, return_index=True)
    places = np.stack([shards[first], rows[first]], axis=1).astype(np.int32)
    failures = {content: reason for header in headers for content, reason in header.failures.items()}
    return Table(paths, digests, places, failures)


def index_path(store_folder: pathlib.Path, split: str) -> pathlib.Path:
    """Name the file of a split's index."""
    return store_folder / f"{split}.h5"


def read_index(store_folder: pathlib.Path, split: str) -> Index:
    """Read a split's index; in a store of an earlier layout, the shards of the split are asked.

    Raises:
        InputError: a file is damaged.
    """
    path = index_path(store_folder, split)
    if path.is_file():
        with hdf5.reading(path) as file:
            if "seen" in file:
                failures = zip(hdf5.texts(file["failed_ids"]), hdf5.texts(file["failed_reasons"]), strict=True)
                columns = hdf5.values(file["digests"]), hdf5.values(file["seen"])
                keys = hdf5.values(file["keys"]) if "keys" in file else None
                return Index(hdf5.texts(file["ids"]), *columns, dict(failures), keys)
    shards = earlier.shards(store_folder / split)
    ids = [name for shard in shards for name in (*shard.ids, *shard.failures)]
    failed = (np.zeros(len(shard.failures), np.uint64) for shard in shards)
    parts = [part for pair in zip((shard.digests for shard in shards), failed, strict=True) for part in pair]
    digests = np.concatenate([np.empty(0, np.uint64), *parts])
    failures_of = {name: reason for shard in shards for name, reason in shard.failures.items()}
    return Index(ids, digests, np.zeros(len(ids), np.uint64), failures_of)


def write_index(store_folder: pathlib.Path, split: str, index: Index) -> None:
    """Write a split's index, unless the same is there.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    path = index_path(store_folder, split)
    if path.is_file() and _is_equal(read_index(store_folder, split), index):
        return
    with hdf5.writing(path) as file:
        file["ids"] = hdf5.text_array(index.ids)
        file["digests"], file["seen"] = index.digests, index.seen
        if index.keys is not None:
            file["keys"] = index.keys
        file["failed_ids"] = hdf5.text_array(index.failures)
        file["failed_reasons"] = hdf5.text_array(index.failures.values())


def _columns(index: Index) -> list[np.ndarray]:
    return [index.digests, index.seen, np.empty(0, np.uint64) if index.keys is None else index.keys]


def _is_equal(one: Index, other: Index) -> bool:
    same = all(np.array_equal(*pair) for pair in zip(_columns(one), _columns(other), strict=True))
    return same and one.failures == other.failures and one.is_of(other.ids)


# A split


def locate(store_folder: pathlib.Path, split: "Split", table: Table | None = None) -> Located:
    """Find the features of a split's photos, by what its index says of their contents.

    Args:
        store_folder: features/<set>/<data set>.
        split: in the order that is asked for, which need not be the index's.
        table: of the store, where it was read already.

    Raises:
        InputError: a file is damaged.
    """
    table, index = table or read(store_folder), read_index(store_folder, split.name)
    rows = index.rows(split.ids)
    digests, keys = _at(index.digests, rows), None if index.keys is None else _at(index.keys, rows)
    places = table.find(digests if keys is None else keys)
    failures, missing = {}, []
    for row in np.flatnonzero(places[:, 0] < 0).tolist():
        name = split.ids[row]
        if reason := table.failures.get(int(digests[row])) or index.failures.get(name):
            failures[name] = reason
        else:
            missing.append(name)
    known = np.where(places[:, 0] < 0, np.uint64(0), digests)
    return Located(table.shards, places, known, failures, missing, keys)


def _at(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Take rows of a column of an index, 0 for -1."""
    return np.append(column, np.uint64(0))[rows]


def check_whole(store_folder: pathlib.Path, split: "Split", located: Located) -> None:
    """Refuse a split some of whose photos are not extracted yet.

    Raises:
        InputError: with their number, and what makes them.
    """
    if located.missing:
        raise InputError(
            f"{len(located.missing):,} of {len(split.ids):,} {split.name} photos have no features in {store_folder}, "
            f"for example {located.missing[0]!r}: run `make features`."
        )


def read_photos(store_folder: pathlib.Path, dataset: "DataSet") -> dict[str, Seen]:
    """Read what a store tells of photos: ids and digests of those with features, and why others have none.

    Returns:
        {split: `Seen`}.

    Raises:
        InputError: a file is damaged, or some photos are not extracted yet.
    """
    table = read(store_folder)
    return {name: _seen(store_folder, split, table) for name, split in dataset.splits.items()}


def _seen(store_folder: pathlib.Path, split: "Split", table: Table) -> Seen:
    located = locate(store_folder, split, table)
    check_whole(store_folder, split, located)
    has = located.places[:, 0] >= 0
    ids = tuple(name for name, kept in zip(split.ids, has, strict=True) if kept)
    return Seen(ids, located.digests[has], located.failures)


def first_whole(store_folders: Iterable[pathlib.Path], dataset: "DataSet") -> dict[str, Seen]:
    """Read what the first store that holds all splits tells of a data set's photos.

    Returns:
        {split: `Seen`}, {} where no store holds all splits.
    """
    for folder in store_folders:
        try:
            if (made := store.fingerprint(folder)) and made.runtime in BLIND:
                continue  # it does not know which photos can be decoded
            return read_photos(folder, dataset)
        except InputError:
            continue
    return {}


def content_digest(store_folder: pathlib.Path, dataset: "DataSet") -> str:
    """Give the digest of a data set's rows in a store: of their contents and their fingerprint, not of other rows.

    Raises:
        InputError: a file is damaged.
    """
    if whole := earlier.content_digest(store_folder, {name: split.ids for name, split in dataset.splits.items()}):
        return whole
    fingerprint, table = store.fingerprint(store_folder), read(store_folder)
    parts: list[str | np.ndarray] = [fingerprint.to_json() if fingerprint else ""]
    for split in dataset.splits.values():
        located = locate(store_folder, split, table)
        parts += [split.name, located.digests, *([] if located.keys is None else [located.keys])]
    return digest(*parts)

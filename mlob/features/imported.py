"""Features that were made elsewhere, brought as a table (`mlob import`): joined with photos by their ids.

A row belongs to its numbers, whichever photos have them, and a split lists the rows of its photos. So a table that
changed brings new rows, and those of earlier shards stay.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mlob.data import factsheet, owners
from mlob.data.dataset import DataSet
from mlob.data.places import Place
from mlob.data.vectors import Vectors
from mlob.errors import InputError, counted
from mlob.features import backbones, contents, deliveries, store, table
from mlob.features.contents import Photos
from mlob.features.fingerprint import Fingerprint
from mlob.files import digest, hashes, read_record, write_once
from mlob.progress import say
from mlob.recipes import FeatureSet

COLUMNS = "columns.json"
NONE = np.uint64(0)  # the key of a photo without a row


@dataclasses.dataclass(frozen=True)
class Columns:
    """columns.json: how many numbers a row has, and their names; none where the table had none."""

    count: int
    names: tuple[str, ...]


def check(feature_set: FeatureSet) -> None:
    """Refuse a recipe of features made elsewhere that says more than that.

    Raises:
        InputError: with what was expected.
    """
    if feature_set != FeatureSet(backbones.IMPORTED):
        raise InputError(
            f'A feature set that was made elsewhere has no other field: expected FeatureSet("{backbones.IMPORTED}"), '
            f"found {feature_set}."
        )


def bring(name: str, store_folder: pathlib.Path, dataset: DataSet, vectors: Vectors, *, is_dry: bool = False) -> None:
    """Join a table with the photos of a data set, and keep what the store lacks of it.

    Args:
        name: of the feature set.
        store_folder: features/<set>/<data set>.
        dataset: whose photos they are.
        vectors: the table.
        is_dry: say what would be done.

    Raises:
        InputError: no id is one of a photo that can be read, or one is of several; the table has other columns than the
            store.
    """
    values = in_order(store_folder, vectors) if (store_folder / COLUMNS).is_file() else vectors.values
    photos = contents.known(name, store_folder, dataset)
    rows, before = joined(photos, vectors), _Known(store_folder)
    own = np.maximum(hashes(row.tobytes().hex() for row in values), np.uint64(1))
    earlier = {split: before.keys(split, found) for split, found in photos.items()}
    keys = _keys(photos, {split: np.append(own, NONE)[each] for split, each in rows.items()}, earlier)
    if not any(each.any() for each in keys.values()):
        raise InputError(
            f"None of the photos that {vectors.path} has rows of can be read in {dataset.folder}: put them there."
        )
    lacking = _lacking(before, photos, keys, own)
    brought = _Brought(name, vectors, photos, rows, earlier, keys)
    for line in (brought.summary(len(lacking)), *brought.odd(), *brought.unknown()):
        say(line)
    if not is_dry:
        owners.claim(store_folder, dataset.folder)
        _write(store_folder, Columns(values.shape[1], vectors.names), values, lacking)
        for split, found in photos.items():
            failures = _failures(found, keys[split], f"not in {vectors.path.name}")
            table.write_index(store_folder, split, contents.index(found, keys[split], failures))


def renew(name: str, store_folder: pathlib.Path, dataset: DataSet, *, is_dry: bool = False) -> None:
    """List the splits anew over what was brought: photos that moved, or were renamed, keep their features.

    Raises:
        InputError: some photos were not there when features were brought.
    """
    photos, before = contents.known(name, store_folder, dataset), _Known(store_folder)
    indices = {split: before.index(split, found) for split, found in photos.items()}
    new = [(split, photo) for split, index in indices.items() for photo in before.unknown(index)]
    if new:
        total = sum(len(split.ids) for split in dataset.splits.values())
        raise InputError(
            f"{name} holds features that were made elsewhere, and none of {len(new):,} of {total:,} photos, for "
            f"example {new[0][1]!r} of {new[0][0]}: bring them with `mlob import TABLE --name {name}`."
        )
    for split, index in indices.items():
        if not is_dry:
            table.write_index(store_folder, split, index)
        for line in factsheet.losses(split, len(index.ids), index.failures):
            say(f"{name}: {line}")


def joined(photos: Mapping[str, Photos], vectors: Vectors) -> dict[str, np.ndarray]:
    """Find the row of each photo: by its split and id ("train/7"), its id, its file's name, or that without its ending.

    Returns:
        {split: int (n,)}, -1 for a photo without a row.

    Raises:
        InputError: no id is one of a photo; one is of photos that differ.
    """
    row_of = {name: row for row, name in enumerate(vectors.ids)}
    found = {
        split: np.array([_row(row_of, split, *photo) for photo in zip(each.ids, each.places, strict=True)], int)
        for split, each in photos.items()
    }
    if all((rows < 0).all() for rows in found.values()):
        split, first = next((split, each.ids[0]) for split, each in photos.items() if len(each.ids))
        raise InputError(
            f"{vectors.path} has no row of any photo: its ids are such as {vectors.ids[0]!r}, those of {split} such as "
            f"{first!r}. Expected these, or the names of the files."
        )
    _refuse_shared(photos, found, vectors)
    return found


def rows_beside(photos: Sequence[Place], vectors: Vectors) -> dict[Place, int]:
    """Find the rows of photos outside of any data set, by their paths or the names of their files."""
    row_of = {name: row for row, name in enumerate(vectors.ids)}
    found = ((photo, _named(row_of, str(photo), photo.name, photo.stem)) for photo in photos)
    return {photo: row for photo, row in found if row >= 0}


def in_order(folder: pathlib.Path, vectors: Vectors) -> np.ndarray:
    """Give the values of a table, its columns in the order of a store's: float16 (n, d).

    Raises:
        InputError: the table has other columns, or the store is gone.
    """
    kept = read_record(folder / COLUMNS, Columns)
    if vectors.names and kept.names and {*vectors.names} != {*kept.names}:
        odd = sorted({*vectors.names} ^ {*kept.names})
        raise InputError(
            f"{vectors.path} has other columns than the features in {folder}, for example {odd[0]!r}: expected "
            f"{counted(kept.count, 'column')} of the same names. Give other features a name of their own."
        )
    if vectors.values.shape[1] != kept.count:
        raise InputError(
            f"{vectors.path} has {counted(vectors.values.shape[1], 'number')} a row, and {folder} {kept.count:,}: give "
            "other features a name of their own."
        )
    if not (vectors.names and kept.names) or vectors.names == kept.names:
        return vectors.values
    return vectors.values[:, [vectors.names.index(name) for name in kept.names]]


def _row(row_of: Mapping[str, int], split: str, photo: str, place: Place | None) -> int:
    names = (place.name, place.stem) if place else ()
    return _named(row_of, f"{split}/{photo}", photo, *names)


def _named(row_of: Mapping[str, int], *names: str) -> int:
    return next((row_of[name] for name in names if name in row_of), -1)


def _refuse_shared(photos: Mapping[str, Photos], rows: Mapping[str, np.ndarray], vectors: Vectors) -> None:
    """Refuse a row that would be of photos of different bytes."""
    owner: dict[int, tuple[str, int]] = {}
    for split, found in photos.items():
        for place in np.flatnonzero((rows[split] >= 0) & (found.digests != 0)).tolist():
            other, first = owner.setdefault(int(rows[split][place]), (split, place))
            if photos[other].digests[first] != found.digests[place]:
                one, two = f"{other}/{photos[other].ids[first]}", f"{split}/{found.ids[place]}"
                raise InputError(
                    f"{vectors.path} names {vectors.ids[rows[split][place]]!r}, which may be {one!r} or {two!r}: write "
                    "the ids of photos with their split, so."
                )


# What a store knows


class _Known:
    """What a store holds of photos: by content, and where equal photos have different rows by split and id, too."""

    def __init__(self, store_folder: pathlib.Path) -> None:
        self._keys: dict[int, int] = {}
        self._own: dict[tuple[int, str, str], int] = {}
        self._reasons: dict[int, str] = {}
        self.rows = table.read(store_folder)
        for path in sorted(store_folder.glob("*.h5")):
            self._add(path.stem, table.read_index(store_folder, path.stem))

    def _add(self, split: str, index: table.Index) -> None:
        keys = np.zeros(len(index.ids), np.uint64) if index.keys is None else index.keys
        for name, content, key in zip(index.ids, index.digests.tolist(), keys.tolist(), strict=True):
            if key:
                self._keys.setdefault(content, key)
                self._own.setdefault((content, split, name), key)
            elif content and name in index.failures:
                self._reasons.setdefault(content, index.failures[name])

    def keys(self, split: str, found: Photos) -> np.ndarray:
        """Give the keys of a split's photos, uint64 (n,), 0 where they have no row."""
        pairs = zip(found.digests.tolist(), found.ids, strict=True)
        known = np.array(
            [self._own.get((content, split, name), self._keys.get(content, 0)) for content, name in pairs], np.uint64
        )
        return np.where((found.digests != 0) & self.rows.has(known), known, NONE)

    def index(self, split: str, found: Photos) -> table.Index:
        """List a split's photos with the rows that the store has of them."""
        keys, failures = self.keys(split, found), dict(found.failures)
        for row in np.flatnonzero((keys == NONE) & (found.digests != 0)).tolist():
            if reason := self._reasons.get(int(found.digests[row])):
                failures[found.ids[row]] = reason
        return contents.index(found, keys, failures)

    def unknown(self, index: table.Index) -> Iterator[str]:
        """Go through the photos that the store knows nothing of."""
        assert index.keys is not None  # this store has them
        for row in np.flatnonzero(index.keys == NONE).tolist():
            if (name := index.ids[row]) not in index.failures:
                yield name


def _keys(
    photos: Mapping[str, Photos], brought: Mapping[str, np.ndarray], earlier: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Give the keys of photos: of the table's rows; where it has none, of what they had, or of the row of equal bytes.

    Args:
        photos: {split: `Photos`}.
        brought: {split: keys of the table's rows, uint64 (n,)}.
        earlier: {split: keys of what the store had, uint64 (n,)}.
    """
    of_bytes: dict[int, int] = {}
    for split, found in photos.items():
        for row in np.flatnonzero(brought[split] != NONE).tolist():
            of_bytes.setdefault(int(found.digests[row]), int(brought[split][row]))
    keys = {}
    for split, found in photos.items():
        shared = np.array([of_bytes.get(content, 0) for content in found.digests.tolist()], np.uint64)
        own = np.where(brought[split] != NONE, brought[split], earlier[split])
        keys[split] = np.where(found.digests == 0, NONE, np.where(own != NONE, own, shared))
    return keys


def _failures(found: Photos, keys: np.ndarray, reason: str) -> dict[str, str]:
    without = np.flatnonzero((keys == NONE) & (found.digests != 0)).tolist()
    return {**found.failures, **{found.ids[row]: reason for row in without}}


# Writing


def _lacking(
    before: "_Known", photos: Mapping[str, Photos], keys: Mapping[str, np.ndarray], own: np.ndarray
) -> dict[int, tuple[int, str]]:
    """Give the rows that the store lacks, in the order of photos: {key: (row of the table, id of the first photo)}."""
    row_of = {key: row for row, key in enumerate(own.tolist())}
    lacking: dict[int, tuple[int, str]] = {}
    for split, found in photos.items():
        for row in np.flatnonzero(~before.rows.has(keys[split]) & (keys[split] != NONE)).tolist():
            key = int(keys[split][row])
            lacking.setdefault(key, (row_of[key], found.ids[row]))
    return lacking


def _write(
    store_folder: pathlib.Path, columns: Columns, values: np.ndarray, lacking: Mapping[int, tuple[int, str]]
) -> None:
    """Write rows as one delivery."""
    write_once(store_folder / COLUMNS, json.dumps(dataclasses.asdict(columns)) + "\n")
    made = store.declare(store_folder, _fingerprint(read_record(store_folder / COLUMNS, Columns)))

    def shard_of(part: Sequence[int]) -> store.Shard:
        rows, ids = zip(*(lacking[key] for key in part), strict=True)
        return store.Shard(ids, values[list(rows)], np.array(part, np.uint64), {})

    deliveries.write(store_folder, list(lacking), shard_of, made)


def _fingerprint(columns: Columns) -> Fingerprint:
    return Fingerprint(
        backbone=backbones.IMPORTED, size=0, layer="last", pool="avg", view="whole", preprocessing=0, decoder="none",
        weights="", runtime="none", precision="float16", calibration=digest(json.dumps(dataclasses.asdict(columns))),
    )  # fmt: skip


# What is told


@dataclasses.dataclass(frozen=True)
class _Brought:
    """What became of photos and rows.

    Attributes:
        name: of the feature set.
        vectors: the table.
        photos: {split: `Photos`}.
        rows: {split: the photos' rows in the table, int (n,)}, -1 for none.
        earlier, keys: {split: uint64 (n,)}, what the photos' rows in the store were found by, and are now.
    """

    name: str
    vectors: Vectors
    photos: Mapping[str, Photos]
    rows: Mapping[str, np.ndarray]
    earlier: Mapping[str, np.ndarray]
    keys: Mapping[str, np.ndarray]

    @property
    def total(self) -> int:
        """The number of photos."""
        return sum(len(found.ids) for found in self.photos.values())

    def summary(self, new: int) -> str:
        """Say how many photos have features, and how many rows are new."""
        with_row = sum(int((keys != NONE).sum()) for keys in self.keys.values())
        each = counted(self.vectors.values.shape[1], "number")
        rows = "no row is new" if not new else counted(new, "new row")
        return f"{self.name}: {with_row:,} of {self.total:,} photos have {each} each; {rows}."

    def odd(self) -> Iterator[str]:
        """Go through what is not as it should be with photos, a line each with their number and an example."""
        table = self.vectors.path.name
        for what, is_odd in {
            "had other numbers before": lambda row, was, key: (was != NONE) & (key != was),
            f"are not in {table}": lambda row, was, key: (row < 0) & (key == NONE),
            f"are not in {table}, and have what was brought before, or for equal photos": lambda row, was, key: (
                (row < 0) & (key != NONE)
            ),
            f"are in {table}, and cannot be read themselves": lambda row, was, key: (row >= 0) & (key == NONE),
        }.items():
            found = [
                (photos.ids[row], split)
                for split, photos in self.photos.items()
                for row in np.flatnonzero(is_odd(self.rows[split], self.earlier[split], self.keys[split])).tolist()
            ]
            if found:
                yield f"{self.name}: {_share(found, self.total)} {what}, for example {found[0][0]!r} of {found[0][1]}."

    def unknown(self) -> Iterator[str]:
        """Say which rows are of no photo."""
        ids, used = self.vectors.ids, np.unique(np.concatenate([*self.rows.values()]))
        unknown = np.setdiff1d(np.arange(len(ids)), used)
        if len(unknown):
            yield (
                f"{self.name}: {len(unknown):,} of {len(ids):,} rows of {self.vectors.path.name} are of no photo here, "
                f"for example that of {ids[unknown[0]]!r}."
            )


def _share(some: Sequence[object], total: int) -> str:
    return f"{len(some):,} of {total:,} photos"

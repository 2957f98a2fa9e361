"""The HDF5 contract of a feature store: shards of at most 4,096 photos, whole or absent.

A shard holds `ids`, `features` (float16, contiguous), `digests` (of each photo's bytes), `failed_ids` and
`failed_reasons`, and two attributes: `fingerprint` (all that shaped the features, JSON) and `checksum` (of all of it).
"""

import contextlib
import dataclasses
import json
import math
import pathlib

import numpy as np

from mlob import hdf5
from mlob.errors import InputError
from mlob.files import digest, read_product, refusal, write_once

SLICE = 4096
DECLARED = "fingerprint.json"
FINGERPRINT = {"backbone": str, "size": int, "weights": (str, None), "runtime": str, "precision": str}
PREDICTED = "predicted"  # beside the stores of data folders: what was extracted of photos outside of them
DATA_SETS = ("ids", "features", "digests", "failed_ids", "failed_reasons")


@dataclasses.dataclass(frozen=True)
class Shard:
    """The photos of one slice: those with features, and those that failed.

    Attributes:
        ids: texts, in annotation order.
        features: (n, d) float16.
        digests: uint64 (n,), equal for photos of equal bytes.
        failures: {id: reason}.
    """

    ids: tuple[str, ...]
    features: np.ndarray
    digests: np.ndarray
    failures: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Header:
    """What a shard tells of itself.

    Attributes:
        fingerprint: all that shaped its features.
        ids: of its slice, with features or without.
        failures: {id: reason} of those without.
        checksum: of all that is in it.
    """

    fingerprint: dict
    ids: set[str]
    failures: dict[str, str]
    checksum: str


def slices(ids):
    """Cut ids, in annotation order, into slices of at most 4,096."""
    return [tuple(ids[start : start + SLICE]) for start in range(0, len(ids), SLICE)]


def shard_path(folder, number):
    """Name the shard of slice `number` in a split's folder."""
    return folder / f"{number:05d}.h5"


def write(path, shard, fingerprint):
    """Write one shard, atomically; equal content gives equal bytes."""
    text = json.dumps(fingerprint, sort_keys=True)
    with hdf5.writing(path) as file:
        file["ids"] = hdf5.text_array(shard.ids)
        file["features"] = shard.features
        file["digests"] = shard.digests
        file["failed_ids"] = hdf5.text_array(shard.failures)
        file["failed_reasons"] = hdf5.text_array(shard.failures.values())
        file.attrs["fingerprint"] = np.bytes_(text)
        file.attrs["checksum"] = np.bytes_(_checksum(shard, text))


def read(path):
    """Read one shard and check every byte of it.

    Raises:
        InputError: missing, cut short, or changed since it was written.
    """
    with hdf5.reading(path) as file:
        shard = _shard(file)
        if hdf5.text_attribute(file, "checksum") != _checksum(shard, hdf5.text_attribute(file, "fingerprint")):
            raise hdf5.damaged(path, "its checksum is not that of its content")
    return shard


def header(path):
    """Read what a shard tells of itself: a `Header`."""
    with hdf5.reading(path) as file:
        failures, mark = _failures(file), _fingerprint(file)
        return Header(mark, {*hdf5.texts(file["ids"]), *failures}, failures, hdf5.text_attribute(file, "checksum"))


def checksum(path):
    """Read the checksum that a shard bears."""
    with hdf5.reading(path) as file:
        return hdf5.text_attribute(file, "checksum")


def content(folder):
    """Give the digest of all that a store holds, by its shards' checksums."""
    paths = sorted(folder.glob("*/[0-9]*.h5"))
    return digest(*(f"{path.parent.name}/{path.name} {checksum(path)}" for path in paths))


def fingerprint(folder):
    """Give the fingerprint of a store: what was declared before its first shard, or any shard's; None without both."""
    if (folder / DECLARED).is_file():
        return read_product(folder / DECLARED, FINGERPRINT)
    first = next(iter(sorted(folder.glob("*/[0-9]*.h5"))), None)
    return header(first).fingerprint if first else None


def declare(folder, wanted):
    """Declare the fingerprint of a store, once: of several processes that begin one the first is heard.

    Returns:
        The fingerprint that holds, `wanted` or what was declared before.
    """
    write_once(folder / DECLARED, json.dumps(wanted, indent=2, sort_keys=True) + "\n")
    return read_product(folder / DECLARED, FINGERPRINT)


def read_split(folder, ids):
    """Read all shards of a split, joined in the order of `ids`: a `Shard` over the whole split.

    Raises:
        InputError: as of `read_shards`.
    """
    return _joined([shard for _, shard in read_shards(folder, ids)])


def read_shards(folder, ids):
    """Read the shards of a split one after another, each checked: its path and its `Shard`.

    Args:
        folder: of the split.
        ids: the split's ids, in annotation order.

    Raises:
        InputError: a shard is missing or damaged, of another fingerprint, or of other ids.
    """
    expected = None
    for number, slice_ids in enumerate(slices(ids)):
        path = shard_path(folder, number)
        found = header(path)
        expected = expected or found.fingerprint
        check(folder.parent, expected, found.fingerprint)
        check_ids(path, slice_ids, found.ids)
        yield path, read(path)


@dataclasses.dataclass(frozen=True)
class Extent:
    """Where in a shard's file its features lie, one row after another: read past HDF5, in a fifth of its time."""

    path: pathlib.Path
    offset: int | None  # bytes; HDF5 has none where there are no rows
    shape: tuple[int, ...]

    def read(self, start, stop):
        """Read rows start to stop: float16 (stop - start, ...).

        Raises:
            InputError: the file is gone, or shorter than it was.
        """
        size = math.prod(self.shape[1:])
        try:
            flat = np.fromfile(self.path, "<f2", (stop - start) * size, offset=self.offset + 2 * start * size)
            return flat.reshape(stop - start, *self.shape[1:])
        except (OSError, ValueError) as error:
            refused = isinstance(error, OSError) and refusal(self.path, error)
            changed = f"{self.path} changed while it was read: run `make features`, then go on."
            raise refused or InputError(changed) from error


def extent(path):
    """Find the features of a shard in its file: an `Extent`."""
    with hdf5.reading(path) as file:
        features = file["features"]
        if len(features) and features.id.get_offset() is None:
            raise ValueError("its features are packed, or in pieces")
        return Extent(path, features.id.get_offset(), features.shape)


def read_photos(folder, ids):
    """Read what a split's shards tell of its photos, without the features: a `Shard` of features (n, 0)."""
    return _joined([read_told(shard_path(folder, number)) for number, _ in enumerate(slices(ids))])


def read_told(path):
    """Read what one shard tells of its photos, without the features: a `Shard` of features (n, 0)."""
    with hdf5.reading(path) as file:
        return _shard(file, has_features=False)


def first_whole(folders, dataset):
    """Read what the first store that holds all splits tells of a data set's photos: {split: `Shard`}, {} without one.

    Args:
        folders: of stores, features/<set>/<data set>.
        dataset: the `DataSet`.
    """
    for folder in folders:
        with contextlib.suppress(InputError):
            return {name: read_photos(folder / name, split.ids) for name, split in dataset.splits.items()}
    return {}


def check(folder, expected, found):
    """Compare the fingerprint that a store is asked for with the one that is found there.

    Raises:
        InputError: they differ; the message names the first field that does, and the command that mends it.
    """
    for field in expected:
        if expected[field] != found.get(field):
            raise InputError(
                f"{folder} was made with {field} {found.get(field)!r}, but {expected[field]!r} is asked for. Remove "
                f"{folder} and run `make features` again, or give the changed feature set its own name."
            )


def check_ids(path, expected, found):
    """Refuse a shard of other photos.

    Raises:
        InputError: the slice's ids are not those in the shard.
    """
    missing = [name for name in expected if name not in found]
    if missing or len(expected) != len(found):
        example = missing[0] if missing else next(iter(found - set(expected)))
        raise InputError(
            f"{path} holds other photos than the annotations ({len(missing)} of {len(expected)} missing, for example "
            f"{example!r}). Remove {path.parent.parent} and run `make features` again."
        )


def write_virtual(folder):
    """Lay one virtual data set over a split's shards, beside the folder: <split>.h5, for h5py, pandas or anyone."""
    hdf5.write_virtual(folder.with_suffix(".h5"), sorted(folder.glob("[0-9]*.h5")), DATA_SETS)


def _shard(file, has_features=True):
    ids, features, digests = hdf5.texts(file["ids"]), file["features"], hdf5.values(file["digests"])
    if (features.dtype, digests.dtype) != (np.float16, np.uint64) or features.ndim < 2:
        raise ValueError(f"features are {features.dtype} {features.shape}")
    if not len(ids) == len(features) == len(digests):
        raise ValueError(f"{len(ids)} ids, {len(features)} features, {len(digests)} digests")
    return Shard(ids, hdf5.values(features) if has_features else features[:, :0], digests, _failures(file))


def _failures(file):
    return dict(zip(hdf5.texts(file["failed_ids"]), hdf5.texts(file["failed_reasons"]), strict=True))


def _fingerprint(file):
    found = json.loads(hdf5.text_attribute(file, "fingerprint"))
    if not isinstance(found, dict):
        raise ValueError("its fingerprint is none")
    return found


def _checksum(shard, fingerprint):
    return digest(fingerprint, json.dumps([shard.ids, list(shard.failures.items())]), shard.features, shard.digests)


def _joined(shards):
    failed = {name: reason for shard in shards for name, reason in shard.failures.items()}
    return Shard(
        tuple(name for shard in shards for name in shard.ids),
        np.concatenate([shard.features for shard in shards]),
        np.concatenate([shard.digests for shard in shards]),
        failed,
    )

"""The HDF5 contract of a feature store: shards of at most 4,096 photos, whole or absent.

A shard holds `ids`, `features` (float16, contiguous), `digests` (of each photo's bytes), `failed_ids` and
`failed_reasons`, and two attributes: `fingerprint` (all that shaped the features, JSON) and `checksum` (of all of it).
"""

import contextlib
import dataclasses
import json
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob import hdf5
from mlob.errors import InputError
from mlob.features import fingerprint as fingerprints
from mlob.features.fingerprint import Fingerprint
from mlob.files import digest, refusal

if TYPE_CHECKING:
    from mlob.data.dataset import DataSet

SLICE = 4096
DECLARED = "fingerprint.json"
PREDICTED = "predicted"  # beside the stores of data folders: what was extracted of photos outside of them
DATA_SETS = ("ids", "features", "digests", "failed_ids", "failed_reasons")


@dataclasses.dataclass(frozen=True)
class Shard:
    """The photos of one slice: those with features, and those that failed.

    Attributes:
        ids: texts, in annotation order.
        features: (n, d) or (n, h, w, c) float16.
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

    fingerprint: Fingerprint
    ids: set[str]
    failures: dict[str, str]
    checksum: str


@dataclasses.dataclass(frozen=True)
class Extent:
    """Where in a shard's file its features lie, one row after another: reading them so takes a fifth of HDF5's time.

    Attributes:
        path: of the shard.
        offset: bytes before the first row; None where there are no rows.
        shape: of the features.
    """

    path: pathlib.Path
    offset: int | None
    shape: tuple[int, ...]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read rows start to stop: float16 (stop - start, ...).

        Raises:
            InputError: the file is gone, or shorter than it was.
        """
        size = math.prod(self.shape[1:])
        try:
            offset = (self.offset or 0) + 2 * start * size
            flat = np.fromfile(self.path, "<f2", (stop - start) * size, offset=offset)
            return flat.reshape(stop - start, *self.shape[1:])
        except (OSError, ValueError) as error:
            refused = refusal(self.path, error) if isinstance(error, OSError) else None
            changed = f"{self.path} changed while it was read: run `make features`, then go on."
            raise refused or InputError(changed) from error


def slices(ids: Sequence[str]) -> list[tuple[str, ...]]:
    """Cut ids, in annotation order, into slices of at most 4,096."""
    return [tuple(ids[start : start + SLICE]) for start in range(0, len(ids), SLICE)]


def shard_path(split_folder: pathlib.Path, number: int) -> pathlib.Path:
    """Name the shard of slice `number` in a split's folder."""
    return split_folder / f"{number:05d}.h5"


# One shard


def write(path: pathlib.Path, shard: Shard, fingerprint: Fingerprint) -> None:
    """Write one shard, atomically; equal content gives equal bytes.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    text = fingerprint.to_json()
    with hdf5.writing(path) as file:
        file["ids"] = hdf5.text_array(shard.ids)
        file["features"] = shard.features
        file["digests"] = shard.digests
        file["failed_ids"] = hdf5.text_array(shard.failures)
        file["failed_reasons"] = hdf5.text_array(shard.failures.values())
        file.attrs["fingerprint"] = np.bytes_(text)
        file.attrs["checksum"] = np.bytes_(_checksum(shard, text))


def read(path: pathlib.Path) -> Shard:
    """Read one shard and check every byte of it.

    Raises:
        InputError: missing, cut short, or changed since it was written.
    """
    with hdf5.reading(path) as file:
        shard = _shard(file)
        if hdf5.text_attribute(file, "checksum") != _checksum(shard, hdf5.text_attribute(file, "fingerprint")):
            raise hdf5.damaged(path, "its checksum is not that of its content")
    return shard


def read_without_features(path: pathlib.Path) -> Shard:
    """Read what one shard tells of its photos: its features are (n, 0).

    Raises:
        InputError: missing or damaged.
    """
    with hdf5.reading(path) as file:
        return _shard(file, has_features=False)


def header(path: pathlib.Path) -> Header:
    """Read what a shard tells of itself.

    Raises:
        InputError: missing or damaged.
    """
    with hdf5.reading(path) as file:
        fingerprint = fingerprints.from_json(hdf5.text_attribute(file, "fingerprint"))
        failures = _failures(file)
        ids = {*hdf5.texts(file["ids"]), *failures}
        return Header(fingerprint, ids, failures, hdf5.text_attribute(file, "checksum"))


def checksum(path: pathlib.Path) -> str:
    """Read the checksum in a shard, which was made of all of it when it was written.

    Raises:
        InputError: missing or damaged.
    """
    with hdf5.reading(path) as file:
        return hdf5.text_attribute(file, "checksum")


def extent(path: pathlib.Path) -> Extent:
    """Find the features of a shard in its file.

    Raises:
        InputError: missing or damaged, or packed by another program.
    """
    with hdf5.reading(path) as file:
        features = file["features"]
        if len(features) and features.id.get_offset() is None:
            raise ValueError("its features are packed, or in pieces")
        return Extent(path, features.id.get_offset(), features.shape)


# A split


def read_split(split_folder: pathlib.Path, ids: Sequence[str]) -> Shard:
    """Read all shards of a split, joined in the order of `ids`: a `Shard` over the whole split.

    Raises:
        InputError: as of `read_shards`.
    """
    return _joined([shard for _, shard in read_shards(split_folder, ids)])


def read_shards(split_folder: pathlib.Path, ids: Sequence[str]) -> Iterator[tuple[pathlib.Path, Shard]]:
    """Read the shards of a split one after another, each checked: its path and its `Shard`.

    Args:
        split_folder: features/<set>/<data set>/<split>.
        ids: the split's ids, in annotation order.

    Raises:
        InputError: a shard is missing or damaged, of another fingerprint, or of other ids.
    """
    first = None
    for number, slice_ids in enumerate(slices(ids)):
        path = shard_path(split_folder, number)
        shard_header = header(path)
        first = first or shard_header.fingerprint
        check_fingerprint(split_folder.parent, first.fields(), shard_header.fingerprint)
        check_ids(path, slice_ids, shard_header.ids)
        yield path, read(path)


def read_photos(split_folder: pathlib.Path, ids: Sequence[str]) -> Shard:
    """Read what a split's shards tell of its photos: a `Shard` over the whole split, its features (n, 0).

    Raises:
        InputError: a shard is missing or damaged.
    """
    paths = [shard_path(split_folder, number) for number, _ in enumerate(slices(ids))]
    return _joined([read_without_features(path) for path in paths])


def write_virtual(split_folder: pathlib.Path) -> None:
    """Lay one virtual data set over a split's shards, beside the folder: <split>.h5, for h5py, pandas or anyone."""
    hdf5.write_virtual(split_folder.with_suffix(".h5"), sorted(split_folder.glob("[0-9]*.h5")), DATA_SETS)


# A store


def fingerprint(store_folder: pathlib.Path) -> Fingerprint | None:
    """Give the fingerprint of a store: what was declared before its first shard, or any shard's; None without both.

    Raises:
        InputError: the file that declares it, or the shard, is damaged.
    """
    if (store_folder / DECLARED).is_file():
        return fingerprints.read(store_folder / DECLARED)
    first = next(iter(sorted(store_folder.glob("*/[0-9]*.h5"))), None)
    return header(first).fingerprint if first else None


def declare(store_folder: pathlib.Path, fingerprint: Fingerprint) -> Fingerprint:
    """Declare the fingerprint of a store, once: of several processes that begin one the first is heard.

    Returns:
        The fingerprint that holds, this one or what was declared before.
    """
    return fingerprints.declare(store_folder / DECLARED, fingerprint)


def content_digest(store_folder: pathlib.Path) -> str:
    """Give the digest of all that a store holds, by its shards' checksums."""
    paths = sorted(store_folder.glob("*/[0-9]*.h5"))
    return digest(*(f"{path.parent.name}/{path.name} {checksum(path)}" for path in paths))


def first_whole(store_folders: Iterable[pathlib.Path], dataset: "DataSet") -> dict[str, Shard]:
    """Read what the first store that holds all splits tells of a data set's photos.

    Returns:
        {split: `Shard` of features (n, 0)}, {} where no store holds all splits.
    """
    for folder in store_folders:
        with contextlib.suppress(InputError):
            return {name: read_photos(folder / name, split.ids) for name, split in dataset.splits.items()}
    return {}


def check_fingerprint(
    store_folder: pathlib.Path, asked_for: Mapping[str, str | int | None], fingerprint: Fingerprint
) -> None:
    """Compare what is asked of a store with the fingerprint that is found there.

    Args:
        store_folder: for the message.
        asked_for: {field of the fingerprint: value}; other fields may have any value.
        fingerprint: the store's.

    Raises:
        InputError: they differ; the message names the first field that does, and the command that mends it.
    """
    for field, value in asked_for.items():
        if (made_with := getattr(fingerprint, field)) != value:
            raise InputError(
                f"{store_folder} was made with {field} {made_with!r}, but {value!r} is asked for. Remove "
                f"{store_folder} and run `make features` again, or give the changed feature set its own name."
            )


def check_ids(path: pathlib.Path, expected: Sequence[str], ids: set[str]) -> None:
    """Refuse a shard of other photos.

    Raises:
        InputError: the slice's ids are not those in the shard.
    """
    missing = [name for name in expected if name not in ids]
    if missing or len(expected) != len(ids):
        example = missing[0] if missing else next(iter(ids - set(expected)))
        raise InputError(
            f"{path} holds other photos than the annotations ({len(missing)} of {len(expected)} missing, for example "
            f"{example!r}). Remove {path.parent.parent} and run `make features` again."
        )


def _shard(file: hdf5.File, has_features: bool = True) -> Shard:
    ids, features, digests = hdf5.texts(file["ids"]), file["features"], hdf5.values(file["digests"])
    if (features.dtype, digests.dtype) != (np.float16, np.uint64) or features.ndim < 2:
        raise ValueError(f"features are {features.dtype} {features.shape}")
    if not len(ids) == len(features) == len(digests):
        raise ValueError(f"{len(ids)} ids, {len(features)} features, {len(digests)} digests")
    return Shard(ids, hdf5.values(features) if has_features else features[:, :0], digests, _failures(file))


def _failures(file: hdf5.File) -> dict[str, str]:
    return dict(zip(hdf5.texts(file["failed_ids"]), hdf5.texts(file["failed_reasons"]), strict=True))


def _checksum(shard: Shard, fingerprint: str) -> str:
    return digest(fingerprint, json.dumps([shard.ids, list(shard.failures.items())]), shard.features, shard.digests)


def _joined(shards: list[Shard]) -> Shard:
    return Shard(
        tuple(name for shard in shards for name in shard.ids),
        np.concatenate([shard.features for shard in shards]),
        np.concatenate([shard.digests for shard in shards]),
        {name: reason for shard in shards for name, reason in shard.failures.items()},
    )

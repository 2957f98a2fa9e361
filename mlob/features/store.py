"""The HDF5 contract of a feature store: shards of at most 4,096 photos, whole or absent.

A shard holds `ids`, `features` (float16, or uint8 pixels; contiguous), `digests` (of each photo's bytes), `failed_ids`,
`failed_digests` and `failed_reasons`, and two attributes: `fingerprint` (all that shaped the features, JSON) and
`checksum` (of all of it). Pixels may be there as JPEGs: `jpegs` and `jpeg_ends` in place of `features`.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from mlob import hdf5
from mlob.errors import InputError
from mlob.features import boxes, jpegs
from mlob.features import fingerprint as fingerprints
from mlob.features.extents import FLOAT16, UINT8, Extent, Jpegs
from mlob.features.fingerprint import Fingerprint
from mlob.files import digest

SLICE = 4096
SLICE_OF_PIXELS = 512  # 77 MB of 224 pixels a side, 137 MB of 299
DTYPES = (FLOAT16, UINT8)  # of features, and of pixels
DECLARED = "fingerprint.json"
PREDICTED = "predicted"  # beside the stores of data folders: what was extracted of photos outside of them
Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Shard:
    """The photos of one slice: those with features, and those that failed.

    Attributes:
        ids: texts, in annotation order.
        features: (n, d) or (n, h, w, c), float16, or uint8 of pixels; object (n,) of JPEGs, the bytes of each.
        digests: uint64 (n,), equal for photos of equal bytes.
        failures: {id: reason}.
        failed_digests: uint64, of the bytes of those that failed, 0 where there are none; None in shards of an earlier
            layout.
        boxes: of a detector, float32 (n, most, 6) as `boxes` has them; they are written beside the shard, and not read
            with it. None of other feature sets.
    """

    ids: tuple[str, ...]
    features: np.ndarray
    digests: np.ndarray
    failures: dict[str, str]
    failed_digests: np.ndarray | None = None
    boxes: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Header:
    """What a shard tells of itself.

    Attributes:
        fingerprint: all that shaped its features.
        digests: of the photos with features, uint64 (n,).
        failures: {digest: reason} of those without, where their bytes are known.
    """

    fingerprint: Fingerprint
    digests: np.ndarray
    failures: dict[int, str]


def slices(photos: Sequence[Item], *, of_pixels: bool = False) -> list[Sequence[Item]]:
    """Cut photos, in annotation order, into slices of at most 4,096, or of 512 where their pixels are stored."""
    count = SLICE_OF_PIXELS if of_pixels else SLICE
    return [photos[start : start + count] for start in range(0, len(photos), count)]


def shard_path(folder: pathlib.Path, number: int) -> pathlib.Path:
    """Name the shard of slice `number` in the folder of a delivery."""
    return folder / f"{number:05d}.h5"


# One shard


def write(path: pathlib.Path, shard: Shard, fingerprint: Fingerprint) -> None:
    """Write one shard, atomically, and before it the table of its boxes; equal content gives equal bytes.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    if shard.boxes is not None:
        boxes.write_table(boxes.table_path(path), shard.ids, shard.boxes)
    text = fingerprint.to_json()
    with hdf5.writing(path) as file:
        file["ids"] = hdf5.text_array(shard.ids)
        for name, array in _arrays(shard.features).items():
            file[name] = array
        file["digests"] = shard.digests
        file["failed_ids"] = hdf5.text_array(shard.failures)
        if shard.failed_digests is not None:
            file["failed_digests"] = shard.failed_digests
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
        digests, failed = _digests(file, "digests"), _failed_digests(file)
        if len(digests) != _count(file):
            raise ValueError(f"{_count(file)} features, {len(digests)} digests")
        if failed is None or not len(failed):
            return Header(fingerprint, digests, {})
        reasons = zip(failed.tolist(), hdf5.texts(file["failed_reasons"]), strict=True)
        return Header(fingerprint, digests, {content: reason for content, reason in reasons if content})


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
        if "jpegs" in file:
            size = fingerprints.from_json(hdf5.text_attribute(file, "fingerprint")).size
            ends = hdf5.values(file["jpeg_ends"])
            return Jpegs(path, _offset(file["jpegs"]), (len(ends), size, size, 3), UINT8, ends)
        features = file["features"]
        return Extent(path, _offset(features), features.shape, features.dtype)


def _offset(dataset: hdf5.Dataset) -> int | None:
    """Tell where in its file a data set lies, None where it is empty."""
    if len(dataset) and dataset.id.get_offset() is None:
        raise ValueError("its features are packed, or in pieces")
    return dataset.id.get_offset()


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


def _shard(file: hdf5.File, has_features: bool = True) -> Shard:
    ids, count, digests = hdf5.texts(file["ids"]), _count(file), _digests(file, "digests")
    if not len(ids) == count == len(digests):
        raise ValueError(f"{len(ids)} ids, {count} features, {len(digests)} digests")
    features = _features(file) if has_features else np.empty((count, 0), FLOAT16)
    return Shard(ids, features, digests, _failures(file), _failed_digests(file))


def _count(file: hdf5.File) -> int:
    """Count the photos with features, and check what kind these are of."""
    if "jpegs" in file:
        return len(file["jpeg_ends"])
    features = file["features"]
    if features.dtype not in DTYPES or features.ndim < 2:
        raise ValueError(f"features are {features.dtype} {features.shape}")
    return len(features)


def _features(file: hdf5.File) -> np.ndarray:
    if "jpegs" in file:
        return jpegs.part(hdf5.values(file["jpegs"]), hdf5.values(file["jpeg_ends"]))
    return hdf5.values(file["features"])


def _arrays(features: np.ndarray) -> dict[str, np.ndarray]:
    """Give features as a shard holds them: {name: array}."""
    if features.dtype != object:
        return {"features": features}
    return dict(zip(("jpegs", "jpeg_ends"), jpegs.join(features), strict=True))


def _digests(file: hdf5.File, name: str) -> np.ndarray:
    digests = hdf5.values(file[name])
    if digests.dtype != np.uint64 or digests.ndim != 1:
        raise ValueError(f"{name} are {digests.dtype} {digests.shape}")
    return digests


def _failed_digests(file: hdf5.File) -> np.ndarray | None:
    return _digests(file, "failed_digests") if "failed_digests" in file else None


def _failures(file: hdf5.File) -> dict[str, str]:
    return dict(zip(hdf5.texts(file["failed_ids"]), hdf5.texts(file["failed_reasons"]), strict=True))


def _checksum(shard: Shard, fingerprint: str) -> str:
    failed = () if shard.failed_digests is None else (shard.failed_digests,)
    told = json.dumps([shard.ids, list(shard.failures.items())])
    return digest(fingerprint, told, *_arrays(shard.features).values(), shard.digests, *failed)

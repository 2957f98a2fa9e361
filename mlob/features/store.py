"""The HDF5 contract of a feature store: shards of at most 4,096 photos, whole or absent. The only door to h5py here.

A shard holds `ids`, `features` (float16, contiguous), `digests` (of each photo's bytes), `failed_ids` and
`failed_reasons`, and two attributes: `fingerprint` (all that shaped the features, JSON) and `checksum` (over all of it).
"""

import contextlib
import dataclasses
import errno
import json

import h5py
import numpy as np

from mlob.errors import InputError
from mlob.files import atomic, digest

SLICE = 4096
TEXT = h5py.string_dtype("utf-8")


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


def slices(ids):
    """Cut ids, in annotation order, into slices of at most 4,096."""
    return [tuple(ids[start : start + SLICE]) for start in range(0, len(ids), SLICE)]


def shard_path(folder, number):
    """Name the shard of slice `number` in a split's folder."""
    return folder / f"{number:05d}.h5"


def write(path, shard, fingerprint):
    """Write one shard, atomically; equal content gives equal bytes."""
    text = json.dumps(fingerprint, sort_keys=True)
    with atomic(path) as part, _writing(path), h5py.File(part, "w") as file:
        file.create_dataset("ids", data=list(shard.ids), dtype=TEXT, shape=(len(shard.ids),))
        file.create_dataset("features", data=shard.features)
        file.create_dataset("digests", data=shard.digests)
        file.create_dataset("failed_ids", data=list(shard.failures), dtype=TEXT, shape=(len(shard.failures),))
        file.create_dataset("failed_reasons", data=list(shard.failures.values()), dtype=TEXT, shape=(len(shard.failures),))
        file.attrs["fingerprint"] = text
        file.attrs["checksum"] = _checksum(shard, text)


def read(path):
    """Read one shard and check every byte of it.

    Raises:
        InputError: missing, cut short, or changed since it was written.
    """
    with _reading(path) as file:
        shard = _shard(file)
        if file.attrs["checksum"] != _checksum(shard, file.attrs["fingerprint"]):
            raise InputError(_damaged(path, "its checksum is not that of its content"))
    return shard


def header(path):
    """Read the fingerprint of a shard, and the ids of its slice: those with features and those that failed."""
    with _reading(path) as file:
        fingerprint = json.loads(file.attrs["fingerprint"])
        return fingerprint, {*_texts(file["ids"]), *_texts(file["failed_ids"])}


def any_fingerprint(folder):
    """Give the fingerprint of a store, from any of its shards; None where there are none."""
    first = next(iter(sorted(folder.glob("*/[0-9]*.h5"))), None)
    return header(first)[0] if first else None


def failures(path):
    """Read the failures of a shard: {id: reason}."""
    with _reading(path) as file:
        return dict(zip(_texts(file["failed_ids"]), _texts(file["failed_reasons"]), strict=True))


def readable(path):
    """Count the photos of a shard that have features."""
    with _reading(path) as file:
        return len(file["ids"])


def read_split(folder, ids, fingerprint=None):
    """Read all shards of a split, joined in the order of `ids`.

    Args:
        folder: of the split.
        ids: the split's ids, in annotation order.
        fingerprint: what each shard's must be; None accepts any, if they agree.

    Returns:
        A `Shard` over the whole split.

    Raises:
        InputError: a shard is missing or damaged, of another fingerprint, or of other ids.
    """
    shards = []
    for number, slice_ids in enumerate(slices(ids)):
        path = shard_path(folder, number)
        found, known = header(path)
        fingerprint = fingerprint or found
        check(path, fingerprint, found)
        check_ids(path, slice_ids, known)
        shards.append(read(path))
    return _joined(shards)


def check(path, expected, found):
    """Compare fingerprints.

    Raises:
        InputError: they differ; the message names the first field that does, and the command that mends it.
    """
    for field in expected:
        if expected[field] != found.get(field):
            raise InputError(
                f"{path} was made with {field} {found.get(field)!r}, but {expected[field]!r} is asked for. Remove "
                f"{path.parent.parent} and run `make features` again, or give the changed feature set a name of its own."
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
    paths = sorted(folder.glob("[0-9]*.h5"))
    target = folder.with_suffix(".h5")
    with atomic(target) as part, _writing(target), h5py.File(part, "w") as file:
        for name in ("ids", "features", "digests", "failed_ids", "failed_reasons"):
            sources = [_source(path, name, folder.name) for path in paths]
            rows = sum(source.shape[0] for source in sources)
            layout = h5py.VirtualLayout((rows, *sources[0].shape[1:]), sources[0].dtype)
            start = 0
            for source in sources:
                layout[start : start + source.shape[0]] = source
                start += source.shape[0]
            file.create_virtual_dataset(name, layout)


def arrays_of(path):
    """Read every array of an HDF5 file, whatever its layout: {name inside the file: array}.

    Raises:
        InputError: not an HDF5 file.
    """
    arrays = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with _reading(path) as file:
        file.visititems(keep)
    return arrays


@contextlib.contextmanager
def _writing(path):
    """Make a full disk, of which h5py tells in RuntimeErrors as well, the OSError that `atomic` explains."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        if "No space left" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(path)) from error
        raise


@contextlib.contextmanager
def _reading(path):
    """Open a file for reading; whatever h5py finds wrong with its bytes becomes one sentence."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: run `make features`.") from error
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(_damaged(path, f"not whole HDF5: {str(error).splitlines()[0][:80]}")) from error


def _damaged(path, what):
    return f"{path} is damaged ({what}): remove the file and run the same command again, which makes it anew."


def _shard(file):
    failed = dict(zip(_texts(file["failed_ids"]), _texts(file["failed_reasons"]), strict=True))
    return Shard(_texts(file["ids"]), file["features"][()], file["digests"][()], failed)


def _texts(dataset):
    return tuple(dataset.asstr()[()])


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


def _source(path, name, folder):
    with h5py.File(path, "r") as file:
        found = file[name]
        return h5py.VirtualSource(f"{folder}/{path.name}", name, found.shape, dtype=found.dtype)

"""Which bytes each photo of a data set has, read again only where path, size or time of its file are new."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import digests, images, places
from mlob.errors import InputError
from mlob.features import earlier, table
from mlob.files import read_arrays, write_arrays
from mlob.progress import bar

if TYPE_CHECKING:
    from mlob.data.dataset import DataSet
    from mlob.data.places import Folder, Place

# How the reasons begin for which a photo failed although its bytes may be sound.
UNREAD = ("no file", "not read", "access denied", images.NEEDS_HEIC)
Pairs = tuple[np.ndarray, np.ndarray]  # what was seen, and the digest of the bytes there: uint64 (n,) each


@dataclasses.dataclass(frozen=True)
class Photos:
    """The photos of a split as they are now, in annotation order.

    Attributes:
        ids: texts (n,).
        places: where each photo lies; None for one without a file.
        files: digest of each photo's path in the data folder, uint64 (n,); 0 for one without a file.
        seen: digest of path, size and time, uint64 (n,); 0 for one without a file.
        digests: of the bytes, uint64 (n,); 0 where they are not known (yet).
        known: bool (n,), whether these bytes, or the fault of the file, are known.
        failures: {id: why a photo without a digest cannot be read}.
        folder: the data folder.
    """

    ids: Sequence[str]
    places: Sequence[Place | None]
    files: np.ndarray
    seen: np.ndarray
    digests: np.ndarray
    known: np.ndarray
    failures: dict[str, str]
    folder: Folder


def look(dataset: DataSet) -> dict[str, Photos]:
    """Find a data set's photos, whose contents are not known yet; no photo is read.

    Returns:
        {split: `Photos`}.
    """
    return {name: _now(dataset, name) for name in dataset.splits}


def recognise(photos: Mapping[str, Photos], store_folder: pathlib.Path, indices: Mapping[str, table.Index]) -> None:
    """Note in `Photos` what a store knows of their contents; no photo is read.

    Args:
        photos: {split: `Photos`}.
        store_folder: features/<set>/<data set>.
        indices: {split: the store's `Index`}.
    """
    known = {split: _with_seen(index, store_folder / split, photos[split]) for split, index in indices.items()}
    _recognise(photos, [(index.seen, index.digests) for index in known.values()])
    if any((found.files != 0)[~found.known].any() for found in photos.values()):
        _recognise(photos, _noted_pairs(store_folder))
    for split, found in photos.items():
        _take_over(found, known[split])


def known(name: str, store_folder: pathlib.Path, dataset: DataSet) -> dict[str, Photos]:
    """Find the contents of a data set's photos: they are read where no store of the data set knows them.

    Args:
        name: of what needs it, for the terminal.
        store_folder: features/<set>/<data set>.
        dataset: whose photos they are.

    Returns:
        {split: `Photos`}.
    """
    photos = look(dataset)
    others = sorted(store_folder.parent.parent.glob(f"*/{store_folder.name}"))
    for folder in (store_folder, *others):
        recognise(photos, folder, {split: table.read_index(folder, split) for split in photos})
    unknown = [(found, (found.files != 0) & ~found.known) for found in photos.values()]
    read(name, unknown, is_remote=dataset.is_remote)
    return photos


def index(photos: Photos, keys: np.ndarray, failures: Mapping[str, str]) -> table.Index:
    """List a split's photos with their contents, and with what their rows are found by where that is not the content.

    Args:
        photos: of the split.
        keys: uint64 (n,); 0 for a photo without a row.
        failures: {id: why it has none}.
    """
    seen = np.where(photos.known | (photos.files == 0), photos.seen, np.uint64(0))
    return table.Index(photos.ids, photos.digests, seen, dict(failures), keys)


def read(name: str, photos: Sequence[tuple[Photos, np.ndarray]], *, is_remote: bool) -> None:
    """Read photos and note the digest of their bytes in `Photos`, or why that is not possible.

    Args:
        name: of what needs it, for the terminal.
        photos: for each split its `Photos`, and which of them to read: bool (n,).
        is_remote: the photos lie in a bucket.
    """
    total = sum(int(chosen.sum()) for _, chosen in photos)
    if not total:
        return
    with bar(f"{name}: compared by content", total) as advance:
        for found, chosen in photos:
            rows = np.flatnonzero(chosen).tolist()
            asked = (found.places[row] for row in rows)
            for row, outcome in zip(rows, digests.of(asked, is_remote=is_remote), strict=True):
                _note(found, row, outcome)
                advance(1)


def is_unread(reason: str) -> bool:
    """Tell whether a photo failed for a reason that does not lie in its bytes, so that it is to be tried again."""
    return reason.startswith(UNREAD)


def write_note(shard_path: pathlib.Path, seen: np.ndarray, digests: np.ndarray) -> None:
    """Note beside a shard what was read for it, path, size and time, and the digests of the bytes: uint64 (n,) each."""
    kept = digests != 0
    write_arrays(_note_path(shard_path), seen=seen[kept], digests=digests[kept])


def _now(dataset: DataSet, split: str) -> Photos:
    ids, found, versions = dataset[split].ids, dataset.photos(split), dataset.versions[split]
    files, seen = np.zeros(len(ids), np.uint64), np.zeros(len(ids), np.uint64)
    failures = {}
    for row, (name, place, version) in enumerate(zip(ids, found, versions, strict=True)):
        if place is None or version == places.NOWHERE:
            failures[name] = "no file"
        else:
            path = _path(place, dataset.folder)
            files[row], seen[row] = _hashed(path), _hashed(f"{path}:{version}")
    unknown = np.zeros(len(ids), np.uint64), np.zeros(len(ids), bool)
    return Photos(ids, found, files, seen, *unknown, failures, dataset.folder)


def _path(place: Place | None, folder: Folder) -> str:
    """Give the path of a photo in the data folder, so that the folder may move."""
    return str(place or "").removeprefix(str(folder))


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")


def _with_seen(index: table.Index, split_folder: pathlib.Path, found: Photos) -> table.Index:
    """Give a split's index; one of an earlier layout, which went by ids, with what its notes say was seen."""
    if index.seen.any():
        return index
    versions, places = earlier.versions(split_folder), dict(zip(found.ids, found.places, strict=True))
    seen = [
        _hashed(f"{_path(places.get(name), found.folder)}:{versions[name]}") if name in versions else 0
        for name in index.ids
    ]
    return dataclasses.replace(index, seen=np.array(seen, np.uint64))


def _recognise(photos: Mapping[str, Photos], pairs: Sequence[Pairs]) -> None:
    """Give the photos that were seen before, as they are, the digests that they had."""
    if not pairs:
        return
    seen, digests = (np.concatenate(column) for column in zip(*pairs, strict=True))
    seen, first = np.unique(seen, return_index=True)
    if not len(seen):
        return
    for found in photos.values():
        rows = np.searchsorted(seen, found.seen).clip(max=len(seen) - 1)
        fresh = (seen[rows] == found.seen) & (found.seen != 0) & ~found.known
        found.digests[fresh] = digests[first[rows[fresh]]]
        found.known[fresh] = True


def _take_over(found: Photos, index: table.Index) -> None:
    """Take from an index what it knows of photos whose file is gone, and why others have no digest."""
    without = np.flatnonzero((found.digests == 0) & ((found.files == 0) | found.known))
    if not len(without):
        return
    names = [found.ids[row] for row in without.tolist()]
    for row, name, before in zip(without.tolist(), names, index.rows(names).tolist(), strict=True):
        if before < 0 or not index.seen[before]:
            continue
        if found.files[row]:
            found.failures.setdefault(name, index.failures.get(name, "not read"))
        else:
            found.digests[row], found.seen[row] = index.digests[before], index.seen[before]


def _noted_pairs(store_folder: pathlib.Path) -> list[Pairs]:
    notes = [_read_note(path) for path in sorted(store_folder.glob("*/[0-9]*.h5"))]
    return [note for note in notes if note is not None]


def _read_note(shard_path: pathlib.Path) -> Pairs | None:
    """Read the note beside a shard; None where there is none, or a damaged one: contents are compared then."""
    try:
        arrays = read_arrays(_note_path(shard_path))
        seen, digests = arrays["seen"], arrays["digests"]
    except (InputError, KeyError):
        return None
    is_whole = seen.dtype == digests.dtype == np.uint64 and seen.ndim == 1 and seen.shape == digests.shape
    return (seen, digests) if is_whole else None


def _note_path(shard_path: pathlib.Path) -> pathlib.Path:
    return shard_path.with_name(f"seen-{shard_path.stem}.npz")


def _note(found: Photos, row: int, outcome: int | str) -> None:
    if isinstance(outcome, int):
        found.digests[row], found.known[row] = outcome, True
    else:
        found.failures[found.ids[row]] = outcome
        found.known[row] = not is_unread(outcome)

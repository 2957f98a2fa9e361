"""Photos that are in a data set twice, and photos without a file or that cannot be read."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from mlob.data import digests, places
from mlob.data.dataset import DataSet, Split
from mlob.data.places import Place
from mlob.progress import bar

EXAMPLES = 10  # ids shown of a longer list
NO_FILE = -1  # the size of a photo without a file


@dataclasses.dataclass(frozen=True)
class Seen:
    """What is known of a split's photos.

    Attributes:
        ids: of the photos that were read.
        digests: of these, uint64 (n,), equal for photos of equal bytes.
        failures: {id: reason} of the photos that are not there or could not be read.
    """

    ids: tuple[str, ...]
    digests: np.ndarray
    failures: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Between:
    """Photos of a split that are also in another one, equal by "content" or by "address", with some of their ids."""

    split: str
    other: str
    by: str
    photos: int
    ids: list[str]


@dataclasses.dataclass(frozen=True)
class Within:
    """Photos of a split that repeat an earlier one of it, with some of the pairs of ids, [earlier, repeated]."""

    split: str
    photos: int
    ids: list[list[str]]


@dataclasses.dataclass(frozen=True)
class Differing:
    """Photos that equal an earlier one by their bytes and have other labels, with some of the pairs of ids."""

    photos: int
    ids: list[list[str]]


def look(dataset: DataSet) -> dict[str, Seen]:
    """Look for missing files, and read those of equal size, since only these can be equal: {split: `Seen`}.

    In a bucket no photo is read.
    """
    photos = {name: dataset.photos(name) for name in dataset.splits}
    sizes = {name: np.array([_size(place) for place in places], np.int64) for name, places in photos.items()}
    rows = _to_read(dataset, sizes)
    chosen = (photos[name][row] for name, of_split in rows.items() for row in of_split.tolist())
    outcomes = iter(_digests(chosen, sum(map(len, rows.values())), dataset.is_remote))
    return {
        name: _seen(split.ids, sizes[name], dict(zip(rows[name].tolist(), outcomes, strict=False)))
        for name, split in dataset.splits.items()
    }


def _to_read(dataset: DataSet, sizes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Choose the photos to be read: {split: rows}; of an empty file, too, since it tells why there is no photo."""
    values, counts = np.unique(np.concatenate([*sizes.values()]), return_counts=True)
    shared = values[(values == 0) | ((counts > 1) & (values > 0) & (not dataset.is_remote))]
    unread = [name for name, split in dataset.splits.items() if dataset.is_remote and split.places is not None]
    return {name: np.flatnonzero(np.isin(of_split, shared) & (name not in unread)) for name, of_split in sizes.items()}


def between(dataset: DataSet, known: Mapping[str, Seen]) -> list[Between]:
    """Compare every two splits, the one further from training first.

    Photos are compared by their bytes, where these are known, and by their web addresses.

    Args:
        known: {split: what is known of its photos}.
    """
    content = {name: dict(zip(split.ids, split.digests.tolist(), strict=True)) for name, split in known.items()}
    address = {name: _addresses(split) for name, split in dataset.splits.items()}
    names = list(dataset.splits)[::-1]
    return [
        Between(split, other, by, len(ids), ids[:EXAMPLES])
        for split, other in itertools.combinations(names, 2)
        for by, keys in (("content", content), ("address", address))
        if (ids := _shared(keys.get(split, {}), keys.get(other, {})))
    ]


def within(known: Mapping[str, Seen]) -> list[Within]:
    """List the splits in which photos repeat earlier ones, by their bytes."""
    repeats = {name: _repeats(split) for name, split in known.items()}
    return [Within(name, len(pairs), pairs[:EXAMPLES]) for name, pairs in repeats.items() if pairs]


def differing(dataset: DataSet, known: Mapping[str, Seen], targets: Mapping[str, np.ndarray]) -> Differing | None:
    """Compare the labels of photos of equal bytes, within splits and between them; None where all agree.

    What is unknown of one of the two is no difference.

    Args:
        known: {split: what is known of its photos}.
        targets: {split with labels: uint8 (n, labels)}.
    """
    first: dict[int, tuple[str, np.ndarray]] = {}
    pairs = []
    for photo, digest, own in _repeated(dataset, known, targets):
        earlier, other = first.setdefault(digest, (photo, own))
        if ((own != other) & (own <= 1) & (other <= 1)).any():
            pairs.append([earlier, photo])
    return Differing(len(pairs), pairs[:EXAMPLES]) if pairs else None


def is_compared(dataset: DataSet, name: str, known: Seen) -> bool:
    """Tell whether the bytes of a split's photos were compared; in a bucket, not before there are features."""
    return len(known.ids) > 0 if dataset.is_remote else len(known.failures) < len(dataset[name].ids)


def _repeated(
    dataset: DataSet, known: Mapping[str, Seen], targets: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Give id, digest and targets (labels,) of the photos with labels whose bytes occur more than once."""
    contents = np.concatenate([np.array([], np.uint64), *(split.digests for split in known.values())])
    values, counts = np.unique(contents, return_counts=True)
    for name, split in known.items():
        places = np.flatnonzero(np.isin(split.digests, values[counts > 1])).tolist()
        if places and name in targets:
            rows = {photo: row for row, photo in enumerate(dataset[name].ids)}
            for place in places:
                yield split.ids[place], int(split.digests[place]), targets[name][rows[split.ids[place]]]


def _size(place: Place | None) -> int:
    """Give the size of a photo's file, -1 if there is none."""
    size, _, time = places.version(place).partition(":")
    return int(size) if time else NO_FILE


def _digests(photos: Iterable[Place | None], count: int, is_remote: bool) -> list[int | str]:
    """Give the digest of each of some photos, or the reason why it cannot be read."""
    outcomes = []
    with bar("photos twice", count) as advance:
        for outcome in digests.of(photos, is_remote=is_remote):
            outcomes.append(outcome)
            advance(1)
    return outcomes


def _seen(ids: Sequence[str], sizes: np.ndarray, outcomes: Mapping[int, int | str]) -> Seen:
    """Gather what is known of a split's photos, {row: digest, or the reason why there is none} of those read."""
    read = {row: outcome for row, outcome in outcomes.items() if isinstance(outcome, int)}
    failures = {row: outcome for row, outcome in outcomes.items() if isinstance(outcome, str)}
    failures |= dict.fromkeys(np.flatnonzero(sizes == NO_FILE).tolist(), "no file")
    named = {ids[row]: reason for row, reason in sorted(failures.items())}
    return Seen(tuple(ids[row] for row in read), np.array([*read.values()], np.uint64), named)


def _addresses(split: Split) -> dict[str, tuple[str, ...]]:
    return {name: urls for name, urls in zip(split.ids, split.urls, strict=True) if any("://" in url for url in urls)}


def _shared(keys: Mapping, others: Mapping) -> list[str]:
    """List the photos, {id: key}, whose key some other photo has."""
    known = set(others.values())
    return [name for name, key in keys.items() if key in known]


def _repeats(split: Seen) -> list[list[str]]:
    first: dict[int, str] = {}
    pairs = ((first.setdefault(key, name), name) for name, key in zip(split.ids, split.digests.tolist(), strict=True))
    return [[earlier, name] for earlier, name in pairs if earlier != name]

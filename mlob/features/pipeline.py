"""From photos to features: decoded ahead, run through one or several extractors, in bounded memory.

Photos of one size are decoded once for all extractors of that size. While a chunk of photos is in the networks the next
one is decoded; photos travel as uint8, and are normalised where the network runs.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mlob import pools
from mlob.data import places
from mlob.data.places import Place
from mlob.features import decoding, store
from mlob.features.runtimes import Runner
from mlob.machine import cores

CHUNK = 128  # photos: what the networks run on while the next ones are decoded
BATCHES = 4  # of the largest batch in a chunk, where that makes more photos
UNDER_WAY = 2  # chunks, on a GPU: one is in the network while the next is gathered


@dataclasses.dataclass(frozen=True)
class Slice:
    """A shard's worth of photos.

    Attributes:
        ids: texts.
        places: where each photo lies; None for a photo that is missing.
        shards: {name of the feature set: path of the shard that is to be made of them}.
        seen: digest of each photo's path, size and time, taken before it is read: another one tells a change.
    """

    ids: tuple[str, ...]
    places: Sequence[Place | None]
    shards: Mapping[str, pathlib.Path]
    seen: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A feature set that is ready to run: the view of the photo that it sees, and what runs its network."""

    view: str
    run: Runner

    def features(self, photos: Sequence[decoding.Photo]) -> tuple[np.ndarray, np.ndarray | None]:
        """Give the features of decoded photos, as a store holds them, and their boxes, where it has a detector."""
        found, given = None, self.run([photo.views[self.view] for photo in photos])
        if self.run.finish:
            found, given = self.run.finish(given, [photo.inset for photo in photos])
        return stored(given), found


class Known:
    """The contents that have features, so that photos of equal bytes go through a network once.

    Args:
        digests: of those that have features already, uint64 (n,).
    """

    def __init__(self, digests: np.ndarray | None = None) -> None:
        self._there = np.unique(np.empty(0, np.uint64) if digests is None else digests)
        self._made: set[int] = set()

    def add(self, digest: int) -> bool:
        """Add a content, and tell whether it is new."""
        row = np.searchsorted(self._there, np.uint64(digest))
        if digest in self._made or (row < len(self._there) and self._there[row] == digest):
            return False
        self._made.add(digest)
        return True


class Made(NamedTuple):
    """The shards of a slice, and how long they took: "forward" is in the network, "read" is waiting for photos.

    Attributes:
        photos: the slice.
        shards: {name of the feature set: `store.Shard`}.
        seconds: {name: {stage: seconds}}; the waiting is shared out among the feature sets.
        digests: of each photo's bytes, uint64 (n,); 0 where they were not read.
    """

    photos: Slice
    shards: dict[str, store.Shard]
    seconds: dict[str, dict[str, float]]
    digests: np.ndarray


class _Chunk(NamedTuple):
    """Photos that went through the networks: for each feature set which of them, their rows, and the seconds.

    Of a feature set with a detector their boxes, too.
    """

    photos: list[decoding.Photo]
    fresh: dict[str, list[bool]]
    rows: dict[str, np.ndarray]
    boxes: dict[str, np.ndarray]
    seconds: dict[str, float]


def make_shards(
    slices: Sequence[Slice],
    extractors: Mapping[str, Extractor],
    size: int,
    *,
    known: Mapping[str, Known],
    is_remote: bool = False,
    advance: Callable[[int], object] = lambda count: None,
) -> Iterator[Made]:
    """Make the shards of slices, one slice after another; photos whose content has features are left out.

    Args:
        slices: of photos.
        extractors: {name of the feature set: `Extractor`}, all of one size.
        size: side of the decoded photos, pixels.
        known: {name: `Known`}.
        is_remote: the photos lie in a bucket.
        advance: called with the number of photos just done.
    """
    chunk = max(CHUNK, BATCHES * max(extractor.run.batch for extractor in extractors.values()))
    views = frozenset(extractor.view for extractor in extractors.values())
    all_places = itertools.chain.from_iterable(photos.places for photos in slices)
    is_fast = any(extractor.run.is_on_gpu for extractor in extractors.values()) and not is_remote
    decode = decoding.in_processes if is_fast else decoding.in_threads
    workers = places.READS if is_remote else max(1, cores() - is_fast)  # one feeds the GPU
    with (
        contextlib.closing(decode(all_places, size, views, chunk, workers)) as decoded,
        concurrent.futures.ThreadPoolExecutor(1) as network,
    ):
        for photos in slices:
            chunks = _chunks(decoded, len(photos.ids), chunk)
            forward = functools.partial(_forward, {name: extractors[name] for name in photos.shards}, known)
            # On a processor the network takes all cores, and a thread would only keep Ctrl-C from it.
            done = pools.ahead(network, forward, chunks, UNDER_WAY) if is_fast else map(forward, chunks)
            yield _made(photos, done, advance)


def _chunks(decoded: Iterator[decoding.Photo], count: int, chunk: int) -> Iterator[list[decoding.Photo]]:
    for start in range(0, count, chunk):
        yield list(itertools.islice(decoded, min(chunk, count - start)))


def _forward(extractors: Mapping[str, Extractor], known: Mapping[str, Known], photos: list[decoding.Photo]) -> _Chunk:
    """Run the photos that could be read, and whose content is new, through the networks."""
    fresh, rows, boxes, seconds = {}, {}, {}, {}
    for name, extractor in extractors.items():
        started = time.monotonic()
        fresh[name] = [not photo.reason and known[name].add(photo.digest) for photo in photos]
        rows[name], found = extractor.features(list(itertools.compress(photos, fresh[name])))
        if found is not None:
            boxes[name] = found
        seconds[name] = time.monotonic() - started
    return _Chunk(photos, fresh, rows, boxes, seconds)


def stored(features: np.ndarray) -> np.ndarray:
    """Give features as a store holds them: float16 within its range; pixels stay uint8, JPEGs bytes."""
    if features.dtype in (np.uint8, object):
        return features
    limit = np.finfo(np.float16).max
    return features.clip(-limit, limit).astype(np.float16)


def _made(photos: Slice, chunks: Iterable[_Chunk], advance: Callable[[int], object]) -> Made:
    started, outcomes = time.monotonic(), []
    rows: dict[str, list[np.ndarray]] = {name: [] for name in photos.shards}
    boxes: dict[str, list[np.ndarray]] = {name: [] for name in photos.shards}
    fresh: dict[str, list[bool]] = {name: [] for name in photos.shards}
    seconds = {name: {"read": 0.0, "forward": 0.0} for name in photos.shards}
    for chunk in chunks:
        for name in photos.shards:
            rows[name].append(chunk.rows[name])
            boxes[name] += [chunk.boxes[name]] if name in chunk.boxes else []
            fresh[name] += chunk.fresh[name]
            seconds[name]["forward"] += chunk.seconds[name]
        outcomes += [(photo.digest, photo.reason) for photo in chunk.photos]
        advance(len(chunk.photos))
    waited = time.monotonic() - started - sum(spent["forward"] for spent in seconds.values())
    for spent in seconds.values():
        spent["read"] = max(0, waited) / len(seconds)
    digests = np.array([digest for digest, _ in outcomes], np.uint64)
    reasons = [reason for _, reason in outcomes]
    shards = {
        name: _shard(photos.ids, digests, reasons, np.array(fresh[name], bool), rows[name], boxes[name])
        for name in rows
    }
    return Made(photos, shards, seconds, digests)


def _shard(
    ids: tuple[str, ...],
    digests: np.ndarray,
    reasons: list[str],
    fresh: np.ndarray,
    rows: list[np.ndarray],
    boxes: list[np.ndarray],
) -> store.Shard:
    """Join the features of a slice's fresh photos with their ids and digests, and the failures with their reasons."""
    failed = {name: (reason, digest) for name, reason, digest in zip(ids, reasons, digests, strict=True) if reason}
    failures = {name: reason for name, (reason, _) in failed.items()}
    failed_digests = np.array([digest for _, digest in failed.values()], np.uint64)
    kept, found = tuple(itertools.compress(ids, fresh)), np.concatenate(boxes) if boxes else None
    return store.Shard(kept, np.concatenate(rows), digests[fresh], failures, failed_digests, found)

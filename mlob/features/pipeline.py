"""From photos to features: decoded ahead, run through one or several extractors, in bounded memory.

Photos of one size are decoded once for all extractors of that size. While a chunk of photos is in the networks the next
one is decoded; photos travel as uint8, and are normalised where the network runs.
"""

import collections
import collections.abc
import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import time

import numpy as np

from mlob.data import places
from mlob.features import decoding, store
from mlob.machine import cores

CHUNK = 128  # photos: what the networks run on while the next ones are decoded
BATCHES = 4  # of the largest batch in a chunk, where that makes more photos
UNDER_WAY = 2  # chunks, on a GPU: one is in the network while the next is gathered


@dataclasses.dataclass(frozen=True)
class Slice:
    """A shard's worth of photos.

    Attributes:
        split, number: which slice of which split.
        ids: texts.
        places: where each photo lies, a sequence; None for a photo that is missing.
        wanted: names of the feature sets whose shard of this slice is to be made.
        versions: what would differ in each photo's file if it was changed, taken before it is read (`places.version`).
    """

    split: str
    number: int
    ids: tuple[str, ...]
    places: collections.abc.Sequence
    wanted: tuple[str, ...]
    versions: collections.abc.Sequence = ()


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A feature set that is ready to run: the view of the photo that it sees, and its `runtimes.Runner`."""

    view: str
    run: object


def shards(slices, extractors, size, *, is_remote=False, advance=lambda count: None):
    """Make the shards of slices.

    Args:
        slices: `Slice`s.
        extractors: {name of the feature set: `Extractor`}, all of one size.
        size: side of the decoded photos, pixels.
        is_remote: the photos lie in a bucket.
        advance: called with the number of photos just done.

    Yields:
        (slice, {name: `store.Shard`}, {name: Counter of seconds}): "forward" is in the network, "read" is all other
        time, which is waiting for decoded photos (shared out among the feature sets).
    """
    chunk = max(CHUNK, BATCHES * max(extractor.run.batch for extractor in extractors.values()))
    views = frozenset(one.view for one in extractors.values())
    photos = itertools.chain.from_iterable(one.places for one in slices)
    is_fast = any(extractor.run.is_on_gpu for extractor in extractors.values()) and not is_remote
    decode = decoding.in_processes if is_fast else decoding.in_threads
    workers = places.READS if is_remote else max(1, cores() - is_fast)  # one feeds the GPU
    with (
        contextlib.closing(decode(photos, size, views, chunk, workers)) as decoded,
        concurrent.futures.ThreadPoolExecutor(1) as network,
    ):
        for one in slices:
            chunks = _chunks(decoded, len(one.ids), chunk)
            forward = functools.partial(_forward, {name: extractors[name] for name in one.wanted})
            # On a processor the network wants all of it, and Ctrl-C goes through it: nothing is gained by a thread.
            done = decoding.ahead(network, forward, chunks, UNDER_WAY) if is_fast else map(forward, chunks)
            yield one, *_shards(one.ids, one.wanted, done, advance)


def _chunks(decoded, count, chunk):
    for start in range(0, count, chunk):
        yield list(itertools.islice(decoded, min(chunk, count - start)))


def _forward(extractors, photos):
    """Run photos through the networks: the photos, and of each feature set its float16 features and the seconds."""
    rows, seconds = {}, {}
    for name, extractor in extractors.items():
        started = time.monotonic()
        rows[name] = _features(extractor, photos)
        seconds[name] = time.monotonic() - started
    return photos, rows, seconds


def _shards(ids, names, done, advance):
    started, told = time.monotonic(), []
    rows, seconds = {name: [] for name in names}, {name: collections.Counter() for name in names}
    for photos, found, spent in done:
        for name in names:
            rows[name].append(found[name])
            seconds[name]["forward"] += spent[name]
        told += [(one.digest, one.reason) for one in photos]
        advance(len(photos))
    waited = time.monotonic() - started - sum(one["forward"] for one in seconds.values())
    for one in seconds.values():
        one["read"] = max(0, waited) / len(names)
    return {name: _shard(ids, told, np.concatenate(found)) for name, found in rows.items()}, seconds


def _features(extractor, photos):
    """Give the features float16 of those photos that could be read."""
    good = [one.views[extractor.view] for one in photos if not one.reason]
    rows = extractor.run(good)
    limit = np.finfo(np.float16).max
    return rows.clip(-limit, limit).astype(np.float16)


def _shard(ids, told, features):
    kept = tuple(name for name, (_, reason) in zip(ids, told, strict=True) if not reason)
    digests = np.array([digest for digest, reason in told if not reason], np.uint64)
    failures = {name: reason for name, (_, reason) in zip(ids, told, strict=True) if reason}
    return store.Shard(kept, features, digests, failures)

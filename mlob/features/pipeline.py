"""From photos to features: decoded ahead, run through one or several extractors, in bounded memory.

Photos of one size are decoded once for all extractors of that size. While a chunk of photos is in the networks the next
one is decoded; photos travel as uint8, and are normalised where the network runs.
"""

import collections
import collections.abc
import contextlib
import dataclasses
import itertools
import os
import time

import numpy as np

from mlob.data import places
from mlob.features import decoding, store

CHUNK = 128  # photos: what the networks run on while the next ones are decoded
BATCHES = 4  # of the largest batch in a chunk, where that makes more photos


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
        (slice, {name: `store.Shard`}, {name: Counter of seconds}): "read" is waiting for decoded photos (shared out
        among the feature sets), "forward" is in the network. A stage that keeps up with the others takes no time here.
    """
    chunk = max(CHUNK, BATCHES * max(extractor.run.batch for extractor in extractors.values()))
    views = frozenset(one.view for one in extractors.values())
    photos = itertools.chain.from_iterable(one.places for one in slices)
    is_fast = any(extractor.run.is_on_gpu for extractor in extractors.values()) and not is_remote
    decode = decoding.in_processes if is_fast else decoding.in_threads
    workers = places.READS if is_remote else os.cpu_count()
    with contextlib.closing(decode(photos, size, views, chunk, workers)) as decoded:
        for one in slices:
            wanted = {name: extractors[name] for name in one.wanted}
            yield one, *_shards(one.ids, wanted, decoded, chunk, advance)


def _shards(ids, extractors, decoded, chunk, advance):
    told, rows, seconds = [], {name: [] for name in extractors}, {name: collections.Counter() for name in extractors}
    for start in range(0, len(ids), chunk):
        started = time.monotonic()
        photos = list(itertools.islice(decoded, len(ids[start : start + chunk])))
        waited = time.monotonic() - started
        for name, extractor in extractors.items():
            started = time.monotonic()
            rows[name].append(_features(extractor, photos))
            seconds[name].update(read=waited / len(extractors), forward=time.monotonic() - started)
        told += [(one.digest, one.reason) for one in photos]
        advance(len(photos))
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

"""Photos become pixels ahead of the network: in threads, or in processes where a GPU waits for them.

Threads share Python's lock for a third of the time that a small photo takes (opening, converting, copying): sixteen of
them decode what two do, and that is enough for networks on processors. Processes share memory instead of the lock:
pixels are written where the network's batches are made from, and no byte of them goes through a pipe.
"""

import collections
import concurrent.futures
import concurrent.futures.process
import dataclasses
import functools
import itertools
import multiprocessing
import os
import signal
import threading

import numpy as np

from mlob.data import images
from mlob.errors import InputError

GROUP = 16  # photos that a process decodes before it reports


@dataclasses.dataclass(frozen=True)
class Photo:
    """One decoded photo: its digest and {view: pixels}, or the reason why it has none."""

    digest: int = 0
    views: dict = dataclasses.field(default_factory=dict)
    reason: str = ""


def photo(place, size, views=frozenset({"whole"})):
    """Read and decode one photo."""
    try:
        data = images.content(place)
        pixels = images.decode(data, size)
    except images.Unreadable as reason:
        return Photo(reason=str(reason))
    return Photo(images.content_digest(data), {name: images.view(pixels, name) for name in views})


def in_threads(places, size, views, most, workers):
    """Decode in threads, at most so many photos waiting: yield a `Photo` for each place, in order."""
    read = functools.partial(photo, size=size, views=views)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        yield from ahead(pool, read, places, most)


def in_processes(places, size, views, most, workers):
    """Decode in processes, at most so many photos waiting: yield a `Photo` for each place, in order.

    The pixels of a photo are written over once three times as many later ones as may wait were asked for.

    Raises:
        InputError: a process was killed.
    """
    views, groups = sorted(views), 4 * most // GROUP + 3
    shape = (groups, GROUP, len(views), size, size, 3)
    context = multiprocessing.get_context("forkserver")  # a fork of a process with a GPU in use would hang
    shared = context.RawArray("B", int(np.prod(shape)))
    pixels = np.frombuffer(shared, np.uint8).reshape(shape)
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _attach, (shared, shape, size, views))
    try:
        work = zip(itertools.cycle(range(groups)), _grouped(places), strict=False)
        for group, told in ahead(pool, _decode_group, work, max(1, most // GROUP)):
            for row, (digest, reason) in enumerate(told):
                yield Photo(digest, {} if reason else dict(zip(views, pixels[group, row], strict=True)), reason)
    except concurrent.futures.process.BrokenProcessPool as error:
        raise InputError(
            "A process that decodes photos was killed, most likely since memory ran out: run the same command again, "
            "which goes on from here, with less beside it."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(pool, function, items, most):
    """Map in a pool, in order, at most so many results waiting."""
    waiting = collections.deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _grouped(places):
    places = iter(places)
    while group := list(itertools.islice(places, GROUP)):
        yield group


# In a decoding process

_kept = {}  # between its groups: the shared pixels, and how to read a photo


def _attach(shared, shape, size, views):
    """Begin: keep the shared pixels, leave Ctrl-C to the parent, and end with it."""
    _kept["pixels"] = np.frombuffer(shared, np.uint8).reshape(shape)
    _kept["read"] = functools.partial(photo, size=size, views=frozenset(views))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def _decode_group(work):
    """Decode a group of places into its part of the shared pixels: the group, and each photo's digest and reason."""
    group, places = work
    photos = [_kept["read"](place) for place in places]
    for row, one in enumerate(photos):
        for view, name in enumerate(sorted(one.views)):
            _kept["pixels"][group, row, view] = one.views[name]
    return group, [(one.digest, one.reason) for one in photos]

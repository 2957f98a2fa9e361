"""Photos become pixels ahead of the network: in threads, or in processes where a GPU waits for them.

For a third of the time that a small photo takes (opening, converting, copying) a thread holds Python's lock: sixteen
threads decode no more than two, which is enough for networks on processors. Processes share memory and no lock: they
write pixels to where the network's batches are taken from, and no byte goes through a pipe.
"""

import concurrent.futures
import concurrent.futures.process
import dataclasses
import functools
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Collection, Generator, Iterable, Iterator
from typing import Any

import numpy as np

from mlob import pools
from mlob.data import images
from mlob.data.places import Place
from mlob.errors import InputError, Unreadable

GROUP = 16  # photos that a process decodes before it reports
WHOLE = frozenset({"whole"})


@dataclasses.dataclass(frozen=True)
class Photo:
    """One decoded photo.

    Attributes:
        digest: of the bytes of its file; 0 where it could not be read.
        views: {view: uint8 pixels (size, size, 3)}.
        reason: why it has none; empty where it has.
        inset: where the whole photo lies in its square.
    """

    digest: int = 0
    views: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    reason: str = ""
    inset: images.Inset = (0, 0, 0, 0)


def photo(place: Place | None, size: int, views: Collection[str] = WHOLE) -> Photo:
    """Read and decode one photo to some views of `size` pixels a side; what is wrong with it becomes its reason."""
    digest = 0
    try:
        data = images.content(place)
        digest = images.content_digest(data)
        pixels, inset = images.decode_inset(data, size)
    except Unreadable as reason:
        return Photo(digest, reason=str(reason))
    return Photo(digest, {name: images.view(pixels, name) for name in views}, inset=inset)


def in_threads(
    places: Iterable[Place | None], size: int, views: Collection[str], most: int, workers: int
) -> Generator[Photo, None, None]:
    """Decode in threads: yield a `Photo` for each place, in order.

    Args:
        places: of the photos.
        size: side of the pixels.
        views: names of the views that are made of each photo.
        most: photos that wait at a time.
        workers: number of threads.
    """
    read = functools.partial(photo, size=size, views=views)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        yield from pools.ahead(pool, read, places, most)


def in_processes(
    places: Iterable[Place | None], size: int, views: Collection[str], most: int, workers: int
) -> Generator[Photo, None, None]:
    """Decode in processes: yield a `Photo` for each place, in order; arguments as of `in_threads`.

    The pixels of a photo are written over after 3 * `most` later photos were asked for.

    Raises:
        InputError: a process was killed.
    """
    names, groups = sorted(views), 4 * most // GROUP + 3
    shape = (groups, GROUP, len(names), size, size, 3)
    context = multiprocessing.get_context("forkserver")  # a fork of a process with a GPU in use would hang
    shared = context.RawArray("B", int(np.prod(shape)))
    pixels = np.frombuffer(shared, np.uint8).reshape(shape)
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _begin, (shared, shape, size, names))
    try:
        work = zip(itertools.cycle(range(groups)), _grouped(places), strict=False)
        for group, outcomes in pools.ahead(pool, _decode_group, work, max(1, most // GROUP)):
            for row, (digest, reason, inset) in enumerate(outcomes):
                yield Photo(digest, {} if reason else dict(zip(names, pixels[group, row], strict=True)), reason, inset)
    except concurrent.futures.process.BrokenProcessPool as error:
        raise InputError(
            "A process that decodes photos was killed, most likely because memory ran out. Run the same command "
            "again, with less beside it: it goes on from here."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _grouped(places: Iterable[Place | None]) -> Iterator[list[Place | None]]:
    remaining = iter(places)
    while group := list(itertools.islice(remaining, GROUP)):
        yield group


# In a decoding process

_process: dict[str, Any] = {}  # set once, when it begins: the shared pixels, and how to read a photo


def _begin(shared: Any, shape: tuple[int, ...], size: int, views: list[str]) -> None:
    """Keep the shared pixels, leave Ctrl-C to the parent, and end with it."""
    _process["pixels"] = np.frombuffer(shared, np.uint8).reshape(shape)
    _process["read"] = functools.partial(photo, size=size, views=frozenset(views))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _decode_group(work: tuple[int, list[Place | None]]) -> tuple[int, list[tuple[int, str, images.Inset]]]:
    """Decode a group of places into its part of the shared pixels: the group, and what else is known of each photo."""
    group, places = work
    photos = [_process["read"](place) for place in places]
    for row, decoded in enumerate(photos):
        for view, name in enumerate(sorted(decoded.views)):
            _process["pixels"][group, row, view] = decoded.views[name]
    return group, [(decoded.digest, decoded.reason, decoded.inset) for decoded in photos]

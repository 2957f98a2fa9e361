"""Digests of the bytes of photos, which are read in threads."""

import concurrent.futures
from collections.abc import Iterable, Iterator

from mlob import pools
from mlob.data import images, places
from mlob.data.places import Place
from mlob.errors import Unreadable
from mlob.machine import cores

AHEAD = 16  # photos a thread that are read while others are noted


def of(photos: Iterable[Place | None], *, is_remote: bool) -> Iterator[int | str]:
    """Yield `images.content_digest` of each photo, in order, or the reason why it cannot be read.

    Args:
        photos: where they lie; None for one without a file.
        is_remote: they lie in a bucket.
    """
    threads = places.READS if is_remote else cores()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        yield from pools.ahead(pool, _digest, photos, AHEAD * threads)


def _digest(place: Place | None) -> int | str:
    try:
        return images.content_digest(images.content(place))
    except Unreadable as reason:
        return str(reason)

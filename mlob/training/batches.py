"""Rows to train on, resident in memory or streamed from their shards: features joined with targets by id, in batches.

Both ways give each row once an epoch. Resident rows are drawn in any order. Streamed ones are cut into runs of 256
neighbours on disk (1 MB at 2,048 features, which a disk reads at full speed), however the annotations order them; the
runs of an epoch come in random order, as many at once as the allowed memory holds, and rows are drawn in any order from
what is there: each part holds runs from all over the set.
"""

import concurrent.futures
import dataclasses
import pathlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np

from mlob import machine
from mlob.data import splits
from mlob.data.dataset import Split
from mlob.errors import InputError
from mlob.features import store, table
from mlob.features.extents import FLOAT16, Extent
from mlob.labels import positives
from mlob.training.stored import RUN, Stored, below

CHUNK = 8192  # rows that are handed on together, as many whole batches as go into them
CHUNKS = 8  # that memory is set aside for

Batches: TypeAlias = tuple[
    np.ndarray, np.ndarray
]  # features (batches, batch, ...) and targets (batches, batch, labels)
Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of one split.

    Attributes:
        ids: texts (n,).
        features: float16 (n, d) or (n, h, w, c), an array where they are resident, `Stored` where they are streamed.
        targets: uint8 (n, labels), None where the split has none.
        memory_bytes: what streaming may take.
        digests: uint64 (n,), equal for photos of equal bytes; None takes all as different.
        together: texts (n,), the name of what each photo belongs to, empty for a photo by itself; None where all are.
        widths: how many of a row's features each store has; empty where that is not known.
    """

    ids: np.ndarray
    features: np.ndarray | Stored
    targets: np.ndarray | None
    memory_bytes: int = 0
    digests: np.ndarray | None = None
    together: np.ndarray | None = None
    widths: tuple[int, ...] = ()

    @property
    def keys(self) -> list[Hashable]:
        """One key a row, equal for photos that may not be torn apart (`splits.keys`)."""
        content = (self.ids if self.digests is None else self.digests).tolist()
        return splits.keys(content, None if self.together is None else self.together.tolist())

    def take(self, chosen: np.ndarray) -> Self:
        """Give the rows that a bool mask chooses; what is on disk stays there."""
        return dataclasses.replace(
            self,
            ids=self.ids[chosen],
            features=self.features.take(chosen) if isinstance(self.features, Stored) else self.features[chosen],
            targets=None if self.targets is None else self.targets[chosen],
            digests=None if self.digests is None else self.digests[chosen],
            together=None if self.together is None else self.together[chosen],
        )

    def resident(self) -> Self:
        """Give the same rows with their features in memory."""
        return dataclasses.replace(self, features=self.features[:])


@dataclasses.dataclass(frozen=True)
class Labelled(Rows):
    """Rows whose targets are known."""

    targets: np.ndarray


def on_device(rows: Labelled) -> Labelled:
    """Copy resident rows to a GPU, where an epoch draws them in a tenth of the time.

    Returns:
        The rows, whose features and targets are tensors of Keras's backend; the same rows where the device does not
        hold them twice, which leaves room for the training itself.
    """
    import keras

    try:
        moved: dict[str, Any] = {
            name: keras.ops.convert_to_tensor(getattr(rows, name)) for name in ("features", "targets")
        }
        keras.ops.convert_to_numpy((moved["features"] + moved["features"])[:1])
    except Exception:  # each backend has an error of its own for full memory
        return rows
    return dataclasses.replace(rows, **moved)


def read(store_folders: Sequence[pathlib.Path], split: Split) -> Rows:
    """Find the rows of a split: features of several stores side by side, left on disk, targets joined by id.

    Every byte of the shards that hold them is read and checked once, a shard at a time. Photos that failed in one of
    the stores are left out.

    Args:
        store_folders: features/<set>/<data set>.
        split: its ids, and its targets where it has them.

    Raises:
        InputError: photos that are not extracted yet, features that are not finite, a damaged shard.
    """
    located = [table.locate(folder, split) for folder in store_folders]
    for folder, of_store in zip(store_folders, located, strict=True):
        table.check_whole(folder, split, of_store)
    places = np.stack([of_store.places for of_store in located], axis=1)
    whole = (places >= 0).all(axis=(1, 2))
    checked = [_checked(folder, split, one) for folder, one in zip(store_folders, located, strict=True)]
    features = Stored(tuple(checked), places[whole])
    targets = split.targets  # each time that it is asked for it is written out
    targets = targets if targets is None or whole.all() else targets[whole]
    digests = located[0].digests[whole]  # of the photos, so that every store has the same
    together = None if split.together is None else np.array(list(split.together), object)[whole]
    ids = np.array(list(split.ids), object)[whole]
    return Rows(ids, features, targets, digests=digests, together=together, widths=features.widths)


def _checked(store_folder: pathlib.Path, split: Split, located: table.Located) -> tuple[Extent, ...]:
    """Check the shards that hold rows of a split, and find the features in all of the store's."""
    spoilt = 0
    for number in np.unique(located.places[located.places[:, 0] >= 0, 0]).tolist():
        features = store.read(located.shards[number]).features
        if features.dtype != FLOAT16:
            continue  # pixels are finite
        is_spoilt = (~np.isfinite(features)).any(axis=tuple(range(1, features.ndim)))
        if is_spoilt.any():
            rows = np.unique(located.places[located.places[:, 0] == number, 1])
            spoilt += int(is_spoilt[rows].sum())
    if spoilt:
        raise InputError(
            f"{spoilt} rows of the {split.name} features in {store_folder} are not finite: remove that folder and run "
            "`make features` again."
        )
    return tuple(store.extent(path) for path in located.shards)


def joined(first: Labelled, second: Labelled) -> Labelled:
    """Give the rows of two splits as one; what is on disk stays there."""
    has_digests = first.digests is not None and second.digests is not None
    is_apart = first.together is None and second.together is None
    return Labelled(
        np.concatenate([first.ids, second.ids]),
        below(first.features, second.features)
        if isinstance(first.features, Stored) and isinstance(second.features, Stored)
        else np.concatenate([first.features[:], second.features[:]]),
        np.concatenate([first.targets, second.targets]),
        digests=np.concatenate([first.digests, second.digests]) if has_digests else None,
        together=None if is_apart else np.concatenate([_products(first), _products(second)]),
        widths=first.widths,
    )


def _products(rows: Rows) -> np.ndarray:
    return np.full(len(rows.ids), "", object) if rows.together is None else rows.together


def train_and_dev(rows: Rows, limit: int = 0, memory_bytes: int | None = None) -> tuple[Labelled, Labelled]:
    """Cut train into the rows that a head is fitted on and the `dev` rows that stopping looks at.

    Dev is resident, and so are the rows to train on where the allowed memory holds them as well.

    Args:
        rows: of the train split.
        limit: use this many rows in all, chosen by a hash of the id (0: all).
        memory_bytes: for the features; half of the machine's or its container's where it is None.

    Raises:
        InputError: as of `cut` and `held`.
    """
    train, dev = cut(rows, limit)
    dev = dev.resident()
    return held(train, memory_bytes, dev.features.nbytes), dev


def cut(rows: Rows, limit: int = 0) -> tuple[Labelled, Labelled]:
    """Cut train into the rows to train on and those of `dev`, unread; arguments as of `train_and_dev`.

    Raises:
        InputError: no targets, too few rows to keep some for `dev`, or no label on any row that is trained on.
    """
    if rows.targets is None:
        raise InputError("The train split has no labels: nothing to train on.")
    labelled = Labelled(**vars(rows))
    if limit:
        labelled = labelled.take(splits.limit_rows(rows.ids.tolist(), limit))
    is_dev = splits.dev_rows(labelled.keys)
    if not is_dev.any():
        raise InputError(
            f"Expected at least 5 different photos to train and stop on, found {len(set(labelled.keys))}: add photos "
            "to train, or raise training.limit."
        )
    train, dev = labelled.take(~is_dev), labelled.take(is_dev)
    if not positives(train.targets).any():
        raise InputError(
            f"No label is left on the {len(train.ids):,} rows to train on: label more photos, or raise training.limit."
        )
    return train, dev


def held(rows: Labelled, memory_bytes: int | None, beside: int = 0) -> Labelled:
    """Give rows to train on, resident where the allowed memory holds them, to be streamed where it does not.

    Args:
        rows: unread, or resident already.
        memory_bytes: as of `train_and_dev`.
        beside: bytes of it that other features take.

    Raises:
        InputError: there is not enough memory to stream.
    """
    left = (machine.memory_bytes() // 2 if memory_bytes is None else memory_bytes) - beside
    if not isinstance(rows.features, Stored) or rows.features.nbytes <= left:
        return rows.resident()
    _window_rows(rows.features, rows.targets, left, chunk_rows(rows.features, 1))
    return dataclasses.replace(rows, memory_bytes=left)


def epoch(
    rows: Labelled, batch: int, generator: np.random.Generator, times: np.ndarray | None = None
) -> Iterator[Batches]:
    """Give the rows of an epoch in batches, each row once (or as `times` says), in an order that the generator draws.

    Features and targets of the next chunk are gathered, and the next part is read from disk, while this one is used.

    Args:
        rows: to train on.
        batch: rows a batch.
        generator: draws the order.
        times: how often each row comes, int (n,), sum n; once where it is None.

    Yields:
        Features float16 (batches, batch, d) and targets uint8 (batches, batch, labels); rows that do not fill a last
        batch come as a smaller one of their own.
    """
    chunk = chunk_rows(rows.features, batch)
    count = len(rows.ids)
    if not isinstance(rows.features, Stored):
        order = shuffled(count, count, generator, times)
        return _ahead(_chunks([(rows.features, rows.targets, order)], batch, chunk))
    window, lying = _window_rows(rows.features, rows.targets, rows.memory_bytes, chunk), rows.features.order
    order = shuffled(count, window, generator, None if times is None else times[lying])
    return _ahead(_chunks(_ahead(_read_parts(rows, lying, order, window)), batch, chunk))


def chunk_rows(features: np.ndarray | Stored, batch: int) -> int:
    """Count the rows that are handed on together: whole batches; of maps and photos one, whose step is long enough."""
    return max(CHUNK // batch, 1) * batch if len(features.shape) == 2 else batch


def _window_rows(features: Stored, targets: np.ndarray, memory_bytes: int, chunk: int) -> int:
    """Count the rows of a window, of which two are in memory at once: one that is used, one that is read.

    Besides there are chunks: those in use and ahead, and the copies that TensorFlow makes of them and keeps.
    """
    row_bytes = (features.nbytes + targets.nbytes) // max(len(targets), 1)
    window = (memory_bytes // row_bytes - CHUNKS * chunk) // 2 // chunk * chunk
    if window < chunk:
        least = (2 + CHUNKS) * chunk * row_bytes
        raise InputError(
            f"Streaming needs {least / 1e9:.2f} GB of memory besides dev's features, found "
            f"{max(memory_bytes, 0) / 1e9:.2f}: raise MEMORY by {(least - memory_bytes) / 1e9 + 0.01:.2f}."
        )
    return window


def shuffled(count: int, window: int, generator: np.random.Generator, times: np.ndarray | None = None) -> np.ndarray:
    """Order rows at random, so that each window of the order is made of whole runs, but for one cut at each end.

    Args:
        count: of the rows.
        window: rows of the order that are in memory at once.
        generator: draws the order.
        times: how often each row comes, int (count,); once where it is None.

    Returns:
        Rows, int (sum of times,).
    """
    times = np.ones(count, np.int64) if times is None else times
    if window >= count:
        return generator.permutation(np.repeat(np.arange(count), times))
    runs = generator.permutation(np.arange(0, count, RUN))
    order = np.concatenate([np.arange(start, min(start + RUN, count)) for start in runs])
    order = np.repeat(order, times[order])
    for start in range(0, count, window):
        generator.shuffle(order[start : start + window])
    return order


def _read_parts(
    rows: Labelled, lying: np.ndarray, order: np.ndarray, window: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Read the rows of each window of the order: features and targets as they lie, and in which order to use them.

    Args:
        rows: on disk.
        lying: their numbers as they lie there, int (n,).
        order: places in `lying`, as they are to be used.
        window: length of a part of the order.
    """
    for start in range(0, len(order), window):
        chosen, places = np.unique(order[start : start + window], return_inverse=True)
        yield rows.features[lying[chosen]], rows.targets[lying[chosen]], places


def _chunks(parts: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], batch: int, chunk: int) -> Iterator[Batches]:
    """Gather parts, features and targets with the order to use them in, into chunks of batches."""
    for features, targets, order in parts:
        for start in range(0, len(order), chunk):
            part = order[start : start + chunk]
            whole = len(part) // batch * batch
            for rows, size in ((part[:whole], batch), (part[whole:], len(part) - whole)):
                if len(rows):
                    yield _batched(features, rows, size), _batched(targets, rows, size)


def _batched(array: np.ndarray, rows: np.ndarray, size: int) -> np.ndarray:
    """Give rows of an array in batches of a size, (batches, size, ...); what lies on a device stays there."""
    if isinstance(array, np.ndarray):
        return array[rows].reshape(-1, size, *array.shape[1:])
    import keras

    return keras.ops.reshape(keras.ops.take(array, rows, axis=0), (-1, size, *array.shape[1:]))


def _ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Give what an iterator gives; the next item is made in a thread meanwhile."""
    items = iter(items)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
            del item  # else two parts that were used would stay in memory

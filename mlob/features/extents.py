"""Where rows lie in a shard's file, so that any of them are read without HDF5."""

import dataclasses
import math
import pathlib

import numpy as np

from mlob import hdf5
from mlob.data import images
from mlob.errors import InputError, Unreadable
from mlob.files import refusal

FLOAT16, UINT8 = np.dtype("<f2"), np.dtype("u1")


@dataclasses.dataclass(frozen=True)
class Extent:
    """Where in a shard's file its features lie, one row after another: reading them so takes a fifth of HDF5's time.

    Attributes:
        path: of the shard.
        offset: bytes before the first row; None where there are no rows.
        shape: of the features.
        dtype: of the features, float16 or uint8.
    """

    path: pathlib.Path
    offset: int | None
    shape: tuple[int, ...]
    dtype: np.dtype = FLOAT16

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read rows start to stop: (stop - start, ...).

        Raises:
            InputError: the file is gone, or shorter than it was.
        """
        size = math.prod(self.shape[1:])
        flat = _numbers(self, self.dtype.itemsize * start * size, (stop - start) * size)
        return flat.reshape(stop - start, *self.shape[1:])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Read rows of rising numbers: (n, ...).

        Raises:
            InputError: as of `read`.
        """
        first = int(rows[0])
        block = self.read(first, int(rows[-1]) + 1)
        return block if (np.diff(rows) == 1).all() else block[rows - first]


@dataclasses.dataclass(frozen=True)
class Jpegs(Extent):
    """The same of photos that lie there as JPEGs, and are decoded when they are read.

    Attributes:
        shape, dtype: of the pixels, uint8 (n, size, size, 3).
        ends: int64 (n,), bytes from the start of the first photo to the end of each.
    """

    ends: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read rows start to stop: (stop - start, size, size, 3).

        Raises:
            InputError: as of `Extent.read`; a photo cannot be decoded.
        """
        return self.take(np.arange(start, stop))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Read rows of rising numbers, and decode no others: (n, size, size, 3).

        Raises:
            InputError: as of `read`.
        """
        starts, ends = np.append(0, self.ends)[rows], self.ends[rows]
        block = _numbers(self, int(starts[0]), int(ends[-1] - starts[0]))
        pixels = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place, (start, end) in enumerate(zip(starts - starts[0], ends - starts[0], strict=True)):
            pixels[place] = self._decoded(int(rows[place]), block[start:end])
        return pixels

    def _decoded(self, row: int, jpeg: np.ndarray) -> np.ndarray:
        try:
            return images.from_jpeg(jpeg.tobytes(), self.shape[1])
        except Unreadable as reason:
            with hdf5.reading(self.path) as file:
                name = hdf5.texts(file["ids"])[row]
            raise hdf5.damaged(self.path, f"photo {name!r}: {reason}") from reason


def _numbers(extent: Extent, start: int, count: int) -> np.ndarray:
    """Read numbers of an extent's type, from a byte after its first on."""
    try:
        numbers = np.fromfile(extent.path, extent.dtype, count, offset=(extent.offset or 0) + start)
    except OSError as error:
        raise refusal(extent.path, error) or _changed(extent.path) from error
    if len(numbers) < count:
        raise _changed(extent.path)
    return numbers


def _changed(path: pathlib.Path) -> InputError:
    return InputError(f"{path} changed while it was read: run `make features`, then go on.")

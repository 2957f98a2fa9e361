"""HDF5 files whose equal contents have equal bytes, read without trusting them. The only door to h5py.

HDF5's file format 1.10 guards its own structures (older ones let a flipped byte crash the process that reads it), but
not its heaps: text is of fixed length, which needs none.
"""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import h5py
import numpy as np

from mlob.errors import InputError
from mlob.files import atomic, refusal

Group, Dataset = h5py.Group, h5py.Dataset

DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)  # what h5py raises on bytes
MOST_BYTES = 4 * 2**30  # of one file's arrays; the largest backbone has 0.1
File = h5py.File  # for annotations elsewhere
MADE_ANEW = "remove the file and run the same command again, which makes it anew."


@contextlib.contextmanager
def writing(path: pathlib.Path, groups: Sequence[str] = ()) -> Iterator[h5py.File]:
    """Open a new file of format 1.10, with groups; it takes its name when the block ends, whole.

    No time stands in it, so that equal content gives equal bytes.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    with atomic(path) as part, _full_disk_as_oserror(path), _new_file(part, groups) as file:
        yield file


@contextlib.contextmanager
def reading(path: pathlib.Path, mend: str = MADE_ANEW, missing: str = "run `make features`.") -> Iterator[h5py.File]:
    """Open a file for reading; what the system or h5py says of it, inside the block as well, becomes one sentence.

    Args:
        path: of the file.
        mend: what mends a damaged file, the end of a sentence.
        missing: what makes a missing one.

    Raises:
        InputError: the file is missing, not to be read at the moment, or damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: {missing}") from error
    except DAMAGE as error:
        refused = refusal(path, error) if isinstance(error, OSError) else None
        reason = (str(error).splitlines() or [""])[0][:80]
        raise refused or damaged(path, f"not whole HDF5: {reason}", mend) from error


def damaged(path: pathlib.Path, fault: str, mend: str = MADE_ANEW) -> InputError:
    """Give the error that says that a file is damaged, and what mends it."""
    return InputError(f"{path} is damaged ({fault}): {mend}")


def values(dataset: h5py.Dataset) -> np.ndarray:
    """Read all of a data set, whose bytes lie in its own file.

    Raises:
        ValueError: it claims to be more than the file.
    """
    if dataset.size * dataset.dtype.itemsize > os.path.getsize(dataset.file.filename):
        raise ValueError(f"{dataset.name} claims more bytes than the file has")
    return dataset[()]


def texts(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Read a data set of texts.

    Raises:
        ValueError: it claims to be more than the file.
    """
    values(dataset)
    return tuple(dataset.asstr()[()])


def text_attribute(file: h5py.File, name: str) -> str:
    """Read an attribute of ASCII text."""
    return np.array(file.attrs[name], "S").item().decode("ascii")


def text_array(texts: Iterable[str]) -> np.ndarray:
    """Give texts as UTF-8 of one length, the form in which HDF5 keeps them outside of its heaps."""
    encoded = [text.encode("utf-8") for text in texts]
    return np.array(encoded, h5py.string_dtype("utf-8", max(map(len, encoded), default=0) or 1))


def arrays_of(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Read every array of a file, whatever its layout: {name inside the file: array}.

    Raises:
        InputError: not an HDF5 file; texts; arrays that lie in other files, or of more than `MOST_BYTES` together.
    """
    arrays, bytes_left = {}, MOST_BYTES

    def read(name: str, item: h5py.Dataset | h5py.Group) -> None:
        nonlocal bytes_left
        if isinstance(item, h5py.Dataset):
            bytes_left -= item.size * item.dtype.itemsize
            if bytes_left < 0 or item.dtype.kind not in "fiub" or item.external or item.is_virtual:
                raise ValueError(f"{name} is no array of numbers of its own, or too large")
            arrays[name] = item[()]

    with reading(path, mend="copy or download it again.") as file:
        file.visititems(read)
    return arrays


@contextlib.contextmanager
def _full_disk_as_oserror(path: pathlib.Path) -> Iterator[None]:
    """Make a full disk, of which h5py tells in RuntimeErrors as well, the OSError that `atomic` explains."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        if "No space left" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(path)) from error
        raise


def _new_file(path: pathlib.Path, groups: Sequence[str]) -> h5py.File:
    kinds = h5py.h5p.FILE_CREATE, h5py.h5p.GROUP_CREATE, h5py.h5p.FILE_ACCESS
    creation, grouping, access = (h5py.h5p.create(kind) for kind in kinds)
    creation.set_obj_track_times(False)
    grouping.set_obj_track_times(False)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    file = h5py.File(h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, creation, access))
    for name in groups:
        h5py.h5g.create(file.id, name.encode(), gcpl=grouping)
    return file

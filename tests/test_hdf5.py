import h5py
import numpy as np
import pytest

from mlob import hdf5
from mlob.errors import InputError


def test_every_array_of_a_file_is_found_at_any_depth(tmp_path):
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["a/b/c"], file["d"] = np.arange(3), np.float32(2)
    found = hdf5.arrays_of(tmp_path / "any.h5")
    assert set(found) == {"a/b/c", "d"} and found["a/b/c"].tolist() == [0, 1, 2]
    (tmp_path / "text.h5").write_text("no arrays")
    with pytest.raises(InputError, match="copy or download it again"):
        hdf5.arrays_of(tmp_path / "text.h5")


def claiming(file):
    file.create_dataset("kernel", (2**40,), np.float32)  # no byte of it is ever written


def packed(file):
    file.create_dataset("kernel", (2**31,), np.float32, chunks=(2**20,), compression="gzip")


def elsewhere(file):
    file.create_dataset("kernel", (8,), np.uint8, external=[("/dev/zero", 0, 8)])


def seen_through(file):
    layout = h5py.VirtualLayout((8,), np.uint8)
    layout[:] = h5py.VirtualSource("/dev/zero", "kernel", (8,))
    file.create_virtual_dataset("kernel", layout)


def of_texts(file):
    file["kernel"] = ["a", "b"]


@pytest.mark.parametrize("write", [claiming, packed, elsewhere, seen_through, of_texts])
def test_arrays_that_no_memory_holds_or_that_lie_elsewhere_are_refused_unread(tmp_path, write):
    with h5py.File(tmp_path / "any.h5", "w") as file:
        write(file)
    with pytest.raises(InputError, match=r"any\.h5 .*kernel"):
        hdf5.arrays_of(tmp_path / "any.h5")

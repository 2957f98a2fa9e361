"""What goes into which shard is cut once, whoever cuts it, and no two deliveries have a shard in common."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlob.errors import InputError
from mlob.features import deliveries, store

FILES = st.lists(st.integers(1, 2**64 - 1), unique=True, max_size=10)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(store, "SLICE", 3)


def columns(*splits):
    return [np.array(files, np.uint64) for files in splits]


def unmade(folder):
    found = deliveries.unmade(folder)
    return {path.relative_to(folder).as_posix(): files.tolist() for path, files in found.items()}


@given(FILES, FILES)
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_file_is_in_one_slice_in_order_and_no_slice_is_of_two_splits(tmp_path_factory, train, test):
    folder = tmp_path_factory.mktemp("store")
    deliveries.begin(folder, 1, columns(train, test))
    slices = [*unmade(folder).values()]
    assert [file for files in slices for file in files] == train + test and all(0 < len(one) <= 3 for one in slices)
    assert [len(files) for files in slices[: -(-len(train) // 3)]] == [len(one) for one in store.slices(train)]


def test_of_two_workers_that_begin_a_delivery_the_first_is_heard(tmp_path):
    deliveries.begin(tmp_path, 1, columns([1, 2, 3, 4]))
    deliveries.begin(tmp_path, 1, columns([9]))
    assert unmade(tmp_path) == {"0001/00000.h5": [1, 2, 3], "0001/00001.h5": [4]}


def test_a_later_delivery_has_names_of_its_own(tmp_path):
    deliveries.begin(tmp_path, 1, columns([1, 2, 3, 4]))
    deliveries.begin(tmp_path, 2, columns([9]))
    (tmp_path / "0001" / "00000.h5").write_text("made")
    assert unmade(tmp_path) == {"0001/00001.h5": [4], "0002/00000.h5": [9]}
    assert deliveries.next_number(tmp_path) == 3
    shutil.rmtree(tmp_path / "0001")
    (tmp_path / "0002" / "00000.h5").write_text("made")
    (tmp_path / "0002" / "slices.txt").unlink()
    assert deliveries.next_number(tmp_path) == 3  # what lies there is never overwritten


@pytest.mark.parametrize("line", ["x", "-1", "1" * 40, "\udc80"])
def test_a_cut_that_is_damaged_is_named(line, tmp_path):
    deliveries.begin(tmp_path, 1, columns([1, 2]))
    (tmp_path / "0001" / "slices.txt").write_bytes(line.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"slices.txt is damaged .*remove it and run the same command again"):
        deliveries.unmade(tmp_path)


@pytest.mark.parametrize("parts", [1, 2, 3, 20])
def test_parts_share_all_shards_out_and_do_not_depend_on_which_are_there(parts, tmp_path):
    paths = [store.shard_path(tmp_path / delivery, number) for delivery in ("0001", "0002") for number in range(7)]
    taken = [[path for path in paths if deliveries.is_of_part(path, part + 1, parts)] for part in range(parts)]
    assert sorted(path for part in taken for path in part) == paths
    assert max(map(len, taken)) - min(map(len, taken)) <= 2


def test_a_folder_that_a_killed_job_left_empty_is_begun(tmp_path):
    (tmp_path / "0001").mkdir()
    (tmp_path / "0001" / ".slices.txt.part-1").touch()
    assert deliveries.next_number(tmp_path) == 1

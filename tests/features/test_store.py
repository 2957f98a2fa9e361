import errno
import os
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob.errors import InputError
from mlob.features import store, table
from mlob.features.fingerprint import Fingerprint

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)
FINGERPRINT = Fingerprint("mobilenet", 224, "last", "avg", "whole", 1, "any", "made up", "keras", "float32", None)


@st.composite
def shards(draw):
    """Shards with any float16 in them, NaN and infinity too; without photos or without failures now and then."""
    ids = draw(st.lists(TEXTS, unique=True, max_size=6))
    kept = draw(st.integers(0, len(ids)))
    features = draw(arrays.arrays(np.uint16, (kept, draw(st.integers(1, 3))))).view(np.float16)
    digests = draw(arrays.arrays(np.uint64, kept))
    failures = {name: draw(TEXTS) for name in ids[kept:]}
    failed = draw(st.none() | arrays.arrays(np.uint64, len(failures)))  # None in shards of an earlier layout
    return store.Shard(tuple(ids[:kept]), features, digests, failures, failed)


def shard(*ids, failures=None, seed=0):
    features = np.random.default_rng(seed).normal(size=(len(ids), 4)).astype(np.float16)
    digests = np.arange(len(ids), dtype=np.uint64) + np.uint64(2**64 - 9)
    failed = np.arange(len(failures or {}), dtype=np.uint64)
    return store.Shard(ids, features, digests, failures or {}, failed)


def equal(one, other):
    same = one.ids == other.ids and list(one.failures.items()) == list(other.failures.items())
    pairs = [(one.features, other.features), (one.digests, other.digests)]
    if (one.failed_digests is None) != (other.failed_digests is None):
        return False
    pairs += [] if one.failed_digests is None else [(one.failed_digests, other.failed_digests)]
    return same and all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def same_header(one, other):
    same = one and other and (one.fingerprint, one.failures) == (other.fingerprint, other.failures)
    return bool(same) and one.digests.tobytes() == other.digests.tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("set") / "data" / "train"


@given(shards())
@settings(deadline=None, max_examples=60)
def test_what_is_written_is_read(folder, made):
    path = store.shard_path(folder.parent / "any", 7)
    store.write(path, made, FINGERPRINT)
    assert equal(store.read(path), made)
    failed = [] if made.failed_digests is None else made.failed_digests.tolist()
    known = dict(zip(failed, made.failures.values(), strict=False))
    known.pop(0, None)  # of what was not read
    assert same_header(store.header(path), store.Header(FINGERPRINT, made.digests, known))


@given(shards())
@settings(deadline=None, max_examples=20)
def test_equal_content_gives_equal_bytes(folder, made):
    paths = [folder.parent / name / "00000.h5" for name in ("one", "another")]
    for path in paths:
        store.write(path, made, FINGERPRINT)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_nor_does_the_time_of_writing_show(folder):
    writes = []
    for _ in range(2):
        store.write(folder / "00000.h5", shard("a", "b"), FINGERPRINT)
        index = table.Index(("a",), np.uint64([7]), np.uint64([8]), {"b": "no file"})
        table.index_path(folder, "train").unlink(missing_ok=True)
        table.write_index(folder, "train", index)
        writes.append([path.read_bytes() for path in (folder / "00000.h5", folder / "train.h5")])
        time.sleep(1.1)  # HDF5 counts whole seconds
    assert writes[0] == writes[1]


def test_features_lie_contiguous_and_uncompressed(folder):
    store.write(folder / "00000.h5", shard("a", "b"), FINGERPRINT)
    with h5py.File(folder / "00000.h5") as file:
        features = file["features"]
        assert (features.chunks, features.compression, features.dtype) == (None, None, np.float16)


def attempts(path):
    """What each way of reading a shard gives, None where it refuses."""
    for read in (store.read, store.header):
        try:
            yield read(path)
        except InputError as error:
            assert "damaged" in str(error)
            yield None


@pytest.fixture(scope="module")
def bytes_and_content(folder):
    """The bytes of a small shard, and what each way of reading gives of them."""
    path = store.shard_path(folder, 0)
    store.write(path, shard("a", "bé", "c", failures={"d": "no file"}), FINGERPRINT)
    return path.read_bytes(), list(attempts(path))


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_anywhere_never_gives_other_features(seed, bytes_and_content, tmp_path):
    data, expected = bytes_and_content
    path, generator = tmp_path / "00000.h5", np.random.default_rng(seed)
    refused = 0
    for place in range(seed, len(data), 16):
        changed = bytearray(data)
        changed[place] ^= 1 << generator.integers(8)
        path.write_bytes(changed)
        found, *_ = attempts(path)
        assert found is None or equal(found, expected[0])
        refused += found is None
    assert refused > 20


def test_a_shard_cut_short_is_refused(bytes_and_content, tmp_path):
    data, _ = bytes_and_content
    path = tmp_path / "00000.h5"
    for length in [*range(0, len(data), 61), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"damaged .* run the same command again"):
            store.read(path)
        assert set(map(type, attempts(path))) == {type(None)}


def test_text_that_was_changed_with_care_is_refused_too(bytes_and_content, tmp_path):
    """HDF5 guards its own structures alone: a changed id is found by the checksum."""
    data, _ = bytes_and_content
    path = tmp_path / "00000.h5"
    path.write_bytes(data.replace("bé".encode(), b"xyz"))
    with pytest.raises(InputError, match="checksum"):
        store.read(path)


IDS = ("a", "b", "c", "dd", "eeeee", "f", "gggggggg", "h")


def test_another_fingerprint_is_refused_by_the_field_and_the_mend(tmp_path):
    with pytest.raises(InputError) as error:
        store.check_fingerprint(tmp_path / "data", {"size": 299}, FINGERPRINT)
    for part in ("size 224", "299", f"Remove {tmp_path / 'data'} ", "make features", "its own name"):
        assert part in str(error.value)


def test_a_store_without_shards_has_no_fingerprint(tmp_path):
    assert store.fingerprint(tmp_path / "nothing") is None
    store.write(store.shard_path(tmp_path / "0001", 0), shard("a"), FINGERPRINT)
    assert store.fingerprint(tmp_path) == FINGERPRINT


def test_a_full_disk_is_said_in_one_sentence_and_leaves_the_old_shard(tmp_path, monkeypatch):
    path = store.shard_path(tmp_path, 0)
    store.write(path, shard("a"), FINGERPRINT)

    def full(*_):
        raise RuntimeError("Can't flush (file write failed: errno = 28, error message = 'No space left on device')")

    monkeypatch.setattr(store, "_checksum", full)
    with pytest.raises(InputError, match="disk is full"):
        store.write(path, shard("b"), FINGERPRINT)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["00000.h5"] and store.read(path).ids == ("a",)


REFUSED = {errno.EAGAIN: "another program has it open", errno.EACCES: "give read permission", errno.EIO: "the disk"}


@pytest.mark.parametrize("number", REFUSED)
@pytest.mark.parametrize("read", [store.read, store.header, store.checksum, store.extent, store.read_without_features])
def test_a_shard_that_the_system_refuses_is_not_called_damaged(number, read, tmp_path, monkeypatch):
    path = store.shard_path(tmp_path, 0)
    store.write(path, shard("a"), FINGERPRINT)

    def refuse(*_, **__):
        raise OSError(number, "Unable to open file")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(InputError, match=REFUSED[number]) as told:
        read(path)
    assert "it may be whole" in str(told.value) and "damaged" not in str(told.value) and "remove" not in str(told.value)


def test_a_shard_that_another_program_writes_to_is_not_called_damaged(tmp_path):
    path = store.shard_path(tmp_path, 0)
    store.write(path, shard("a"), FINGERPRINT)
    code = f"import fcntl, sys; f = open({str(path)!r}, 'r+b'); fcntl.flock(f, 2); print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as holder:
        holder.stdout.readline()
        with pytest.raises(InputError, match="another program has it open"):
            store.read(path)
        holder.stdin.close()
    assert store.read(path).ids == ("a",)


def test_rows_that_the_disk_does_not_give_are_told_as_that(tmp_path, monkeypatch):
    path = store.shard_path(tmp_path, 0)
    store.write(path, shard("a"), FINGERPRINT)
    found = store.extent(path)

    def refuse(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(np, "fromfile", refuse)
    with pytest.raises(InputError, match="input/output error; it may be whole"):
        found.read(0, 1)


def repacked(path, **changes):
    """Write a shard's arrays anew, some of them in another way."""
    with h5py.File(path) as file:
        arrays, marks = {name: file[name][()] for name in file}, dict(file.attrs)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if (how := changes.get(name, {})) is not None:
                file.create_dataset(name, **{"data": array} | how)
        file.attrs.update(marks | changes.get("marks", {}))


def test_a_shard_repacked_in_pieces_is_refused_where_its_rows_are_read_past_hdf5(tmp_path):
    path = store.shard_path(tmp_path, 0)
    store.write(path, shard(*IDS), FINGERPRINT)
    repacked(path, features={"compression": "gzip"})
    with pytest.raises(InputError, match=r"packed, or in pieces.*remove the file"):
        store.extent(path)


DAMAGED = {
    "a data set is gone": {"digests": None},
    "too few digests": {"digests": {"data": np.zeros(3, np.uint64)}},
    "features of float32": {"features": {"data": np.zeros((8, 4), np.float32)}},
    "features of one number": {"features": {"data": np.zeros(8, np.float16)}},
    "more bytes than the file has": {"features": {"data": None, "shape": (8, 2**40), "dtype": "f2", "chunks": (1, 64)}},
    "numbers in place of ids": {"ids": {"data": np.arange(8)}},
    "a fingerprint that is none": {"marks": {"fingerprint": np.bytes_("5")}},
    "a fingerprint that is no JSON": {"marks": {"fingerprint": np.bytes_("{")}},
}


@pytest.mark.parametrize("changes", DAMAGED.values(), ids=DAMAGED)
def test_a_shard_of_another_shape_is_damaged(changes, tmp_path):
    path = store.shard_path(tmp_path, 0)
    store.write(path, shard(*IDS), FINGERPRINT)
    repacked(path, **changes)
    for read in (store.header, store.read) if "marks" in changes else (store.read_without_features, store.read):
        if (read, changes) != (store.read_without_features, DAMAGED["more bytes than the file has"]):
            with pytest.raises(InputError, match="damaged"):
                read(path)


@given(st.binary(max_size=300), st.integers(0, 5000), st.booleans())
@settings(deadline=None, max_examples=150, derandomize=True)
def test_whatever_bytes_stand_in_a_shard_give_its_content_or_one_sentence(bytes_and_content, folder, noise, at, cut):
    data, (expected, _) = bytes_and_content
    path = folder.parent / "noise" / "00000.h5"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data[:at] + noise + (b"" if cut else data[at + len(noise) :]))
    for read in (store.read, store.header, store.extent, store.read_without_features, store.checksum):
        try:
            found = read(path)
        except InputError:
            continue
        assert read is not store.read or equal(found, expected)

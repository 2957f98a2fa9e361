"""Files are whole or absent, and equal digests mean equal contents."""

import builtins
import contextlib
import dataclasses
import errno
import io
import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob import files
from mlob.errors import InputError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# Writing


def test_a_file_appears_whole_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "a.csv"
    with files.atomic(path) as part:
        assert part.parent == path.parent
        assert part.suffix == ".csv"
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["a.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_block_that_fails_leaves_no_part_and_the_old_file(tmp_path, error):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(error), files.atomic(path) as part:
        part.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.csv"]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(ValueError, match="broken"), files.atomic(tmp_path / "set") as part:
        part.mkdir()
        (part / "a").touch()
        raise ValueError("broken")
    assert names(tmp_path) == []
    with files.atomic(tmp_path / "set") as part:
        part.mkdir()
        (part / "a").touch()
    assert names(tmp_path / "set") == ["a"]


def test_a_process_that_is_killed_leaves_the_old_file_and_a_part_that_the_next_one_removes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    code = (
        "import os, signal, sys; from mlob.files import atomic\n"
        "with atomic(sys.argv[1]) as part:\n    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == -9
    assert path.read_text() == "old"
    (part,) = set(tmp_path.iterdir()) - {path}
    files.remove_stale_parts(tmp_path)
    assert part.exists()  # its writer may be alive, in another container
    grow_old(part)
    files.remove_stale_parts(tmp_path)
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_disk_that_is_full_is_told_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with (
        pytest.raises(InputError, match=r"The disk is full: .*a\.csv .* Free some space, .* FEATURES= or RUNS="),
        files.atomic(path) as part,
    ):
        part.symlink_to("/dev/full")
        part.write_text("x" * 100_000)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.csv"]


def test_a_disk_that_fills_up_on_the_flush_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(InputError, match="The disk is full"):
        files.write_text(tmp_path / "a.csv", "new")
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_told(tmp_path, number):
    with (
        pytest.raises(
            InputError, match=r"a\.csv cannot be written \(.*\): give write permission, or name another folder"
        ),
        files.atomic(tmp_path / "a.csv"),
    ):
        raise OSError(number, os.strerror(number))
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        files.write_text(tmp_path / "a.csv", "new")


def test_another_error_of_the_system_is_no_bad_input(tmp_path):
    with pytest.raises(OSError, match="broken"), files.atomic(tmp_path / "a.csv"):
        raise OSError(errno.EIO, "broken")


def test_json_comes_back_as_it_was_written(tmp_path):
    value = {"name": "é", "numbers": [1, 2.5, None, True]}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert "é" in (tmp_path / "a.json").read_text("utf-8")


def test_json_that_is_missing_or_cut_short_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.json is missing"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({"a": 1})[:-1])
    with pytest.raises(InputError, match=r"a\.json is not whole JSON .* copy or download it again"):
        files.read_json(tmp_path / "a.json")


# Parts left behind


def grow_old(path):
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(path, (two_days_ago, two_days_ago))


@pytest.mark.parametrize("name", ["00000.h5", "a.b.h5", "my.parts", "photo.part.jpg", ".hidden", "é [1].csv"])
def test_old_parts_are_removed_and_younger_ones_are_kept(tmp_path, name):
    old, young = files.part_path(tmp_path / name), files.part_path(tmp_path / name)
    for path in (old, young, tmp_path / name):
        path.touch()
    grow_old(old)
    grow_old(tmp_path / name)
    files.remove_stale_parts(tmp_path)
    assert names(tmp_path) == sorted([young.name, name])


def test_a_folder_that_was_being_written_is_removed_when_it_is_old(tmp_path):
    part = files.part_path(tmp_path / "set")
    (part / "images").mkdir(parents=True)
    grow_old(part)
    files.remove_stale_parts(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", [".part", ".a.part.jpg", ".a.0123.part.h5", "a.0123456789abcdef.part.h5", "a.part"])
def test_an_old_file_that_is_no_part_of_ours_is_kept(tmp_path, name):
    (tmp_path / name).touch()
    grow_old(tmp_path / name)
    files.remove_stale_parts(tmp_path)
    assert names(tmp_path) == [name]


def test_writers_that_look_alike_have_parts_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "host")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path = tmp_path / "a.csv"
    with files.atomic(path) as one, files.atomic(path) as other:
        one.write_text("one")
        other.write_text("other")
        files.remove_stale_parts(tmp_path)
    assert one != other and path.read_text() == "one" and names(tmp_path) == ["a.csv"]


def test_a_folder_that_is_not_there_has_no_parts(tmp_path):
    files.remove_stale_parts(tmp_path / "nowhere")


# Digests


PARTS = st.lists(st.binary(max_size=4) | st.text("ab", max_size=4), max_size=4)


def as_bytes(parts):
    return [part.encode() if isinstance(part, str) else part for part in parts]


@settings(deadline=None)
@given(PARTS, PARTS)
def test_equal_digests_mean_equal_parts_in_equal_order(one, other):
    assert (files.digest(*one) == files.digest(*other)) == (as_bytes(one) == as_bytes(other))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=8), st.data())
def test_bytes_split_elsewhere_have_another_digest(data, draw):
    one, other = (draw.draw(st.integers(0, len(data))) for _ in range(2))
    same = files.digest(data[:one], data[one:]) == files.digest(data[:other], data[other:])
    assert same == (one == other)
    assert files.digest(data) != files.digest(data[:one], data[one:])


def test_order_matters():
    assert files.digest("a", "b") != files.digest("b", "a")


def test_arrays_of_another_value_type_or_shape_differ():
    base = np.zeros((2, 6), np.float32)
    others = [
        base + 1, base.view(np.int32), base.astype(np.float16), base.astype(">f4"), base.reshape(6, 2), base.ravel(),
        base[None], base[:1], base[:0], base[:0, :5], base[0, :1], np.zeros((2, 3)),
    ]  # fmt: skip
    found = [files.digest(array) for array in [base, *others]] + [files.digest(base.tobytes())]
    assert len(set(found)) == len(found)


def test_equal_arrays_have_equal_digests_however_they_lie_in_memory():
    array = np.arange(12, dtype=np.int64).reshape(3, 4)
    wide = np.repeat(array, 2, axis=1)
    assert files.digest(array) == files.digest(np.asfortranarray(array)) == files.digest(wide[:, ::2])
    assert files.digest(np.array(1.0)) == files.digest(np.array(1.0))


def test_digests_are_those_of_every_run_and_machine():
    assert files.digest("a", b"b", np.arange(3, dtype="<i4")).startswith("c3eb8cbd618e5610")


# Cells of tables


@settings(max_examples=50)
@given(st.text("=+-@'\t\rab1"))
def test_a_cell_never_begins_as_a_formula_does_and_is_read_back_as_it_was(text):
    cell = files.to_cell(text)
    assert cell[:1] not in tuple("=+-@\t\r") and files.from_cell(cell) == text
    assert cell == text or text.lstrip("'")[:1] in tuple("=+-@\t\r")


# Arrays


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b 1": np.array(True), "none": np.zeros((0, 4))}
    files.write_arrays(tmp_path / "a.npz", **arrays)
    found = files.read_arrays(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    assert all(
        found[name].dtype == array.dtype and np.array_equal(found[name], array) for name, array in arrays.items()
    )


@pytest.mark.parametrize("fault", ["cut", "changed", "compressed", "empty", "missing"])
def test_an_archive_is_whole_only_as_it_was_written(fault, tmp_path):
    path = tmp_path / "a.npz"
    (np.savez_compressed if fault == "compressed" else np.savez)(path, a=np.arange(1000))
    content = path.read_bytes()
    changed = content[:500] + bytes([content[500] ^ 1]) + content[501:]
    assert fault == "compressed" or files.archive_fault(path) is None
    path.write_bytes({"cut": content[:-30], "changed": changed, "empty": b""}.get(fault, content))
    if fault == "missing":
        path.unlink()
    assert files.archive_fault(path).startswith("is missing" if fault == "missing" else "is damaged (")


def test_what_holds_no_arrays_is_told(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(InputError, match=r"a\.npz is missing"):
        files.read_arrays(path)
    np.savez(path, a=np.array([{}], object))
    for content in (path.read_bytes(), b"", b"PK", b"{}", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.npz is damaged"):
            files.read_arrays(path)


@pytest.mark.parametrize("read", [files.read_json, files.read_arrays])
def test_a_file_that_the_system_refuses_may_be_whole_and_is_told_so(read, tmp_path, monkeypatch):
    path = tmp_path / "product"
    path.mkdir()
    with pytest.raises(InputError, match="is a directory; it may be whole"):
        read(path)

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    for owner in (io, builtins):
        monkeypatch.setattr(owner, "open", refuse)
    with pytest.raises(InputError, match=r"permission denied; it may be whole.*: give read permission"):
        read(path)


@dataclasses.dataclass(frozen=True)
class Figure:
    value: float
    note: str | None = None


@dataclasses.dataclass(frozen=True)
class Product:
    name: str
    figure: Figure
    members: tuple[str, ...]
    weights: dict[str, float]
    best: Figure | None
    is_done: bool


PRODUCT = {
    "name": "a",
    "figure": {"value": 1, "note": None},
    "members": ["a", "b"],
    "weights": {"a": 0.5},
    "best": {"value": 3},
    "is_done": True,
    "more": [],
}
WRONG = {
    r"it is \[\] \(input should be an object": [],
    r"figure is 5 \(input should be an object": PRODUCT | {"figure": 5},
    r"figure.value is True \(input should be a valid number": PRODUCT | {"figure": {"value": True}},
    r"figure.note is 5 \(input should be a valid string": PRODUCT | {"figure": {"value": 1, "note": 5}},
    r"members\.1 is 5 \(input should be a valid string": PRODUCT | {"members": ["a", 5]},
    r"members is {} \(input should be a valid": PRODUCT | {"members": {}},
    r"weights.a is 'b' \(input should be a valid number": PRODUCT | {"weights": {"a": "b"}},
    r"weights is \[\] \(input should be an object": PRODUCT | {"weights": []},
    "lacks the key best.value": PRODUCT | {"best": {}},
    r"is_done is 1 \(input should be a valid boolean": PRODUCT | {"is_done": 1},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_product_of_another_shape_is_refused_by_its_first_fault(message, tmp_path):
    files.write_json(tmp_path / "product.json", WRONG[message])
    with pytest.raises(InputError, match=message):
        files.read_record(tmp_path / "product.json", Product)


def test_a_product_is_read_as_it_was_written_and_more_keys_do_no_harm(tmp_path):
    product = Product("a", Figure(1), ("a", "b"), {"a": 0.5}, Figure(3, "high"), True)
    for more in ({}, {"more": []}):
        files.write_json(tmp_path / "product.json", dataclasses.asdict(product) | more)
        assert files.read_record(tmp_path / "product.json", Product) == product


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PRODUCT, "value", "note"]), inner),
)


@given(JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(PRODUCT, JSON)).map(PRODUCT.__or__))
@settings(deadline=None, max_examples=150, derandomize=True)
def test_whatever_json_a_product_holds_it_has_its_shape_or_is_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(content))
    try:
        found = files.read_record(path, Product)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(found.figure.value, int | float) and {*map(type, found.members)} <= {str}


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=100, derandomize=True)
def test_whatever_bytes_a_product_holds_they_are_json_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        files.read_record(path, dict)

import dataclasses
import time

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlob import predictions
from mlob.errors import InputError
from mlob.predictions import Table

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)
IDS = ("b", "a", "é", "d")


@st.composite
def made(draw):
    """Tables of any ids and probabilities, with decisions or without; no photo at all now and then."""
    ids = tuple(draw(st.lists(TEXTS, unique=True, max_size=5)))
    shape = (len(ids), draw(st.integers(1, 3)))
    decided = arrays.arrays(np.uint8, shape, elements=st.integers(0, 1))
    probabilities = draw(arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    digests = arrays.arrays(np.uint64, len(ids))
    return Table(ids, probabilities, draw(st.none() | decided), draw(st.none() | digests))


def table(ids=IDS, seed=0, labels=3):
    return Table(tuple(ids), np.random.default_rng(seed).random((len(ids), labels), np.float32))


def equal(one, other):
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("probabilities", "decided", "digests")]
    return one.ids == other.ids and all(
        (a is None and b is None) or (a.dtype == b.dtype and np.array_equal(a, b)) for a, b in pairs
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "predictions.h5"


@given(made(), made())
@settings(deadline=None, max_examples=40)
def test_what_is_written_is_read(path, validation, test):
    predictions.write(path, {"validation": validation, "test": test}, labels=[1, 2], seed=0)
    found = predictions.read(path)
    assert found.keys() == {"validation", "test"}
    assert equal(found["validation"], validation) and equal(found["test"], test)


def test_keys_are_equal_where_photos_are_and_a_photo_that_cannot_be_read_is_like_no_other():
    found = dataclasses.replace(table(), digests=np.array([5, 0, 2**63, 5], np.uint64))
    assert found.keys(("d", "a", "b")) == [5, "a", 5] and found.keys(IDS) == [5, "a", 2**63, 5]
    assert table().keys(("d", "b")) == ["d", "b"]


def test_the_file_is_as_the_contract_says(path):
    predictions.write(path, {"validation": table()}, labels=(1, 5), recipe={"seed": 2}, fingerprint=None)
    with h5py.File(path) as file:
        assert file["validation/ids"].asstr()[2] == "é" and file["validation/probabilities"].dtype == np.float32
        assert file["about/labels"][()] == b"[1, 5]" and file["about/recipe"][()] == b'{"seed": 2}'


def test_any_number_of_labels_is_written_and_read(path):
    labels = list(range(100_000, 120_000))
    predictions.write(path, {"validation": table()}, labels=labels)
    assert predictions.read_labels(path) == labels
    predictions.write(path, {"validation": table()})
    assert predictions.read_labels(path) is None


def test_equal_content_gives_equal_bytes_whenever_it_is_written(path):
    written = []
    for _ in range(2):
        decided = np.ones((4, 3), np.uint8)
        predictions.write(path, {"validation": table(), "test": Table(IDS, table().probabilities, decided)}, seed=0)
        written.append(path.read_bytes())
        time.sleep(1.1)  # HDF5 counts whole seconds
    assert written[0] == written[1]


@given(st.permutations(IDS), st.permutations(IDS))
@settings(deadline=None)
def test_members_are_joined_by_id_whatever_their_order(order, wanted):
    one, other = table(), table(seed=1)
    rows = [IDS.index(name) for name in order]
    shuffled = Table(tuple(order), other.probabilities[rows])
    expected = np.stack([one.probabilities, other.probabilities])
    members = {"one": one, "other": shuffled}
    assert np.array_equal(predictions.align(members), expected)
    assert np.array_equal(predictions.align(members, tuple(wanted)), expected[:, [IDS.index(name) for name in wanted]])


@pytest.mark.parametrize("ids", [("b", "a", "é"), ("b", "a", "é", "z"), (*IDS, "z"), ()])
def test_a_member_over_other_images_is_named(ids):
    with pytest.raises(InputError, match="predictions of second are of other photos"):
        predictions.align({"first": table(), "second": table(ids)})


def test_members_of_different_labels_are_refused():
    with pytest.raises(InputError, match=r"different numbers of labels \(\{'first': 3, 'second': 2\}\)"):
        predictions.align({"first": table(), "second": table(labels=2)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.001, 1.001])
def test_what_is_no_probability_is_refused(path, value):
    wrong = table()
    wrong.probabilities[2, 1] = value
    predictions.write(path, {"validation": table(), "test": wrong})
    with pytest.raises(InputError, match="the test probabilities run from"):
        predictions.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"predictions\.h5 is missing: remove its folder"):
        predictions.read(tmp_path / "predictions.h5")


@pytest.mark.parametrize("left", [0, 7, 96, 400, 0.5, 0.9, -1])
def test_a_file_cut_short_is_named(path, left):
    predictions.write(path, {"validation": table([str(row) for row in range(500)])})
    content = path.read_bytes()
    path.write_bytes(content[: left if isinstance(left, int) else int(left * len(content))])
    with pytest.raises(InputError, match=r"is damaged .* remove its folder"):
        predictions.read(path)


@pytest.mark.parametrize("name", ["ids", "probabilities"])
def test_a_file_without_one_of_its_parts_is_named(path, name):
    predictions.write(path, {"validation": table()})
    with h5py.File(path, "a") as file:
        del file[f"validation/{name}"]
    with pytest.raises(InputError, match=r"is damaged .* remove its folder"):
        predictions.read(path)


def test_a_flipped_byte_gives_either_a_table_or_the_message(path):
    predictions.write(path, {"validation": table(), "test": table(seed=1)}, labels=[1, 2, 5])
    content, messages = path.read_bytes(), 0
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            assert all(isinstance(found, Table) for found in predictions.read(path).values())
        except InputError:
            messages += 1
    assert messages > 50


WRONG = {
    "fewer ids than probabilities": ("ids", np.array([b"a"], "S1")),
    "probabilities of one number": ("probabilities", np.zeros(4, np.float32)),
    "probabilities of float64": ("probabilities", np.zeros((4, 3))),
    "numbers in place of ids": ("ids", np.arange(4)),
    "decisions of other labels": ("decided", np.zeros((4, 2), np.uint8)),
    "fewer digests than photos": ("digests", np.zeros(3, np.uint64)),
}


@pytest.mark.parametrize("name, array", WRONG.values(), ids=WRONG)
def test_tables_of_another_shape_are_damaged(name, array, path):
    predictions.write(path, {"validation": dataclasses.replace(table(), decided=np.ones((4, 3), np.uint8))})
    with h5py.File(path, "a") as file:
        if name in file["validation"]:
            del file[f"validation/{name}"]
        file[f"validation/{name}"] = array
    with pytest.raises(InputError, match="damaged"):
        predictions.read(path)


def test_a_table_that_the_system_refuses_is_not_called_damaged(path, monkeypatch):
    predictions.write(path, {"validation": table()})

    def refuse(*_, **__):
        raise PermissionError(13, "Unable to open file")

    monkeypatch.setattr(h5py, "File", refuse)
    for read in (predictions.read, predictions.read_labels):
        with pytest.raises(InputError, match="permission denied; it may be whole"):
            read(path)


@given(st.binary(max_size=300), st.integers(0, 8000), st.booleans())
@settings(deadline=None, max_examples=150, derandomize=True)
def test_whatever_bytes_stand_in_predictions_give_tables_or_one_sentence(path, noise, at, cut):
    predictions.write(
        path, {"validation": dataclasses.replace(table(), decided=np.ones((4, 3), np.uint8))}, labels=[1, 2, 3]
    )
    data = path.read_bytes()
    path.write_bytes(data[:at] + noise + (b"" if cut else data[at + len(noise) :]))
    for read in (predictions.read, predictions.read_labels):
        try:
            read(path)
        except InputError as error:
            assert "\n" not in str(error)

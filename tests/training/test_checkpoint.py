import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlob.errors import InputError
from mlob.training.checkpoint import Checkpoint

GROUPS = {"model": [np.arange(6.0).reshape(2, 3), np.array(7, np.int32)], "optimizer": [np.ones(12, np.float32)] * 11}


def test_what_is_kept_is_given_back_in_order(tmp_path):
    kept = Checkpoint(tmp_path / "checkpoint", {"recipe": ["a"]})
    assert kept.read() is None
    kept.write({"history": [0.1, 1 / 3]}, **GROUPS)
    facts, found = kept.read()
    assert facts == {"history": [0.1, 1 / 3]} and found.keys() == GROUPS.keys()
    for name, group in GROUPS.items():
        assert [array.dtype for array in found[name]] == [array.dtype for array in group]
        assert all(np.array_equal(one, other) for one, other in zip(found[name], group, strict=True))


def test_another_trainings_checkpoint_is_refused_with_what_differs_and_stays(tmp_path):
    recipe = {"seed": 0, "head": {"units": [8], "dropout": 0.5}}
    kept = Checkpoint(tmp_path, {"recipe": recipe, "data": "one"})
    kept.write({"epoch": 3}, **GROUPS)
    changed = {"recipe": {**recipe, "seed": 1, "head": {"units": [16], "dropout": 0.5}}, "data": "one"}
    with pytest.raises(InputError, match=r"with another recipe\.seed, recipe\.head\.units: restore that to go on, or"):
        Checkpoint(tmp_path, changed).read()
    with pytest.raises(InputError, match=r"with another data:"):
        Checkpoint(tmp_path, {"recipe": recipe}).read()
    assert kept.read()[0] == {"epoch": 3}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"no zip at all"])
def test_a_damaged_checkpoint_is_told_with_the_mend(content, tmp_path):
    (tmp_path / "training.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"training.npz is damaged .*: remove it"):
        Checkpoint(tmp_path, {}).read()


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=3), st.none() | st.integers(0, 4000))
def test_bytes_that_were_changed_or_cut_are_what_was_kept_or_are_told(tmp_path, edits, end):
    kept = Checkpoint(tmp_path, {"a": 1})
    kept.write({"epoch": 3}, **GROUPS)
    content = bytearray((tmp_path / "training.npz").read_bytes())
    for place, byte in edits:
        content[place % len(content)] = byte
    (tmp_path / "training.npz").write_bytes(content[:end])
    try:
        facts, found = kept.read()
    except InputError as error:
        assert "training.npz is damaged" in str(error) and "remove it to train from the start" in str(error)
    else:
        assert facts == {"epoch": 3} and [len(group) for group in found.values()] == [2, 11]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["identity", "facts", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON.map(json.dumps) | st.text(max_size=5) | st.integers() | st.none())
def test_a_checkpoint_of_another_shape_is_told(tmp_path, text):
    arrays = {} if text is None else {"text": np.array(text)}
    np.savez(tmp_path / "training.npz", **arrays, **{"model 0": np.ones(2)})
    try:
        facts, _ = Checkpoint(tmp_path, {}).read()
    except InputError as error:
        assert "to train from the start" in str(error)
    else:
        assert isinstance(facts, dict) and not any(json.loads(text)["identity"].values())


def test_a_write_that_is_broken_off_leaves_the_last_one(tmp_path):
    kept = Checkpoint(tmp_path, {})
    kept.write({"epoch": 1}, **GROUPS)
    with pytest.raises(TypeError):
        kept.write({"epoch": object()}, **GROUPS)
    assert kept.read()[0] == {"epoch": 1} and [path.name for path in tmp_path.iterdir()] == ["training.npz"]


def test_removing_leaves_nothing(tmp_path):
    kept = Checkpoint(tmp_path / "checkpoint", {})
    kept.remove()
    kept.write({}, **GROUPS)
    kept.remove()
    assert not (tmp_path / "checkpoint").exists()

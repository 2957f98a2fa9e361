import numpy as np
import pytest

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
    with pytest.raises(InputError, match=r"with another recipe\.seed, recipe\.head\.units: go on with what it was, or"):
        Checkpoint(tmp_path, changed).read()
    with pytest.raises(InputError, match=r"with another data:"):
        Checkpoint(tmp_path, {"recipe": recipe}).read()
    assert kept.read()[0] == {"epoch": 3}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"no zip at all"])
def test_a_damaged_checkpoint_is_told_with_the_mend(content, tmp_path):
    (tmp_path / "training.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"training.npz is damaged .*: remove it"):
        Checkpoint(tmp_path, {}).read()


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

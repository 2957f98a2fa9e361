import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.data.annotations import Split
from mlob.models import heads
from mlob.predictions import predict
from mlob.recipes import Head
from mlob.training import fit
from mlob.training.batches import Rows

IDS = ("b", "a", "é", "d", "c")
SHARES = np.array([0.5, 0.25])


def rows(ids):
    digests = np.array([7 + IDS.index(name) // 2 for name in ids], np.uint64)
    return Rows(np.array(ids, object), np.zeros((len(ids), 1), np.float16), None, digests=digests)


@given(st.lists(st.sampled_from(IDS), unique=True))
@settings(deadline=None)
def test_every_photo_is_there_in_order_and_a_failed_one_has_the_labels_shares(read):
    probabilities = np.array([[IDS.index(name) / 10, 1] for name in read], np.float32).reshape(-1, 2)
    table = predict.table(Split("test", IDS, ((),) * 5, None), rows(read), probabilities, SHARES)
    assert table.ids == IDS and table.probabilities.dtype == np.float32 and table.decided is None
    expected = [[row / 10, 1] if name in read else SHARES for row, name in enumerate(IDS)]
    assert np.array_equal(table.probabilities, np.array(expected, np.float32))
    assert table.keys(IDS) == [7 + row // 2 if name in read else name for row, name in enumerate(IDS)]


def test_members_read_their_own_stores_side_by_side(tmp_path):
    generator = np.random.default_rng(0)
    features = {name: generator.normal(size=(7, 3)).astype(np.float16) for name in ("one", "two")}
    models, expected = {}, {}
    for member, stores in {"both": ("two", "one"), "single": ("one",)}.items():
        joined = np.concatenate([features[name] for name in stores], axis=1)
        model = heads.build(Head(units=(4,)), joined, np.eye(7, 2, dtype=np.uint8))
        (tmp_path / member).mkdir()
        model.save(tmp_path / member / "head.keras")
        models[member] = tmp_path / member, stores
        expected[member] = fit.predict(model, joined)
    found = predict.members(models, features)
    assert list(found) == ["both", "single"]
    for member, probabilities in found.items():
        assert probabilities.shape == (7, 2) and probabilities == pytest.approx(expected[member], abs=1e-6)

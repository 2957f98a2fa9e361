import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob import predictions
from mlob.data.dataset import Split
from mlob.features import log, store
from mlob.features.fingerprint import Fingerprint
from mlob.models import heads
from mlob.recipes import LOGISTIC, Experiment, Head, Judging, Training
from mlob.runs import answering, model
from mlob.runs.job import Job
from mlob.training import batches, fit
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
    table = predictions.cover(Split("test", IDS, ((),) * 5, None), rows(read), probabilities, SHARES)
    assert table.ids == IDS and table.probabilities.dtype == np.float32 and table.decided is None
    expected = [[row / 10, 1] if name in read else SHARES for row, name in enumerate(IDS)]
    assert np.array_equal(table.probabilities, np.array(expected, np.float32))
    assert table.keys(IDS) == [7 + row // 2 if name in read else name for row, name in enumerate(IDS)]


def test_members_read_their_own_stores_side_by_side(tmp_path):
    generator = np.random.default_rng(0)
    features = {name: generator.normal(size=(7, 3)).astype(np.float16) for name in ("one", "two")}
    members, expected = {}, {}
    for member, stores in {"both": ("two", "one"), "single": ("one",)}.items():
        joined = np.concatenate([features[name] for name in stores], axis=1)
        head = heads.build(Head(units=(4,)), joined, np.eye(7, 2, dtype=np.uint8))
        (tmp_path / member).mkdir()
        head.save(tmp_path / member / "head.keras")
        members[member] = answering.Member(tmp_path / member, stores)
        expected[member] = fit.predict(head, joined)
    found = answering.predict(members, features)
    assert list(found) == ["both", "single"]
    for member, probabilities in found.items():
        assert probabilities.shape == (7, 2) and probabilities == pytest.approx(expected[member], abs=1e-6)


def written(folder, dataset, shape, seed):
    """A store whose features are numbers in one shape a photo."""
    generator = np.random.default_rng(seed)
    fingerprint = Fingerprint("mobilenet", 224, "last", "avg", "whole", 1, "any", "made up", "keras", "float32", None)
    for name, split in dataset.splits.items():
        features = generator.normal(size=(len(split.ids), *shape)).astype(np.float16)
        digests = np.arange(len(split.ids), dtype=np.uint64) + np.uint64(10_000 * len(name))  # no two photos are alike
        shard = store.Shard(split.ids, features, digests, {})
        store.write(store.shard_path(folder / name, 0), shard, fingerprint)
    facts = {"weights": "random", "parameters": 1000, "processor": "made up", "photos": 1}
    log.write(store.shard_path(folder / "train", 0), seconds={"read": 1, "forward": 1, "write": 1}, **facts)
    return folder


SHORT = Training(epochs=1)
MEMBERS = {
    "dense": Experiment(("flat",), Head(units=(4,)), SHORT),
    "groups and branches": Experiment(("flat",), Head(units=(4,), groups=True, branches=2), SHORT),
    "views": Experiment(("flat", "flip"), Head(units=(4,)), SHORT, views=True),
    "a part of the labels": Experiment(("flat",), Head(units=(4,)), SHORT, least_share=0.3),
    "grids side by side": Experiment(("grid", "wide"), Head(units=(4,)), SHORT),
    "logistic": Experiment(("flat",), LOGISTIC),
    "logistic, side by side": Experiment(("flat", "flip"), LOGISTIC),
    "logistic, on a grid": Experiment(("grid",), LOGISTIC),
}
SHAPES = {"flat": (6,), "flip": (6,), "grid": (2, 3, 4), "wide": (2, 3, 5)}


@pytest.mark.parametrize("experiment", MEMBERS.values(), ids=MEMBERS)
def test_whatever_trains_predicts_new_photos_as_it_did_those_of_test(experiment, made, tmp_path):
    stores = {name: written(tmp_path / name, made, SHAPES[name], seed) for seed, name in enumerate(experiment.stores)}
    folder = tmp_path / "run"
    model.train(Job("one", experiment, made, stores), folder, Judging(folds=2, draws=2))
    features = {name: batches.read([path], made["test"]).features[:] for name, path in stores.items()}
    found = answering.predict({"one": answering.Member(folder, experiment.stores)}, features)["one"]
    assert found == pytest.approx(predictions.read(folder / "predictions.h5")["test"].probabilities, abs=1e-5)

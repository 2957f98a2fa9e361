import dataclasses

import numpy as np
import pytest

from mlob.evaluation.shift import PAIRS
from mlob.features import store
from mlob.runs import shift


def test_shares_are_those_of_the_labels_and_of_decisions_where_there_are_none(made):
    decided = {split: np.ones_like(made[split].targets) for split in ("validation", "test")}
    unlabelled = dataclasses.replace(made["test"], annotations=None)
    dataset = dataclasses.replace(made, splits={**made.splits, "test": unlabelled})
    shares, stand_ins = shift.label_prevalence(dataset, decided)
    assert stand_ins == ["test"] and [row["test"] for row in shares] == [1, 1, 1, 1]
    targets = made["validation"].targets
    assert not targets.any(axis=1).all()  # a photo that bears no label counts, too
    assert [row["validation"] for row in shares] == pytest.approx(targets.mean(axis=0), abs=1e-5)
    assert [(row["id"], row["name"], row["group"]) for row in shares][2] == (5, "long", "length")
    assert shift.label_prevalence(made, decided)[1] == []


def test_a_description_compares_labels_features_and_contents(made, tmp_path, write_store):
    folder = write_store(tmp_path / "store", made, failed=("test 3",))
    train, validation = (store.shard_path(folder / name, 0) for name in ("train", "validation"))
    shard = store.read(validation)
    shard.digests[:9] = store.read(train).digests[:9]
    store.write(validation, shard, store.header(train).fingerprint)
    found = shift.describe(made, {}, folder)
    assert [pair.splits for pair in found.features] == list(PAIRS)
    assert found.features[1].photos == (90, 29)
    equal = {(pair.split, pair.other): pair.photos for pair in found.equal}
    assert equal == {("validation", "train"): 9}
    assert found.labels.tested == 4
    assert shift.describe(made, {}).features == shift.describe(made, {}).equal == []


def test_a_photo_that_stands_twice_is_seen_once(made, tmp_path, write_store):
    folder = write_store(tmp_path / "store", made)
    path = store.shard_path(folder / "validation", 0)
    shard, fingerprint = store.read(path), store.header(path).fingerprint
    store.write(path, dataclasses.replace(shard, digests=shard.digests // 2), fingerprint)
    found = shift.describe(made, {}, folder).features
    assert [pair.photos for pair in found] == [(240, 45), (45, 30), (240, 30)]
    rows = shift.sample(folder, made["validation"])
    assert np.array_equal(rows, shard.features[::2].astype(np.float32))


def test_a_split_that_looks_otherwise_is_noticed(made, tmp_path, write_store, monkeypatch):
    folder = write_store(tmp_path / "store", made)
    whole = shift.sample
    monkeypatch.setattr(shift, "sample", lambda path, split: whole(path, split) + 3 * (split.name == "validation"))
    apart, _, alike = (pair.auc.value for pair in shift.describe(made, {}, folder).features)
    assert apart > 0.9 and alike < 0.7

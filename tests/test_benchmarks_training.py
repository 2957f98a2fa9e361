import dataclasses

import numpy as np
import pytest

from benchmarks import training
from mlob.training import batches

KEYS = [
    "epoch_seconds", "streamed_epoch_seconds", "baseline_epoch_seconds", "ratio", "streamed_ratio", "loss",
    "streamed_loss", "baseline_loss", "peak_rss_mb", "streamed_peak_rss_mb", "matmul_bound_seconds",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "FEATURES", 16)
    training.write(tmp_path / "data", 5000, 100)
    return tmp_path / "data"


def test_the_store_and_the_table_hold_the_same_rows_in_the_same_order(folder):
    table = np.load(folder / "features.npy", mmap_mode="r")
    assert table.dtype == np.float32 and table.shape == (5000, 16)
    assert np.array_equal(training.read(folder, "train").features[:].astype(np.float32), table)
    assert np.load(folder / "train.npy").shape == (5000, 228) and np.load(folder / "unseen.npy").shape == (100, 228)


def test_what_is_there_is_kept(folder):
    before = (folder / "train.npy").stat().st_mtime_ns
    training.write(folder, 5000, 100)
    assert (folder / "train.npy").stat().st_mtime_ns == before


def test_labels_hang_on_features_and_differ_in_how_common_they_are(folder):
    targets, table = np.load(folder / "train.npy"), np.load(folder / "features.npy")
    shares = targets.mean(axis=0)
    assert 0.01 < shares.mean() < 0.4 and shares.std() > 0.02
    label = int(np.argmin(np.abs(shares - 0.3)))
    likeness = [np.corrcoef(table[:, column], targets[:, label])[0, 1] for column in range(16)]
    assert np.abs(likeness).max() > 0.1


def test_the_rows_that_losses_are_taken_on_are_others(folder):
    seen = {row.tobytes() for row in training.read(folder, "train").features[:]}
    assert not any(row.tobytes() in seen for row in training.read(folder, "unseen").features[:])


def test_the_last_line_has_just_the_keys_and_ratios_to_the_baseline():
    one = {"epoch_seconds": 10.0, "warm_up_seconds": 1, "load_seconds": 1, "loss": 0.2, "peak_rss_mb": 1000}
    found = {"baseline": {**one, "epoch_seconds": 45.0}, "resident": one, "streamed": {**one, "epoch_seconds": 15.0}}
    summary = training.summary({**found, "matmul": {"flops": 1e12}}, 1_000_000)
    assert list(summary) == KEYS
    assert summary["ratio"] == 4.5 and summary["streamed_ratio"] == 3
    assert summary["matmul_bound_seconds"] == pytest.approx(12.7, abs=0.1)
    told = training.table(found, 1_000_000)
    assert [line.split()[0] for line in told.splitlines()[-3:]] == ["baseline", "resident", "streamed"]


@pytest.mark.slow
def test_each_way_of_training_is_measured_on_the_same_rows(folder, monkeypatch):
    monkeypatch.setattr(batches, "CHUNK", 1024)
    monkeypatch.setattr(training, "BUDGET_BYTES", (32 + 228) * 11 * 1024)
    plain = dataclasses.replace(training.TRAINING, precision="float32")
    monkeypatch.setattr(training, "OURS", dataclasses.replace(training.OURS, training=plain))
    found = {kind: training.measure(kind, folder) for kind in training.KINDS}
    assert list(training.summary(found, 5000)) == KEYS
    for kind in training.KINDS[:3]:
        assert 0 < found[kind]["loss"] < 1 and found[kind]["epoch_seconds"] > 0 and found[kind]["warm_up_seconds"] > 0

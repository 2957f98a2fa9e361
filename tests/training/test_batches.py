import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlob import machine
from mlob.data.dataset import Split
from mlob.data.splits import dev_rows, limit_rows
from mlob.errors import InputError
from mlob.features import extents, store, table
from mlob.features.fingerprint import Fingerprint
from mlob.training import batches

FINGERPRINT = Fingerprint("mobilenet", 224, "last", "avg", "whole", 1, "any", "made up", "keras", "float32", None)
IDS = tuple(f"photo {number}" for number in range(23))
SHARD = 5  # photos a shard in these tests


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Let shards, runs and chunks be so small that a few rows make many of them."""
    monkeypatch.setattr(store, "SLICE", SHARD)
    monkeypatch.setattr(batches, "RUN", 4)
    monkeypatch.setattr(batches, "CHUNK", 6)


def split_of(ids=IDS, targets=True):
    numbers = np.array([int(name.split()[1]) for name in ids])
    marks = np.stack([numbers % 2, numbers % 3 == 0], axis=1).astype(np.uint8)
    return Split("train", ids, ((),) * len(ids), marks if targets else None)


def digest_of(name):
    return 2**63 + int(name.split()[1])


def write(folder, ids=IDS, base=0, failed=(), seed=None, delivery="train"):
    """A store whose features tell whose they are: the photo's number, and `base`; shuffled in a shard by a seed."""
    for number, names in enumerate(store.slices(ids)):
        kept = [name for name in names if name not in failed]
        if seed is not None:
            np.random.default_rng(seed).shuffle(kept)
        features = np.array([[int(name.split()[1]), base] for name in kept], np.float16).reshape(-1, 2)
        failures = {name: "why" for name in names if name in failed}
        digests = np.array([digest_of(name) for name in kept], np.uint64)
        shard = store.Shard(tuple(kept), features, digests, failures)
        store.write(store.shard_path(folder / delivery, number), shard, FINGERPRINT)
    return folder


def read(tmp_path, *bases, ids=IDS, targets=True, **others):
    folders = [write(tmp_path / str(base), ids, base, **others) for base in bases]
    return batches.read(folders, split_of(ids, targets))


@given(st.sets(st.sampled_from(IDS)), st.sets(st.sampled_from(IDS)), st.integers(0, 9))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stores_and_targets_meet_by_id_and_a_photo_that_failed_in_one_is_left_out(tmp_path, failed, others, seed):
    one = write(tmp_path / "one", base=1, failed=failed, seed=seed)
    other = write(tmp_path / "other", base=2, failed=others, seed=seed + 1)
    rows = batches.read([one, other], split_of())
    expected = [number for number, name in enumerate(IDS) if name not in failed | others]
    assert rows.ids.tolist() == [IDS[number] for number in expected]
    assert rows.targets.tolist() == [[number % 2, number % 3 == 0] for number in expected]
    assert rows.digests.tolist() == [digest_of(name) for name in rows.ids] and rows.digests.dtype == np.uint64
    found = rows.features[:]
    assert found.dtype == np.float16 and found.shape == rows.features.shape and found.nbytes == rows.features.nbytes
    assert found.tolist() == [[number, 1, number, 2] for number in expected]


@given(st.lists(st.integers(0, len(IDS) - 1)), st.sets(st.integers(0, len(IDS) - 1)))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_features_on_disk_are_indexed_like_the_array_that_they_are(tmp_path, rows, chosen):
    stored = read(tmp_path, 0, seed=1).features
    whole = stored[:]
    rising = np.array(sorted(rows), int)
    assert np.array_equal(stored[rising], whole[rising])
    mask = np.isin(np.arange(len(IDS)), list(chosen))
    assert np.array_equal(stored.take(mask)[:], whole[mask])
    assert np.array_equal(stored[3:17], whole[3:17])


def test_maps_stand_side_by_side_on_their_last_axis(tmp_path):
    maps = np.arange(2 * 3 * 3 * 4).reshape(2, 3, 3, 4).astype(np.float16)
    for name, part in {"one": maps[..., :3], "other": maps[..., 3:]}.items():
        shard = store.Shard(IDS[:2], part, np.array([7, 8], np.uint64), {})
        store.write(store.shard_path(tmp_path / name / "train", 0), shard, FINGERPRINT)
    rows = batches.read([tmp_path / "one", tmp_path / "other"], split_of(IDS[:2]))
    assert rows.features.shape == maps.shape and np.array_equal(rows.features[:], maps)


def test_a_split_without_labels_joins_to_rows_without(tmp_path):
    rows = read(tmp_path, 0, targets=False)
    assert rows.targets is None and rows.take(np.arange(len(IDS)) < 2).targets is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(value, tmp_path):
    features = np.array([[1, 2], [value, 3], [4, value], [value, value]], np.float16)
    shard = store.Shard(IDS[:4], features, np.arange(1, 5, dtype=np.uint64), {})
    store.write(store.shard_path(tmp_path / "set" / "train", 0), shard, FINGERPRINT)
    with pytest.raises(InputError, match=r"3 rows of the train features in .*set are not finite"):
        batches.read([tmp_path / "set"], split_of(IDS[:4]))


def test_rows_of_other_deliveries_and_splits_are_passed_over(tmp_path):
    """The rows of a split may lie anywhere, in any order: what its index lists is found by content."""
    store_folder = tmp_path / "grown"
    for delivery, ids in {"0001": IDS[9:], "0002": IDS[:4], "0003": IDS[4:9]}.items():
        write(store_folder, ids, seed=5, delivery=delivery)
    ids = (*IDS[20:], *IDS[3:12], IDS[0])
    digests = np.array([digest_of(name) for name in ids], np.uint64)
    table.write_index(store_folder, "train", table.Index(ids, digests, digests, {}))
    rows = batches.read([store_folder, write(tmp_path / "other", base=2)], split_of(ids))
    numbers = [int(name.split()[1]) for name in ids]
    assert rows.ids.tolist() == [*ids] and rows.features[:].tolist() == [[number, 0, number, 2] for number in numbers]
    assert rows.features.order.tolist() != list(range(len(ids)))
    assert sorted(itertools.chain(*epoch(streamed(rows, 6), 3))) == sorted(numbers)


def test_streamed_rows_are_read_in_runs_of_the_disk_however_the_annotations_order_them(tmp_path, monkeypatch):
    ids = tuple(f"photo {number}" for number in np.random.default_rng(0).permutation(200))
    rows = batches.read([write(tmp_path, tuple(sorted(ids)), seed=1)], split_of(ids))
    reads = []

    def spied(extent, start, stop, read=extents.Extent.read):
        reads.append(stop - start)
        return read(extent, start, stop)

    monkeypatch.setattr(extents.Extent, "read", spied)
    epoch(streamed(rows, 40 * batches.RUN), 3)
    assert sum(reads) < 1.5 * len(ids) and len(reads) < 2 * (len(ids) / batches.RUN + len(ids) / SHARD)
    reads.clear()
    assert len(rows.resident().features) == len(ids) == sum(reads) and len(reads) == len(ids) / SHARD


def test_photos_that_are_not_extracted_yet_are_told(tmp_path):
    write(tmp_path, IDS[:20])
    with pytest.raises(
        InputError, match=r"3 of 23 train photos have no features in .* 'photo 20': run `make features`"
    ):
        batches.read([tmp_path], split_of())


def test_a_shard_that_vanishes_while_it_is_used_is_told(tmp_path):
    rows = read(tmp_path, 0)
    store.shard_path(tmp_path / "0" / "train", 2).unlink()
    with pytest.raises(InputError, match=r"00002.h5 changed while it was read: run `make features`"):
        rows.resident()


# An epoch


def streamed(rows, window):
    """Allow as much memory as holds `window` rows at a time."""
    row_bytes = (rows.features.nbytes + rows.targets.nbytes) // len(rows.ids)
    return dataclasses.replace(rows, memory_bytes=row_bytes * (2 * window + batches.CHUNKS * batches.CHUNK))


def epoch(rows, batch, seed=0):
    """The numbers of the photos of each batch, whose targets are found to be theirs."""
    found = []
    for features, targets in batches.epoch(rows, batch, np.random.default_rng(seed)):
        assert features.dtype == np.float16 and targets.dtype == np.uint8
        numbers = features[..., 0].astype(int)
        assert np.array_equal(targets, np.stack([numbers % 2, numbers % 3 == 0], axis=-1))
        found += numbers.tolist()
    return found


@pytest.mark.parametrize("window", [None, 6, 12, 24])
@pytest.mark.parametrize("batch", [1, 2, 3, 6])
def test_each_row_comes_once_an_epoch_in_whole_batches_but_for_the_last(window, batch, tmp_path):
    rows = read(tmp_path, 0, seed=3)
    rows = streamed(rows, window) if window else rows.resident()
    found = epoch(rows, batch)
    assert sorted(itertools.chain(*found)) == list(range(len(IDS)))
    assert [len(one) for one in found] == [batch] * (len(IDS) // batch) + [len(IDS) % batch] * (len(IDS) % batch > 0)
    assert found == epoch(rows, batch) != epoch(rows, batch, seed=1)


def test_a_batch_may_be_larger_than_all_rows(tmp_path):
    assert sorted(epoch(read(tmp_path, 0).resident(), 100)[0]) == list(range(len(IDS)))


def test_memory_for_all_rows_shuffles_them_as_if_they_were_resident(tmp_path):
    rows = read(tmp_path, 0)
    assert epoch(streamed(rows, 24), 3) == epoch(rows.resident(), 3)


@given(st.integers(1, 400), st.integers(1, 100), st.integers(0, 99))
@settings(deadline=None)
def test_a_window_mixes_runs_from_all_over_the_set(count, window, seed):
    order = batches.shuffled(count, window, np.random.default_rng(seed))
    assert sorted(order) == list(range(count))
    for start in range(0, count, window):
        runs = {row // batches.RUN for row in order[start : start + window]}
        assert len(runs) <= window // batches.RUN + 3  # a run is cut at each end, and the set's last may be short


def test_streamed_rows_are_mixed_across_shards():
    order = batches.shuffled(4000, 400, np.random.default_rng(0))
    means = order.reshape(10, 400).mean(axis=1)
    assert np.abs(means - 1999.5).max() < 4 * 4000 / np.sqrt(12 * 400 / batches.RUN)  # four standard errors of 100 runs
    steps = np.abs(np.diff(order))
    assert (steps < batches.RUN).mean() < 0.05 and np.median(steps) > 500


def test_what_is_streamed_is_read_a_window_at_a_time(tmp_path, monkeypatch):
    asked = []

    def spied(stored, rows, getitem=batches.Stored.__getitem__):
        asked.append(len(rows))
        return getitem(stored, rows)

    rows = streamed(read(tmp_path, 0), 6)
    monkeypatch.setattr(batches.Stored, "__getitem__", spied)
    epoch(rows, 3)
    assert asked == [6, 6, 6, 5]


def test_an_error_while_reading_ahead_is_raised_where_the_rows_are_used(tmp_path):
    rows = streamed(read(tmp_path, 0), 6)
    store.shard_path(tmp_path / "0" / "train", 2).unlink()
    with pytest.raises(InputError, match="changed while it was read"):
        epoch(rows, 3)


# Memory


def test_memory_decides_what_is_resident_and_dev_always_is(tmp_path):
    rows = read(tmp_path, 0)
    train, dev = batches.train_and_dev(rows, memory_bytes=rows.features.nbytes)
    assert isinstance(train.features, np.ndarray) and isinstance(dev.features, np.ndarray)
    ids = tuple(f"photo {number}" for number in range(200))
    rows = read(tmp_path / "more", 0, ids=ids)
    train, dev = batches.train_and_dev(rows, memory_bytes=rows.features.nbytes - 1)
    assert isinstance(train.features, batches.Stored) and isinstance(dev.features, np.ndarray)
    assert train.memory_bytes == rows.features.nbytes - 1 - dev.features.nbytes
    assert sorted(itertools.chain(*epoch(train, 3))) == [int(name.split()[1]) for name in train.ids]


def test_too_little_memory_for_a_block_names_what_would_do(tmp_path):
    rows = read(tmp_path, 0)
    with pytest.raises(
        InputError, match=r"Streaming needs .* GB of memory besides dev's features, found 0\.00: raise MEMORY by"
    ):
        batches.train_and_dev(rows, memory_bytes=30)


@pytest.mark.parametrize("machine_bytes, is_resident", [(2**20, True), (2 * 1100, False)])
def test_where_no_memory_is_named_half_of_the_machines_is_allowed(machine_bytes, is_resident, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: machine_bytes)
    ids = tuple(f"photo {number}" for number in range(300))  # 1,200 bytes
    train, _ = batches.train_and_dev(read(tmp_path, 0, ids=ids))
    assert isinstance(train.features, np.ndarray) == is_resident


# Train and dev


def rows_of(count, labelled=True):
    ids = np.array([f"photo {number}" for number in range(count)], object)
    marks = np.ones((count, 2), np.uint8) if labelled else np.zeros((count, 2), np.uint8)
    return batches.Rows(ids, np.arange(count, dtype=np.float16)[:, None], marks)


@pytest.mark.parametrize("count, limit", [(5, 0), (400, 0), (400, 100), (60, 100)])
def test_train_and_dev_part_the_limited_rows(count, limit):
    rows = rows_of(count)
    train, dev = batches.train_and_dev(rows, limit)
    assert not set(train.ids) & set(dev.ids)
    used = rows.ids[limit_rows(rows.ids, limit)] if limit else rows.ids
    assert set(train.ids) | set(dev.ids) == set(used)
    assert set(dev.ids) == set(used[dev_rows(used)]) and len(dev.ids) > 0
    for part in (train, dev):
        assert part.ids.tolist() == [f"photo {int(number)}" for number in part.features[:, 0]]


@pytest.mark.parametrize("limit", [0, 90])
def test_equal_photos_are_never_on_both_sides(limit):
    ids = tuple(f"photo {number}" for number in range(120))
    digests = np.array([digest_of(name) // 2 for name in ids], np.uint64)  # each photo comes twice
    train, dev = batches.train_and_dev(dataclasses.replace(rows_of(120), digests=digests), limit)
    assert len(train.ids) + len(dev.ids) == (limit or 120) and len(dev.ids) > 0
    for part in (train, dev):
        assert part.digests.tolist() == part.keys == [digest_of(name) // 2 for name in part.ids]
    assert not set(train.keys) & set(dev.keys)


def test_photos_of_a_product_are_never_on_both_sides(tmp_path):
    together = [f"product {number % 7}" if number % 3 else "" for number in range(len(IDS))]
    folder = write(tmp_path / "store/train", failed=IDS[4:6])
    rows = batches.read([folder], dataclasses.replace(split_of(), together=together))
    assert rows.together.tolist() == together[:4] + together[6:]
    train, dev = batches.train_and_dev(rows)
    assert len(train.ids) + len(dev.ids) == len(IDS) - 2 and len(dev.ids) > 0
    assert not set(train.together) & set(dev.together) - {""} and not set(train.keys) & set(dev.keys)


def test_nothing_to_train_on_is_told():
    with pytest.raises(InputError, match="train split has no labels"):
        batches.train_and_dev(batches.Rows(rows_of(9).ids, rows_of(9).features, None))
    with pytest.raises(InputError, match="No label is left on the 40 rows to train on"):
        batches.train_and_dev(rows_of(50, labelled=False))
    with pytest.raises(InputError, match=r"at least 5 different photos .* found 4"):
        batches.train_and_dev(rows_of(4))
    with pytest.raises(InputError, match=r"found 3: .* raise training.limit"):
        batches.train_and_dev(rows_of(50), 3)
    with pytest.raises(InputError, match=r"at least 5 different photos .* found 1"):
        batches.train_and_dev(dataclasses.replace(rows_of(50), digests=np.zeros(50, np.uint64)))


def test_fewer_rows_are_a_part_of_more():
    few, more, whole = (
        {*train.ids, *dev.ids} for train, dev in (batches.train_and_dev(rows_of(300), limit) for limit in (50, 120, 0))
    )
    assert few < more < whole


@pytest.mark.parametrize("shape", [(2048,), (7, 7, 1280), (224, 224, 3), (299, 299, 3)])
@pytest.mark.parametrize("batch", [1, 64, 256])
def test_rows_that_are_handed_on_together_are_whole_batches_within_bounds(shape, batch, monkeypatch):
    monkeypatch.setattr(batches, "CHUNK", 8192)
    count = batches.chunk_rows(np.empty((0, *shape), np.uint8), batch)
    assert count % batch == 0 and count >= batch
    assert count == (batch if len(shape) == 3 else 8192 // batch * batch)

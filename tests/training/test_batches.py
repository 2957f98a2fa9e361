import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.data.annotations import Split
from mlob.data.splits import dev_rows, limit_rows
from mlob.errors import InputError
from mlob.features.store import Shard
from mlob.training import batches

IDS = tuple(f"photo {number}" for number in range(8))


def split_of(ids=IDS, targets=True):
    marks = np.array([[number % 2, number % 3 == 0] for number in range(len(ids))], np.uint8)
    return Split("train", ids, ((),) * len(ids), marks if targets else None)


def shard_of(ids, base=0, failed=()):
    """Features that tell whose they are: the photo's number, and `base`."""
    kept = [name for name in ids if name not in failed]
    features = np.array([[int(name.split()[1]), base] for name in kept], np.float16).reshape(-1, 2)
    return Shard(tuple(kept), features, np.zeros(len(kept), np.uint64), dict.fromkeys(failed, "why"))


@given(st.permutations(IDS), st.permutations(IDS), st.sets(st.sampled_from(IDS)), st.sets(st.sampled_from(IDS)))
@settings(deadline=None)
def test_stores_and_targets_meet_by_id_and_a_photo_that_failed_in_one_is_left_out(one, other, failed, others):
    rows = batches.join([shard_of(one, 1, failed), shard_of(other, 2, others)], split_of())
    expected = [number for number, name in enumerate(IDS) if name not in failed | others]
    assert rows.ids.tolist() == [IDS[number] for number in expected]
    assert rows.features.tolist() == [[number, 1, number, 2] for number in expected]
    assert rows.targets.tolist() == [[number % 2, number % 3 == 0] for number in expected]
    assert rows.features.dtype == np.float16


def test_a_store_alone_in_the_order_of_the_split_is_not_copied():
    shard = shard_of(IDS)
    assert batches.join([shard], split_of()).features is shard.features


def test_a_split_without_labels_joins_to_rows_without():
    rows = batches.join([shard_of(IDS)], split_of(targets=False))
    assert rows.targets is None and rows.take(np.arange(8) < 2).targets is None


def test_photos_without_features_are_counted_not_dropped():
    with pytest.raises(InputError, match="3 photos have no features, for example 'photo 5': run `make features`"):
        batches.join([shard_of(IDS), shard_of(IDS[:5])], split_of())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(value):
    shard = shard_of(IDS)
    shard.features[2, 1] = value
    with pytest.raises(InputError, match="1 rows of the train features are not finite"):
        batches.join([shard], split_of())


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


def test_nothing_to_train_on_is_told():
    with pytest.raises(InputError, match="train split has no labels"):
        batches.train_and_dev(batches.Rows(rows_of(9).ids, rows_of(9).features, None))
    with pytest.raises(InputError, match="No label is left on the 40 rows to train on"):
        batches.train_and_dev(rows_of(50, labelled=False))
    with pytest.raises(InputError, match=r"at least 5 rows .* found 4"):
        batches.train_and_dev(rows_of(4))
    with pytest.raises(InputError, match=r"found 3: .* raise training.limit"):
        batches.train_and_dev(rows_of(50), 3)


def test_fewer_rows_are_a_part_of_more():
    few, more, whole = (
        {*train.ids, *dev.ids} for train, dev in (batches.train_and_dev(rows_of(300), limit) for limit in (50, 120, 0))
    )
    assert few < more < whole

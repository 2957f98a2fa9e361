"""What belongs where is drawn by a hash of ids or bytes, and by nothing else."""

import collections
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mlob.data import splits

IDS = st.lists(st.text(max_size=6), unique=True, max_size=60)


def numbered(count):
    return [f"{number}" for number in range(count)]


def chosen(ids, rows):
    return {name for name, row in zip(ids, rows, strict=True) if row}


@pytest.mark.parametrize(
    ("count", "dev"),
    [(0, 0), (5, 1), (100, 20), (999, 199), (1000, 200), (2000, 200), (4000, 200), (5000, 250), (20000, 1000)],
)
def test_dev_is_a_twentieth_but_at_least_200_where_that_leaves_four_fifths(count, dev):
    rows = splits.dev_rows(numbered(count))
    assert (rows.shape, rows.dtype) == ((count,), bool)
    assert rows.sum() == dev


@settings(deadline=None)
@given(IDS, st.integers(0, 70), st.randoms(use_true_random=False))
def test_the_order_of_the_photos_makes_no_difference(ids, count, rng):
    shuffled = rng.sample(ids, len(ids))
    for choose in (splits.dev_rows, lambda names: splits.limit_rows(names, count)):
        assert chosen(ids, choose(ids)) == chosen(shuffled, choose(shuffled))


@settings(deadline=None)
@given(IDS, st.integers(0, 70), st.integers(0, 70))
def test_a_smaller_limit_lies_within_a_larger_one(ids, one, other):
    fewer, more = (splits.limit_rows(ids, count) for count in sorted((one, other)))
    assert (fewer <= more).all()
    assert fewer.sum() == min(one, other, len(ids))


def test_a_limit_of_500_lies_within_a_limit_of_1000():
    ids = numbered(3000)
    fewer, more = splits.limit_rows(ids, 500), splits.limit_rows(ids, 1000)
    assert (fewer.sum(), more.sum()) == (500, 1000)
    assert (fewer <= more).all()


def test_dev_is_spread_over_the_ids_and_independent_of_the_limit():
    ids = numbered(10_000)
    dev, limited = splits.dev_rows(ids), splits.limit_rows(ids, 5000)
    assert abs(dev[:5000].sum() - 250) < 60
    assert abs((dev & limited).sum() - 250) < 60


def test_a_photo_more_moves_hardly_any_other_out_of_dev():
    ids = numbered(5000)
    before, after = chosen(ids, splits.dev_rows(ids)), chosen([*ids, "new"], splits.dev_rows([*ids, "new"]))
    assert len(before ^ after) <= 2


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=60), st.randoms(use_true_random=False))
def test_equal_photos_are_in_dev_together_and_count_once(digests, rng):
    rng.shuffle(digests)
    different = list(dict.fromkeys(digests))
    wanted = chosen(different, splits.dev_rows(different))
    assert splits.dev_rows(digests).tolist() == [digest in wanted for digest in digests]


LABELLED = st.lists(st.tuples(st.integers(0, 9), st.sets(st.integers(0, 4))), max_size=30)


def annotated(photos):
    rows = [row for row, (_, labels) in enumerate(photos) for _ in labels]
    columns = [label for _, labels in photos for label in labels]
    return csr_array((np.ones(len(rows), np.uint8), (rows, columns)), shape=(len(photos), 5))


@settings(deadline=None)
@given(LABELLED, st.randoms(use_true_random=False))
def test_train_keeps_every_label_that_is_on_two_photos_and_nothing_moves_that_need_not(photos, rng):
    keys = [key for key, _ in photos]
    drawn = np.array(splits.draw(keys), object)
    kept = splits.kept_in_train(drawn, keys, annotated(photos))
    for label in range(5):
        own = [row for row, (_, labels) in enumerate(photos) if label in labels]
        assert len({keys[row] for row in own}) < 2 or "train" in kept[own]
    lost = [label for label in range(5) if not any(label in photos[row][1] for row in np.flatnonzero(drawn == "train"))]
    moved = np.flatnonzero(kept != drawn)
    assert len({keys[row] for row in moved}) <= len(lost) and set(kept[moved]) <= {"train"}
    assert len({(key, split) for key, split in zip(keys, kept, strict=True)}) == len(set(keys))
    order = rng.sample(range(len(photos)), len(photos))
    again = splits.kept_in_train(drawn[order], [keys[row] for row in order], annotated([photos[row] for row in order]))
    assert again.tolist() == kept[order].tolist()


def test_splits_are_drawn_in_shares_of_70_15_and_15():
    counts = collections.Counter(splits.draw(range(10_000)))
    shares = [counts[split] / 10_000 for split in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.70, 0.15, 0.15], atol=0.02)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_a_photo_is_drawn_by_its_own_digest_alone(digests, others):
    drawn = splits.draw(digests)
    assert splits.draw(others + digests)[len(others) :] == drawn
    assert splits.draw(reversed(digests)) == drawn[::-1]
    assert splits.draw(map(str, digests)) == drawn


def test_the_choices_are_those_of_every_machine_and_release():
    assert sorted(chosen(numbered(20), splits.dev_rows(numbered(20))), key=int) == ["4", "7", "9", "19"]
    assert splits.draw(range(4)) == ["train", "test", "train", "train"]


def test_the_state_of_pythons_and_numpys_generators_makes_no_difference():
    first = splits.dev_rows(numbered(50))
    random.seed(1)
    np.random.seed(1)
    np.testing.assert_array_equal(splits.dev_rows(numbered(50)), first)


TOGETHER = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["", "a", "b", "c", "d"])), max_size=14)


def linked(photos):
    """The sets of photos that may not be torn apart, found by walking from photo to photo."""
    groups = []
    for number, (content, product) in enumerate(photos):
        mine = {number}
        for group in [group for group in groups if any(alike(photos[other], (content, product)) for other in group)]:
            groups.remove(group)
            mine |= group
        groups.append(mine)
    return sorted(map(sorted, groups))


def alike(photo, other):
    return photo[0] == other[0] or (photo[1] == other[1] != "")


@settings(deadline=None)
@given(TOGETHER, st.randoms(use_true_random=False))
def test_keys_are_equal_for_what_equal_photos_and_products_link_in_whatever_order(photos, rng):
    keys = splits.keys(*zip(*photos, strict=True)) if photos else []
    same = collections.defaultdict(list)
    for number, key in enumerate(keys):
        same[key].append(number)
    assert sorted(same.values()) == linked(photos)
    assert all(
        key == content
        for key, (content, product) in zip(keys, photos, strict=True)
        if same[key] == [key] and not product
    )
    order = rng.sample(range(len(photos)), len(photos))
    shuffled = splits.keys([photos[row][0] for row in order], [photos[row][1] for row in order])
    assert shuffled == [keys[row] for row in order]


def test_photos_by_themselves_keep_their_content_as_key():
    assert splits.keys([7, "x", 7]) == splits.keys([7, "x", 7], ["", "", ""]) == [7, "x", 7]
    assert splits.keys([7, "a", 8], ["", "", "a"]) == [7, "a", "product a"]


def test_of_linked_products_the_first_by_name_is_the_key():
    found = splits.keys(["one", "two", "two", "three"], ["late", "late", "early", ""])
    assert found == ["product early"] * 3 + ["three"]

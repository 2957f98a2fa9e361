"""Rows are found by content, and a split is a list of contents: laws on shards of made-up photos."""

import dataclasses

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlob.data.dataset import DataSet, Split
from mlob.errors import InputError
from mlob.features import store, table
from mlob.features.fingerprint import Fingerprint
from mlob.labels import Labels

FINGERPRINT = Fingerprint("mobilenet", 224, "last", "avg", "whole", 1, "any", "made up", "keras", "float32", None)


def shard(digests, failures=None):
    """A shard whose features tell the content."""
    features = np.array([[digest] for digest in digests], np.float16).reshape(-1, 1)
    failed = failures or {}
    ids = tuple(f"photo of {digest}" for digest in digests)
    reasons = {f"failed {digest}": reason for digest, reason in failed.items()}
    return store.Shard(ids, features, np.array(digests, np.uint64), reasons, np.array([*failed], np.uint64))


def write(folder, *deliveries):
    """A store of shards: for each delivery a list of (digests, {digest: reason})."""
    for number, shards in enumerate(deliveries, 1):
        for place, (digests, failures) in enumerate(shards):
            path = store.shard_path(folder / f"{number:04}", place)
            store.write(path, shard(digests, failures), FINGERPRINT)
    return folder


def split_of(ids, name="train"):
    return Split(name, tuple(ids), ((),) * len(ids), None)


def dataset_of(**splits):
    return DataSet("made", "nowhere", Labels((1,), ("a",), ("",)), splits)


def listed(folder, digests, failures=None, name="train"):
    """Write an index, {id: digest}; give the split."""
    column = np.array([*digests.values()], np.uint64)
    table.write_index(folder, name, table.Index(tuple(digests), column, column, failures or {}))
    return split_of(digests, name)


CONTENTS = st.integers(1, 30)


@given(st.lists(st.lists(CONTENTS, unique=True, max_size=6), max_size=5), st.lists(CONTENTS, max_size=8))
@settings(deadline=None, max_examples=40)
def test_every_content_is_found_where_a_row_of_it_lies(tmp_path_factory, shards, asked):
    folder = write(tmp_path_factory.mktemp("store"), [(digests, {}) for digests in shards])
    found = table.read(folder)
    places = found.find(np.array(asked, np.uint64))
    for digest, (number, row) in zip(asked, places.tolist(), strict=True):
        holding = [place for place, digests in enumerate(shards) if digest in digests]
        assert (number, row) == ((holding[0], shards[holding[0]].index(digest)) if holding else (-1, -1))
    assert found.has(np.array(asked, np.uint64)).tolist() == [any(digest in one for one in shards) for digest in asked]
    assert found.is_empty == (not any(shards))


def test_a_split_is_located_in_its_own_order_and_says_what_is_missing(tmp_path):
    folder = write(tmp_path, [([5, 6, 7], {9: "blank"})], [([8], {})])
    listed(folder, {"a": 8, "b": 5, "c": 9, "d": 0, "e": 11}, {"d": "no file"})
    located = table.locate(folder, split_of(("new", "e", "d", "c", "b", "a")))
    assert located.places.tolist() == [[-1, -1]] * 4 + [[0, 0], [1, 0]]
    assert located.digests.tolist() == [0, 0, 0, 0, 5, 8]
    assert located.failures == {"c": "blank", "d": "no file"} and located.missing == ["new", "e"]
    with pytest.raises(InputError, match=r"2 of 6 train photos have no features in .*'new': run `make features`"):
        table.read_photos(folder, dataset_of(train=split_of(("new", "e", "d", "c", "b", "a"))))
    seen = table.read_photos(folder, dataset_of(train=split_of(("c", "b", "a"))))["train"]
    assert (seen.ids, seen.digests.tolist(), seen.failures) == (("b", "a"), [5, 8], {"c": "blank"})


def test_two_photos_of_one_content_share_a_row(tmp_path):
    folder = write(tmp_path, [([5], {})])
    assert table.locate(folder, listed(folder, {"a": 5, "b": 5})).places.tolist() == [[0, 0], [0, 0]]


def test_the_index_is_written_where_it_is_news_and_shows_no_time(tmp_path):
    listed(tmp_path, {"a": 5, "é": 6}, {"x": "why"})
    found = table.read_index(tmp_path, "train")
    assert (list(found.ids), found.digests.tolist(), found.failures) == (["a", "é"], [5, 6], {"x": "why"})
    before = table.index_path(tmp_path, "train").stat().st_mtime_ns
    listed(tmp_path, {"a": 5, "é": 6}, {"x": "why"})
    assert table.index_path(tmp_path, "train").stat().st_mtime_ns == before
    for changed in ({"a": 5, "e": 6}, {"a": 5, "é": 7}, {"a": 5}):
        listed(tmp_path, changed)
        assert dict(zip(*dataclasses.astuple(table.read_index(tmp_path, "train"))[:2], strict=True)) == changed


def test_a_damaged_index_is_named(tmp_path):
    listed(tmp_path, {"a": 5})
    path = table.index_path(tmp_path, "train")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"train.h5 is damaged"):
        table.read_index(tmp_path, "train")


def test_another_program_finds_a_splits_features_by_its_list(tmp_path):
    """As docs/architecture.md shows it."""
    folder = write(tmp_path, [([5, 6, 7], {})], [([8], {})])
    listed(folder, {"a": 8, "b": 5})
    with h5py.File(folder / "train.h5") as file:
        ids, wanted = file["ids"].asstr()[()], file["digests"][()]
    rows = {}
    for path in sorted(folder.glob("*/[0-9]*.h5")):
        with h5py.File(path) as file:
            rows |= dict(zip(file["digests"][()], file["features"][()], strict=True))
    assert {name: rows[digest].tolist() for name, digest in zip(ids, wanted, strict=True)} == {"a": [8], "b": [5]}


def test_shards_that_disagree_are_refused(tmp_path):
    folder = write(tmp_path, [([5], {}), ([6], {})])
    other = dataclasses.replace(FINGERPRINT, precision="bfloat16")
    store.write(store.shard_path(folder / "0001", 1), shard([6]), other)
    with pytest.raises(InputError, match="precision 'bfloat16'"):
        table.read(folder)


def test_the_digest_of_a_data_sets_rows_sees_no_other_rows(tmp_path):
    folder = write(tmp_path, [([5, 6, 7], {9: "blank"})])
    splits = {"train": listed(folder, {"a": 5, "b": 6}), "test": listed(folder, {"a": 9}, name="test")}
    first = table.content_digest(folder, dataset_of(**splits))
    write(folder, [([5, 6, 7], {9: "blank"})], [([8], {})])
    assert table.content_digest(folder, dataset_of(**splits)) == first
    others = [
        dataset_of(**splits | {"train": split_of(("b", "a"))}),
        dataset_of(train=splits["train"]),
        dataset_of(**splits | {"train": listed(folder, {"a": 5, "b": 7})}),
        dataset_of(**splits | {"train": listed(folder, {"a": 5, "b": 66})}),
    ]
    assert len({first, *(table.content_digest(folder, dataset) for dataset in others[:2])}) == 3
    listed(folder, {"a": 5, "b": 7})
    assert table.content_digest(folder, others[2]) != first
    store.declare(folder, dataclasses.replace(FINGERPRINT, view="flip"))
    with pytest.raises(InputError, match="view"):
        table.content_digest(folder, dataset_of(**splits))


def test_of_several_stores_the_first_that_holds_all_splits_is_asked(tmp_path):
    one, two = write(tmp_path / "one", [([5], {})]), write(tmp_path / "two", [([5, 6], {})])
    for folder in (one, two):
        splits = {"train": listed(folder, {"a": 5}), "test": listed(folder, {"a": 6}, name="test")}
    found = table.first_whole([tmp_path / "none", one, two], dataset_of(**splits))
    assert {name: seen.digests.tolist() for name, seen in found.items()} == {"train": [5], "test": [6]}
    assert table.first_whole([one], dataset_of(**splits)) == {}

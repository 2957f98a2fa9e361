"""Rare labels become "other" of their group, as a suite says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import targets, write, write_split

from mlob.data.dataset import read_dataset
from mlob.labels import UNKNOWN
from mlob.recipes import Annotations

COLOURS = ["red"] * 4 + ["blue"] * 3 + ["green", "pink"]
TABLE = "image,colour,sleeve,split\n" + "".join(f"{n}.jpg,{name},long,train\n" for n, name in enumerate(COLOURS))


def read(folder, content, **asked):
    write(folder / "photos.csv", content)
    return read_dataset(folder, asked=Annotations(**asked))


def test_the_commonest_labels_of_each_group_stay_and_the_others_are_one(tmp_path):
    for rule in ({"commonest": 2}, {"other_below": 0.2}):
        data = read(tmp_path, TABLE, **rule)
        assert data.labels.names == ("blue", "red", "long", "other")
        assert data.labels.groups == ("colour", "colour", "sleeve", "colour")
        assert data["train"].targets[:, 3].tolist() == [0] * 7 + [1] * 2
        assert "Folded into 'other': 2 labels of colour." in data.told


def test_a_suite_that_keeps_all_labels_changes_nothing(tmp_path):
    assert read(tmp_path, TABLE, commonest=4, other_below=0.1).digest == read(tmp_path, TABLE).digest


def test_a_label_that_is_called_other_takes_the_folded_ones(tmp_path):
    data = read(tmp_path, TABLE + "x.jpg,other,long,train\n", commonest=2)
    assert data.labels.names == ("blue", "other", "red", "long")
    assert data["train"].targets[:, 1].tolist() == [0] * 7 + [1] * 3


def test_other_is_unknown_where_a_folded_label_is_and_none_is_there(tmp_path):
    rows = "image,red,blue,pink,split\n" + "".join(f"{n}.jpg,1,0,0,train\n" for n in range(3))
    data = read(tmp_path, rows + "3.jpg,0,1,?,train\n4.jpg,0,?,0,train\n", commonest=1)
    assert data.labels.names == ("red", "other")
    assert targets(data["train"])[2:] == [[1, 0], [0, 1], [0, UNKNOWN]]


def test_a_data_set_that_numbers_its_labels_keeps_their_numbers(tmp_path):
    write_split(tmp_path, "train", {1: [5, 9], 2: [5], 3: [7]})
    labels = read_dataset(tmp_path, asked=Annotations(commonest=1)).labels
    assert (labels.ids, labels.names) == ((5, 10), ("5", "other"))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sets(st.sampled_from("abcdef"), min_size=1), min_size=1, max_size=10), st.integers(1, 6))
def test_no_label_that_is_folded_is_commoner_than_one_that_stays(tmp_path_factory, photos, commonest):
    folder = tmp_path_factory.mktemp("data")
    rows = [f"{n}.jpg,{'|'.join(sorted(found))},train\n" for n, found in enumerate(photos)]
    whole = read(folder, "image,labels,split\n" + "".join(rows))
    data = read(folder, "image,labels,split\n" + "".join(rows), commonest=commonest)
    counts = dict(zip(whole.labels.names, whole["train"].targets.sum(axis=0).tolist(), strict=True))
    stay = set(data.labels.names) - {"other"}
    folded = set(counts) - stay
    assert len(stay) == min(commonest, len(counts))
    assert max((counts[name] for name in folded), default=0) <= min(counts[name] for name in stay)
    if folded:
        other = [bool(found & folded) for found in photos]
        np.testing.assert_array_equal(data["train"].targets[:, -1], other)

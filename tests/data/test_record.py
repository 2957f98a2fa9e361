import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mlob.data import record
from mlob.data.dataset import Split
from mlob.labels import UNKNOWN

SAME = "the order of the photos, or the numbers of the labels"


def told(before, now):
    return record.changes(record.of(before), record.of(now))


def changed(dataset, rows, **fields):
    """The data set with these rows of train, and these fields of the split."""
    train = dataset["train"]
    ids, targets = tuple(train.ids[row] for row in rows), train.targets[list(rows)]
    split = dataclasses.replace(Split("train", ids, ((),) * len(ids), targets), **fields)
    return dataclasses.replace(dataset, splits={**dataset.splits, "train": split})


@given(st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29), min_size=1), st.randoms())
def test_what_came_and_what_went_is_counted_whatever_the_order(made, before, now, chance):
    shuffled = chance.sample(sorted(now), len(now))
    counts = [f"{count} {what}" for count, what in ((len(now - before), "came"), (len(before - now), "went")) if count]
    expected = (
        f"train photos: {', '.join(counts)}" if counts else "the order of the photos, or the numbers of the labels"
    )
    assert told(changed(made, sorted(before)), changed(made, shuffled)) == expected


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_photos_with_other_labels_are_counted_and_unknown_is_another(made, form):
    targets = made["train"].targets.copy()
    targets[3, 0] ^= 1
    targets[5, 2] = UNKNOWN
    rows = range(len(targets))
    assert (
        told(changed(made, rows), changed(made, rows, annotations=form(targets))) == "train photos: 2 with other labels"
    )
    assert told(changed(made, rows), changed(made, rows, annotations=form(made["train"].targets))).startswith(
        "the order"
    )


def test_photos_of_another_product_are_counted(made):
    together = ["", "a", "a", *[""] * 7]
    apart, joined = changed(made, range(10)), changed(made, range(10), together=together)
    assert told(apart, joined) == told(joined, apart) == "train photos: 2 with another product"


def test_labels_and_splits_that_come_and_go_are_told(made):
    renamed = dataclasses.replace(made, labels=dataclasses.replace(made.labels, names=("red", "blue", "long", "tiny")))
    assert told(made, renamed).endswith("labels: 1 came, 1 went")
    without = dataclasses.replace(made, splits={name: made[name] for name in ("train", "validation")})
    assert told(made, without) == "test photos: 30 went" and told(without, made) == "test photos: 30 came"

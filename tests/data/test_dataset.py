import dataclasses

import numpy as np
import pytest
from scipy.sparse import csr_array

from mlob.labels import UNKNOWN


def with_train(dataset, **fields):
    """The data set with these fields of train."""
    train = dataclasses.replace(dataset["train"], **fields)
    return dataclasses.replace(dataset, splits={**dataset.splits, "train": train})


def test_the_digest_tells_ids_targets_products_splits_and_label_ids_and_nothing_else(made):
    train = made["train"]
    count, targets = len(train.ids), train.targets.copy()
    targets[0, 0] = UNKNOWN
    pairs = ["a", "a", *[""] * (count - 2)]
    others = [
        with_train(made, ids=train.ids[::-1]),
        with_train(made, annotations=targets),
        with_train(made, together=pairs),
        with_train(made, together=pairs[::-1]),
        dataclasses.replace(made, splits={name: made[name] for name in ("train", "validation")}),
        dataclasses.replace(made, labels=dataclasses.replace(made.labels, ids=made.labels.ids[::-1])),
    ]
    assert len({made.digest, *(other.digest for other in others)}) == 1 + len(others)
    named = dataclasses.replace(made.labels, names=made.labels.names[::-1], groups=made.labels.groups[::-1])
    same = [
        with_train(made, annotations=csr_array(train.targets), urls=[("elsewhere",)] * count),
        dataclasses.replace(made, labels=named, name="another", told=("a line",)),
    ]
    assert {each.digest for each in same} == {made.digest}


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_exclusive_groups_are_those_of_train(made, form):
    targets = np.tile(np.array([[0, 1, 0, 0]], np.uint8), (len(made["train"].ids), 1))
    targets[0, 2] = 1
    data = with_train(made, annotations=form(targets))
    assert data.exclusive == [((0, 1), False), ((2, 3), True)] and data.one_each.tolist() == [0, 0, -1, -1]
    without = dataclasses.replace(data, splits={name: made[name] for name in ("validation", "test")})
    assert without.exclusive == [] and without.one_each is None

"""Whether the splits of a data set are alike: prevalence of labels, features, photos that stand in two of them."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from mlob.data import facts, splits
from mlob.data.dataset import DataSet
from mlob.evaluation import shift
from mlob.features import store
from mlob.training import batches

MOST = 2000  # photos of each split that the classifier sees


@dataclasses.dataclass(frozen=True)
class Shift:
    """How alike the splits are.

    Attributes:
        shares: {id, name, group, and for each split the share of its photos with the label} of each label.
        decided: the splits whose shares are of decisions, not of labels.
        labels: those whose share differs between train and validation, as `facts.describe` has `shifted`.
        features: how well a classifier tells pairs of splits apart.
        equal: photos that are in two splits, as `facts.describe` has `equal_between`.
    """

    shares: list[dict[str, Any]]
    decided: list[str]
    labels: dict[str, Any] | None
    features: list[shift.Apart]
    equal: list[dict[str, Any]]


def describe(
    dataset: DataSet, decided: dict[str, np.ndarray], store_folder: pathlib.Path | None = None, *, seed: int = 0
) -> Shift:
    """Compare the splits of a data set.

    Args:
        dataset: the `DataSet`.
        decided: {split: decisions uint8 (n, labels)}, which stand in for the labels of a split that has none.
        store_folder: features/<set>/<data set>; without one, features and contents are not compared.
    """
    folders = {name: store_folder / name for name in dataset.splits} if store_folder else {}
    photos = {name: store.read_photos(folder, dataset[name].ids) for name, folder in folders.items()}
    samples = {name: _sample(folder, dataset[name]) for name, folder in folders.items()}
    described = facts.describe(dataset, photos)
    shares, stand_ins = label_shares(dataset, decided)
    apart = shift.tell_pairs_apart(samples, seed)
    return Shift(shares, stand_ins, described["shifted"], apart, described["equal_between"])


def label_shares(dataset: DataSet, decided: dict[str, np.ndarray]) -> tuple[list[dict[str, Any]], list[str]]:
    """Give each label's share in every split, and the splits where it is that of decisions.

    A split without labels has its decisions counted.
    """
    known = {name: split.targets for name, split in dataset.splits.items() if split.targets is not None}
    stand_ins = {name: marks for name, marks in decided.items() if name not in known}
    columns = {"id": dataset.labels.ids, "name": dataset.labels.names, "group": dataset.labels.groups}
    columns |= {name: marks.mean(axis=0).round(5).tolist() for name, marks in (known | stand_ins).items()}
    shares = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return shares, list(stand_ins)


def _sample(folder, split):
    """Features float32 (n, d) of at most MOST different photos of a split, chosen by a hash of the id.

    A photo that stands twice would be known again where its other copy was fitted on.
    """
    rows = batches.read([folder], split)
    rows = rows.take(splits.limit_rows(rows.ids, MOST))
    _, first = np.unique(rows.digests, return_index=True)
    features = rows.features[np.sort(first)].astype(np.float32)
    return features.mean(axis=tuple(range(1, features.ndim - 1)))  # over the places of a picture, where there are some

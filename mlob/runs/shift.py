"""Whether the splits of a data set are alike: prevalence of labels, features, photos that stand in two of them."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlob.data import facts, splits
from mlob.data.dataset import DataSet, Split
from mlob.data.duplicates import Between
from mlob.data.prevalence import Shifted
from mlob.evaluation import shift
from mlob.features import table
from mlob.labels import prevalence
from mlob.training import batches

MOST = 2000  # photos of each split that the classifier sees


@dataclasses.dataclass(frozen=True)
class Shift:
    """How alike the splits are.

    Attributes:
        shares: {id, name, group, and for each split the prevalence there} of each label.
        decided: the splits without labels, where the decisions are counted instead.
        labels: those whose prevalence differs between train and validation; None without both.
        features: how well a classifier tells pairs of splits apart.
        equal: photos that are in two splits.
    """

    shares: list[dict[str, Any]]
    decided: list[str]
    labels: Shifted | None
    features: list[shift.Apart]
    equal: list[Between]


def describe(
    dataset: DataSet, decided: Mapping[str, np.ndarray], store_folder: pathlib.Path | None = None, *, seed: int = 0
) -> Shift:
    """Compare the splits of a data set.

    Args:
        decided: {split: decisions uint8 (n, labels)}, which stand in for the labels of a split that has none.
        store_folder: features/<set>/<data set>; without one, features and contents are not compared.
    """
    photos = table.read_photos(store_folder, dataset) if store_folder else {}
    samples = {name: sample(store_folder, split) for name, split in dataset.splits.items()} if store_folder else {}
    described = facts.describe(dataset, photos)
    shares, stand_ins = label_prevalence(dataset, decided)
    apart = shift.tell_pairs_apart(samples, seed)
    return Shift(shares, stand_ins, described.shifted, apart, described.equal_between)


def label_prevalence(dataset: DataSet, decided: Mapping[str, np.ndarray]) -> tuple[list[dict[str, Any]], list[str]]:
    """Give each label's prevalence in every split, and the splits without labels, where decisions are counted."""
    known = {name: split.labelled_targets for name, split in dataset.splits.items() if split.annotations is not None}
    stand_ins = {name: of_split for name, of_split in decided.items() if name not in known}
    columns = {"id": dataset.labels.ids, "name": dataset.labels.names, "group": dataset.labels.groups}
    columns |= {name: prevalence(of_split).round(5).tolist() for name, of_split in (known | stand_ins).items()}
    shares = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return shares, list(stand_ins)


def sample(store_folder: pathlib.Path, split: Split) -> np.ndarray:
    """Read features float32 (n, d) of at most MOST different photos of a split, chosen by a hash of the id.

    A photo that is there twice would be recognised where its copy was fitted on, and so would its product.
    """
    rows = batches.read([store_folder], split)
    rows = rows.take(splits.limit_rows(rows.ids.tolist(), MOST))
    _, first = np.unique(splits.places(len(rows.ids), rows.keys), return_index=True)
    features = rows.features[np.sort(first)].astype(np.float32)
    return features.mean(axis=tuple(range(1, features.ndim - 1)))  # over the places of a picture, where there are some

"""Whether the splits of a data set are alike: prevalence of labels, features, photos that stand in two of them."""

import numpy as np

from mlob.data import facts, splits
from mlob.evaluation import shift
from mlob.features import store
from mlob.training import batches

MOST = 2000  # photos of each split that the classifier sees


def describe(dataset, decided, folder=None, *, seed=0):
    """Compare the splits of a data set.

    Args:
        dataset: the `DataSet`.
        decided: {split: decisions uint8 (n, labels)}, which stand in for the labels of a split that has none.
        folder: features/<set>/<data set>, of a store; without one, features and contents are not compared.

    Returns:
        A dict that JSON can hold:
        - shares: [{id, name, group, and for each split the share of its photos with the label}];
        - decided: the splits whose shares are of decisions, not of labels;
        - labels: those whose share differs between train and validation, as `facts.describe` has `shifted`;
        - features: [{splits, photos, auc, low, high}], as `tell_apart`;
        - equal: photos that are in two splits, as `facts.describe` has `equal_between`.
    """
    stored = dataset.splits if folder else {}
    photos = {name: store.read_photos(folder / name, split.ids) for name, split in stored.items()}
    features = {name: _sample(folder / name, split) for name, split in stored.items()}
    described = facts.describe(dataset, photos)
    shares, stand_ins = label_shares(dataset, decided)
    return {
        "shares": shares,
        "decided": stand_ins,
        "labels": described["shifted"],
        "features": shift.tell_pairs_apart(features, seed),
        "equal": described["equal_between"],
    }


def label_shares(dataset, decided):
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

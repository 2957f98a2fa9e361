"""Whether the splits are alike: label shares, features that a classifier can tell apart, photos that are equal.

Where they are not, figures on validation say less about test, and thresholds fitted on one split fit the other badly.
"""

import math

import numpy as np

from mlob.data import facts, splits
from mlob.errors import InputError
from mlob.features import store
from mlob.training import batches

MOST = 2000  # photos of each split that the classifier sees
RIDGE = 1000  # keeps a thousand features from fitting two thousand photos by heart
FOLDS = 5
PAIRS = (("train", "validation"), ("validation", "test"), ("train", "test"))


def describe(dataset, decided, folder=None, *, seed=0):
    """Compare the splits of a data set.

    Args:
        dataset: the `annotations.DataSet`.
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
        "features": _features(features, seed),
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


def tell_apart(one, other, *, seed=0):
    """Tell two sets of features apart with a classifier, and say how well: 0.5 is not at all, 1 is always.

    A figure below 0.5 is chance, or near doubles across the two sets, whose one the classifier learned as the other's.

    Ridge logistic regression on standardised features, each photo judged by a fit that did not see it. The area
    under the ROC curve is the chance that of two photos, one of each set, the right one looks more like the second set
    (Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests"); its 95% interval is Hanley and McNeil's (1982,
    "The meaning and use of the area under a receiver operating characteristic (ROC) curve").

    Args:
        one, other: (n, d) and (m, d), at least 5 rows of each.

    Returns:
        {auc, low, high}.

    Raises:
        InputError: fewer photos than folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if min(len(one), len(other)) < FOLDS:
        raise InputError(f"Telling two splits apart needs {FOLDS} photos of each; found {len(one)} and {len(other)}.")
    features, which = np.concatenate([one, other]).astype(np.float32), np.repeat([0, 1], [len(one), len(other)])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=1 / RIDGE))
    fold = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    # The mean of the folds' areas, not the area of all scores: each fit has its own bias, against its held-out photos.
    area = float(np.mean(cross_val_score(classifier, features, which, cv=fold, scoring="roc_auc")))
    error = _hanley_mcneil(area, len(one), len(other))
    return {"auc": area, "low": max(0.0, area - 1.96 * error), "high": min(1.0, area + 1.96 * error)}


def _hanley_mcneil(area, one, other):
    """Standard error of an area under the ROC curve."""
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (other - 1) * (first - area**2) + (one - 1) * (second - area**2)
    return math.sqrt(variance / (one * other))


def _features(sampled, seed):
    """Tell every pair of splits apart of which there are photos enough."""
    pairs = [pair for pair in PAIRS if all(len(sampled.get(name, ())) >= FOLDS for name in pair)]
    return [
        {
            "splits": list(pair),
            "photos": [len(sampled[name]) for name in pair],
            **tell_apart(*(sampled[name] for name in pair), seed=seed),
        }
        for pair in pairs
    ]


def _sample(folder, split):
    """Features float32 (n, d) of at most MOST different photos of a split, chosen by a hash of the id.

    A photo that stands twice would be known again where its other copy was fitted on.
    """
    rows = batches.read([folder], split)
    rows = rows.take(splits.limit_rows(rows.ids, MOST))
    _, first = np.unique(rows.digests, return_index=True)
    features = rows.features[np.sort(first)].astype(np.float32)
    return features.mean(axis=tuple(range(1, features.ndim - 1)))  # over the places of a picture, where there are some

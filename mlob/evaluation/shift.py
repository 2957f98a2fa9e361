"""Whether the splits are alike: label shares, features that a classifier can tell apart, photos that are equal.

Where they are not, figures on validation say less about test, and thresholds fitted on one split fit the other badly.
"""

import math

import numpy as np

from mlob.errors import InputError

RIDGE = 1000  # keeps a thousand features from fitting two thousand photos by heart
FOLDS = 5
PAIRS = (("train", "validation"), ("validation", "test"), ("train", "test"))


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


def tell_pairs_apart(sampled, seed):
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

"""Whether the splits are alike: prevalence of labels, features that a classifier can tell apart, photos that are equal.

Where they are not, figures on validation say less about test, and thresholds fitted on one split fit the other badly.
"""

import dataclasses
import math

import numpy as np

from mlob.errors import InputError
from mlob.evaluation.bootstrap import Interval

RIDGE = 1000  # keeps a thousand features from fitting two thousand photos by heart
FOLDS = 5
PAIRS = (("train", "validation"), ("validation", "test"), ("train", "test"))


@dataclasses.dataclass(frozen=True)
class Apart:
    """How well a classifier tells two splits apart: the area under its ROC curve, and of how many photos of each."""

    splits: tuple[str, str]
    photos: tuple[int, int]
    auc: Interval


def tell_apart(sample: np.ndarray, other: np.ndarray, *, seed: int = 0) -> Interval:
    """Tell two sets of features apart with a classifier, and say how well: 0.5 is not at all, 1 is always.

    A figure below 0.5 is chance, or comes from near duplicates across the two sets: the classifier learned one of them
    with its own set, and takes the other for the same.

    Ridge logistic regression on standardised features, each photo judged by a fit that did not see it. The area
    under the ROC curve is the chance that of two photos, one of each set, the right one looks more like the second set
    (Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests"); its 95% interval is Hanley and McNeil's (1982,
    "The meaning and use of the area under a receiver operating characteristic (ROC) curve").

    Args:
        sample, other: (n, d) and (m, d), at least 5 rows of each.

    Raises:
        InputError: fewer photos than folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if min(len(sample), len(other)) < FOLDS:
        raise InputError(
            f"Telling two splits apart needs {FOLDS} photos of each; found {len(sample)} and {len(other)}."
        )
    features, which = np.concatenate([sample, other]).astype(np.float32), np.repeat([0, 1], [len(sample), len(other)])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=1 / RIDGE))
    fold = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    # The mean of the folds' areas, not the area of all scores: each fit has its own bias, against its held-out photos.
    area = float(np.mean(cross_val_score(classifier, features, which, cv=fold, scoring="roc_auc")))
    error = _hanley_mcneil(area, len(sample), len(other))
    return Interval(area, max(0.0, area - 1.96 * error), min(1.0, area + 1.96 * error))


def _hanley_mcneil(area: float, photos: int, others: int) -> float:
    """Standard error of an area under the ROC curve."""
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (others - 1) * (first - area**2) + (photos - 1) * (second - area**2)
    return math.sqrt(variance / (photos * others))


def tell_pairs_apart(samples: dict[str, np.ndarray], seed: int) -> list[Apart]:
    """Tell every pair of splits apart of which there are photos enough: {split: features float32 (n, d)}."""
    pairs = [pair for pair in PAIRS if all(len(samples.get(name, ())) >= FOLDS for name in pair)]
    return [
        Apart(
            pair,
            (len(samples[pair[0]]), len(samples[pair[1]])),
            tell_apart(samples[pair[0]], samples[pair[1]], seed=seed),
        )
        for pair in pairs
    ]

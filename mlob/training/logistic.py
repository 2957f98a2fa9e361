"""scikit-learn's logistic regression, one a label: on photos the reference that a head has to beat on small sets."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mlob.labels import is_known
from mlob.metrics import highest_micro_f1
from mlob.models import heads
from mlob.models.heads import Features, as_float32
from mlob.progress import bar
from mlob.recipes import Head
from mlob.training import batches
from mlob.training.trained import Trained

if TYPE_CHECKING:
    from scipy.sparse import csr_array

GRID = (0.003, 0.01, 0.1)  # values of C; 0.01 was best, or within 0.002 of it, at 800, 3,000 and 6,450 rows
LEAST, MOST, STEP = 1e-5, 100, 10  # how far beyond an end that is the best it goes on


def fit(head: Head, train: batches.Labelled, dev: batches.Labelled) -> Trained:
    """Fit one regression a label, for each C; take the C with the highest micro-F1 on dev.

    Of a map (h, w, c) the average is taken. A label is fitted on the rows that know it; one that all or none of these
    have is predicted for all or none.

    Args:
        head: the recipe's, which says whether features are standardised; if not, they are taken as sparse.
        train, dev: the rows, resident.
    """
    started = time.monotonic()
    standard = heads.moments(_averaged(train.features), as_float32) if head.standardise else None

    def rows_of(features: Features) -> np.ndarray | csr_array:
        return _rows(features, standard)

    train_rows, dev_rows, fits = rows_of(train.features), rows_of(dev.features), {}

    def score(regularisation: float) -> float:
        with bar(f"logistic, C = {regularisation:g}", train.targets.shape[1], unit="labels") as advance:
            fits[regularisation] = _regressions(train_rows, train.targets, regularisation, advance)
        return highest_micro_f1(dev.targets, _probabilities(dev_rows, *fits[regularisation]))

    best = best_regularisation(score)
    coefficients, intercepts = fits[best]
    return Trained(
        model=heads.linear(train.features.shape[1:], standard, coefficients, intercepts),
        predict=lambda features: _probabilities(rows_of(features), coefficients, intercepts),
        history=[],
        parameters=coefficients.size + intercepts.size,
        seconds=time.monotonic() - started,
        note=f"C = {best:g}, chosen on dev",
    )


def best_regularisation(score: Callable[[float], float]) -> float:
    """Find the C with the highest score: in GRID, or beyond one of its ends where that is better than all within.

    Of equal scores the smallest C counts, which regularises most.
    """
    scores: dict[float, float] = {}
    untried = list(GRID)
    while untried:
        regularisation = untried.pop(0)
        scores[regularisation] = score(regularisation)
        untried = untried or _beyond(scores)
    return max(scores, key=lambda tried: (scores[tried], -tried))


def _beyond(scores: dict[float, float]) -> list[float]:
    """List the next value of C beyond an end that is better than all others; none where there is no such end."""
    tried = sorted(scores)
    for end, following in ((tried[0], tried[0] / STEP), (tried[-1], tried[-1] * STEP)):
        others = [score for value, score in scores.items() if value != end]
        if others and scores[end] > max(others) and LEAST <= following <= MOST:
            return [following]
    return []


def _averaged(features: Features) -> np.ndarray:
    """Read features as float32 (n, d); of maps (n, h, w, c) the averages over the places."""
    return as_float32(features[:]).mean(axis=tuple(range(1, len(features.shape) - 1)))


def _rows(features: Features, standard: heads.Moments | None) -> np.ndarray | csr_array:
    """Give features as they are fitted: standardised, float32 (n, d), or sparse, since most terms are in few texts."""
    from scipy.sparse import csr_array

    averaged = _averaged(features)
    if standard is None:
        return csr_array(averaged)
    mean, variance = standard
    return (averaged - mean) / np.sqrt(variance)


def _regressions(
    rows: np.ndarray | csr_array, targets: np.ndarray, regularisation: float, advance: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Fit all labels: coefficients (d, labels) and intercepts (labels,).

    A fit that stops at scikit-learn's 100 iterations is taken as it is: on rare labels at weak regularisation the last
    digits of the loss are all that further ones bring.
    """
    from joblib import Parallel, delayed
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    coefficients, intercepts = [], []
    # One thread a label: a pool of BLAS threads inside each made it 17 times slower.
    with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        for weights, bias in Parallel(n_jobs=-1, backend="threading", return_as="generator")(
            delayed(_regression)(rows, column, regularisation) for column in targets.T
        ):
            coefficients.append(weights)
            intercepts.append(bias)
            advance(1)
    return np.stack(coefficients, axis=1), np.array(intercepts, np.float32)


def _regression(
    rows: np.ndarray | csr_array, target: np.ndarray, regularisation: float
) -> tuple[np.ndarray, np.float32]:
    """Fit one label: coefficients float32 (d,), and the intercept."""
    from sklearn.linear_model import LogisticRegression

    if (known := is_known(target)) is not None:
        rows, target = rows[known], target[known]
    if not 0 < np.count_nonzero(target) < len(target):
        return np.zeros(rows.shape[1], np.float32), np.float32(20 if target.any() else -20)
    model = LogisticRegression(C=regularisation).fit(rows, target)
    return model.coef_[0].astype(np.float32), np.float32(model.intercept_[0])


def _probabilities(rows: np.ndarray | csr_array, coefficients: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(rows @ coefficients + intercepts).astype(np.float32)

"""scikit-learn's logistic regression, one a label: on photos the reference that a head has to beat on small sets."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.labels import is_known
from mlob.metrics import highest_micro_f1
from mlob.models import heads
from mlob.models.heads import as_float32
from mlob.progress import bar
from mlob.recipes import Head
from mlob.training import batches, grid
from mlob.training.trained import Trained

if TYPE_CHECKING:
    from scipy.sparse import csr_array

GRID = (0.003, 0.01, 0.1)  # values of C; 0.01 was best, or within 0.002 of it, at 800, 3,000 and 6,450 rows
LEAST, MOST = 1e-5, 100  # how far beyond an end that is the best it goes on


def fit(head: Head, train: batches.Labelled, dev: batches.Labelled, groups: Sequence[str] | None = None) -> Trained:
    """Fit one regression a label, for each C; take the C with the highest micro-F1 on dev, of equals the smallest.

    Of a map (h, w, c) the average is taken. A label is fitted on the rows that know it; one that all or none of these
    have is predicted for all or none.

    Args:
        head: the recipe's, which says whether features are standardised; if not, they are taken as sparse.
        train, dev: the rows, resident.
        groups: of the labels, which it does not look at.
    """
    started = time.monotonic()
    prepared, fits = _prepared(head, train), dict[float, Trained]()

    def score(regularisation: float) -> float:
        fits[regularisation] = _trained(regularisation, train, *prepared)
        return highest_micro_f1(dev.targets, fits[regularisation].predict(dev.features))

    best = fits[grid.best(score, GRID, LEAST, MOST)]
    return dataclasses.replace(best, seconds=time.monotonic() - started, note=f"C = {best.setting:g}, chosen on dev")


def fit_at(regularisation: float, head: Head, train: batches.Labelled, groups: Sequence[str] | None = None) -> Trained:
    """Fit one regression a label at one C; the other arguments are those of `fit`."""
    started = time.monotonic()
    fitted = _trained(regularisation, train, *_prepared(head, train))
    return dataclasses.replace(fitted, seconds=time.monotonic() - started)


def _prepared(head: Head, train: batches.Labelled) -> tuple[heads.Moments | None, np.ndarray | csr_array]:
    """Give the moments that standardise, if any do, and the rows as they are fitted."""
    averages = heads.averages(train.features)
    standard = heads.moments(averages, as_float32) if head.standardise else None
    return standard, _rows(averages, standard)


def _trained(
    regularisation: float, train: batches.Labelled, standard: heads.Moments | None, rows: np.ndarray | csr_array
) -> Trained:
    started = time.monotonic()
    with bar(f"logistic, C = {regularisation:g}", train.targets.shape[1], unit="labels") as advance:
        coefficients, intercepts = _regressions(rows, train.targets, regularisation, advance)
    return Trained(
        model=heads.linear(train.features.shape[1:], standard, coefficients, intercepts),
        predict=lambda features: _probabilities(_rows(heads.averages(features), standard), coefficients, intercepts),
        history=[],
        parameters=coefficients.size + intercepts.size,
        seconds=time.monotonic() - started,
        setting=regularisation,
    )


def _rows(averaged: np.ndarray, standard: heads.Moments | None) -> np.ndarray | csr_array:
    """Give features as they are fitted: standardised, float32 (n, d), or sparse, since most terms are in few texts."""
    from scipy.sparse import csr_array

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

"""The reference that a head has to beat on small sets: scikit-learn's logistic regression, one a label."""

import dataclasses
import time
import warnings
from collections.abc import Callable

import numpy as np

from mlob.metrics import highest_micro_f1
from mlob.models.heads import as_float32, moments, regression
from mlob.progress import bar

GRID = (0.003, 0.01, 0.1)  # values of C; 0.01 was best, or within 0.002 of it, at 800, 3,000 and 6,450 rows
LEAST, MOST, STEP = 1e-5, 100, 10  # how far beyond an end that is the best it goes on


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Regressions that were fitted.

    Attributes:
        predict: function from float16 features (n, d), or (n, h, w, c), to float32 probabilities (n, labels).
        model: the same as a Keras model, for new photos.
        regularisation: the C that was chosen on dev.
        parameters: number of coefficients and intercepts.
        seconds: of training, all values of C.
    """

    predict: Callable
    model: object
    regularisation: float
    parameters: int
    seconds: float


def fit(train, dev):
    """Fit one regression a label on standardised features, for each C; keep the C with the highest micro-F1 on dev.

    Where an end of GRID is better than all within, it goes on beyond. Of a map (h, w, c) the average is taken. A label
    that all or none of the rows bear is predicted for all or none.

    Args:
        train, dev: `batches.Rows`.
    """
    started = time.monotonic()
    rows = _averaged(train.features)
    mean, variance = moments(rows, as_float32)

    def standardised(rows):
        return (rows - mean) / np.sqrt(variance)

    rows, dev_rows, fits, scores = standardised(rows), standardised(_averaged(dev.features)), {}, {}
    untried = list(GRID)
    while untried:
        tried = untried.pop(0)
        with bar(f"logistic, C = {tried:g}", train.targets.shape[1], unit="labels") as advance:
            fits[tried] = _regressions(rows, train.targets, tried, advance)
        scores[tried] = highest_micro_f1(dev.targets, _probabilities(dev_rows, *fits[tried]))
        untried = untried or _beyond(scores)
    best = max(scores, key=lambda value: (scores[value], -value))  # of equals the smallest
    coefficients, intercepts = fits[best]
    return Fitted(
        lambda features: _probabilities(standardised(_averaged(features)), coefficients, intercepts),
        regression(train.features.shape[1:], (mean, variance), (coefficients, intercepts)),
        best,
        coefficients.size + intercepts.size,
        time.monotonic() - started,
    )


def _averaged(features):
    """Features float32 (n, d), of maps (n, h, w, c) the averages over the places."""
    return as_float32(features).mean(axis=tuple(range(1, features.ndim - 1)))


def _beyond(scores):
    """List the next value of C beyond an end that is better than all others; none where there is no such end."""
    tried = sorted(scores)
    for end, following in ((tried[0], tried[0] / STEP), (tried[-1], tried[-1] * STEP)):
        others = [score for value, score in scores.items() if value != end]
        if others and scores[end] > max(others) and LEAST <= following <= MOST:
            return [following]
    return []


def _regressions(rows, targets, regularisation, advance):
    """Coefficients (d, labels) and intercepts (labels,).

    A fit that stops at scikit-learn's 100 iterations is taken as it is: on rare labels at weak regularisation the last
    digits of the loss are all that further ones bring.
    """
    from joblib import Parallel, delayed
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    found = []
    # One thread a label: a pool of BLAS threads inside each made it 17 times slower.
    with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        for column in Parallel(n_jobs=-1, backend="threading", return_as="generator")(
            delayed(_regression)(rows, column, regularisation) for column in targets.T
        ):
            found.append(column)
            advance(1)
    return np.stack([weights for weights, _ in found], axis=1), np.array([bias for _, bias in found], np.float32)


def _regression(rows, target, regularisation):
    from sklearn.linear_model import LogisticRegression

    share = target.mean()
    if share in (0, 1):
        return np.zeros(rows.shape[1], np.float32), np.float32(20 if share else -20)
    model = LogisticRegression(C=regularisation).fit(rows, target)
    return model.coef_[0].astype(np.float32), np.float32(model.intercept_[0])


def _probabilities(rows, coefficients, intercepts):
    from scipy.special import expit

    return expit(rows @ coefficients + intercepts).astype(np.float32)

"""The reference that a head has to beat on small sets: scikit-learn's logistic regression, one a label."""

import dataclasses
import time
import warnings
from collections.abc import Callable

import numpy as np

from mlob.metrics import highest_micro_f1
from mlob.models.heads import as_float32, moments
from mlob.progress import bar

GRID = (0.003, 0.01, 0.1)  # values of C; 0.01 was best, or within 0.002 of it, at 800, 3,000 and 6,450 rows


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Regressions that were fitted.

    Attributes:
        predict: function from float16 features (n, d) to float32 probabilities (n, labels).
        regularisation: the C that was chosen on dev.
        parameters: number of coefficients and intercepts.
        seconds: of training, all values of C.
    """

    predict: Callable
    regularisation: float
    parameters: int
    seconds: float


def fit(train, dev):
    """Fit one regression a label on standardised features, for each C; keep the C with the highest micro-F1 on dev.

    A label that all or none of the rows bear is predicted for all or none.

    Args:
        train, dev: `batches.Rows`.
    """
    started = time.monotonic()
    mean, variance = moments(train.features, as_float32)

    def standardised(features):
        return (features.astype(np.float32) - mean) / np.sqrt(variance)

    rows, dev_rows = standardised(train.features), standardised(dev.features)
    with bar("logistic", len(GRID) * train.targets.shape[1], unit="labels") as advance:
        fits = [_regressions(rows, train.targets, regularisation, advance) for regularisation in GRID]
    best = int(np.argmax([highest_micro_f1(dev.targets, _probabilities(dev_rows, *one)) for one in fits]))
    coefficients, intercepts = fits[best]
    return Fitted(
        lambda features: _probabilities(standardised(features), coefficients, intercepts),
        GRID[best],
        coefficients.size + intercepts.size,
        time.monotonic() - started,
    )


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

"""The members' weights with the lowest log-loss: a convex problem, solved to a certified optimum."""

import dataclasses

import numpy as np

from mlob.ensemble import fitness
from mlob.ensemble.blend import SMALLEST
from mlob.labels import known_entries

BLOCK = 65_536  # cells in hand at once: 512 KiB of float64 a member
ROUNDING = 1e-14  # nats a cell, of a mean of many
TOLERANCE = 1e-8  # nats a cell; a member's log-loss has about 6 digits
Moments = tuple[float, np.ndarray, np.ndarray]  # log-loss, and means of the ratios and of their products


@dataclasses.dataclass(frozen=True)
class Optimum:
    """Weights and their certificate."""

    weights: np.ndarray  # float64 (members,), none below 0, sum 1
    log_loss: float  # of that blend, the mean over cells, in nats
    gap: float  # no weights have a log-loss lower than this one by more


def search(members: np.ndarray, targets: np.ndarray, *, iterations: int = 100) -> Optimum:
    """Minimise the log-loss of the weighted arithmetic mean over the simplex.

    A cell's likelihood is p where the label is true, else 1 - p, and at least 1e-7. Sequential quadratic programming
    for mixtures (Kim, Carbonetto, Stephens and Anitescu 2020, "A fast algorithm for maximum likelihood estimation of
    mixture proportions using sequential quadratic programming"): Newton's quadratic model, minimised over weights from
    0 up, then a line search. With r a member's likelihood over the blend's, the log-loss lies within max(mean r) - 1 of
    the optimum, 0 where the Karush-Kuhn-Tucker conditions hold; it ends when that gap is at most 1e-8.

    Args:
        members: float32 (members, n, labels) in [0, 1].
        targets: 0/1 (n, labels); unknown cells are left out, and without a known one the weights are equal.

    Raises:
        InputError: members that no search can use (`fitness.check`).
    """
    fitness.check(members, targets)
    truth, cells = known_entries(np.asarray(targets), members)
    positive = truth > 0
    weights = np.full(len(members), 1 / len(members))
    loss, ratios, products = _moments(weights, cells, positive)
    for _ in range(iterations):
        if ratios.max() - 1 <= TOLERANCE:
            break
        step = _newton(ratios, products) - weights
        moved = _line_search(weights, step, loss, ratios, cells, positive)
        if moved is None:  # as low as rounding allows
            break
        weights, (loss, ratios, products) = moved
    return Optimum(weights, loss, max(0.0, float(ratios.max() - 1)))


def _moments(weights: np.ndarray, cells: np.ndarray, positive: np.ndarray) -> Moments:
    """Log-loss of a blend; mean (members,) of r, and (members, members) of its products: gradient and Hessian."""
    loss, ratios, products = 0.0, np.zeros(len(cells)), np.zeros((len(cells), len(cells)))
    for start in range(0, cells.shape[1], BLOCK):
        part = cells[:, start : start + BLOCK].astype(np.float64)
        likelihoods = np.maximum(np.where(positive[start : start + BLOCK], part, 1 - part), SMALLEST)
        blended = weights @ likelihoods
        loss -= np.log(blended).sum()
        likelihoods /= blended
        ratios += likelihoods.sum(axis=1)
        products += likelihoods @ likelihoods.T
    count = max(cells.shape[1], 1)
    return loss / count, ratios / count, products / count


def _newton(ratios: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Minimum from 0 up of the quadratic model of log-loss + sum of weights, scaled to sum 1.

    That sum in place of the constraint has the same optimum. The model y'Hy/2 - (2 mean r - 1)'y is a least-squares
    problem in the Cholesky factor of H.
    """
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    ridge = 1e-10 * np.trace(products) * np.eye(len(ratios))  # members that are copies of each other
    factor = np.linalg.cholesky(products + ridge)
    weights, _ = nnls(factor.T, solve_triangular(factor, 2 * ratios - 1, lower=True))
    return weights / weights.sum()


def _line_search(
    weights: np.ndarray,
    step: np.ndarray,
    loss: float,
    ratios: np.ndarray,
    cells: np.ndarray,
    positive: np.ndarray,
) -> tuple[np.ndarray, Moments] | None:
    """Halve the step until the loss falls by a part of what its slope predicts: weights and moments, or None.

    Near the optimum that is less than the loss is rounded by: a step is taken there, too, if it narrows the gap.
    """
    slope = -ratios @ step
    for length in 0.5 ** np.arange(30):
        moved = weights + length * step
        moments = _moments(moved, cells, positive)
        is_nearer = moments[0] <= loss + ROUNDING and moments[1].max() < ratios.max()
        if moments[0] < loss + 1e-4 * length * slope or is_nearer:
            return moved, moments
    return None

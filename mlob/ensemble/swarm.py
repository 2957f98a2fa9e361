"""The members' weights with the highest micro-F1, or another aim, by particle swarm: the only door to pyswarms."""

import contextlib
import logging.config
from collections.abc import Callable, Iterator

import numpy as np

from mlob.ensemble import fitness
from mlob.errors import InputError


def search(
    members: np.ndarray,
    targets: np.ndarray,
    *,
    particles: int,
    iterations: int,
    patience: int,
    seed: int,
    aim: fitness.Aim = fitness.MICRO_F1,
    inertia: float = 0.7298,
    cognitive: float = 1.49618,
    social: float = 1.49618,
) -> fitness.Solution:
    """Look for the weights whose arithmetic mean has the highest micro-F1 at its best global threshold.

    The swarm starts from equal weights, from every single member and from points drawn evenly on the simplex.
    It moves in [0, 1]^members; a position scaled to sum 1 is the weights. At the end the swarm's best and the
    start's equal and single weights are scored exactly and the best of them returned: on these photos it is
    never worse than any member or their plain mean. It stops after `patience` iterations without a gain.

    The coefficients stand at Clerc and Kennedy's (2002, "The particle swarm"): the constriction coefficient for
    phi = 4.1, and it times 2.05.

    Memory beside the members: at most two copies of them, and one block of blended cells.

    Args:
        members: float32 (members, n, labels) in [0, 1].
        targets: 0/1 (n, labels).
        particles: at least members + 1.
        aim: what is to be the highest; micro-F1 at the best global threshold unless given.
        inertia: share of its velocity that a particle keeps.
        cognitive, social: pull towards the particle's own best position, and the swarm's.

    Raises:
        InputError: members that no search can use (`fitness.check`); too few particles.
    """
    fitness.check(members, targets)
    start = fitness.corners(len(members))
    if particles < len(start):
        raise InputError(
            f"A swarm over {len(members)} members needs at least {len(start)} particles, one for each "
            f"member and one for their mean; found {particles}."
        )
    drawn = np.random.default_rng(seed).dirichlet(np.ones(len(members)), particles - len(start))
    options = {"w": inertia, "c1": cognitive, "c2": social}
    score = aim.approximate(members, targets)
    best, history = _swarm(score, np.vstack([start, drawn]), options, iterations, patience, seed)
    return fitness.best_of([best], members, targets, history, aim)


def _swarm(
    score: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    options: dict[str, float],
    iterations: int,
    patience: int,
    seed: int,
) -> tuple[np.ndarray, list[float]]:
    """The best weights on the way from the positions `start`, and the best fitness after each iteration."""
    with _contained(seed):
        from pyswarms.single import GlobalBestPSO

        optimizer = GlobalBestPSO(
            *start.shape,
            options,
            bounds=(np.zeros(start.shape[1]), np.ones(start.shape[1])),
            bh_strategy="nearest",  # the default wraps a weight past 1 round to near 0
            ftol=1e-12,  # any gain counts, none does not
            ftol_iter=patience,
            init_pos=start,
        )
        _, best = optimizer.optimize(lambda at: -score(to_simplex(at)), iterations, verbose=False)
    return to_simplex(best[np.newaxis])[0], [-float(cost) for cost in optimizer.cost_history]


def to_simplex(positions: np.ndarray) -> np.ndarray:
    """Positions scaled to sum 1; the corner where all are 0 stands for equal weights."""
    sums = positions.sum(axis=1, keepdims=True)
    return np.where(sums > 0, positions, 1) / np.where(sums > 0, sums, positions.shape[1])


@contextlib.contextmanager
def _contained(seed: int) -> Iterator[None]:
    """Keep pyswarms 1.3 to itself, and make it draw from `seed`.

    Imported or set up, it gives the root logger handlers and writes report.log into the working folder; it
    knows no seed but NumPy's global one.
    """
    configure, state = logging.config.dictConfig, np.random.get_state()
    logging.config.dictConfig = lambda config: None  # type: ignore[assignment,misc]  # a function for a class
    np.random.seed(seed)
    try:
        yield
    finally:
        logging.config.dictConfig = configure
        np.random.set_state(state)

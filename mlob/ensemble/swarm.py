"""The members' weights with the highest micro-F1, by particle swarm: the only door to pyswarms."""

import contextlib
import dataclasses
import logging.config

import numpy as np

from mlob.ensemble.blend import arithmetic
from mlob.ensemble.thresholds import best_global, decide
from mlob.errors import InputError
from mlob.metrics import f1, micro_f1

# Clerc and Kennedy 2002, "The particle swarm": the constriction coefficient for phi = 4.1, and it times 2.05.
OPTIONS = {"w": 0.7298, "c1": 1.49618, "c2": 1.49618}
BINS = 1024  # of the histogram that stands for the exact threshold while the swarm moves
BLOCK = 16_384  # blended cells in hand for each particle: 64 KiB of float32


@dataclasses.dataclass(frozen=True)
class Swarm:
    """What a search found."""

    weights: np.ndarray  # float64 (members,), none below 0, sum 1
    micro_f1: float  # of that blend at its best global threshold, exact, on the photos searched on
    history: list  # the best fitness so far, after each iteration


def search(members, targets, *, particles, iterations, patience, seed):
    """Look for the weights whose arithmetic mean has the highest micro-F1 at its best global threshold.

    The swarm starts from equal weights, from every single member and from points drawn evenly on the simplex.
    It moves in [0, 1]^members; a position scaled to sum 1 is the weights. At the end the swarm's best and the
    start's equal and single weights are scored exactly and the best of them returned: on these photos it is
    never worse than any member or their plain mean. It stops after `patience` iterations without a gain.

    Memory beside the members: at most one copy of them, and one block of blended cells.

    Args:
        members: float32 (members, n, labels) in [0, 1].
        targets: 0/1 (n, labels).
        particles: at least members + 1.

    Raises:
        InputError: a probability outside [0, 1] or not a number; too few particles.
    """
    _check(members, particles)
    corners = np.vstack([np.full(len(members), 1 / len(members)), np.eye(len(members))])
    drawn = np.random.default_rng(seed).dirichlet(np.ones(len(members)), particles - len(corners))
    fitness = _fitness(members, targets)
    found, history = _swarm(fitness, np.vstack([corners, drawn]), iterations, patience, seed)
    candidates = [found, *corners]
    scores = [_exact(members, targets, weights) for weights in candidates]
    best = int(np.argmax(scores))
    return Swarm(candidates[best], scores[best], history)


def _check(members, particles):
    if not (members.min() >= 0 and members.max() <= 1):  # a NaN fails both
        raise InputError(
            f"Members' probabilities must lie in [0, 1]; found {members.min()} to {members.max()}: train the "
            "member at fault again."
        )
    if particles < len(members) + 1:
        raise InputError(
            f"A swarm over {len(members)} members needs at least {len(members) + 1} particles, one for each "
            f"member and one for their mean; found {particles}."
        )


def _exact(members, targets, weights):
    blended = arithmetic(members, weights)
    return micro_f1(targets, decide(blended, best_global(targets, blended)))


def _fitness(members, targets):
    """Give a function of weights (particles, members): micro-F1 (particles,) at its best threshold."""
    cells, positive = members.reshape(len(members), -1), np.ravel(targets) > 0
    # What every member puts in the lowest bin stays there in every blend, below all thresholds.
    seen = cells.max(axis=0) >= 1 / BINS
    positives, negatives = cells[:, seen & positive], cells[:, seen & ~positive]

    def fitness(weights):
        true_positives, false_positives = _at_least(weights, positives), _at_least(weights, negatives)
        return f1(true_positives, true_positives + false_positives, np.count_nonzero(positive)).max(axis=1)

    return fitness


def _at_least(weights, cells):
    """How many blended cells reach each of the thresholds 1/BINS, 2/BINS, … 1: integers (particles, BINS).

    weights (particles, members), cells float32 (members, any number).
    """
    scaled = (BINS * weights).astype(np.float32)
    histograms = np.zeros((len(weights), BINS + 1), np.int64)
    for start in range(0, cells.shape[1], BLOCK):
        bins = (scaled @ cells[:, start : start + BLOCK]).astype(np.uint16)
        histograms += [np.bincount(row, minlength=BINS + 1) for row in bins]
    return histograms[:, :0:-1].cumsum(axis=1)[:, ::-1]


def _swarm(fitness, start, iterations, patience, seed):
    """The best weights found from the positions `start`, and the best fitness after each iteration."""
    with _contained(seed):
        from pyswarms.single import GlobalBestPSO

        optimizer = GlobalBestPSO(
            *start.shape,
            OPTIONS,
            bounds=(np.zeros(start.shape[1]), np.ones(start.shape[1])),
            bh_strategy="nearest",  # the default wraps a weight past 1 round to near 0
            ftol=1e-12,  # any gain counts, none does not
            ftol_iter=patience,
            init_pos=start,
        )
        _, found = optimizer.optimize(lambda at: -fitness(_to_simplex(at)), iterations, verbose=False)
    return _to_simplex(found[np.newaxis])[0], [-float(cost) for cost in optimizer.cost_history]


def _to_simplex(positions):
    """Positions scaled to sum 1; the corner where all are 0 stands for equal weights."""
    sums = positions.sum(axis=1, keepdims=True)
    return np.where(sums > 0, positions, 1) / np.where(sums > 0, sums, positions.shape[1])


@contextlib.contextmanager
def _contained(seed):
    """Keep pyswarms 1.3 to itself, and make it draw from `seed`.

    Imported or set up, it gives the root logger handlers and writes report.log into the working folder; it
    knows no seed but NumPy's global one.
    """
    configure, state = logging.config.dictConfig, np.random.get_state()
    logging.config.dictConfig = lambda config: None
    np.random.seed(seed)
    try:
        yield
    finally:
        logging.config.dictConfig = configure
        np.random.set_state(state)

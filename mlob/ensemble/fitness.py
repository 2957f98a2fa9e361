"""How good a blend is: fast for many blends at once, and exact for one; of micro-F1 at its best global threshold.

What a search makes as high as it can is an `Aim`; those of other metrics stand in `measures`.

Members are float32 (members, n, labels) in [0, 1], targets 0/1 (n, labels), of which unknown ones take no part. Weights
are float64 (members,) or, for several blends, (particles, members); none below 0, sum 1.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from mlob.ensemble.blend import arithmetic
from mlob.ensemble.thresholds import best_global, decide
from mlob.errors import InputError
from mlob.metrics import Figure, counts, f1

BINS = 1024  # of the histogram that stands for the exact threshold during a search
CLEAR = 0.95  # how far below the plain mean's F1 its bound has to lie: other blends have other curves
BLOCK = 16_384  # blended cells in hand for each particle: 64 KiB of float32


@dataclasses.dataclass(frozen=True)
class Solution:
    """What a search ends with."""

    weights: np.ndarray  # float64 (members,), none below 0, sum 1
    reached: float  # what that blend reaches of the aim, exact, on the photos searched on
    history: list[float]  # the best fitness so far, after each iteration


@dataclasses.dataclass(frozen=True)
class Aim:
    """What a search makes as high as it can.

    Attributes:
        reached: what a blend reaches, exact: a function of targets and its probabilities, both (n, labels).
        approximate: a function of members and targets that gives a function of weights (particles, members): about what
            their blends reach, (particles,).
    """

    reached: Callable[[np.ndarray, np.ndarray], float]
    approximate: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]


def check(members: np.ndarray, targets: np.ndarray) -> None:
    """Refuse what no search can use.

    Raises:
        InputError: not an array (members, n, labels) over the targets' photos and labels, or an empty one; a
            probability outside [0, 1] or not a number.
    """
    if members.ndim != 3 or members.shape[1:] != np.shape(targets) or not members.size:
        raise InputError(
            f"Members must be an array (members, photos, labels) over the targets' photos and labels, "
            f"{np.shape(targets)}, at least one of each; found {members.shape}: predict the same labels for the same "
            "photos with every member."
        )
    lowest, highest = members.min(axis=(1, 2)), members.max(axis=(1, 2))
    if wrong := np.flatnonzero(~((lowest >= 0) & (highest <= 1))).tolist():  # a NaN fails both
        raise InputError(
            f"Members' probabilities must lie in [0, 1]; found {lowest[wrong[0]]} to {highest[wrong[0]]} in member "
            f"{wrong[0]} (counted from 0): train it again."
        )


def best_of(
    candidates: list[np.ndarray], members: np.ndarray, targets: np.ndarray, history: list[float], aim: Aim
) -> Solution:
    """Score the candidates' weights exactly, with the plain mean and every single member: the best of all.

    So no search is worse than a member or their mean on the photos searched on. Of equals the first is taken.
    """
    weightings = [*candidates, *corners(len(members))]
    scores = [exact(members, targets, weights, aim) for weights in weightings]
    best = int(np.argmax(scores))
    return Solution(weightings[best], scores[best], history)


def corners(count: int) -> np.ndarray:
    """Weights (1 + count, count): equal ones, then all on one member."""
    return np.vstack([np.full(count, 1 / count), np.eye(count)])


def approximate(members: np.ndarray, targets: np.ndarray, figure: Figure = f1) -> Callable[[np.ndarray], np.ndarray]:
    """Give a function of weights (particles, members): micro-F1 (particles,) at the best threshold k/1024, k >= 1.

    Nearly all cells are sure negatives, too low to matter. So a blend is first scored on the cells that some member
    puts at a floor or above. Below the floor all positives may be found, but no false positive of the floor is lost:
    that bounds F1 there, and only a blend that stays below the bound is scored on all cells. The floor is the highest
    at which the plain mean is clear of its bound.

    Memory: at most two copies of the members, and one block of blended cells.

    Args:
        members: float32 (members, n, labels) in [0, 1].
        targets: 0/1 (n, labels).
        figure: in place of F1, of the counts of all decisions; one that no false positive raises.
    """
    cells, truth = members.reshape(len(members), -1), np.ravel(targets)
    positive, negative = truth == 1, truth == 0
    highest, total = cells.max(axis=0), np.count_nonzero(positive)

    def reaching(floor: int) -> tuple[np.ndarray, np.ndarray, int]:
        reached = highest >= floor / BINS  # a blend is nowhere above its highest member
        return cells[:, reached & positive], cells[:, reached & negative], floor

    def curve(
        weights: np.ndarray, positives: np.ndarray, negatives: np.ndarray, floor: int
    ) -> tuple[np.ndarray, np.ndarray]:
        true, false = (_at_least(weights, cells)[:, floor - 1 :] for cells in (positives, negatives))
        return figure(true, true + false, total), figure(total, total + false, total)

    everything = reaching(1)
    scores, bounds = curve(corners(len(members))[:1], *everything)
    likely = reaching(1 + int(np.count_nonzero(bounds[0, 1:] < CLEAR * scores.max())))

    def fitness(weights: np.ndarray) -> np.ndarray:
        scores, bounds = curve(weights, *likely)
        best = scores.max(axis=1)
        unsure = best < bounds[:, 0]
        if unsure.any():
            best[unsure] = curve(weights[unsure], *everything)[0].max(axis=1)
        return best

    return fitness


def at_best_global(targets: np.ndarray, probabilities: np.ndarray, figure: Figure = f1) -> float:
    """A figure of the counts of all decisions, at the best of all thresholds: exact."""
    decided = decide(probabilities, best_global(targets, probabilities, figure))
    return float(figure(*counts(targets, decided)))


MICRO_F1 = Aim(at_best_global, approximate)


def exact(members: np.ndarray, targets: np.ndarray, weights: ArrayLike, aim: Aim = MICRO_F1) -> float:
    """What one blend, weights (members,), reaches."""
    return aim.reached(targets, arithmetic(members, weights))


def _at_least(weights: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """How many blended cells reach each of the thresholds 1/BINS, 2/BINS, … 1: integers (particles, BINS).

    weights (particles, members), cells float32 (members, any number).
    """
    scaled = (BINS * weights).astype(np.float32)
    histograms = np.zeros((len(weights), BINS + 1), np.int64)
    for start in range(0, cells.shape[1], BLOCK):
        bins = (scaled @ cells[:, start : start + BLOCK]).astype(np.uint16)
        histograms += [np.bincount(row, minlength=BINS + 1) for row in bins]
    return histograms[:, :0:-1].cumsum(axis=1)[:, ::-1]

"""The one decision of an ensemble: fixed in advance, and left only where another gains clearly on other photos.

Many methods, each with several rules of thresholds, are candidates, and the highest of many figures is partly luck. So
none is taken for its figure alone. Whoever challenges the fixed decision does so nested: each fold's photos are decided
by the candidate that is highest on the other folds, whose photos alone have a say. Where the 95% interval of what that
gains lies above 0, the highest candidate is taken.

A figure of the whole procedure is had in the same manner: each fold's photos are decided by what the procedure chooses
on the other folds (Stone 1974, "Cross-validatory choice and assessment of statistical predictions"). Candidates are
decisions out of fold, so that no photo is decided by a fit or a choice that it had a say in. That the fits of the other
folds saw the fold's photos is let pass: `benchmarks.optimism` finds no bias by it, and without it each pair of folds
would take fits of its own.

Nothing here knows what a good decision is: a `Measure` says it. Where it ranks, what it judges are probabilities.
"""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from mlob.ensemble import methods
from mlob.ensemble.measures import MICRO_F1, Measure
from mlob.ensemble.thresholds import CALIBRATED, ONE_THRESHOLD
from mlob.evaluation import bootstrap
from mlob.evaluation.bootstrap import Interval, Keys
from mlob.recipes import Judging

Name = tuple[str, str]  # of a method, and of the rule that its thresholds are chosen by


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Decisions to choose among, on the same photos.

    Attributes:
        targets: uint8 (n, labels).
        decided: {name: what the measure judges (n, labels), each photo by a fit that did not see it}.
        fold: of each photo, integers (n,).
        keys: one a photo, equal for photos of equal content.
    """

    targets: np.ndarray
    decided: Mapping[Name, np.ndarray]
    fold: np.ndarray
    keys: Keys = None

    def at(self, rows: np.ndarray) -> "Candidates":
        """Take the photos where `rows`, bool (n,), is true."""
        decided = {name: own[rows] for name, own in self.decided.items()}
        keys = None if self.keys is None else list(itertools.compress(self.keys, rows))
        return Candidates(self.targets[rows], decided, self.fold[rows], keys)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What decides.

    Attributes:
        name: of the candidate.
        fixed: the one that was fixed in advance.
        gain: over the fixed one, where each fold's photos are decided by the candidate that is highest on the others.
    """

    name: Name
    fixed: Name
    gain: Interval


def fixed(names: Collection[Name], rule: str = CALIBRATED) -> Name:
    """Name the decision that is fixed in advance: log-loss weights with the thresholds of a rule, calibrated ones.

    In simulations of 170 and 300 photos it lay 0.0036 and 0.0020 above the highest of all candidates, on other photos
    (`benchmarks.optimism`). Where these weights are not fitted, the first of `methods.WEIGHTINGS` that is stands in,
    and the best single member where none is, as of one member. One threshold stands in for calibrated ones.

    Args:
        names: of what is fitted.
        rule: the measure's.
    """
    fitted = {method for method, _ in names}
    order = (methods.LOG_LOSS, *methods.WEIGHTINGS)
    method = next((name for name in order if name in fitted), methods.BEST_SINGLE)
    return method, rule if (method, rule) in names else ONE_THRESHOLD


def highest(candidates: Candidates, measure: Measure = MICRO_F1) -> Name:
    """Name the candidate with the highest figure, of equals the first; the constant answer does not stand."""
    figures = {
        name: measure.score(candidates.targets, own)
        for name, own in candidates.decided.items()
        if name[0] != methods.CONSTANT
    }
    return max(figures, key=lambda name: figures[name])


def choose(candidates: Candidates, judging: Judging, measure: Measure = MICRO_F1) -> Choice:
    """Keep to the decision that is fixed in advance, or take the highest where choosing it gains clearly.

    Args:
        judging: draws and seed of the bootstrap.
    """
    default, targets = fixed(candidates.decided, measure.rule), candidates.targets
    own, challenger = candidates.decided[default], highest_elsewhere(candidates, default, measure)
    before, after = bootstrap.draws_of(
        measure, targets, own, challenger, keys=candidates.keys, draws=judging.draws, seed=judging.seed
    )
    gain = bootstrap.interval(measure.score(targets, challenger) - measure.score(targets, own), after - before)
    return Choice(highest(candidates, measure) if gain.low > 0 else default, default, gain)


def highest_elsewhere(candidates: Candidates, default: Name, measure: Measure = MICRO_F1) -> np.ndarray:
    """Decide each fold's photos by the candidate that is highest on the other folds: (n, labels).

    Args:
        default: the candidate where there is one fold alone.
    """
    if len(np.unique(candidates.fold)) < 2:
        return candidates.decided[default]
    return taken(candidates, choices(lambda others: highest(others, measure), candidates))


def nested(candidates: Candidates, judging: Judging, measure: Measure = MICRO_F1) -> list[Name]:
    """Name for each fold in order what `choose` takes on the photos of the others; arguments as of `choose`."""
    return choices(lambda others: choose(others, judging, measure).name, candidates)


def choices(choose: Callable[[Candidates], Name], candidates: Candidates) -> list[Name]:
    """Name for each fold in order what is chosen on the photos of the others, which alone are given to `choose`."""
    return [choose(candidates.at(candidates.fold != number)) for number in np.unique(candidates.fold)]


def taken(candidates: Candidates, names: Sequence[Name]) -> np.ndarray:
    """Decide the photos of each fold by the candidate that is named for it: (n, labels).

    Args:
        names: for each fold in order.
    """
    decided = np.zeros_like(next(iter(candidates.decided.values())))
    for number, name in zip(np.unique(candidates.fold), names, strict=True):
        inside = candidates.fold == number
        decided[inside] = candidates.decided[name][inside]
    return decided

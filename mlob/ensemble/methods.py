"""The methods of an ensemble: how members are blended, and how thresholds are chosen on the blend.

A method is fitted on some photos' members and targets, and gives a `Decision` for any others.
"""

import dataclasses

import numpy as np

from mlob.ensemble import blend, swarm, thresholds
from mlob.metrics import micro_f1

HALF, ONE_GLOBAL, PER_LABEL = "0.5", "one global", "per label"
HALF_WAY = np.float32(0.5)
CONSTANT, BEST_SINGLE, MEAN, HARMONIC, PSO = "constant", "best single", "mean", "harmonic mean", "PSO"
RULES = {
    HALF: lambda targets, probabilities: 0.5,
    ONE_GLOBAL: thresholds.best_global,
    PER_LABEL: thresholds.best_per_label,
}


@dataclasses.dataclass(frozen=True)
class Decision:
    """A fitted method.

    Attributes:
        weights: of the members, sum 1.
        thresholds: float32 (labels,).
        is_harmonic: blend by the harmonic mean; the weights then only say that all members count alike.
        history: best fitness after each iteration, where a swarm searched for the weights.
    """

    weights: np.ndarray
    thresholds: np.ndarray
    is_harmonic: bool = False
    history: tuple[float, ...] = ()

    def probabilities(self, members):
        """Blend members float32 (members, n, labels) to (n, labels)."""
        return blend.harmonic(members) if self.is_harmonic else blend.arithmetic(members, self.weights)

    def __call__(self, members):
        """Decide: uint8 (n, labels)."""
        return thresholds.decide(self.probabilities(members), self.thresholds)


def constant(members, targets):
    """Fit the answer that looks at no photo: the k commonest labels for everybody, with the best k."""
    answer = blend.best_constant(targets)
    return Decision(_equal(members), np.where(answer, np.float32(0), thresholds.ABOVE))


def one_global(members, targets):
    """Fit the plain mean of the members (one member: itself) at one global threshold."""
    return _with_thresholds(Decision(_equal(members), HALF_WAY), members, targets, RULES[ONE_GLOBAL])


def fit(recipe):
    """Give the function that fits every method at once, so that rules share the weights that were searched for.

    Args:
        recipe: the `Ensemble`.

    Returns:
        A function of members (members, n, labels) and targets (n, labels) that gives {(method, rule): Decision}.
    """

    def fit_all(members, targets):
        effort = {"iterations": recipe.iterations, "patience": recipe.patience, "seed": recipe.seed}
        found = swarm.search(members, targets, particles=max(recipe.particles, len(members) + 1), **effort)
        equal = _equal(members)
        blends = {
            BEST_SINGLE: Decision(best_single(members, targets), HALF_WAY),
            MEAN: Decision(equal, HALF_WAY),
            HARMONIC: Decision(equal, HALF_WAY, is_harmonic=True),
            PSO: Decision(found.weights, HALF_WAY, history=tuple(found.history)),
        }
        fitted = {
            (method, rule): _with_thresholds(blended, members, targets, choose)
            for method, blended in blends.items()
            for rule, choose in RULES.items()
        }
        return {(CONSTANT, "k commonest"): constant(members, targets), **fitted}

    return fit_all


def best_single(members, targets):
    """Give all weight to the member with the highest micro-F1 at its best global threshold."""
    scores = [micro_f1(targets, thresholds.decide(one, thresholds.best_global(targets, one))) for one in members]
    return np.eye(len(members))[int(np.argmax(scores))]


def _equal(members):
    return np.full(len(members), 1 / len(members))


def _with_thresholds(decision, members, targets, choose):
    chosen = choose(targets, decision.probabilities(members))
    return dataclasses.replace(decision, thresholds=np.broadcast_to(np.float32(chosen), targets.shape[1:]))

"""The methods of an ensemble: how members are blended, and how thresholds are chosen on the blend.

A method is fitted on some photos' members and targets, and gives a `Decision` for any others.
"""

import dataclasses

import numpy as np

from mlob.ensemble import blend, greedy, grouped, simplex, stacking, swarm, thresholds
from mlob.metrics import micro_f1

HALF, ONE_GLOBAL, PER_LABEL, CALIBRATED = "0.5", "one global", "per label", "calibrated"
RULES = {
    HALF: lambda targets, probabilities: 0.5,
    ONE_GLOBAL: thresholds.best_global,
    PER_LABEL: thresholds.best_per_label,
    CALIBRATED: thresholds.calibrated,
}
CONSTANT, BEST_SINGLE, MEAN, HARMONIC = "constant", "best single", "mean", "harmonic mean"
PSO, GREEDY, CLIMBING, LOG_LOSS, BY_GROUP = "PSO", "greedy", "hill climbing", "log-loss", "log-loss by group"
SECOND_LEVELS = {
    "linear": stacking.linear,
    "convolution": lambda members, targets, groups, **others: stacking.convolution(members, targets, **others),
    "boosting": lambda members, targets, groups, **others: stacking.boosting(members, targets, **others),
}


@dataclasses.dataclass(frozen=True)
class Decision:
    """A fitted method.

    Attributes:
        weights: of the members, sum 1: (members,), or (members, labels) where each group of labels has its own.
        thresholds: float32 (labels,).
        is_harmonic: blend by the harmonic mean; the weights then only say that all members count alike.
        history: best fitness after each iteration, where a swarm searched for the weights.
        second_level: what `stacking` fitted, where it stands in for the weights, which then only say that all members
            count.
    """

    weights: np.ndarray
    thresholds: np.ndarray = None
    is_harmonic: bool = False
    history: tuple[float, ...] = ()
    second_level: object = None

    def probabilities(self, members):
        """Blend members float32 (members, n, labels) to (n, labels)."""
        if self.second_level:
            return self.second_level.predict(members)
        if self.is_harmonic:
            return blend.harmonic(members)
        mean = grouped.arithmetic if self.weights.ndim == 2 else blend.arithmetic
        return mean(members, self.weights)

    def __call__(self, members):
        """Decide: uint8 (n, labels)."""
        return thresholds.decide(self.probabilities(members), self.thresholds)


def constant(members, targets):
    """Fit the answer that looks at no photo: the k commonest labels for everybody, with the best k."""
    answer = blend.best_constant(targets)
    return Decision(_equal(members), np.where(answer, np.float32(0), thresholds.ABOVE))


def one_global(members, targets):
    """Fit the plain mean of the members (one member: itself) at one global threshold."""
    return _mean_at(ONE_GLOBAL, members, targets)


def calibrated(members, targets):
    """Fit the plain mean of the members (one member: itself) at calibrated thresholds."""
    return _mean_at(CALIBRATED, members, targets)


def _mean_at(rule, members, targets):
    mean = Decision(_equal(members))
    return _with_thresholds(mean, targets, mean.probabilities(members), RULES[rule])


def fit(recipe, groups=()):
    """Give the function that fits every method at once, so that rules share what was searched for.

    Args:
        recipe: the `Ensemble`.
        groups: the group of each label (labels,), as in `Labels.groups`; without several, no method weights by group.

    Returns:
        A function of members (members, n, labels), targets (n, labels) and keys, one a photo, equal for photos of equal
        content, that gives {(method, rule): Decision}.
    """

    def fit_all(members, targets, keys=None):
        fitted = {(CONSTANT, "k commonest"): constant(members, targets)}
        for method, decision in _blends(members, targets, recipe, groups, keys).items():
            probabilities = of_the_fit(decision, members)
            for rule, choose in RULES.items():
                fitted[method, rule] = _with_thresholds(decision, targets, probabilities, choose)
        return fitted

    return fit_all


def best_single(members, targets):
    """Give all weight to the member with the highest micro-F1 at its best global threshold."""
    scores = [micro_f1(targets, thresholds.decide(one, thresholds.best_global(targets, one))) for one in members]
    return np.eye(len(members))[int(np.argmax(scores))]


def _blends(members, targets, recipe, groups, keys):
    """Fit all but thresholds: {method: Decision}; of one member every weighting is itself, so that it stands once."""
    pair, seed, equal = (members, targets), recipe.seed, _equal(members)
    found = {BEST_SINGLE: Decision(best_single(*pair))}
    if len(members) > 1:
        found |= _weightings(members, targets, recipe, groups)
    for name in recipe.second_level:
        second_level = SECOND_LEVELS[name](*pair, seed=seed, groups=groups or None, keys=keys)
        found[f"stacked {name}"] = Decision(equal, second_level=second_level)
    return found


def _weightings(members, targets, recipe, groups):
    """Fit what gives each of several members a weight: {method: Decision}."""
    pair, equal = (members, targets), _equal(members)
    swarmed = _swarm(*pair, recipe)
    found = {
        MEAN: Decision(equal),
        HARMONIC: Decision(equal, is_harmonic=True),
        PSO: Decision(swarmed.weights, history=tuple(swarmed.history)),
        GREEDY: Decision(greedy.select(*pair).weights),
        CLIMBING: Decision(greedy.climb(*pair).weights),
        LOG_LOSS: Decision(simplex.search(*pair).weights),
    }
    if len(set(groups)) > 1:
        found[BY_GROUP] = Decision(grouped.search(simplex.search, *pair, groups))
    return found


def _swarm(members, targets, recipe):
    effort = {"iterations": recipe.iterations, "patience": recipe.patience, "seed": recipe.seed}
    pulls = {"inertia": recipe.inertia, "cognitive": recipe.cognitive, "social": recipe.social}
    return swarm.search(members, targets, particles=max(recipe.particles, len(members) + 1), **effort, **pulls)


def _equal(members):
    return np.full(len(members), 1 / len(members))


def of_the_fit(decision, members):
    """Probabilities for the photos fitted on; a second level's are those of its inner folds, which flatter less."""
    return decision.second_level.held if decision.second_level else decision.probabilities(members)


def _with_thresholds(decision, targets, probabilities, choose):
    chosen = choose(targets, probabilities)
    return dataclasses.replace(decision, thresholds=np.broadcast_to(np.float32(chosen), targets.shape[1:]))

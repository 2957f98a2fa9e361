"""The methods of an ensemble, a table of them, and what is fitted: a blend of the members, and thresholds on it.

A method is fitted on some photos' members, float32 (members, n, labels) in [0, 1], and targets, 0/1 (n, labels). It
gives a `Blend`, which predicts any other photos from the same members; with thresholds it makes a `Decision`.

To add a method, write its function below and name it in METHODS, and its blend in BLENDS where that is new. A suite's
recipe chooses by these names.
"""

import dataclasses
import typing
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from mlob.ensemble import convolution, greedy, grouped, likeliest, linear, measures, simplex, swarm, trees
from mlob.ensemble.means import Constant, HarmonicMean, Mean, MeanByLabel, MeanOfLogits
from mlob.ensemble.measures import MICRO_F1, Measure, best_constant
from mlob.ensemble.thresholds import ONE_THRESHOLD, RULES, Rule, decide
from mlob.errors import InputError
from mlob.fields import check_choice
from mlob.recipes import Ensemble, Swarm

CONSTANT, BEST_SINGLE, MEAN, HARMONIC, PSO = "constant", "best single", "mean", "harmonic mean", "PSO"
GREEDY, CLIMBING = "greedy selection", "hill climbing"
LOG_LOSS, BY_GROUP = "log-loss weights", "log-loss weights per group"
COMMONEST = "commonest labels"  # the rule of the constant answer, which has no other
ONE_EACH = "one_each"  # the name of a decision's groups among its arrays
NOT_STORED = ("out_of_fold", "history")  # parts of a blend that are of no use for other photos


class Blend(typing.Protocol):
    """How members become one: a frozen dataclass of arrays.

    Attributes:
        weights: of the members, (members,), or (members, labels) where each label has its own; None where they have
            no weights and all count.
        out_of_fold: probabilities float32 (n, labels) for the photos of the fit, each by a fit that did not see it;
            None where the blend is too simple to know its photos by heart.
    """

    @property
    def weights(self) -> np.ndarray | None:
        """See above."""

    @property
    def out_of_fold(self) -> np.ndarray | None:
        """See above."""

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Probabilities float32 (n, labels) for members (members, n, labels)."""


BLENDS: dict[str, Callable[..., Blend]] = {  # each is built from the arrays that `Decision.arrays` gives of it
    kind.__name__: kind
    for kind in (
        Mean,
        MeanByLabel,
        HarmonicMean,
        MeanOfLogits,
        Constant,
        linear.Linear,
        convolution.Convolution,
        trees.Trees,
    )
}


@dataclasses.dataclass(frozen=True)
class Context:
    """What a method may go by, beside members and targets.

    Attributes:
        groups: the group of each label (labels,), as in `Labels.groups`, or none.
        keys: one for each photo, equal for photos of equal content; None takes all as different.
        seed: of whatever is drawn.
        swarm: how PSO searches.
        measure: what searches make as high as they can.
    """

    groups: Sequence[str]
    keys: Sequence[Hashable] | None
    seed: int
    swarm: Swarm
    measure: Measure


def best_single(members: np.ndarray, targets: np.ndarray, context: Context) -> Mean:
    """Give all weight to the member that reaches most, of micro-F1 at its best threshold."""
    scores = [context.measure.aim.reached(targets, member) for member in members]
    return Mean(np.eye(len(members))[int(np.argmax(scores))])


def mean(members: np.ndarray, targets: np.ndarray, context: Context) -> Mean:
    """Weight all members equally."""
    return Mean(_equal(members))


def harmonic_mean(members: np.ndarray, targets: np.ndarray, context: Context) -> HarmonicMean:
    """Take the harmonic mean."""
    return HarmonicMean()


def mean_of_logits(members: np.ndarray, targets: np.ndarray, context: Context) -> MeanOfLogits:
    """Take the mean of the logits."""
    return MeanOfLogits()


def particle_swarm(members: np.ndarray, targets: np.ndarray, context: Context) -> Mean:
    """Search for the weights that reach most by particle swarm (`swarm.search`)."""
    options = dataclasses.asdict(context.swarm)
    options["particles"] = max(options["particles"], len(members) + 1)
    best = swarm.search(members, targets, seed=context.seed, aim=context.measure.aim, **options)
    return Mean(best.weights, tuple(best.history))


def greedy_selection(members: np.ndarray, targets: np.ndarray, context: Context) -> Mean:
    """Search for the weights that reach most by greedy selection (`greedy.select`)."""
    return Mean(greedy.select(members, targets, aim=context.measure.aim).weights)


def hill_climbing(members: np.ndarray, targets: np.ndarray, context: Context) -> Mean:
    """Search for the weights that reach most by hill climbing (`greedy.climb`)."""
    return Mean(greedy.climb(members, targets, aim=context.measure.aim).weights)


def log_loss_weights(members: np.ndarray, targets: np.ndarray, context: Context) -> Mean:
    """Take the weights with the lowest log-loss (`simplex.search`)."""
    return Mean(simplex.search(members, targets).weights)


def log_loss_weights_per_group(members: np.ndarray, targets: np.ndarray, context: Context) -> MeanByLabel:
    """Take the weights with the lowest log-loss in each group of labels by itself."""
    lowest = lambda *group: simplex.search(*group).weights  # noqa: E731
    return MeanByLabel(grouped.search(lowest, members, targets, context.groups))


def stacked_linear(members: np.ndarray, targets: np.ndarray, context: Context) -> linear.Linear:
    """Fit a linear stacker (`linear.fit`)."""
    return linear.fit(members, targets, seed=context.seed, groups=context.groups, keys=context.keys)


def stacked_convolution(members: np.ndarray, targets: np.ndarray, context: Context) -> convolution.Convolution:
    """Fit a convolutional stacker (`convolution.fit`)."""
    return convolution.fit(members, targets, seed=context.seed, keys=context.keys)


def stacked_trees(members: np.ndarray, targets: np.ndarray, context: Context) -> trees.Trees:
    """Fit a stacker of boosted trees (`trees.fit`)."""
    return trees.fit(members, targets, seed=context.seed, keys=context.keys)


WEIGHTINGS: dict[str, Callable[[np.ndarray, np.ndarray, Context], Blend]] = {  # of one member they are that member
    MEAN: mean,
    HARMONIC: harmonic_mean,
    "mean of logits": mean_of_logits,
    PSO: particle_swarm,
    GREEDY: greedy_selection,
    CLIMBING: hill_climbing,
    LOG_LOSS: log_loss_weights,
    BY_GROUP: log_loss_weights_per_group,
}
METHODS: dict[str, Callable[[np.ndarray, np.ndarray, Context], Blend]] = {
    BEST_SINGLE: best_single,
    **WEIGHTINGS,
    "stacked linear": stacked_linear,
    "stacked convolution": stacked_convolution,
    "stacked trees": stacked_trees,
}


@dataclasses.dataclass(frozen=True)
class Decision:
    """What a method and a threshold rule fitted.

    Attributes:
        blend: of the members.
        thresholds: float32 (labels,) on its probabilities.
        groups: of which a photo gets the likeliest label, int64 (labels,) as `labels.one_each` numbers them; None where
            thresholds decide on all labels.
    """

    blend: Blend
    thresholds: np.ndarray
    groups: np.ndarray | None = None

    @property
    def kind(self) -> str:
        """The blend's name in BLENDS, by which `rebuilt` knows it."""
        return type(self.blend).__name__

    def probabilities(self, members: np.ndarray) -> np.ndarray:
        """Blend members float32 (members, n, labels): float32 (n, labels)."""
        return self.blend.predict(members)

    def __call__(self, members: np.ndarray) -> np.ndarray:
        """Decide: uint8 (n, labels)."""
        return self.decide(self.probabilities(members))

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Decide on blended probabilities float32 (n, labels): uint8 (n, labels)."""
        return likeliest.give(decide(probabilities, self.thresholds), probabilities, self.groups)

    def needed(self, probabilities: np.ndarray) -> np.ndarray:
        """Say what each probability had to reach for its label to be given: float32 (n, labels)."""
        return likeliest.needed(probabilities, self.thresholds, self.groups)

    def arrays(self) -> dict[str, np.ndarray]:
        """Give all that a decision on other photos goes by, as `rebuilt` takes it back."""
        stored = {name: np.asarray(part) for name, part in vars(self.blend).items() if name not in NOT_STORED}
        groups = {} if self.groups is None else {ONE_EACH: self.groups}
        return {"thresholds": self.thresholds, **groups, **stored}


def rebuilt(kind: str, arrays: dict[str, np.ndarray], members: int) -> Decision:
    """Rebuild a decision from what its `arrays()` gave, and try it on one photo.

    Args:
        kind: its `kind`.
        arrays: {name: array}.
        members: number of them that it is to take.

    Raises:
        ValueError: there is no such kind, or the arrays are of another one or of another number of members.
    """
    if odd := [name for name, array in arrays.items() if np.asarray(array).dtype.kind not in "iuf"]:
        raise ValueError(f"{', '.join(odd)} are no numbers")
    try:
        thresholds = np.asarray(arrays["thresholds"], np.float32)
        groups = arrays[ONE_EACH].astype(np.int64).reshape(thresholds.shape) if ONE_EACH in arrays else None
        parts = {name: array for name, array in arrays.items() if name not in ("thresholds", ONE_EACH)}
        decision = Decision(BLENDS[kind](**parts), thresholds, groups)
        with np.errstate(all="ignore"):  # of damaged numbers
            probabilities = decision.probabilities(np.full((members, 1, len(thresholds)), 0.5, np.float32))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, InputError) as error:
        raise ValueError(f"its arrays are of no {kind} of {members} members") from error
    if probabilities.shape != (1, *thresholds.shape) or not np.isfinite([*probabilities[0], *thresholds]).all():
        raise ValueError(f"its arrays do not fit its {len(thresholds)} thresholds")
    return decision


def check(recipe: Ensemble) -> None:
    """Refuse a recipe that names a method, a rule or a metric that there is not.

    Raises:
        InputError: with the nearest names.
    """
    for name in recipe.methods:
        check_choice("ensemble.methods", name, METHODS)
    for name in recipe.rules:
        check_choice("ensemble.rules", name, RULES)
    measures.check(recipe)


Fitted = dict[tuple[str, str], Decision]


def fit(
    names: Sequence[str],
    rules: Sequence[str],
    *,
    groups: Sequence[str],
    seed: int,
    swarm: Swarm,
    one_each: np.ndarray | None = None,
    measure: Measure = MICRO_F1,
) -> Callable[..., Fitted]:
    """Give the function that fits several methods, and to each several threshold rules.

    Args:
        names: of METHODS; best single is fitted whether named or not, since the others are compared with it.
        rules: names in `thresholds.RULES`; see `rules_of`.
        groups, seed, swarm, measure: as in `Context`.
        one_each: `Decision.groups` of all but the constant answer.

    Returns:
        A function of members (members, n, labels), targets (n, labels) and keys, one for each photo (None: all are
        different), that gives {(method, rule): Decision}, the constant answer among them, in the order of the tables.
    """
    rules = rules_of(measure, rules, decide_on_none=one_each is not None and bool((one_each >= 0).all()))

    def fit_all(members: np.ndarray, targets: np.ndarray, keys: Sequence[Hashable] | None = None) -> Fitted:
        context = Context(groups, keys, seed, swarm, measure)
        fitted = {(CONSTANT, COMMONEST): constant(members, targets, measure)}
        for name, fit_blend in METHODS.items():
            if name in (BEST_SINGLE, *names) and not _is_another(name, members, groups):
                blend = fit_blend(members, targets, context)
                probabilities = of_the_fit(blend, members)
                fitted |= {
                    (name, rule): _decision(blend, measure.rules[rule], targets, probabilities, one_each)
                    for rule in rules
                }
        return fitted

    return fit_all


def rules_of(measure: Measure, named: Sequence[str], *, decide_on_none: bool = False) -> list[str]:
    """Name the rules of thresholds that are fitted, in the order of the measure's.

    One threshold is fitted whether named or not. The measure's rule stands alone where no other keeps what it promises,
    and where thresholds change no figure since it ranks, or asks for the likeliest label; so does one threshold where
    there is no label that thresholds decide on (`decide_on_none`).
    """
    if measure.ranks or measure.likeliest or measure.left:
        return [measure.rule]
    if decide_on_none:
        return [ONE_THRESHOLD]
    return [rule for rule in measure.rules if rule == ONE_THRESHOLD or rule in named]


def constant(members: np.ndarray, targets: np.ndarray, measure: Measure = MICRO_F1) -> Decision:
    """Fit the constant answer: the k commonest labels for every photo, with the best k (`measures.best_constant`)."""
    answer = best_constant(measure, targets)
    return Decision(Constant(answer, np.zeros(len(members))), np.full(len(answer), 0.5, np.float32))


def mean_at(
    rule: str,
    members: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray | None = None,
    measure: Measure = MICRO_F1,
) -> Decision:
    """Fit the plain mean of the members (of one member: itself) with the thresholds of one of the measure's rules."""
    blend = Mean(_equal(members))
    return _decision(blend, measure.rules[rule], targets, blend.predict(members), groups)


def of_the_fit(blend: Blend, members: np.ndarray) -> np.ndarray:
    """Probabilities for the photos that a blend was fitted on: out of fold where it has these, which flatter less."""
    return blend.predict(members) if blend.out_of_fold is None else blend.out_of_fold


def _is_another(name: str, members: np.ndarray, groups: Sequence[str]) -> bool:
    """Whether a method comes to the same as another: a weighting of one member, or by group without several groups."""
    return (len(members) == 1 and name in WEIGHTINGS) or (len(set(groups)) < 2 and name == BY_GROUP)


def _equal(members: np.ndarray) -> np.ndarray:
    return np.full(len(members), 1 / len(members))


def _decision(
    blend: Blend, rule: Rule, targets: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None
) -> Decision:
    """Choose thresholds on the labels that they decide; the others have 0.5, which nobody asks."""
    free, thresholds = slice(None) if groups is None else groups < 0, np.full(targets.shape[1], 0.5, np.float32)
    if thresholds[free].size:
        thresholds[free] = rule(targets[:, free], probabilities[:, free])
    return Decision(blend, thresholds, groups)

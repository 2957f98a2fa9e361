"""Recipes of ensembles: what they are made for, how members are combined and thresholds chosen, how they are judged."""

import dataclasses
from typing import Any

from mlob.fields import Recipe


@dataclasses.dataclass(frozen=True)
class Metric:
    """What decisions are made for and judged by; see `Ensemble`."""

    name: str = "micro_f1"
    beta: float = 2.0
    cost_false_positive: float = 1.0
    cost_false_negative: float = 1.0
    wished: float = 0.95
    group: str = ""


@dataclasses.dataclass(frozen=True)
class Judging:
    """What figures depend on beside decisions and targets: two figures compare where it is equal.

    Attributes:
        folds: of the cross-fitted figures.
        draws: bootstrap draws behind an interval.
        seed: of both.
        one_each: of a group of which every photo of train has exactly one label, a photo gets the likeliest one.
        metric: what decisions are made for; the first of the figures.
    """

    folds: int = 5
    draws: int = 1000
    seed: int = 0
    one_each: bool = False
    metric: Metric = Metric()


@dataclasses.dataclass(frozen=True)
class Swarm:
    """How a particle swarm searches; see `Ensemble`."""

    particles: int = 40
    iterations: int = 100
    patience: int = 20
    inertia: float = 0.7298
    cognitive: float = 1.49618
    social: float = 1.49618


@dataclasses.dataclass(frozen=True)
class Ensemble(Recipe):
    """How members are combined and thresholds chosen.

    Attributes:
        metric: what weights, thresholds, the choice among methods and the report go by, a name in
            `mlob.ensemble.measures.METRICS`: "micro_f1", "macro_f1", "image_f_beta" (the mean of each photo's F-beta),
            "mean_average_precision", "top_1" (of a group), "saved_cost", "recall_at_precision" or
            "precision_at_recall".
        beta: of "image_f_beta": recall counts so many times as much as precision. 2 is iMet Collection 2019's.
        cost_false_positive, cost_false_negative: of "saved_cost": what a wrong label costs, and a missed one.
        wished: precision or recall that each label is to keep; labels that cannot are left to people.
        group: of labels, of which "top_1" asks for the likeliest; empty is the only one.
        methods: what is fitted, names in `mlob.ensemble.methods.METHODS`; "best single" is fitted in any case. On 1,431
            photos "stacked convolution" and "stacked trees" took 10 times as long as all the rest, and were no better
            than "stacked linear".
        rules: how thresholds are chosen, names in `mlob.ensemble.thresholds.RULES`; "one threshold" is fitted in any
            case. Each metric has its own by these names, but for those that wish: they have one alone.
        folds: of the cross-fitted figures, those of single models included.
        particles, iterations, patience: of the swarm; it stops after `patience` iterations without gain.
        inertia, cognitive, social: share of its velocity that a particle keeps, and its pull towards its own best
            position and the swarm's; Clerc and Kennedy's (2002).
        draws: bootstrap draws behind an interval.
        allow_none: thresholds alone decide. Else a photo always gets the likeliest label of a group of which every
            photo of train has exactly one.
        average_together: members' probabilities are means over the photos of a product, which get the same labels;
            figures are over products.
    """

    methods: tuple[str, ...] = (
        "best single",
        "mean",
        "harmonic mean",
        "PSO",
        "greedy selection",
        "hill climbing",
        "log-loss weights",
        "log-loss weights per group",
        "stacked linear",
    )
    rules: tuple[str, ...] = ("0.5", "one threshold", "per-label thresholds", "calibrated thresholds")
    folds: int = 5
    particles: int = 40
    iterations: int = 100
    patience: int = 20
    inertia: float = 0.7298
    cognitive: float = 1.49618
    social: float = 1.49618
    draws: int = 1000
    seed: int = 0
    allow_none: bool = False
    average_together: bool = False
    metric: str = "micro_f1"
    beta: float = 2.0
    cost_false_positive: float = 1.0
    cost_false_negative: float = 1.0
    wished: float = 0.95
    group: str = ""

    @property
    def judging(self) -> Judging:
        """How all models of the suite are judged."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(Metric) if field.name != "name"}
        return Judging(self.folds, self.draws, self.seed, not self.allow_none, Metric(self.metric, **own))

    @property
    def swarm(self) -> Swarm:
        """How the swarm searches."""
        return Swarm(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Swarm)})


def plain_ensemble(recipe: Ensemble) -> dict[str, Any]:
    """Give what shapes an ensemble as a dict, without the metric where it is the default: runs are older than that."""
    fields = dataclasses.asdict(recipe)
    own = {field.name: field.default for field in dataclasses.fields(Metric)}
    own["metric"] = own.pop("name")
    return {name: value for name, value in fields.items() if name not in own or value != own[name]}


def plain_judging(judging: Judging) -> dict[str, Any]:
    """Give what shapes figures as a dict, without the metric where it is the default."""
    fields = dataclasses.asdict(judging)
    return fields if judging.metric != Metric() else {name: fields[name] for name in fields if name != "metric"}

"""The metrics that an ensemble can be made for, a table of them: all that weights, thresholds and intervals go by.

A metric of decisions is a figure of counts (true positives, predicted positives, positives): of all decisions pooled,
or the mean of the labels' or the photos' own. One that ranks is a function of probabilities. Targets are 0/1
(n, labels); what is unknown takes no part, and a label or photo of which nothing is known has no part in a mean.

To add a metric, write its function below and name it in METRICS, with the fields of the recipe that it goes by.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable, Sequence

import numpy as np

from mlob import metrics
from mlob.ensemble import blend, draws, fitness, histograms, thresholds
from mlob.ensemble.thresholds import ASSURED_RULE, CALIBRATED, HALF, ONE_THRESHOLD, PER_LABEL, RULES, Rule, decide
from mlob.errors import InputError
from mlob.fields import check_choice
from mlob.labels import UNKNOWN, columns_of, positives, prevalence
from mlob.metrics import Figure, counts, f1
from mlob.recipes import Ensemble, Metric

Rules = dict[str, Rule]


@dataclasses.dataclass(frozen=True)
class Measure:
    """A metric: the higher, the better.

    Attributes:
        score: a function of targets and answers, both (n, labels), that gives the figure.
        draws: a function of targets, answers and blocks of draws (`draws`) that gives the figure of each draw.
        aim: what searches of weights make as high as they can.
        rules: of thresholds.
        rule: the one to start with.
        ranks: answers are probabilities, which no threshold changes. Else they are decisions.
        likeliest: columns of labels of which a photo always gets the likeliest.
        alone: thresholds alone decide: a label that is given because no other one is likelier keeps no promise.
        left: says of thresholds (labels,) which labels they leave to people, bool (labels,); None: they leave none.
    """

    score: Callable[[np.ndarray, np.ndarray], float]
    draws: Callable[[np.ndarray, np.ndarray, draws.Blocks], np.ndarray]
    aim: fitness.Aim
    rules: Rules
    rule: str = CALIBRATED
    ranks: bool = False
    likeliest: tuple[int, ...] = ()
    alone: bool = False
    left: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def plainest(self) -> str:
        """The rule that one model is judged at: one threshold, unless the measure has another one alone."""
        return ONE_THRESHOLD if ONE_THRESHOLD in self.rules else self.rule

    def one_each(self, groups: np.ndarray | None, labels: int) -> np.ndarray | None:
        """Number the groups of which a photo gets the likeliest label, by `labels.one_each` of the training photos."""
        if self.alone:
            return None
        if not self.likeliest:
            return groups
        numbers = np.full(labels, -1) if groups is None else groups.copy()
        numbers[list(self.likeliest)] = numbers.max() + 1
        return numbers


MICRO_F1 = Measure(metrics.micro_f1, functools.partial(draws.pooled, f1), fitness.MICRO_F1, RULES)


def micro_f1(metric: Metric, groups: Sequence[str]) -> Measure:
    """F1 of all decisions pooled."""
    return MICRO_F1


def saved_cost(metric: Metric, groups: Sequence[str]) -> Measure:
    """The share that is saved of what mistakes cost where nothing is predicted (`metrics.saved_cost`).

    A decision is worth while where the chance that it is right is above false positive / (false positive + false
    negative) (Elkan 2001, "The foundations of cost-sensitive learning").
    """
    wrong, missed = metric.cost_false_positive, metric.cost_false_negative
    figure = functools.partial(metrics.saved_cost, false_positive=wrong, false_negative=missed)
    gained = lambda right, predicted, positives: missed * right - wrong * (predicted - right)  # noqa: E731
    rules: Rules = {
        HALF: RULES[HALF],
        ONE_THRESHOLD: functools.partial(thresholds.best_global, figure=figure),
        PER_LABEL: functools.partial(thresholds.best_of_each, figure=gained),
        CALIBRATED: functools.partial(
            thresholds.calibrated, cut_of=lambda targets, probabilities: wrong / (wrong + missed)
        ),
    }
    aim = fitness.Aim(
        functools.partial(fitness.at_best_global, figure=figure),
        functools.partial(fitness.approximate, figure=figure),
    )
    return Measure(_pooled(figure), functools.partial(draws.pooled, figure), aim, rules, alone=True)


def macro_f1(metric: Metric, groups: Sequence[str]) -> Measure:
    """The mean of the labels' F1: each has the threshold that is half of its own (Lipton et al. 2014)."""
    rules: Rules = {
        HALF: RULES[HALF],
        ONE_THRESHOLD: thresholds.best_global_of_each,
        PER_LABEL: thresholds.best_of_each,
        CALIBRATED: functools.partial(thresholds.calibrated, cut_of=thresholds.half_f1_of_each),
    }
    return _by_label(f1, rules)


def recall_at_precision(metric: Metric, groups: Sequence[str]) -> Measure:
    """The mean of the labels' recall; 0 of a label whose precision is below the wished one.

    A label whose thresholds cannot promise it lies above every probability: it is left to people. No other rule is
    offered: one that promises less would reach more, and break what is wished on other photos.
    """
    wished = metric.wished
    figure = functools.partial(metrics.recall_at_precision, wished=wished)
    # a label that keeps nothing of what is wished is better not given at all
    or_nothing = lambda right, given, true: figure(right, given, true) - (right < wished * given - metrics.ROUNDING)  # noqa: E731
    best = functools.partial(thresholds.best_of_each, figure=or_nothing)
    assured = functools.partial(thresholds.assured_precision, wished=wished)
    return _promised(_by_label(figure, {PER_LABEL: best}), assured, lambda chosen: np.asarray(chosen) > 1)


def precision_at_recall(metric: Metric, groups: Sequence[str]) -> Measure:
    """The mean of the labels' precision; 0 of a label whose recall is below the wished one.

    A label whose thresholds cannot promise it has the threshold 0: people look at every photo. No other rule is
    offered, as in `recall_at_precision`.
    """
    figure = functools.partial(metrics.precision_at_recall, wished=metric.wished)
    best = functools.partial(thresholds.best_of_each, figure=figure)
    assured = functools.partial(thresholds.assured_recall, wished=metric.wished)
    return _promised(_by_label(figure, {PER_LABEL: best}), assured, lambda chosen: np.asarray(chosen) == 0)


def image_f_beta(metric: Metric, groups: Sequence[str]) -> Measure:
    """The mean of the photos' F-beta."""
    figure = functools.partial(metrics.f_beta, beta=metric.beta)
    at_one = functools.partial(thresholds.best_global_by_image, figure=figure)
    rules: Rules = {
        HALF: RULES[HALF],
        ONE_THRESHOLD: at_one,
        PER_LABEL: functools.partial(thresholds.best_by_image, figure=figure),
        CALIBRATED: functools.partial(thresholds.calibrated, cut_of=at_one),
    }
    score = functools.partial(metrics.mean_of, figure, axis=1)
    aim = fitness.Aim(
        _at(score, at_one),
        functools.partial(histograms.means, reduce=histograms.one_threshold(figure), scaled=False),
    )
    return Measure(score, functools.partial(draws.of_photos, figure), aim, rules)


def top_1(metric: Metric, groups: Sequence[str]) -> Measure:
    """The share of the photos with exactly one label of a group that are given just this one of it.

    Photos get the likeliest label of the group. Thresholds decide on other labels, as where micro-F1 counts.
    """
    columns = _columns(metric.group, groups)
    right = lambda both, given, true: (np.asarray(both) == 1) & (np.asarray(given) == 1)  # noqa: E731
    own = lambda targets, decided: (_only(columns, targets), np.asarray(decided)[:, columns])  # noqa: E731
    score = lambda targets, decided: metrics.mean_of(right, *own(targets, decided), axis=1)  # noqa: E731
    drawn = lambda targets, decided, blocks: draws.of_photos(right, *own(targets, decided), blocks)  # noqa: E731
    reached = lambda targets, probabilities: _likeliest_right(columns, probabilities[np.newaxis], targets)([[1]])[0]  # noqa: E731
    aim = fitness.Aim(reached, functools.partial(_likeliest_right, columns))
    return Measure(score, drawn, aim, RULES, likeliest=tuple(columns))


def mean_average_precision(metric: Metric, groups: Sequence[str]) -> Measure:
    """The mean of the labels' average precision. No threshold changes it: those of micro-F1 decide."""
    turned = lambda members, targets: histograms.means(  # noqa: E731
        members.transpose(0, 2, 1), targets.T, histograms.average_precision, scaled=True
    )
    aim = fitness.Aim(metrics.average_precision, turned)
    return Measure(metrics.average_precision, draws.average_precision, aim, RULES, ranks=True)


class Entry(typing.NamedTuple):
    """A metric as the table has it.

    Attributes:
        make: gives it, of what the recipe says and the group of each label.
        title: its name for people, with fields of the recipe in braces.
        meaning: what it is, in a sentence that the title begins.
        fields: of the recipe that it goes by.
    """

    make: Callable[[Metric, Sequence[str]], Measure]
    title: str
    meaning: str
    fields: tuple[str, ...] = ()


METRICS = {
    "micro_f1": Entry(
        micro_f1,
        "micro-F1",
        "sums up in one figure how many of the given labels are right, and how many of the true ones are found: it is "
        "1 when every label is right and none is missed",
    ),
    "macro_f1": Entry(
        macro_f1, "macro-F1", "is the mean of the labels' F1: rare labels count as much as frequent ones"
    ),
    "image_f_beta": Entry(
        image_f_beta,
        "F{beta:g} per photo",
        "is the mean of the photos' F-beta, in which recall counts {beta:g} times as much as precision",
        ("beta",),
    ),
    "mean_average_precision": Entry(
        mean_average_precision,
        "mean average precision",
        "is 1 where the photos that have a label come before all others when they are sorted by its probability, for "
        "every label. No threshold takes part",
    ),
    "top_1": Entry(
        top_1, "top-1 {group}", "is how often the likeliest label is the right one, where a photo has one", ("group",)
    ),
    "saved_cost": Entry(
        saved_cost,
        "saved cost",
        "is the share that is saved of what mistakes cost where no label is given: a wrong label costs "
        "{cost_false_positive:g}, a missed one {cost_false_negative:g}",
        ("cost_false_positive", "cost_false_negative"),
    ),
    "recall_at_precision": Entry(
        recall_at_precision,
        "recall at {wished:.4g} precision",
        "is the mean of the labels' recall, where a label whose precision is below {wished:.4g} counts 0",
        ("wished",),
    ),
    "precision_at_recall": Entry(
        precision_at_recall,
        "precision at {wished:.4g} recall",
        "is the mean of the labels' precision, where a label whose recall is below {wished:.4g} counts 0",
        ("wished",),
    ),
}


def of(metric: Metric, groups: Sequence[str]) -> Measure:
    """Give the metric that a recipe names.

    Args:
        metric: its name and fields.
        groups: the group of each label (labels,).

    Raises:
        InputError: a group of labels that there is not, or none where there are several.
    """
    return METRICS[metric.name].make(metric, groups)


def title(metric: Metric) -> str:
    """Name a metric for people."""
    return METRICS[metric.name].title.format(**vars(metric)).strip()


def heading(metric: Metric) -> str:
    """Name a metric at the beginning of a sentence, or of a column."""
    named = title(metric)
    return f"{named[0].upper()}{named[1:]}"


def meaning(metric: Metric) -> str:
    """Say in a sentence what a metric is."""
    return f"{heading(metric)} {METRICS[metric.name].meaning.format(**vars(metric))}."


def best_constant(measure: Measure, targets: np.ndarray) -> np.ndarray:
    """The one answer uint8 (labels,) for every photo that is best: the k commonest labels, of equally good k the least.

    Where the measure ranks, no answer is better than another, and it is that of micro-F1.
    """
    if measure.ranks or measure is MICRO_F1:
        return blend.best_constant(targets)
    answers = [blend.commonest(prevalence(targets), k) for k in range(targets.shape[1] + 1)]
    return max(answers, key=lambda answer: measure.score(targets, np.broadcast_to(answer, targets.shape)))


def check(recipe: Ensemble) -> None:
    """Refuse a metric that there is not, and fields that it does not go by.

    Raises:
        InputError: with the nearest names; with the metrics that go by the field.
    """
    check_choice("ensemble.metric", recipe.metric, METRICS)
    for field in dataclasses.fields(Metric):
        users = [name for name, entry in METRICS.items() if field.name in entry.fields]
        if users and recipe.metric not in users and (value := getattr(recipe, field.name)) != field.default:
            raise InputError(
                f"ensemble.{field.name} is {value!r} beside ensemble.metric {recipe.metric!r}, which goes without: "
                f"leave it out, or take {' or '.join(users)}."
            )


def _by_label(figure: Figure, rules: Rules) -> Measure:
    """Give the mean of the labels' own figures; searches take each label at its own best threshold."""
    score = functools.partial(metrics.mean_of, figure, axis=0)
    turned = lambda members, targets: histograms.means(  # noqa: E731
        members.transpose(0, 2, 1), targets.T, histograms.own_thresholds(figure), scaled=True
    )
    aim = fitness.Aim(_at(score, rules[PER_LABEL]), turned)
    return Measure(score, functools.partial(draws.of_labels, figure), aim, rules)


def _at(score, rule):
    """Give the function of targets and probabilities that scores decisions at the thresholds of a rule."""
    return lambda targets, probabilities: score(targets, decide(probabilities, rule(targets, probabilities)))


def _promised(measure: Measure, assured: Rule, left: Callable[[np.ndarray], np.ndarray]) -> Measure:
    """Give the measure with the one rule that keeps what is wished, and what that leaves to people."""
    return dataclasses.replace(measure, rules={ASSURED_RULE: assured}, rule=ASSURED_RULE, alone=True, left=left)


def _columns(group: str, groups: Sequence[str]) -> list[int]:
    """Give the columns of a group of labels; of the only one where none is named."""
    found = columns_of(groups)
    if not group and len(found) == 1:
        return list(next(iter(found.values())))
    check_choice("ensemble.group", group, found)
    return list(found[group])


def _only(columns: list[int], targets: np.ndarray) -> np.ndarray:
    """Give the targets in some columns; those of rows that have none of these labels, or several, are unknown."""
    own = positives(np.asarray(targets)[:, columns])
    return np.where(own.sum(axis=1, keepdims=True) == 1, own, UNKNOWN).astype(np.uint8)


def _likeliest_right(columns: list[int], members: np.ndarray, targets: np.ndarray) -> Callable[..., np.ndarray]:
    """Give a function of weights (particles, members): how often the likeliest label of a blend is right, exact."""
    truth = _only(columns, targets)
    has_one = truth[:, 0] <= 1
    cells, true = members[:, has_one][:, :, columns], truth[has_one].argmax(axis=1)

    def reached(weights: np.ndarray) -> float:
        likeliest = np.tensordot(np.asarray(weights, np.float32), cells, axes=1).argmax(axis=1)
        return float(np.mean(likeliest == true)) if true.size else 0.0

    return lambda weights: np.array([reached(each) for each in weights])


def _pooled(figure):
    return lambda targets, decided: float(figure(*counts(targets, decided)))

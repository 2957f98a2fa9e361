"""The figures of the page, each with a title and a caption that says how to read it."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from mlob import workspace
from mlob.data.facts import Facts
from mlob.ensemble.measures import heading, title
from mlob.evaluation.diagnosis import Reliability
from mlob.evaluation.judge import LabelScores
from mlob.labels import Labels
from mlob.recipes import Metric
from mlob.reports import figures, tables
from mlob.reports.histories import History
from mlob.reports.tables import Row
from mlob.runs import curve
from mlob.runs import search as searches
from mlob.runs.dev import Comparison
from mlob.runs.search import JudgedTrial, Search

BEST_TRIALS = 10


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of the page; its SVG is markup of ours, which the template does not escape."""

    title: str
    caption: str
    svg: Markup


@dataclasses.dataclass(frozen=True)
class DrawnSearch:
    """A model's search, its figure, and the best of the trials that ran to their end, the best first."""

    model: str
    search: Search
    figure: Figure
    best: list[JudgedTrial]


def methods(rows: Sequence[Row], best: Row) -> Figure:
    """Draw the rows of the first table of results, `best` set apart."""
    shown = [row for row in tables.first(rows)[::-1] if row.kind != "constant" or row is best]
    return _figure(
        "Methods compared",
        f"{heading(best.metric)} on validation, each method at the rule of thresholds that was fixed in advance. A "
        "filled mark is the cross-fitted figure, with its 95% interval. A hollow mark is the figure on the photos that "
        "the method was fitted on, which flatters it.",
        figures.methods(
            [row.method for row in shown], [row.figure for row in shown], shown.index(best), title(best.metric)
        ),
    )


def gains(comparison: Comparison) -> Figure:
    """Draw each model's gain on dev."""
    models = comparison.models
    return _figure(
        "Gains on dev",
        f"{heading(comparison.metric)} on dev, less that of {comparison.against} on the same photos, with 95% "
        "intervals. Where an "
        "interval contains zero, the photos do not show which of the two recipes is better.",
        figures.gains([model.model for model in models], [model.gain for model in models], title(comparison.metric)),
    )


def prevalence(labels: Labels, facts: Facts) -> Figure | None:
    """Draw how common the labels are in train and in validation; None where neither has labels."""
    of_split: dict[str, np.ndarray] = {
        split: np.divide(facts.counts[split], facts.splits[split].photos)
        for split in ("train", "validation")
        if split in facts.counts
    }
    if not of_split:
        return None
    return _figure(
        "Labels in train and validation",
        "How common the 30 commonest labels are. A long bar means that a label is much more common in one split than "
        "in the other.",
        figures.prevalence(labels.unique_names(), of_split),
    )


def f1_by_frequency(labels: Sequence[LabelScores]) -> Figure | None:
    """Draw each label's F1; None where validation shows no label."""
    seen = [label for label in labels if label.validation]
    if not seen:
        return None
    return _figure(
        "F1 of a label against its frequency",
        "Each dot is a label: on how many photos of train it is, and how well it is found on validation.",
        figures.f1_by_frequency([label.train for label in seen], [label.f1 for label in seen]),
    )


def f1_by_step(histories: Mapping[str, History]) -> Figure:
    """Draw how micro-F1 rose in training."""
    return _figure(
        "F1 by training step",
        "Micro-F1 on dev after each epoch. Validation is not looked at here. Of more than 12 models, the best 12 are "
        "shown.",
        figures.f1_by_step(histories),
    )


def losses(histories: Mapping[str, History]) -> Figure:
    """Draw how the losses fell in training."""
    return _figure("Loss", "Loss on train and on dev after each epoch.", figures.losses(histories))


def learning_curves(folder: pathlib.Path) -> Figure | None:
    """Draw the learning curves in runs/<suite>; None where there are none."""
    paths = sorted(folder.glob(f"*/{workspace.CURVE_FOLDER}/{workspace.CURVE}"))
    points = {path.parts[-3]: curve.read(path).points for path in paths}
    if not points:
        return None
    return _figure(
        "Learning curves",
        "Micro-F1 by the number of photos trained on: on dev, with its 95% interval, and on the photos trained on. "
        "Where the dev line still rises, more photos help. Where the two lines meet below 1, it takes a better model.",
        figures.learning_curves(points),
    )


def search(folder: pathlib.Path) -> list[DrawnSearch]:
    """Draw every search in runs/<suite>."""
    paths = sorted(folder.glob(f"*/{workspace.SEARCH_FOLDER}/{workspace.SEARCH}"))
    return [_search(number, path.parts[-3], searches.read(path)) for number, path in enumerate(paths, start=1)]


def reliability(measured: Reliability) -> Figure:
    """Draw whether labels are true as often as their probabilities say."""
    return _figure(
        "Reliability",
        "All decisions on validation in ten bins by probability: how often their labels are true. Below the dashed "
        "line the ensemble is too sure, above it not sure enough. To the right, how many decisions are in each bin "
        "(on a logarithmic axis).",
        figures.reliability(measured.bins),
    )


def convergence(fitness: Sequence[float], metric: Metric) -> Figure | None:
    """Draw the swarm's best fitness by iteration; None where no swarm searched, or it found nothing better."""
    if not fitness or min(fitness) == max(fitness):
        return None
    return _figure(
        "The swarm's search for member weights",
        f"The best {title(metric)} that any particle had reached so far, on the photos that the weights are fitted on.",
        figures.convergence(fitness, title(metric)),
    )


def _figure(title: str, caption: str, svg: str) -> Figure:
    return Figure(title, caption, Markup(svg))


def _search(number: int, model: str, made: Search) -> DrawnSearch:
    figure = _figure(
        f"Search: {model}",
        "Micro-F1 on dev of each trial in order, then by the value of each field that was searched. Hollow trials "
        "were stopped early. The diamond and the dashed line are the recipe as it is. The figure shows which fields "
        "matter; its highest point is partly luck.",
        figures.search(number, made.trials),
    )
    complete = [(trial.figure.value, trial) for trial in made.trials if trial.figure]
    best = [trial for _, trial in sorted(complete, key=lambda pair: -pair[0])]
    return DrawnSearch(model, made, figure, best[:BEST_TRIALS])

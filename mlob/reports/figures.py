"""Figures as SVG text, to stand inside a page: the only door to matplotlib.

Text and axes take the colour of the text around them, so that a figure reads on light and on dark paper; the
other colours are Okabe and Ito's (2008, "Color Universal Design"; the blue a little lighter, for dark paper),
told apart by people with any colour vision. Every id in an SVG starts with the figure's name: several share a
page. Equal data give equal bytes.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
    StrMethodFormatter,
    SymmetricalLogLocator,
)

from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.diagnosis import Bin
from mlob.evaluation.scores import Score
from mlob.reports.histories import History
from mlob.runs.curve import Point
from mlob.runs.search import JudgedTrial

BLUE, ORANGE, GREEN, PURPLE = "#1F83C4", "#D55E00", "#009E73", "#CC79A7"
COLOURS, LINES = (BLUE, ORANGE, GREEN, PURPLE), ("-", "--", ":", "-.")
INK = "#010203"  # stands for the text colour around, put in when all is drawn
WIDTH = 4.4  # inches, so that letters are readable where a phone's 350 pixels show all of it
COMMONEST = 30
ABREAST = 2  # panels in a row
LOGARITHMIC = ("training.learning_rate", "training.weight_decay")
TICKS = [digit * 10.0**power for power in range(-8, 3) for digit in (1, 3)]  # few enough for half a page's width
STYLE: Any = {  # matplotlib lists the names of its settings as literals, which a dict of texts is not
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "font.size": 9,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "mlob",
    "text.color": INK,
    "text.parse_math": False,  # a label may be called "$5 and $10"
    "xtick.color": INK,
    "ytick.color": INK,
}


def prevalence(names: Sequence[str], of_split: Mapping[str, np.ndarray]) -> str:
    """Draw how common each of the 30 commonest labels is, one dot a split.

    Args:
        names: of the labels.
        of_split: {split: share of its photos with each label (labels,)}; the last split's order counts.
    """
    order = np.argsort(-list(of_split.values())[-1], kind="stable")[:COMMONEST]
    rows = np.arange(len(order))
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(0.17 * len(order) + 0.7)
        drawn = np.stack([shares[order] for shares in of_split.values()])
        axes.hlines(rows, drawn.min(axis=0), drawn.max(axis=0), color=INK, alpha=0.3, linewidth=1)
        for share, colour, marker in zip(drawn, (BLUE, ORANGE), "os", strict=False):
            axes.scatter(share, rows, s=22, color=colour, marker=marker, zorder=3)
        axes.set_yticks(rows, [names[column] for column in order])
        axes.set(ylim=(len(order) - 0.4, -0.6), xlim=(0, None), xlabel="share of photos")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(axes.collections[1:], list(of_split), loc="lower right")
        return _svg(figure, "prevalence")


def f1_by_step(histories: Mapping[str, History]) -> str:
    """Draw micro-F1 on dev by training step (a logarithmic axis), one line a model."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(3.2)
        for number, (model, history) in enumerate(histories.items()):
            colour, line = COLOURS[number % len(COLOURS)], LINES[number // len(COLOURS) % len(LINES)]
            axes.plot(history.step, history.dev_micro_f1, color=colour, linestyle=line, linewidth=1.4, label=model)
        _log_x(axes, "{x:,.0f}")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.set(xlabel="training step", ylabel="micro-F1 on dev")
        figure.legend(loc="outside lower center", ncols=2)
        return _svg(figure, "f1-by-step")


def losses(histories: Mapping[str, History]) -> str:
    """Draw the loss on train and on dev by epoch, one panel a model."""
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(len(histories), 1.5)
        for axes, (model, history) in zip(panels, histories.items(), strict=False):
            axes.plot(history.epoch, history.loss, color=BLUE, label="train")
            axes.plot(history.epoch, history.dev_loss, color=ORANGE, linestyle="--", label="dev")
            axes.set(title=model, xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(4))
        panels[0].legend(loc="upper right")
        return _svg(figure, "losses")


def learning_curves(curves: Mapping[str, Sequence[Point]]) -> str:
    """Draw micro-F1 on dev and on the photos trained on by their number (a logarithmic axis), a panel a model."""
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(len(curves), 2.2)
        for axes, (model, points) in zip(panels, curves.items(), strict=False):
            rows, micro_f1 = [point.rows for point in points], [point.micro_f1 for point in points]
            low, high = [score.low for score in micro_f1], [score.high for score in micro_f1]
            axes.plot(rows, [point.seen for point in points], "s--", color=ORANGE, markersize=4, label="trained on")
            axes.plot(rows, [score.value for score in micro_f1], "o-", color=BLUE, markersize=4, label="dev")
            axes.fill_between(rows, low, high, color=BLUE, alpha=0.2, linewidth=0)
            _log_x(axes, "{x:,.0f}")
            axes.set(title=model, xlabel="photos")
        panels[0].set_ylabel("micro-F1")
        panels[0].legend(loc="lower right")
        return _svg(figure, "learning-curves")


def search(number: int, trials: Sequence[JudgedTrial]) -> str:
    """Draw a search: micro-F1 on dev by trial with the best so far, then by each field that was searched.

    Args:
        number: of the search among those on the page.
        trials: the first one is the recipe as it is; a trial that was stopped early is hollow.
    """
    fields = list(trials[-1].values)
    score = np.array([trial.dev_micro_f1 for trial in trials], float)
    complete = np.array([trial.figure is not None for trial in trials])
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(1 + len(fields), 1.9, sharey=True)
        _by_trial(panels[0], score, complete)
        for axes, field in zip(panels[1:], fields, strict=False):
            _by_field(axes, field, [trial.values[field] for trial in trials], score, complete)
        for axes in panels:
            axes.axhline(score[0], color=INK, alpha=0.4, linestyle="--", linewidth=1)
        return _svg(figure, f"search-{number}")


def _by_trial(axes: Axes, score: np.ndarray, complete: np.ndarray) -> None:
    """Draw trials in order, with the best so far; the poorest tenth of those that ran to their end is cut off."""
    low = np.quantile(score[complete], 0.1) if complete.sum() > 1 else score[0]
    room = max(score[complete].max() - low, 1e-3)
    best = np.maximum.accumulate(np.where(complete, score, 0))
    axes.step(np.arange(len(score)), best, where="post", color=PURPLE)
    _dots(axes, np.arange(len(score)), score, complete)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set(xlabel="trial", ylabel="micro-F1 on dev", ylim=(low - room, low + 1.2 * room))


def _by_field(axes: Axes, field: str, values: list[Any], score: np.ndarray, complete: np.ndarray) -> None:
    _dots(axes, values, score, complete)
    if field in LOGARITHMIC:
        _log_x(axes, "{x:g}")
        axes.xaxis.set_major_locator(FixedLocator(TICKS))
        axes.set_xlim(min(values) / 2, max(values) * 2)
    axes.set_xlabel(field)
    axes.tick_params(axis="x", labelrotation=30 if isinstance(values[0], str) or field in LOGARITHMIC else 0)


def f1_by_frequency(counts: Sequence[int], f1: Sequence[float]) -> str:
    """Draw each label's F1 against the number of train photos with it (a logarithmic axis that holds zero).

    Args:
        counts: one a label.
        f1: one a label, in [0, 1].
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(2.9)
        axes.scatter(counts, f1, s=20, color=BLUE, alpha=0.8, linewidth=0)
        axes.set_xscale("symlog", linthresh=1, linscale=0.3)
        axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set(xlim=(0.8 * min(counts) or -0.15, 1.25 * max(counts) or 1), ylim=(-0.03, 1.03))
        axes.set(xlabel="photos of train with the label", ylabel="F1, cross-fitted")
        return _svg(figure, "f1-by-frequency")


def methods(names: Sequence[str], scores: Sequence[Score], headline: int, title: str) -> str:
    """Draw the figure of every row with its 95% interval, and its in-sample figure as a hollow dot.

    Args:
        names: in the order of the table of results.
        scores: one a name.
        headline: position of the row to set apart.
        title: of the metric.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(0.2 * len(names) + 0.8)
        for number, f1 in enumerate(scores):
            colour, marker = (ORANGE, "D") if number == headline else (BLUE, "o")
            axes.hlines(number, f1.low, f1.high, color=colour, linewidth=1.6)
            axes.plot(f1.in_sample, number, "o", color=INK, markersize=5, markerfacecolor="none", alpha=0.6)
            axes.plot(f1.value, number, marker, color=colour, markersize=5)
        marked = [f"{name} (headline)" if number == headline else name for number, name in enumerate(names)]
        axes.set_yticks(range(len(names)), marked)
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=title)
        return _svg(figure, "methods")


def gains(names: Sequence[str], intervals: Sequence[Interval], title: str) -> str:
    """Draw each model's gain in the metric of this title with its 95% interval, and a line at no gain.

    An interval above the line is blue, one below it orange; one that contains it has the colour of the text.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(0.2 * len(names) + 0.8)
        axes.axvline(0, color=INK, alpha=0.4, linestyle="--", linewidth=1)
        for number, gain in enumerate(intervals):
            colour = BLUE if gain.low > 0 else ORANGE if gain.high < 0 else INK
            axes.hlines(number, gain.low, gain.high, color=colour, linewidth=1.6)
            axes.plot(gain.value, number, "o", color=colour, markersize=5)
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=f"gain in {title}")
        return _svg(figure, "gains")


def convergence(fitness: Sequence[float], title: str) -> str:
    """Draw the swarm's best figure so far, of the metric of this title, on the photos it is fitted on, by iteration."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(2.2)
        axes.step(np.arange(1, len(fitness) + 1), fitness, where="post", color=PURPLE, linewidth=1.6)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.set(xlabel="iteration", ylabel=f"best {title} so far")
        return _svg(figure, "convergence")


def reliability(bins: Sequence[Bin]) -> str:
    """Draw how often labels are true by probability, beside it how many decisions each bin holds.

    The diagonal is perfect calibration.
    """
    predicted, observed = [each.predicted for each in bins], [each.observed for each in bins]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3), layout="constrained")
        axes, beside = figure.subplots(1, 2)
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.4, linestyle="--", linewidth=1)
        axes.plot(predicted, observed, "o-", color=BLUE, markersize=5, linewidth=1.4)
        axes.set(xlabel="probability", ylabel="share of labels that are true", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        beside.bar(predicted, [each.count for each in bins], width=0.05, color=BLUE, alpha=0.6, log=True)
        beside.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        beside.set(xlabel="probability", ylabel="decisions", xlim=(-0.05, 1.05))
        return _svg(figure, "reliability")


def _sheet(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _panels(count: int, height: float, sharey: bool = False) -> tuple[Figure, np.ndarray]:
    """Lay out panels, ABREAST in a row."""
    rows = -(-count // ABREAST)
    figure = Figure(figsize=(WIDTH, height * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, ABREAST, squeeze=False, sharey=sharey).ravel()
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def _log_x(axes: Axes, form: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter(form))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _dots(axes: Axes, values: Sequence[Any] | np.ndarray, score: np.ndarray, complete: np.ndarray) -> None:
    """Draw trials: blue, the first one orange, those that were stopped hollow."""
    values = np.array(values, object)
    axes.scatter(values[~complete], score[~complete], s=14, facecolor="none", edgecolor=INK, alpha=0.5)
    axes.scatter(values[complete], score[complete], s=14, color=BLUE)
    axes.scatter(values[:1], score[:1], s=24, color=ORANGE, marker="D", zorder=3)


def _svg(figure: Figure, name: str) -> str:
    """Render a figure: the SVG element alone, as wide as its place, in the text's colour, ids prefixed."""
    buffer = io.StringIO()
    with warnings.catch_warnings(action="ignore"):  # of letters that the measuring font lacks: the page's own has them
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    _, opening, rest = re.split(r"(<svg[^>]*>)", buffer.getvalue(), maxsplit=1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return re.sub(r"<[^>]*>", lambda tag: _placed(tag[0], name), opening + rest)


def _placed(tag: str, name: str) -> str:
    """Give a tag its figure's ids and the text's colour; the texts between the tags, which are names, stay."""
    return re.sub(r'(\sid="|="#|url\(#)', rf"\g<1>{name}-", tag).replace(INK, "currentColor")

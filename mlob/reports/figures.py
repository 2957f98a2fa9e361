"""Figures as SVG text, to stand inside a page: the only door to matplotlib.

Text and axes take the colour of the text around them, so that a figure reads on light and on dark paper; the
other colours are Okabe and Ito's (2008, "Color Universal Design"; the blue a little lighter, for dark paper),
told apart by people with any colour vision. Every id in an SVG starts with the figure's name: several share a
page. Equal data give equal bytes.
"""

import io
import re
import warnings
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
    StrMethodFormatter,
    SymmetricalLogLocator,
)

BLUE, ORANGE, GREEN, PURPLE = "#1F83C4", "#D55E00", "#009E73", "#CC79A7"
COLOURS, LINES = (BLUE, ORANGE, GREEN, PURPLE), ("-", "--", ":", "-.")
INK = "#010203"  # stands for the text colour around, put in when all is drawn
WIDTH = 4.4  # inches, so that letters are readable where a phone's 350 pixels show all of it
COMMONEST = 30
ABREAST = 2  # panels in a row
LOGARITHMIC = ("training.learning_rate", "training.weight_decay")
STYLE: Any = {
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


def label_shares(names, shares):
    """Draw the share of photos on which each of the 30 commonest labels stands, one dot a split.

    Args:
        names: texts (labels,).
        shares: {split: (labels,) in [0, 1]}; the last split's order counts.
    """
    order = np.argsort(-np.asarray(list(shares.values())[-1]), kind="stable")[:COMMONEST]
    rows = np.arange(len(order))
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(0.17 * len(order) + 0.7)
        drawn = np.stack([np.asarray(share)[order] for share in shares.values()])
        axes.hlines(rows, drawn.min(axis=0), drawn.max(axis=0), color=INK, alpha=0.3, linewidth=1)
        for share, colour, marker in zip(drawn, (BLUE, ORANGE), "os", strict=False):
            axes.scatter(share, rows, s=22, color=colour, marker=marker, zorder=3)
        axes.set_yticks(rows, [names[column] for column in order])
        axes.set(ylim=(len(order) - 0.4, -0.6), xlim=(0, None), xlabel="share of photos")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(axes.collections[1:], shares, loc="lower right")
        return _svg(figure, "label-shares")


def f1_by_step(histories):
    """Draw micro-F1 on dev by training step (a logarithmic axis), one line a model.

    Args:
        histories: {model: {"step", "dev_micro_f1": (epochs,)}}.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(3.2)
        for number, (model, history) in enumerate(histories.items()):
            colour, line = COLOURS[number % len(COLOURS)], LINES[number // len(COLOURS) % len(LINES)]
            axes.plot(
                history["step"], history["dev_micro_f1"], color=colour, linestyle=line, linewidth=1.4, label=model
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="training step", ylabel="micro-F1 on dev")
        figure.legend(loc="outside lower center", ncols=2)
        return _svg(figure, "f1-by-step")


def losses(histories):
    """Draw the loss on train and on dev by epoch, one panel a model.

    Args:
        histories: {model: {"epoch", "loss", "dev_loss": (epochs,)}}.
    """
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(len(histories), 1.5)
        for axes, (model, history) in zip(panels, histories.items(), strict=False):
            axes.plot(history["epoch"], history["loss"], color=BLUE, label="train")
            axes.plot(history["epoch"], history["dev_loss"], color=ORANGE, linestyle="--", label="dev")
            axes.set(title=model, xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(4))
        panels[0].legend(loc="upper right")
        return _svg(figure, "losses")


def learning_curves(curves):
    """Draw micro-F1 on dev and on the photos trained on by their number (a logarithmic axis), a panel a model.

    Args:
        curves: {model: a list of `curve.Point`}.
    """
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(len(curves), 2.2)
        for axes, (model, points) in zip(panels, curves.items(), strict=False):
            rows, micro_f1 = [point.rows for point in points], [point.micro_f1 for point in points]
            low, high = [figure.low for figure in micro_f1], [figure.high for figure in micro_f1]
            axes.plot(rows, [point.seen for point in points], "s--", color=ORANGE, markersize=4, label="trained on")
            axes.plot(rows, [figure.value for figure in micro_f1], "o-", color=BLUE, markersize=4, label="dev")
            axes.fill_between(rows, low, high, color=BLUE, alpha=0.2, linewidth=0)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set(title=model, xlabel="photos")
        panels[0].set_ylabel("micro-F1")
        panels[0].legend(loc="lower right")
        return _svg(figure, "learning-curves")


def search(number, trials):
    """Draw a search: micro-F1 on dev by trial with the best so far, then by each field that was searched.

    Args:
        number: of the search among those on the page.
        trials: `JudgedTrial`s, the first one the recipe as it is; a trial that was stopped early is hollow.
    """
    fields = list(trials[-1].values)
    score = np.array([trial.dev_micro_f1 for trial in trials])
    complete = np.array([trial.micro_f1 is not None for trial in trials])
    low = np.quantile(score[complete], 0.1) if complete.sum() > 1 else score[0]
    room = max(score[complete].max() - low, 1e-3)
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(1 + len(fields), 1.9, sharey=True)
        panels[0].step(
            np.arange(len(trials)), np.maximum.accumulate(np.where(complete, score, 0)), where="post", color=PURPLE
        )
        _dots(panels[0], np.arange(len(trials)), score, complete)
        panels[0].set(xlabel="trial", ylabel="micro-F1 on dev", ylim=(low - room, low + 1.2 * room))
        for axes, field in zip(panels[1:], fields, strict=False):
            values = [trial.values[field] for trial in trials]
            _dots(axes, values, score, complete)
            if field in LOGARITHMIC:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
                axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel(field)
            axes.tick_params(axis="x", labelrotation=30 if isinstance(values[0], str) else 0)
        for axes in panels:
            axes.axhline(score[0], color=INK, alpha=0.4, linestyle="--", linewidth=1)
        return _svg(figure, f"search-{number}")


def f1_by_frequency(counts, f1):
    """Draw each label's F1 against the photos of train that carry it (a logarithmic axis that holds zero).

    Args:
        counts: integers (labels,).
        f1: floats (labels,) in [0, 1].
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


def methods(names, scores, chosen):
    """Draw micro-F1 of every row with its 95% interval, and as a hollow dot what it reaches in sample.

    Args:
        names: texts, in the order of the table of results.
        scores: `Score`s of micro-F1, one a name.
        chosen: position of the row to set apart.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(0.2 * len(names) + 0.8)
        for number, f1 in enumerate(scores):
            colour, marker = (ORANGE, "D") if number == chosen else (BLUE, "o")
            axes.hlines(number, f1.low, f1.high, color=colour, linewidth=1.6)
            axes.plot(f1.in_sample, number, "o", color=INK, markersize=5, markerfacecolor="none", alpha=0.6)
            axes.plot(f1.value, number, marker, color=colour, markersize=5)
        marked = [f"{name} (chosen)" if number == chosen else name for number, name in enumerate(names)]
        axes.set_yticks(range(len(names)), marked)
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="micro-F1")
        return _svg(figure, "methods")


def gains(names, intervals):
    """Draw each name's gain with its 95% interval beside the line of none; blue is above it, orange below, ink open.

    Args:
        names: texts.
        intervals: `Interval`s, one a name.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(0.2 * len(names) + 0.8)
        axes.axvline(0, color=INK, alpha=0.4, linestyle="--", linewidth=1)
        for number, gain in enumerate(intervals):
            colour = BLUE if gain.low > 0 else ORANGE if gain.high < 0 else INK
            axes.hlines(number, gain.low, gain.high, color=colour, linewidth=1.6)
            axes.plot(gain.value, number, "o", color=colour, markersize=5)
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="gain in micro-F1")
        return _svg(figure, "gains")


def convergence(history):
    """Draw the swarm's best micro-F1 (on the photos it is fitted on) by iteration."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _sheet(2.2)
        axes.step(np.arange(1, len(history) + 1), history, where="post", color=PURPLE, linewidth=1.6)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.set(xlabel="iteration", ylabel="best micro-F1 so far")
        return _svg(figure, "convergence")


def reliability(bins):
    """Draw what is true against what is said, with the diagonal of perfect calibration, and how many are said it of.

    Args:
        bins: [{count, said, true}], as `diagnosis.reliability` gives them.
    """
    said, true, count = ([held[key] for held in bins] for key in ("said", "true", "count"))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3), layout="constrained")
        axes, beside = figure.subplots(1, 2)
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.4, linestyle="--", linewidth=1)
        axes.plot(said, true, "o-", color=BLUE, markersize=5, linewidth=1.4)
        axes.set(xlabel="probability", ylabel="share that is true", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        beside.bar(said, count, width=0.05, color=BLUE, alpha=0.6, log=True)
        beside.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        beside.set(xlabel="probability", ylabel="decisions", xlim=(-0.05, 1.05))
        return _svg(figure, "reliability")


def _sheet(height):
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _panels(count, height, **shared):
    """Lay out panels, ABREAST in a row."""
    rows = -(-count // ABREAST)
    figure = Figure(figsize=(WIDTH, height * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, ABREAST, squeeze=False, **shared).ravel()
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def _dots(axes, values, score, complete):
    """Draw trials: blue, the first one orange, those that were stopped hollow."""
    values = np.array(values, object)
    axes.scatter(values[~complete], score[~complete], s=14, facecolor="none", edgecolor=INK, alpha=0.5)
    axes.scatter(values[complete], score[complete], s=14, color=BLUE)
    axes.scatter(values[:1], score[:1], s=24, color=ORANGE, marker="D", zorder=3)


def _svg(figure, name):
    """Render a figure: the SVG element alone, as wide as its place, in the text's colour, ids prefixed."""
    buffer = io.StringIO()
    with warnings.catch_warnings(action="ignore"):  # of letters that the measuring font lacks: the page's own has them
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
        )
    _, opening, rest = re.split(r"(<svg[^>]*>)", buffer.getvalue(), maxsplit=1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return re.sub(r"<[^>]*>", lambda tag: _placed(tag[0], name), opening + rest)


def _placed(tag, name):
    """Give a tag its figure's ids and the text's colour; the texts between the tags, which are names, stay."""
    return re.sub(r'(\sid="|="#|url\(#)', rf"\g<1>{name}-", tag).replace(INK, "currentColor")

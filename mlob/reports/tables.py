"""The table of results, in the manner of MLoB's Table 1 (method, F1, parameters), from files alone."""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from mlob import workspace
from mlob.ensemble.measures import title
from mlob.ensemble.methods import BEST_SINGLE, CONSTANT, METHODS, WEIGHTINGS
from mlob.errors import InputError
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.judge import ENSEMBLE
from mlob.evaluation.scores import Score
from mlob.recipes import Experiment, Metric, Sum
from mlob.reports import columns
from mlob.runs import ensemble as ensembles
from mlob.runs import repeats, results
from mlob.runs.dev import Comparison
from mlob.runs.results import EnsembleResult, MethodResult, Parameters, Result, Seconds

STACKED = METHODS.keys() - {BEST_SINGLE, *WEIGHTINGS}  # they take in all members, without weights
KINDS = ("constant", "model", "method", "ensemble")
HEADERS = (
    *("method", "{figure}", "95% interval", "in-sample", "{beside}", "thresholds"),
    *("parameters (M)", "features (s)", "training (s)", "weights", "note"),
)
NOT_COMPARED = "Recipes are not compared on dev: fewer than two of its photos are common to all models.\n"
BRIEF = ("method", "{figure}", "95% interval", "{beside}", "thresholds", "weights")
FEW = 5  # rows beside the ensemble's that are shown on a terminal unless all are asked for
DEV_HEADERS = ("model", "{figure} on dev", "95% interval", "gain", "95% interval of the gain")
NETWORK_HEADERS = (
    *("network", "reads", "{figure}", "95% interval", "parameters (M)", "features (s)", "training (s)"),
    *("weights", "its original reported"),
)
BESIDE = ("macro_f1", "micro_f1")  # stands beside the figure of any metric; the second where that is the first


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table: a model, a method of the ensemble at one rule, or the ensemble by its nested decisions.

    Attributes:
        kind: one of KINDS.
        method, thresholds: names of the model or the method, and of the rule.
        is_aside: whether it is a method at another rule than the one that was fixed in advance. Such rows stand in a
            table of their own: the best of several rules would flatter a method.
        members: that it is made of; a model is made of itself.
        weights: {member: weight} of an ensemble's method; where a model's backbones have theirs from.
        processor: that a model was trained on.
        random: the members whose backbone has random weights, which never learned from any photo.
        top_1: {task: its top-1} of a model.
        metric: that it is judged by.
    """

    kind: str
    method: str
    thresholds: str
    scores: dict[str, Score]
    parameters: Parameters
    seconds: Seconds
    members: tuple[str, ...]
    weights: dict[str, float] | str
    note: str = ""
    processor: str = ""
    random: tuple[str, ...] = ()
    top_1: dict[str, Interval] = dataclasses.field(default_factory=dict)
    is_aside: bool = False
    metric: Metric = Metric()  # noqa: RUF009  it is frozen

    @property
    def figure(self) -> Score:
        """The score that rows are sorted by."""
        return self.scores[self.metric.name]

    @property
    def beside(self) -> str:
        """The metric that stands beside it."""
        return BESIDE[self.metric.name == BESIDE[0]]

    @property
    def full_name(self) -> str:
        """A method and its thresholds."""
        return f"{self.method}, {self.thresholds}"

    @property
    def name(self) -> str:
        """The name alone, since one rule decides all first rows; that of a row aside with its thresholds."""
        return self.full_name if self.is_aside else self.method


def rows(folder: pathlib.Path) -> list[Row]:
    """Read the results of runs/<suite>: constant, then models, then methods, each by rising figures, then the ensemble.

    A member's run folder that was copied in counts like any other; ensemble.json may be missing.

    Raises:
        InputError: no result at all, or one that is unreadable or lacks a key.
    """
    models = [_of_model(results.read(path.parent)) for path in sorted(folder.glob(f"*/{workspace.RESULT}"))]
    random = {row.method for row in models if row.random}
    ensemble = results.read_ensemble(folder / "ensemble")
    methods = _of_ensemble(ensemble, random) if ensemble else []
    if not (models or methods):
        raise InputError(f"{folder} holds no results (<model>/result.json): run `make train` or `make ensemble` first.")
    return sorted([*models, *methods], key=lambda row: (KINDS.index(row.kind), row.figure.value))


def first(rows: Sequence[Row]) -> list[Row]:
    """Take the rows that a reader meets first: each method once, at the rule that was fixed in advance."""
    return [row for row in rows if not row.is_aside]


def _of_model(result: Result) -> Row:
    # a head over two stores names the weights of both
    random = (result.method,) if "random" in re.split(r"[\s,+]+", result.weights) else ()
    return Row(
        "model",
        result.method,
        result.thresholds,
        result.scores,
        result.parameters,
        result.seconds,
        members=(result.method,),
        weights=result.weights,
        note=result.note,
        processor=result.processor,
        random=random,
        top_1={task.group: task.scores["top_1"] for task in result.tasks},
        metric=result.metric,
    )


def _of_ensemble(ensemble: EnsembleResult, random: set[str]) -> list[Row]:
    """Give a row to each method at each rule, and to the ensemble, whose cost and weights are the chosen method's."""
    chosen = ensemble.chosen
    methods = [_of_method(method, chosen.fixed.thresholds, random, ensemble.metric) for method in ensemble.methods]
    name = f"decides by {chosen.method}" + ("" if chosen.is_fixed else f", not by {chosen.fixed.name}")
    return methods + [
        dataclasses.replace(row, kind="ensemble", method=ENSEMBLE, scores=ensemble.headline, note=name, is_aside=False)
        for row in methods
        if (row.method, row.thresholds) == (chosen.method, chosen.thresholds)
    ]


def _of_method(result: MethodResult, rule: str, random: set[str], metric: Metric) -> Row:
    """Give a row to a method; `rule` is the one that was fixed in advance."""
    members = tuple(name for name, weight in result.weights.items() if weight > 0)
    is_constant = result.method == CONSTANT
    return Row(
        "constant" if is_constant else "method",
        result.method,
        result.thresholds,
        result.scores,
        result.parameters,
        result.seconds,
        members=members,
        weights=result.weights,
        random=tuple(sorted(random.intersection(members))),
        is_aside=not is_constant and result.thresholds != rule,
        metric=metric,
    )


def aligned(rows: Sequence[Row]) -> str:
    """Align the rows in plain columns, as wide as they need to be: for a file or a pipe, never cut."""
    return columns.aligned(_named(HEADERS, rows[-1].metric), [_cells(row) for row in rows])


def brief(rows: Sequence[Row]) -> str:
    """Align the few highest rows of `first` and the ensemble, which stands last, and say how many there are."""
    ensemble = [row for row in rows if row.kind == "ensemble"]
    others = sorted((row for row in first(rows) if row.kind != "ensemble"), key=lambda row: row.figure.value)
    shown = others[-FEW:] + ensemble
    cells = [[cell for header, cell in zip(HEADERS, _cells(row), strict=True) if header in BRIEF] for row in shown]
    last = ", the ensemble last" if ensemble else ""
    told = f"The best {len(shown)} of {len(rows)}{last}. The page shows all, and so does --verbose."
    return f"{columns.aligned(_named(BRIEF, shown[-1].metric), cells)}{told}\n"


def dev_aligned(compared: Comparison | None, most: int | None = None) -> str:
    """Align models compared on dev in plain columns, with a sentence on how to read it.

    Args:
        most: models that are shown, the best first; all where None.
    """
    if not compared:
        return NOT_COMPARED
    return (
        f"{columns.aligned(_named(DEV_HEADERS, compared.metric), _dev_cells(compared)[:most])}{_dev_note(compared)}\n"
    )


def markdown(rows: Sequence[Row], ensemble: EnsembleResult | None = None) -> str:
    """Give the README's block: the models, each method at the rule fixed in advance, the ensemble and its verdict."""
    where = "; ".join(processors(rows)) or "not known"
    table = columns.piped(_named(HEADERS, rows[-1].metric), [_cells(row) for row in first(rows)])
    headline = f"{_headline(ensemble)} " if ensemble else ""
    return f"{table}\n\n{headline}All figures are cross-fitted on validation. Processor: {where}.\n"


def dev_markdown(compared: Comparison | None) -> str:
    """Give models compared on dev as a block for a Markdown file."""
    if not compared:
        return NOT_COMPARED
    return f"{columns.piped(_named(DEV_HEADERS, compared.metric), _dev_cells(compared))}\n\n{_dev_note(compared)}\n"


def networks_markdown(rows: Sequence[Row], networks: Mapping[str, Experiment]) -> str:
    """Give whole networks, and the heads that they begin with, as a block: those of the rows that are among them.

    Args:
        rows: as of `rows`.
        networks: {model: its recipe}.
    """
    shown = [row for row in rows if row.kind == "model" and row.method in networks]
    cells = [_network_cells(row, networks[row.method]) for row in shown]
    where = "; ".join(processors(shown)) or "not known"
    metric = rows[-1].metric if rows else Metric()
    return (
        f"{columns.piped(_named(NETWORK_HEADERS, metric), cells)}\n\nFigures are cross-fitted on validation, at one "
        f"threshold. Processor: {where}.\n"
    )


def task_aligned(compared: repeats.Comparison) -> str:
    """Align models compared by a task in plain columns, with a sentence on how to read it."""
    return f"{columns.aligned(*columns.of_lines(map(_task_cells, compared.models)))}{_task_note(compared)}\n"


def task_markdown(
    compared: repeats.Comparison,
    rows: Sequence[Row],
    recipes: Mapping[str, Experiment | Sum],
    ensemble: EnsembleResult | None,
) -> str:
    """Give models compared by a task as a block for a Markdown file.

    Args:
        compared: the models.
        rows: as of `rows`.
        recipes: {model: its recipe}.
        ensemble: of the suite's members.
    """
    row_of = {row.method: row for row in rows if row.kind == "model"}
    lines = [_task_cells(each) | _origin(row_of[each.model], recipes[each.model]) for each in compared.models]
    where = "; ".join(processors([row_of[each.model] for each in compared.models])) or "not known"
    told = " ".join(
        filter(None, [_task_note(compared), _task_of_ensemble(compared.task, ensemble), f"Processor: {where}."])
    )
    return f"{columns.piped(*columns.of_lines(lines))}\n\n{told}\n"


def _task_of_ensemble(task: str, ensemble: EnsembleResult | None) -> str:
    """Tell how an ensemble does on a task; empty where it does not learn it."""
    for own in ensemble.tasks if ensemble else []:
        if ensemble and own.group == task:
            top_1 = own.scores["top_1"]
            return f"The ensemble of {', '.join(ensemble.members)} has {top_1.value:.3f} ({top_1}), out of fold."
    return ""


def _origin(row: Row, recipe: Experiment | Sum) -> dict[str, str]:
    return {
        "parameters (M)": f"{row.parameters.own / 1e6:.2f}",
        "training (s)": f"{row.seconds.training:,.0f}",
        "its original reported": recipe.reported,
        "here instead": recipe.differs,
    }


def processors(rows: Iterable[Row]) -> list[str]:
    """List the processors that the models were trained on, each once."""
    return sorted({row.processor for row in rows if row.processor})


def _headline(ensemble: EnsembleResult) -> str:
    chosen, figure = ensemble.chosen, ensemble.figure
    verdicts = [
        f"{pair.gain.value:+.4f} ({pair.gain.low:+.4f} to {pair.gain.high:+.4f}) on {pair.against}"
        for pair in ensembles.beside(ensemble)
    ]
    gains = f"It gains {' and '.join(verdicts)}, on the same photos. " if verdicts else ""
    return (
        f"The ensemble has {ensemble.title} {figure.value:.3f} ({figure}): each photo is decided by what is chosen and "
        f"fitted on other photos. {gains}New photos are decided by {chosen.method} with {chosen.thresholds}"
        f"{', as fixed in advance' if chosen.is_fixed else f', clearly better than {chosen.fixed.name}'}. "
        "Methods stand at the rule of thresholds that was fixed in advance."
    )


def _named(headers: Sequence[str], metric: Metric) -> list[str]:
    """Name the columns of a metric, and of the one that stands beside it."""
    beside = "micro-F1" if metric.name == BESIDE[0] else "macro-F1"
    return [header.format(figure=title(metric), beside=beside) for header in headers]


def _dev_cells(compared: Comparison) -> list[list[str]]:
    return [
        [
            model.model,
            f"{model.figure.value:.3f}",
            str(model.figure),
            f"{model.gain.value:+.3f}",
            f"{model.gain.low:+.3f} to {model.gain.high:+.3f}",
        ]
        for model in compared.models
    ]


def _dev_note(compared: Comparison) -> str:
    return (
        f"Measured on the {compared.photos:,} dev photos, on which no weights were fitted, at calibrated thresholds, "
        f"cross-fitted. The gain is over {compared.against}, on the same photos. Choose a recipe here, then look at "
        "validation."
    )


def _task_cells(each: repeats.Compared) -> dict[str, str]:
    return {
        "model": each.model,
        "trainings": str(each.trainings),
        "top-1": f"{each.top_1.value:.3f}",
        "95% interval": str(each.top_1),
        "deviation": f"{each.top_1.deviation:.4f}" if each.trainings > 1 else "",
        "gain": f"{each.gain.value:+.4f}",
        "95% interval of the gain": f"{each.gain.low:+.4f} to {each.gain.high:+.4f}",
        "top-5": f"{each.top_5.value:.3f}",
        "top-1 on test": f"{each.on_test.value:.3f} ({each.on_test})" if each.on_test else "",
    }


def _task_note(compared: repeats.Comparison) -> str:
    of_test = f", and of {compared.on_test:,} test photos" if compared.on_test else ""
    return (
        f"The likeliest {compared.task} of {compared.photos:,} validation photos{of_test}: no threshold takes part. "
        "Figures are "
        "means over trainings with other seeds, their deviation is the standard deviation, and intervals are over "
        f"photos and seeds. The gain is in top-1, over {compared.against}, on the same photos."
    )


def _cells(row: Row) -> list[str]:
    return [
        row.method,
        f"{row.figure.value:.3f}",
        str(row.figure),
        f"{row.figure.in_sample:.3f}",
        f"{row.scores[row.beside].value:.3f}",
        row.thresholds,
        f"{row.parameters.total / 1e6:.1f}",
        f"{row.seconds.features:,.1f}",
        f"{row.seconds.training:,.1f}",
        weights(row),
        row.note,
    ]


def _network_cells(row: Row, recipe: Experiment) -> list[str]:
    cells = dict(zip(HEADERS, _cells(row), strict=True))
    own = {"network": row.method, "reads": ", ".join(recipe.stores), "its original reported": recipe.reported}
    return [(cells | own)[header] for header in NETWORK_HEADERS]


def weights(row: Row) -> str:
    """Say where a model's backbone weights come from, or how much each member of an ensemble counts.

    RANDOM stands in capitals: such a backbone never learned from any photo.
    """
    if isinstance(row.weights, str):
        return "RANDOM" if row.random else row.weights
    flag = f" ({len(row.random)} RANDOM)" if row.random else ""
    if row.method in STACKED:
        return f"stacked{flag}"
    return _mixture({name: row.weights[name] for name in row.members}) + flag


def _mixture(weights: Mapping[str, float]) -> str:
    if len(weights) > 1 and max(weights.values()) - min(weights.values()) < 1e-9:
        return "equal weights"
    return ", ".join(f"{name} {weight:.2f}" if len(weights) > 1 else name for name, weight in weights.items())

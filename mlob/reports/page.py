"""The page of a suite: one HTML file that needs no network, made from the files in runs/<suite>."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Sequence

from mlob.data.facts import Facts
from mlob.ensemble import measures
from mlob.evaluation.judge import ENSEMBLE, Pair
from mlob.files import write_text
from mlob.labels import Labels
from mlob.recipes import Metric
from mlob.reports import drawn, histories, opening, papers, tables
from mlob.reports.drawn import Figure
from mlob.reports.histories import History
from mlob.reports.inside import Pictures
from mlob.reports.mistakes import Diagnosis
from mlob.reports.photos import Labelled
from mlob.reports.tables import Row
from mlob.reports.templating import data_uri, template
from mlob.runs import ensemble as ensembles
from mlob.runs import results
from mlob.runs.dev import Comparison
from mlob.runs.results import EnsembleResult

ROOM = 3_500_000  # bytes of photos, as text; the whole page stays below about 5 MB
MOST_LINES = 12
HEADINGS = {"image_f1": "Photo F1", "micro_f1": "Micro-F1"}  # of metrics whose names do not say it


@dataclasses.dataclass(frozen=True)
class Findings:
    """What the page shows beside the results in runs/<suite>.

    Attributes:
        facts: of the data set.
        diagnosis: what the ensemble gets wrong; without one the page has no such sections.
        comparison: of the models on dev; without one the page does not compare recipes.
        gallery: photos to show, the most telling first. They are taken until they fill 3.5 MB.
        inside: what networks look like inside; without any the page has no such section.
        task: the group of labels that the suite is about, with which the page then opens.
    """

    facts: Facts
    diagnosis: Diagnosis | None = None
    comparison: Comparison | None = None
    gallery: Iterable[Labelled] = ()
    inside: Sequence[Pictures] = ()
    task: str = ""


def write(path: pathlib.Path, folder: pathlib.Path, labels: Labels, findings: Findings) -> None:
    """Write the page, atomically; equal inputs give equal bytes.

    Args:
        path: of the HTML file.
        folder: runs/<suite>, with <model>/result.json, recipe.json, history.csv and ensemble/ensemble.json; what is
            missing is left out of the page.
        labels: of the data set.
        findings: what there is to show beside these files.

    Raises:
        InputError: no results, or a file among them that cannot be read.
    """
    rows, ensemble = tables.rows(folder), results.read_ensemble(folder / "ensemble")
    best, photos = _best(rows), _fitting(findings.gallery)
    scored, answered = ensemble.labels if ensemble else [], opening.answered(findings.task, rows, ensemble)
    html = template("page.html").render(
        suite=folder.name,
        rows=rows[::-1],
        first=tables.first(rows)[::-1],
        papers=papers.REPORTED if labels.ids == papers.LABELS and best.metric == Metric() else (),
        best=best,
        metric=measures.title(best.metric),
        titled=measures.heading(best.metric),
        meaning=measures.meaning(best.metric),
        opening=opening.tell(best.scores, scored, findings.facts, findings.diagnosis, answered),
        why=ensemble and opening.why(ensemble),
        metrics=_metrics(rows),
        above=_above(rows, best, ensemble),
        constant=next((row for row in rows[::-1] if row.kind == "constant"), None),
        random=sorted({name for row in rows if row.kind == "model" for name in row.random}),
        stacked=tables.STACKED,
        alone={row.method: row.figure.value for row in rows if row.kind == "model"},
        processors=tables.processors(rows),
        ensemble=ensemble,
        pairs=_pairs(rows, ensemble),
        beside=ensembles.beside(ensemble) if ensemble else [],
        tasks=ensemble.tasks if ensemble else [],
        groups=[*dict.fromkeys(group for row in rows[::-1] for group in row.top_1)],
        labels=scored,
        names=labels.unique_names(),
        figures=_figures(folder, rows, ensemble, labels, findings),
        searches=drawn.search(folder),
        compared=findings.comparison,
        facts=findings.facts,
        diagnosis=findings.diagnosis,
        photos=photos,
        inside=findings.inside,
        shown=_names_on(photos, labels),
    )
    write_text(path, html)


def _figures(
    folder: pathlib.Path, rows: list[Row], ensemble: EnsembleResult | None, labels: Labels, findings: Findings
) -> dict[str, Figure | None]:
    """Draw every figure that the files at hand allow, by the name that the templates know it by."""
    learned = _best_histories(histories.read(folder), rows)
    diagnosis, comparison = findings.diagnosis, findings.comparison
    return {
        "methods": drawn.methods(rows, _best(rows)),
        "gains": drawn.gains(comparison) if comparison else None,
        "f1_by_step": drawn.f1_by_step(learned) if learned else None,
        "losses": drawn.losses(learned) if learned else None,
        "curves": drawn.learning_curves(folder),
        "convergence": drawn.convergence(ensemble.swarm if ensemble else [], _best(rows).metric),
        "by_frequency": drawn.f1_by_frequency(ensemble.labels if ensemble else []),
        "reliability": drawn.reliability(diagnosis.reliability) if diagnosis else None,
        "prevalence": drawn.prevalence(labels, findings.facts),
    }


def _best_histories(learned: dict[str, History], rows: Sequence[Row]) -> dict[str, History]:
    """Take the models with the highest F1 whose lines can still be told apart, by name."""
    models = [row.method for row in rows[::-1] if row.kind == "model" and row.method in learned]
    return {model: learned[model] for model in sorted(models[:MOST_LINES])}


def _best(rows: Sequence[Row]) -> Row:
    """Find the row whose figure is the page's headline: the ensemble's; without one, the highest."""
    return max(rows, key=lambda row: (row.kind == "ensemble", row.figure.value))


def _above(rows: Sequence[Row], best: Row, ensemble: EnsembleResult | None) -> list[Row]:
    """List the rows that could not be chosen and are higher than the headline, which would read as a contradiction."""
    members = ensemble.members if ensemble else ()
    others = [row for row in rows if row.kind in ("constant", "model") and row.method not in members]
    return [row for row in others if row.figure.value > best.figure.value]


def _pairs(rows: Sequence[Row], ensemble: EnsembleResult | None) -> tuple[list[Pair], list[Pair]]:
    """Part the pairs: those between rows of the first table, and the others; the largest gain first."""
    pairs = sorted(ensemble.pairs if ensemble else [], key=lambda pair: -pair.gain.value)
    shown = {ENSEMBLE, *(row.full_name for row in tables.first(rows))}
    is_first = lambda pair: {pair.method, pair.against} <= shown  # noqa: E731
    return [*filter(is_first, pairs)], [*itertools.filterfalse(is_first, pairs)]


def _metrics(rows: Sequence[Row]) -> dict[str, str]:
    """Name the metrics that have a column of their own in the table of results: {metric: heading}."""
    shown = {rows[-1].metric.name, rows[-1].beside}
    others = dict.fromkeys(name for row in rows for name in row.scores if name not in shown)
    return {name: HEADINGS.get(name, name.replace("_", " ").capitalize()) for name in others}


def _fitting(gallery: Iterable[Labelled]) -> list[Labelled]:
    """Take photos of a gallery while there is room for their pictures."""
    fitting: list[Labelled] = []
    room = ROOM
    for labelled in gallery:
        room -= len(data_uri(labelled.photo.image or b""))
        if room < 0:
            break
        fitting.append(labelled)
    return fitting


def _names_on(photos: Iterable[Labelled], labels: Labels) -> list[str]:
    """Name the labels that some photo has or was given, sorted."""
    names = labels.unique_names()
    return sorted({names[column] for shown in photos for column in {*shown.photo.true, *shown.predicted}})

"""The report of a suite: one HTML file that needs no network, made from the files in runs/<suite>."""

import base64
import csv
import dataclasses
import math
import pathlib

import jinja2
import numpy as np
from markupsafe import Markup

from mlob import workspace
from mlob.errors import InputError
from mlob.files import read_record, write_text
from mlob.recipes import Experiment
from mlob.reports import figures, opening, papers, tables
from mlob.runs import curve, results, search

ROOM = 3_500_000  # bytes of photos, as text; the whole page stays below about 5 MB
BEST_TRIALS = 10
MOST_LINES = 12
HEADINGS = {"image_f1": "Photo F1"}  # of metrics whose names do not say it
CURVES = ("epoch", "loss", "dev_loss", "dev_micro_f1")


@dataclasses.dataclass(frozen=True)
class TrainedBy:
    """recipe.json of a model with a head, as far as it is read."""

    recipe: Experiment


def write(path, *, suite, folder, labels, facts, gallery=(), diagnosis=None, compared=None):
    """Write the report, atomically; equal inputs give equal bytes.

    Args:
        path: of the HTML file.
        suite: name of the suite.
        folder: runs/<suite>, with <model>/result.json, recipe.json, history.csv and ensemble/ensemble.json; what is
            missing is left out of the page.
        labels: a `Labels`.
        facts: what `facts.describe` gives.
        gallery: photos to show, the most telling first: {id, image (JPEG bytes or None), true, predicted
            (columns)}. They are taken until they fill 3.5 MB.
        diagnosis: what `report.diagnose` gives; without it the page says nothing of single mistakes.
        compared: what `evaluation.dev.compare` gives; without it the page does not compare recipes.

    Raises:
        InputError: no results, or a file among them that cannot be read.
    """
    folder = pathlib.Path(folder)
    rows, ensemble, photos = tables.rows(folder), results.read_ensemble(folder / "ensemble"), _fitting(gallery)
    models = [row for row in rows if row.kind == "model"]
    best = _chosen(rows, ensemble)
    html = _template().render(
        suite=suite,
        rows=rows[::-1],
        papers=papers.REPORTED if labels.ids == papers.LABELS else (),
        best=best,
        told=opening.tell(best.scores, ensemble.labels if ensemble else [], facts, diagnosis),
        why=ensemble and opening.why(ensemble),
        metrics=_metrics(rows),
        above=_above(rows, best, ensemble),
        constant=next((row for row in rows[::-1] if row.kind == "constant"), None),
        random=sorted({name for row in models for name in row.random}),
        alone={row.method: row.micro_f1.value for row in models},
        processors=tables.processors(rows),
        ensemble=ensemble,
        labels=ensemble.labels if ensemble else [],
        groups=ensemble.groups if ensemble else [],
        names=labels.names,
        shift=ensemble and ensemble.shift,
        figures=_figures(folder, rows, ensemble, labels, facts, diagnosis, compared),
        compared=compared,
        facts=facts,
        diagnosis=diagnosis,
        photos=photos,
        shown=_shown(photos, labels),
    )
    write_text(path, html)


def choose(targets, decided, *, per_label=3, most=150):
    """Choose photos to show so that every label that occurs is seen, rarest labels first.

    In each turn, every label that is still on no more photos than turns have passed gets one more: in the
    first, third, … turn one on which it was found if there is one, in the others one on which it was missed.
    So any first part of the result covers the labels evenly; with at most `most` labels none goes without.

    Args:
        targets, decided: 0/1 (n, labels).
        per_label: turns: photos a label gets at least, where it has as many.
        most: photos in all.

    Returns:
        Rows, integers (up to `most`,), in order of choice. Equal inputs give equal rows.
    """
    targets, decided = np.asarray(targets, bool), np.asarray(decided, bool)
    rarest_first = [label for label in np.argsort(targets.sum(axis=0), kind="stable") if targets[:, label].any()]
    chosen: list[int] = []
    for turn in range(per_label):
        for label in rarest_first:
            if len(chosen) < most and targets[chosen, label].sum() <= turn:
                left = np.setdiff1d(np.flatnonzero(targets[:, label]), chosen)
                wanted = left[decided[left, label] == (turn % 2 == 0)]
                chosen += [int(row) for row in (wanted if len(wanted) else left)[:1]]
    return np.array(chosen, np.int64)


def _template():
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = _data_uri
    return environment.get_template("page.html")


def _chosen(rows, ensemble):
    """Find the ensemble's choice among the rows; without one, the row with the best cross-fitted F1."""
    name = ensemble and (ensemble.chosen.method, ensemble.chosen.thresholds)
    best = max(rows, key=lambda row: row.micro_f1.value)
    return next((row for row in rows if row.kind != "model" and (row.method, row.thresholds) == name), best)


def _above(rows, best, ensemble):
    """List the rows that could not be chosen and are higher than the choice, which would read as a contradiction."""
    members = ensemble.members if ensemble else ()
    others = [row for row in rows if row.kind != "ensemble" and row.method not in members]
    return [row for row in others if row.micro_f1.value > best.micro_f1.value]


def _metrics(rows):
    """Name the metrics that stand in the table of results beside micro-F1 and macro-F1: {metric: heading}."""
    others = dict.fromkeys(name for row in rows for name in row.scores if name not in ("micro_f1", "macro_f1"))
    return {name: HEADINGS.get(name, name.replace("_", " ").capitalize()) for name in others}


# Photos


def _data_uri(image):
    return f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"


def _fitting(gallery):
    """Take photos of a gallery while there is room for their pictures."""
    photos, room = [], ROOM
    for photo in gallery:
        room -= len(_data_uri(photo["image"] or b""))
        if room < 0:
            break
        photos.append(photo)
    return photos


def _shown(photos, labels):
    """Name the labels that some photo has or was given, sorted."""
    return sorted({labels.names[column] for photo in photos for column in {*photo["true"], *photo["predicted"]}})


# Figures


def _figures(folder, rows, ensemble, labels, facts, diagnosis, compared):
    """Draw every figure that the files at hand allow: {name: {title, caption, svg}, or None}."""
    histories = _best(_histories(folder), rows)
    return {
        "methods": _methods(rows, ensemble),
        "gains": compared and _gains(compared),
        "f1_by_step": histories and _f1_by_step(histories),
        "losses": histories and _losses(histories),
        "curves": _curves(folder),
        "searches": _searches(folder),
        "convergence": _convergence(ensemble),
        "by_frequency": _by_frequency(ensemble),
        "reliability": diagnosis and _reliability(diagnosis["reliability"]),
        "label_shares": _label_shares(labels, facts),
    }


def _figure(title, caption, svg):
    return {"title": title, "caption": caption, "svg": Markup(svg)}


def _methods(rows, ensemble):
    best = _chosen(rows, ensemble)
    shown = [row for row in tables.best_rules(rows)[::-1] if row.kind != "constant" or row is best]
    caption = (
        "Micro-F1 on validation, of each method with its best rule: a filled mark is cross-fitted, with its 95% "
        "interval over photos; a hollow one is what the same method reaches on the photos it was fitted on, which "
        "flatters it."
    )
    svg = figures.methods([row.name for row in shown], [row.micro_f1 for row in shown], shown.index(best))
    return _figure("Methods compared", caption, svg)


def _gains(compared):
    caption = (
        f"Micro-F1 on dev less that of {compared.against}, on the same photos, with 95% intervals: where one holds "
        "zero, the two recipes cannot be told apart."
    )
    svg = figures.gains([model.model for model in compared.models], [model.gain for model in compared.models])
    return _figure("Gains on dev", caption, svg)


def _label_shares(labels, facts):
    shares = {
        split: np.divide(facts["counts"][split], facts["splits"][split]["photos"])
        for split in ("train", "validation")
        if split in facts["counts"]
    }
    if not shares:
        return None
    caption = "The share of photos that carry each of the 30 commonest labels; a long bar is a shift."
    return _figure("Labels in train and validation", caption, figures.label_shares(labels.names, shares))


def _by_frequency(ensemble):
    labels = [label for label in ensemble.labels if label.validation] if ensemble else []
    if not labels:
        return None
    caption = "Each dot is a label that validation shows: how often train shows it, and how well it is found."
    svg = figures.f1_by_frequency([label.train for label in labels], [label.f1 for label in labels])
    return _figure("F1 of a label against its frequency", caption, svg)


def _f1_by_step(histories):
    caption = (
        "Micro-F1 on dev after each epoch, by the training steps done; validation is not looked at here. Of more than "
        "12 models the best are shown."
    )
    return _figure("F1 by training step", caption, figures.f1_by_step(histories))


def _losses(histories):
    return _figure("Loss", "Loss on train and on dev after each epoch.", figures.losses(histories))


def _curves(folder):
    """Draw the learning curves that were made."""
    found = {
        path.parts[-3]: curve.read(path).points
        for path in sorted(folder.glob(f"*/{workspace.CURVE_FOLDER}/{workspace.CURVE}"))
    }
    if not found:
        return None
    caption = (
        "Micro-F1 by the number of photos trained on: on dev, with its 95% interval, and on the photos themselves. "
        "Where the line of dev still rises, more photos help; where the two lines meet below 1, a better model is "
        "wanted."
    )
    return _figure("Learning curves", caption, figures.learning_curves(found))


def _searches(folder):
    """Draw each search that was made, with the trials that ran to their end, the best first."""
    paths = sorted(folder.glob(f"*/{workspace.SEARCH_FOLDER}/{workspace.SEARCH}"))
    return [_search(number, path.parts[-3], search.read(path)) for number, path in enumerate(paths, start=1)]


def _search(number, model, found):
    caption = (
        "Micro-F1 on dev of each trial, then by the field's value; hollow trials were stopped early, the diamond and "
        "the dashed line are the recipe as it was. Read it for which fields matter: its highest point is high by "
        "luck, too."
    )
    drawn = _figure(f"Search: {model}", caption, figures.search(number, found.trials))
    best = sorted((trial for trial in found.trials if trial.micro_f1), key=lambda trial: -trial.micro_f1.value)
    return {"found": found, "model": model, "figure": drawn, "shown": best[:BEST_TRIALS]}


def _reliability(found):
    caption = (
        "All decisions on validation in ten bins by their probability: what was said, and what is true. Below the "
        "dashed line the ensemble is too sure. To the right, how many decisions each bin holds (a logarithmic axis)."
    )
    return _figure("Reliability", caption, figures.reliability(found["bins"]))


def _convergence(ensemble):
    history = ensemble.swarm if ensemble else []
    if not history or min(history) == max(history):
        return None
    caption = "The best micro-F1 that any particle had found, on the photos that the weights are fitted on."
    return _figure("The swarm's search for member weights", caption, figures.convergence(history))


def _histories(folder):
    """Read the history of every model that has epochs: {model: {column, and "step": (epochs,)}}."""
    found = {path.parent.name: _history(path) for path in sorted(folder.glob("*/history.csv"))}
    return {
        model: history | {"step": [epoch * _steps(folder / model) for epoch in history["epoch"]]}
        for model, history in found.items()
        if history["epoch"]
    }


def _best(histories, rows):
    """Take the models with the highest F1 whose lines can still be told apart, by name."""
    models = [row.method for row in rows[::-1] if row.kind == "model" and row.method in histories]
    return {model: histories[model] for model in sorted(models[:MOST_LINES])}


def _history(path):
    with open(path, encoding="utf-8", newline="") as file:
        epochs = list(csv.DictReader(file))
    try:
        return {column: [float(epoch[column] or "nan") for epoch in epochs] for column in CURVES}
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: expected the columns {', '.join(CURVES)}, a number an epoch ({error}): train this model again."
        ) from error


def _steps(folder):
    """Count the steps of an epoch of a run."""
    batch = read_record(folder / workspace.RECIPE, TrainedBy).recipe.training.batch
    return math.ceil(results.read(folder).rows["train"] / max(batch, 1))

"""The report of a suite: one HTML file that needs no network, made from the files in runs/<suite>."""

import base64
import collections
import csv
import pathlib
from importlib import resources

import jinja2
import numpy as np
from markupsafe import Markup

from mlob.errors import InputError
from mlob.files import write_text
from mlob.reports import figures, tables

ROOM = 3_500_000  # bytes of photos, as text; the whole page stays below about 4 MB
CURVES = ("epoch", "loss", "dev_loss", "dev_micro_f1")


def write(path, *, suite, folder, labels, facts, gallery=()):
    """Write the report, atomically; equal inputs give equal bytes.

    Args:
        path: of the HTML file.
        suite: name of the suite.
        folder: runs/<suite>, with <model>/result.json, <model>/history.csv and ensemble/ensemble.json; what
            is missing is left out of the page.
        labels: a `Labels`.
        facts: what `facts.describe` gives.
        gallery: photos to show, the most telling first: {id, image (JPEG bytes or None), true, predicted
            (columns)}. They are taken until they fill 3.5 MB.

    Raises:
        InputError: no results, or a file among them that cannot be read.
    """
    folder = pathlib.Path(folder)
    rows, ensemble, photos = tables.rows(folder), tables.ensemble(folder), _photos(gallery)
    html = _template().render(
        suite=suite,
        rows=rows,
        best=_chosen(rows, ensemble),
        constant=next((row for row in rows[::-1] if row["kind"] == "constant"), None),
        random=sorted({name for row in rows if row["kind"] == "model" for name in row["random"]}),
        processors=tables.processors(rows),
        ensemble=ensemble,
        figures=_figures(folder, rows, ensemble, labels, facts),
        facts=facts,
        gallery={"names": labels.names, "photos": photos},
        options=_options(photos, labels),
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
    chosen = []
    for turn in range(per_label):
        for label in rarest_first:
            if len(chosen) < most and targets[chosen, label].sum() <= turn:
                left = np.setdiff1d(np.flatnonzero(targets[:, label]), chosen)
                wanted = left[decided[left, label] == (turn % 2 == 0)]
                chosen += [int(row) for row in (wanted if len(wanted) else left)[:1]]
    return np.array(chosen, np.int64)


def _template():
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.globals |= {"full_name": tables.full_name, "weights": tables.weights}
    return environment.from_string(resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8"))


def _chosen(rows, ensemble):
    """Find the ensemble's choice among the rows; without one, the row with the best cross-fitted F1."""
    name = ensemble.get("chosen", {}).get("method")
    best = max(rows, key=lambda row: row["micro_f1"]["cross_fitted"])
    return next((row for row in rows if row["kind"] != "model" and tables.full_name(row) == name), best)


# Photos


def _photos(gallery):
    """Embed the photos of a gallery, each once, while there is room."""
    photos, room = [], ROOM
    for record in gallery:
        image = record["image"]
        source = f"data:image/jpeg;base64,{base64.b64encode(image).decode()}" if image else None
        room -= len(source or "")
        if room < 0:
            break
        columns = {key: [int(column) for column in record[key]] for key in ("true", "predicted")}
        photos.append({"id": record["id"], "source": source} | columns)
    return photos


def _options(photos, labels):
    """List the labels that some photo has or was given: {group: [(name, column, photos)]}, names sorted."""
    shown = collections.Counter(column for photo in photos for column in {*photo["true"], *photo["predicted"]})
    options = collections.defaultdict(list)
    for column in sorted(shown, key=lambda column: (labels.groups[column], labels.names[column])):
        options[labels.groups[column]].append((labels.names[column], column, shown[column]))
    return dict(options)


# Figures


def _figures(folder, rows, ensemble, labels, facts):
    """Draw every figure that the files at hand allow: [{title, caption, svg}]."""
    drawn = [_methods(rows, ensemble), *_label_shares(labels, facts)]
    drawn += [*_by_frequency(ensemble), *_training(folder), *_convergence(ensemble)]
    return [{"title": title, "caption": caption, "svg": Markup(svg)} for title, caption, svg in drawn]


def _methods(rows, ensemble):
    names = [row["method"] if row["kind"] == "model" else tables.full_name(row) for row in rows]
    chosen = rows.index(_chosen(rows, ensemble))
    caption = (
        "Micro-F1 on validation: a filled mark is cross-fitted, with its 95% interval over photos; a "
        "hollow one is what the same method reaches on the photos it was fitted on, which flatters it."
    )
    return "Methods compared", caption, figures.methods(names, [row["micro_f1"] for row in rows], chosen)


def _label_shares(labels, facts):
    shares = {
        split: np.divide(facts["counts"][split], facts["splits"][split]["photos"])
        for split in ("train", "validation")
        if split in facts["counts"]
    }
    if shares:
        caption = "The share of photos that carry each of the 30 commonest labels; a long bar is a shift."
        yield "Labels in train and validation", caption, figures.label_shares(labels.names, shares)


def _by_frequency(ensemble):
    found = ensemble.get("labels")
    if found:
        caption = "Each dot is a label: how often train shows it, and how well validation's photos of it are found."
        svg = figures.f1_by_frequency([label["train"] for label in found], [label["f1"] for label in found])
        yield "F1 of a label against its frequency", caption, svg


def _training(folder):
    histories = {path.parent.name: _history(path) for path in sorted(folder.glob("*/history.csv"))}
    histories = {model: history for model, history in histories.items() if history["epoch"]}
    if histories:
        caption = "Loss on train and dev, and micro-F1 on dev, after each epoch; validation is not looked at here."
        yield "Training", caption, figures.training_curves(histories)


def _history(path):
    with open(path, encoding="utf-8", newline="") as file:
        epochs = list(csv.DictReader(file))
    try:
        return {column: [float(epoch[column] or "nan") for epoch in epochs] for column in CURVES}
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: expected the columns {', '.join(CURVES)}, a number an epoch ({error}): train this model again."
        ) from error


def _convergence(ensemble):
    history = ensemble.get("swarm", {}).get("history")
    if history:
        caption = "The best micro-F1 that any particle had found, on the photos that the weights are fitted on."
        yield "The swarm's search for member weights", caption, figures.convergence(history)

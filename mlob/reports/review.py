"""Photos to check by hand, the least certain first: a table, a page, and tasks for Label Studio.

What people find is read back as corrections (`data.annotations.corrections`).
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
import urllib.parse
import xml.etree.ElementTree as xml
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlob.data.annotations.corrections import CHECKED, PHOTO, SEPARATOR, SPLIT
from mlob.data.annotations.listing import local
from mlob.data.dataset import DataSet
from mlob.files import to_cell, write_json, write_text
from mlob.labels import Labels
from mlob.predictions import Table
from mlob.reports import photos, probabilities
from mlob.reports.photos import Photo
from mlob.reports.templating import template
from mlob.workspace import LABEL_STUDIO, REVIEW

COLUMNS = (SPLIT, PHOTO, "labels", CHECKED, "nearest", "probability", "threshold", "annotated")
SHOWN = "photo_shown"  # name of the photo in the labelling form, which no group of labels may have


@dataclasses.dataclass(frozen=True)
class Case:
    """A photo to check; labels are columns.

    Attributes:
        photo: with the labels that it is annotated with.
        address: where Label Studio finds it, once it serves the data folder.
        decided: the labels that it was given.
        nearest: the label whose probability is nearest to what it needs.
        probability, needed: of that label.
    """

    photo: Photo
    address: str
    decided: list[int]
    nearest: int
    probability: float
    needed: float


def cases(dataset: DataSet, split: str, answers: Table, needed: np.ndarray, count: int) -> list[Case]:
    """Choose the photos of a split that are decided with the least certainty.

    Args:
        dataset: the annotated photos.
        split: name of one that is predicted.
        answers: an ensemble's probabilities and decisions on it.
        needed: float32 (n, labels), what each probability had to reach.
        count: number of photos.
    """
    take, rows = photos.camera(dataset, split), probabilities.least_certain_first(answers, needed)[:count].tolist()
    return [
        Case(
            take(row),
            _address(dataset, split, row),
            np.flatnonzero(answers.decisions[row]).tolist(),
            nearest,
            float(answers.probabilities[row, nearest]),
            float(needed[row, nearest]),
        )
        for row, nearest in ((row, probabilities.nearest(answers, needed, row)) for row in rows)
    ]


def write(folder: pathlib.Path, suite: str, dataset: DataSet, split: str, found: Sequence[Case]) -> None:
    """Write review.csv, review.html, label_studio.json (tasks) and label_studio.xml (the labelling form).

    Args:
        folder: runs/<suite>/ensemble.
        suite: its name.
        dataset: the annotated photos.
        split: that the cases are of.
        found: as `cases` gives them.
    """
    names = dataset.labels.unique_names()
    write_text(folder / f"{REVIEW}.csv", _csv(split, found, names))
    is_judged = dataset[split].annotations is not None
    html = template("review.html").render(suite=suite, split=split, cases=found, names=names, is_judged=is_judged)
    write_text(folder / f"{REVIEW}.html", html)
    write_json(folder / f"{LABEL_STUDIO}.json", [_task(case, split, dataset.labels) for case in found])
    write_text(folder / f"{LABEL_STUDIO}.xml", _form(dataset.labels, dataset.one_each))


def _csv(split: str, found: Sequence[Case], names: Sequence[str]) -> str:
    """Write cases as a table; people edit the labels, and put any mark into the column of what they checked."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for case in found:
        decided, annotated = (SEPARATOR.join(names[each] for each in row) for row in (case.decided, case.photo.true))
        texts = to_cell(case.photo.id), to_cell(decided), "", to_cell(names[case.nearest])
        writer.writerow([split, *texts, f"{case.probability:.4f}", f"{case.needed:.4f}", to_cell(annotated)])
    return text.getvalue()


def _address(dataset: DataSet, split: str, row: int) -> str:
    """Give the address of a photo for Label Studio: in the data folder that it serves, or on the web."""
    place, urls = dataset.photos(split)[row], dataset[split].urls[row]
    web = next((url for url in urls if "://" in url), "")
    if web and place is None:
        return web
    path = str(place).removeprefix(f"{dataset.folder}/") if place else local(urls) or dataset[split].ids[row]
    return f"/data/local-files/?d={urllib.parse.quote(path)}"


def _task(case: Case, split: str, labels: Labels) -> dict[str, Any]:
    """Give a task of Label Studio, with what was decided filled in."""
    groups = dict.fromkeys(labels.groups)
    chosen = {group: [each for each in case.decided if labels.groups[each] == group] for group in groups}
    results = [
        {
            "from_name": group,
            "to_name": SHOWN,
            "type": "choices",
            "value": {"choices": [labels.names[c] for c in columns]},
        }
        for group, columns in chosen.items()
        if columns
    ]
    score = round(abs(case.probability - case.needed), 4)
    predicted = {"model_version": "mlob", "score": score, "result": results}
    return {"data": {"image": case.address, PHOTO: case.photo.id, SPLIT: split}, "predictions": [predicted]}


def _form(labels: Labels, one_each: np.ndarray | None) -> str:
    """Give the labelling form: the photo, and for each group of labels a question."""
    view = xml.Element("View")
    xml.SubElement(view, "Image", name=SHOWN, value="$image", zoom="true")
    single = set() if one_each is None else {labels.groups[column] for column in np.flatnonzero(one_each >= 0)}
    for group in dict.fromkeys(labels.groups):
        xml.SubElement(view, "Header", value=group)
        kind = {"choice": "single", "required": "true"} if group in single else {"choice": "multiple"}
        question = xml.SubElement(view, "Choices", {"name": group, "toName": SHOWN, "showInline": "true", **kind})
        for name, of_group in zip(labels.names, labels.groups, strict=True):
            if of_group == group:
                xml.SubElement(question, "Choice", value=name)
    xml.indent(view)
    return xml.tostring(view, encoding="unicode") + "\n"

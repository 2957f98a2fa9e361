"""The report of a suite, gathered: facts of the data, what went wrong where, photos, and the page."""

import dataclasses
import functools

import numpy as np

from mlob import predictions, workspace
from mlob.data import facts, images
from mlob.evaluation import diagnosis
from mlob.features import store
from mlob.files import digest, read_json, read_record, write_json
from mlob.reports import page
from mlob.runs import dev, results
from mlob.runs.dev import Comparison

PER_LABEL = 12
MOST_PHOTOS = 150
THUMBNAIL = 160  # pixels
DOUBTED = 24  # photos with annotations in doubt that are shown
CONFUSED = 20  # pairs of labels that are told


def make(path, suite, dataset, stores, runs, judging):
    """Write the report page, and dev.json beside it, unless they stand there already for the same results.

    Args:
        path: of the page, runs/<suite>/report/index.html.
        suite: its name.
        dataset: the `DataSet`.
        stores: {name: folder} of a feature store, which knows the photos that failed and those that are equal.
        runs: {model: runs/<suite>/<model>}; the first is what the others are measured against on dev.
        judging: the suite's `Judging`.

    Returns:
        What `dev.compare` gives.
    """
    folder = path.parent.parent
    inputs = digest(*(found.read_bytes() for found in _inputs(folder)))
    made_from, comparison_path = path.with_name(workspace.INPUTS), path.with_name(workspace.COMPARED)
    if all(file.is_file() for file in (path, made_from, comparison_path)) and read_record(made_from, str) == inputs:
        return _read_comparison(comparison_path)
    comparison = dev.compare(dataset, runs, judging)
    write_json(comparison_path, comparison and dataclasses.asdict(comparison))
    root = next(iter(stores.values()))
    shards = {split: store.read_photos(root / split, dataset[split].ids) for split in dataset.splits}
    predicted, show = predictions.read(folder / "ensemble" / workspace.PREDICTIONS)["validation"], camera(dataset)
    seen = np.flatnonzero(np.isin(dataset["validation"].ids, shards["validation"].ids))
    page.write(
        path,
        suite=suite,
        folder=folder,
        labels=dataset.labels,
        facts=facts.describe(dataset, shards),
        diagnosis=diagnose(dataset, predicted, _members(folder), show, seen),
        gallery=gallery(dataset["validation"].targets, predicted.decided, show, seen),
        compared=comparison,
    )
    write_json(made_from, inputs)
    return comparison


def diagnose(dataset, predicted, members, show, seen):
    """Tell what an ensemble gets wrong on validation, as `page.write` takes it.

    Args:
        dataset: the `DataSet`.
        predicted: the ensemble's `Table` of validation.
        members: {name: `Table` of validation}.
        show: function of a row that gives {id, image, true}, as `camera` does.
        seen: rows of the photos that have features; no model looked at the others, which are left out.

    Returns:
        {unseen (photos left out), unlearned (labels never in train, of which no model can know anything: no mistake
        and no doubt is theirs), reliability, confusions, confused, mistakes, suspects, alike}; labels are columns.
    """
    split, learned = dataset["validation"], dataset["train"].targets.any(axis=0)
    targets, decided, probabilities = split.targets[seen], predicted.decided[seen], predicted.probabilities[seen]
    confusions = {
        group: _confusion(columns, diagnosis.confusion(targets, decided, probabilities, columns))
        for group, columns in diagnosis.exclusive(targets, dataset.labels.groups).items()
    }
    worst = diagnosis.worst(targets, np.where(learned, decided, targets), probabilities)
    doubts = [cell for cell in diagnosis.suspects(targets, probabilities) if learned[cell[1]]]
    photo = lambda row: show(int(seen[row]))  # noqa: E731
    said = lambda row, column: {"label": column, "probability": float(probabilities[row, column])}  # noqa: E731
    return {
        "unseen": len(split.ids) - len(seen),
        "unlearned": int(np.count_nonzero(~learned)),
        "reliability": diagnosis.reliability(targets, probabilities),
        "confusions": confusions,
        "confused": diagnosis.confused(confusions)[:CONFUSED],
        "mistakes": {kind: [photo(row) | said(row, column) for row, column in cells] for kind, cells in worst.items()},
        "suspects": _suspects(doubts, photo, said),
        "alike": _alike(members, split, seen),
    }


def camera(dataset):
    """Give a function that shows one validation photo, taken once: its row -> {id, image (JPEG or None), true}."""
    split, files = dataset["validation"], dataset.photos("validation")

    @functools.cache
    def show(row):
        return {"id": split.ids[row], "image": _thumbnail(files[row]), "true": split.targets[row].nonzero()[0].tolist()}

    return show


def gallery(targets, decided, show, seen):
    """Choose validation photos and yield each with its true and its decided labels, as `page.write` takes them.

    Args:
        targets, decided: uint8 (n, labels) on validation.
        show: as `camera` gives it.
        seen: rows of the photos that have features; the others are not shown.
    """
    chosen = page.choose(targets[seen], decided[seen], per_label=PER_LABEL, most=MOST_PHOTOS)
    for row in seen[chosen].tolist():
        yield show(row) | {"predicted": decided[row].nonzero()[0].tolist()}


def _confusion(columns, counts):
    right, photos = int(counts.trace()), int(counts.sum())
    return {"columns": columns.tolist(), "counts": counts.tolist(), "photos": photos, "right": right / max(photos, 1)}


def _suspects(cells, show, said):
    """Gather the annotations in doubt by photo, the most doubtful photo first."""
    by_photo: dict[int, list] = {}
    for row, column in cells:
        by_photo.setdefault(row, []).append(said(row, column))
    first = [show(row) | {"doubts": by_photo[row]} for row in [*by_photo][:DOUBTED]]
    return {"annotations": len(cells), "photos": len(by_photo), "first": first}


def _alike(members, split, seen):
    correlation = diagnosis.alike(predictions.align(members, split.ids)[:, seen], split.targets[seen])
    return {"members": list(members), "correlation": correlation.tolist()}


def _thumbnail(path):
    try:
        return images.thumbnail(images.content(path), THUMBNAIL)
    except images.Unreadable:
        return None


def _read_comparison(path):
    return None if read_json(path) is None else read_record(path, Comparison)


def _members(folder):
    """The members' predictions on validation."""
    ensemble = results.read_ensemble(folder / "ensemble")
    names = ensemble.members if ensemble else []
    return {name: predictions.read(folder / name / workspace.PREDICTIONS)["validation"] for name in names}


def _inputs(folder):
    """The files that a page is made from."""
    return sorted(
        path
        for name in (
            *(workspace.RESULT, workspace.HISTORY, workspace.ENSEMBLE),
            f"{workspace.CURVE_FOLDER}/{workspace.CURVE}",
            f"{workspace.SEARCH_FOLDER}/{workspace.SEARCH}",
        )
        for path in folder.glob(f"*/{name}")
    )

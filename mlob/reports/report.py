"""The report of a suite, gathered: facts of the data, what went wrong where, photos, and the page."""

import functools

from mlob.data import facts, images
from mlob.evaluation import dev
from mlob.features import store
from mlob.files import digest, read_json, write_json
from mlob.predictions import table
from mlob.reports import diagnosis, page

PER_LABEL = 12
MOST_PHOTOS = 150
THUMBNAIL = 160  # pixels
DOUBTED = 24  # photos with annotations in doubt that are shown
CONFUSED = 20  # pairs of labels that are told


def make(path, suite, dataset, stores, runs, recipe):
    """Write the report page, and dev.json beside it, unless they stand there already for the same results.

    Args:
        path: of the page, runs/<suite>/report/index.html.
        suite: its name.
        dataset: the `DataSet`.
        stores: {name: folder} of a feature store, which knows the photos that failed and those that are equal.
        runs: {model: runs/<suite>/<model>}; the first is what the others are measured against on dev.
        recipe: the suite's `Ensemble`.

    Returns:
        What `dev.compare` gives.
    """
    folder = path.parent.parent
    inputs = digest(*(found.read_bytes() for found in _inputs(folder)))
    kept, compared = path.with_name("inputs.json"), path.with_name("dev.json")
    if path.is_file() and kept.is_file() and read_json(kept) == inputs:
        return read_json(compared)
    write_json(compared, dev.compare(dataset, runs, recipe))
    root = next(iter(stores.values()))
    shards = {split: store.read_photos(root / split, dataset[split].ids) for split in dataset.splits}
    predicted, show = table.read(folder / "ensemble" / "predictions.h5")["validation"], camera(dataset)
    page.write(
        path,
        suite=suite,
        folder=folder,
        labels=dataset.labels,
        facts=facts.describe(dataset, shards),
        diagnosis=diagnose(dataset, predicted, _members(folder), show),
        gallery=gallery(dataset["validation"].targets, predicted.decided, show),
        compared=read_json(compared),
    )
    write_json(kept, inputs)
    return read_json(compared)


def diagnose(dataset, predicted, members, show):
    """Tell what an ensemble gets wrong on validation, as `page.write` takes it.

    Args:
        dataset: the `DataSet`.
        predicted: the ensemble's `Table` of validation.
        members: {name: `Table` of validation}.
        show: function of a row that gives {id, image, true}, as `camera` does.

    Returns:
        {reliability, confusions, confused, mistakes, suspects, alike}; labels are columns.
    """
    split, found = dataset["validation"], (predicted.decided, predicted.probabilities)
    confusions = {
        group: _confusion(columns, diagnosis.confusion(split.targets, *found, columns))
        for group, columns in diagnosis.exclusive(split.targets, dataset.labels.groups).items()
    }
    cells = diagnosis.worst(split.targets, *found)
    said = lambda row, column: {"label": column, "probability": float(predicted.probabilities[row, column])}  # noqa: E731
    return {
        "reliability": diagnosis.reliability(split.targets, predicted.probabilities),
        "confusions": confusions,
        "confused": diagnosis.confused(confusions)[:CONFUSED],
        "mistakes": {kind: [show(row) | said(row, column) for row, column in worst] for kind, worst in cells.items()},
        "suspects": _suspects(diagnosis.suspects(split.targets, predicted.probabilities), show, said),
        "alike": _alike(members, split),
    }


def camera(dataset):
    """Give a function that shows one validation photo, taken once: its row -> {id, image (JPEG or None), true}."""
    split, files = dataset["validation"], dataset.photos("validation")

    @functools.cache
    def show(row):
        return {"id": split.ids[row], "image": _thumbnail(files[row]), "true": split.targets[row].nonzero()[0].tolist()}

    return show


def gallery(targets, decided, show):
    """Choose validation photos and yield each with its true and its decided labels, as `page.write` takes them.

    Args:
        targets, decided: uint8 (n, labels) on validation.
        show: as `camera` gives it.
    """
    for row in page.choose(targets, decided, per_label=PER_LABEL, most=MOST_PHOTOS).tolist():
        yield show(row) | {"predicted": decided[row].nonzero()[0].tolist()}


def _confusion(columns, counts):
    right, photos = int(counts.trace()), int(counts.sum())
    return {"columns": columns.tolist(), "counts": counts.tolist(), "photos": photos, "right": right / max(photos, 1)}


def _suspects(cells, show, said):
    """Gather the annotations in doubt by photo, the most doubtful photo first."""
    by_photo = {}
    for row, column in cells:
        by_photo.setdefault(row, []).append(said(row, column))
    first = [show(row) | {"doubts": by_photo[row]} for row in [*by_photo][:DOUBTED]]
    return {"annotations": len(cells), "photos": len(by_photo), "first": first}


def _alike(members, split):
    correlation = diagnosis.alike(table.align(members, split.ids), split.targets)
    return {"members": list(members), "correlation": correlation.tolist()}


def _thumbnail(path):
    try:
        return images.thumbnail(images.content(path), THUMBNAIL)
    except images.Unreadable:
        return None


def _members(folder):
    """The members' predictions on validation."""
    names = read_json(folder / "ensemble" / "ensemble.json")["members"]
    return {name: table.read(folder / name / "predictions.h5")["validation"] for name in names}


def _inputs(folder):
    """The files that a page is made from."""
    return sorted(
        path
        for name in ("result.json", "history.csv", "ensemble.json", "curve/curve.json", "search/search.json")
        for path in folder.glob(f"*/{name}")
    )

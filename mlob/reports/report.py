"""The report of a suite, gathered: facts of the data, photos with what was decided on them, and the page."""

from mlob.data import facts, images
from mlob.features import store
from mlob.files import digest, read_json, write_json
from mlob.predictions import table
from mlob.reports import page

PER_LABEL = 12
MOST_PHOTOS = 150
THUMBNAIL = 224  # pixels


def make(path, suite, dataset, stores):
    """Write the report page, unless it stands there already for the same results.

    Args:
        path: of the page, runs/<suite>/report/index.html.
        suite: its name.
        dataset: the `DataSet`.
        stores: {name: folder} of a feature store, which knows the photos that failed and those that are equal.
    """
    folder = path.parent.parent
    inputs = digest(*(found.read_bytes() for found in _inputs(folder)))
    kept = path.with_name("inputs.json")
    if path.is_file() and kept.is_file() and read_json(kept) == inputs:
        return
    root = next(iter(stores.values()))
    photos = {split: store.read_photos(root / split, dataset[split].ids) for split in dataset.splits}
    decided = table.read(folder / "ensemble" / "predictions.h5")["validation"].decided
    described = facts.describe(dataset, photos)
    page.write(
        path, suite=suite, folder=folder, labels=dataset.labels, facts=described, gallery=gallery(dataset, decided)
    )
    write_json(kept, inputs)


def gallery(dataset, decided):
    """Choose validation photos and yield each with its true and its decided labels, as `page.write` takes them.

    Args:
        dataset: the `DataSet`.
        decided: uint8 (n, labels) on validation.
    """
    split, files = dataset["validation"], dataset.photos("validation")
    for row in page.choose(split.targets, decided, per_label=PER_LABEL, most=MOST_PHOTOS):
        columns = {"true": split.targets[row].nonzero()[0], "predicted": decided[row].nonzero()[0]}
        yield {"id": split.ids[row], "image": _thumbnail(files[row]), **columns}


def _thumbnail(path):
    try:
        return images.thumbnail(images.content(path), THUMBNAIL)
    except images.Unreadable:
        return None


def _inputs(folder):
    """The files that a page is made from."""
    return sorted(
        [*folder.glob("*/result.json"), *folder.glob("*/history.csv"), *folder.glob("ensemble/ensemble.json")]
    )

"""Labels of new photos: through the ensemble, onto the terminal, into a table."""

import collections
import dataclasses
import pathlib

import numpy as np

from mlob import machine, workspace
from mlob.data import images, locate
from mlob.errors import InputError
from mlob.features import new_photos, store
from mlob.files import to_cell, write_text
from mlob.runs import ensemble

EVEN = 0.5  # probability below which a label is given although its absence is likelier


@dataclasses.dataclass(frozen=True)
class Photo:
    """One photo and what is on it.

    Attributes:
        path: of the file.
        labels: (label id, name, group, probability, threshold) of each label that was decided for, the likeliest first.
        failure: why it could not be read; empty where it could.
    """

    path: pathlib.Path
    labels: tuple[tuple[int, str, str, float, float], ...]
    failure: str = ""


def find(paths):
    """List the photos among files, folders and archives; what else lies in these is told.

    Raises:
        InputError: no path, one that does not exist, or no photo in any of them.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise InputError(f"There is no {missing[0]}.")
    found = locate.below(paths)
    if not found:
        raise InputError("No photo to predict: name files, or a folder of them with PHOTOS= (--photos).")
    return found


def label(paths, models, sets, folder, labels, *, given=None):
    """Label photos with a suite's ensemble.

    Args:
        paths: of the photos.
        models: {member: (its run folder, names of the stores that it reads)}.
        sets: {store name: (feature set, features/<set>/<data set>)}.
        folder: runs/<suite>/ensemble.
        labels: the `Labels`.
        given: WEIGHTS=.

    Returns:
        A list of `Photo`, in the order of paths.
    """
    digests = {path: _digest(path) for path in paths}
    readable = {number: path for path, number in digests.items() if not number.startswith("!")}
    rows: dict[str, dict] = {}
    failures: dict[str, str] = {}
    for name, (features, made) in sets.items():
        seen = made.parent / store.PREDICTED
        rows[name], failed = new_photos.extract(features, made, readable, seen, given, name)
        failures |= failed
    kept = [number for number in readable if number not in failures]
    decided = _decided(kept, models, rows, folder, labels) if kept else {}
    return [
        Photo(path, decided.get(number, ()), failures.get(number, number[1:] if number.startswith("!") else ""))
        for path, number in digests.items()
    ]


def summary(photos):
    """Give one line a photo: its name, then its labels with their probabilities, or why it could not be read."""
    return "\n".join(f"{_name(photo)}: {_told(photo)}" for photo in photos)


def failures(photos):
    """Tell how many photos could not be read, and why; empty where all could.

    Raises:
        InputError: none could.
    """
    reasons = collections.Counter(photo.failure.partition(" (")[0] for photo in photos if photo.failure)
    told = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.most_common())
    if reasons.total() == len(photos):
        raise InputError(f"None of the {len(photos):,} photos could be read ({told}): see that they are whole images.")
    return told and f"{reasons.total():,} of {len(photos):,} photos could not be read ({told})"


def write(path, photos):
    """Write a CSV table, one row for each label of each photo; a photo without any has one row.

    A name that a spreadsheet would run as a formula stands there with an apostrophe before it.
    """
    import pandas as pd

    columns = ["image", "label_id", "label", "group", "probability", "threshold", "failure"]
    rows = [
        tuple(to_cell(cell) if isinstance(cell, str) else cell for cell in (_name(photo), *found, photo.failure))
        for photo in photos
        for found in photo.labels or (("", "", "", "", ""),)
    ]
    write_text(path, pd.DataFrame(rows, columns=columns).to_csv(index=False))


def _name(photo):
    """The photo's path; bytes in it that are not UTF-8 are spelt out."""
    return str(photo.path).encode("utf-8", "backslashreplace").decode("utf-8")


def _digest(path):
    try:
        return f"{images.content_digest(images.content(path)):016x}"
    except images.Unreadable as reason:
        return f"!{reason}"


def _decided(kept, models, rows, folder, labels):
    """Give {photo: its labels} by the ensemble's chosen method."""
    features = {name: np.stack([found[number] for number in kept]) for name, found in rows.items()}
    probabilities, marks = ensemble.decide(folder, members(models, features))
    least = ensemble.load_decision(folder).thresholds
    return {
        number: tuple(
            (
                labels.ids[column],
                labels.names[column],
                labels.groups[column],
                _short(row[column]),
                _short(least[column]),
            )
            for column in np.argsort(-row, kind="stable")
            if mark[column]
        )
        for number, row, mark in zip(kept, probabilities, marks, strict=True)
    }


def members(models, features):
    """Give every member's probabilities for new photos.

    Args:
        models: {member: (runs/<suite>/<member>, names of the stores that it reads)}.
        features: {store name: float16 (n, d) or (n, h, w, d)}; those of several stand side by side on the last axis.

    Returns:
        {member: float32 (n, labels)}.
    """
    machine.load_keras()
    from mlob.models import heads
    from mlob.training import fit

    found = {}
    for member, (folder, stores) in models.items():
        model = heads.load(folder / workspace.HEAD)
        found[member] = fit.predict(model, np.concatenate([features[name] for name in stores], axis=-1))
    return found


def _told(photo):
    if photo.failure:
        return f"not read ({photo.failure})"
    return ", ".join(_labelled(*label[1:]) for label in photo.labels) or "no label"


def _labelled(name, group, probability, threshold):
    """Name a label with its probability; where that is low, say why it was given all the same."""
    why = f" ({threshold:.2f} is enough)" if probability < EVEN else ""
    return f"{name} {probability:.2f}{why}"


def _short(value):
    return round(float(value), 4)

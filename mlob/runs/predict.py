"""Labels of new photos: through the ensemble, onto the terminal, into a table."""

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import locate
from mlob.data.places import Place
from mlob.errors import InputError
from mlob.files import to_cell, write_text
from mlob.labels import Labels
from mlob.runs import answering
from mlob.runs.answering import Answer, Brought, Ensemble, Extract

if TYPE_CHECKING:
    import pandas as pd

EVEN = 0.5  # probability below which a label is given although its absence is likelier
COLUMNS = ("image", "label_id", "label", "group", "probability", "threshold", "failure")


@dataclasses.dataclass(frozen=True)
class Given:
    """A label that a photo was given, its probability there, and what this had to reach (`methods.Decision.needed`).

    The id is empty where only mlob numbers the labels.
    """

    id: int | str
    name: str
    group: str
    probability: float
    threshold: float


@dataclasses.dataclass(frozen=True)
class Photo:
    """One photo and what is on it.

    Attributes:
        place: of the file.
        labels: that it was given, the likeliest first.
        failure: why it could not be read; empty where it could.
    """

    place: Place
    labels: tuple[Given, ...]
    failure: str = ""


def find(paths: Sequence[pathlib.Path]) -> list[Place]:
    """List the photos among files, folders and archives; what else lies in these is told.

    Raises:
        InputError: no path, one that does not exist, or no photo in any of them.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise InputError(f"There is no {missing[0]}.")
    photos = locate.below(paths)
    if not photos:
        raise InputError("No photo to predict: name files, or a folder of them with PHOTOS= (--photos).")
    return photos


def label(
    photos: Sequence[Place],
    made: Ensemble,
    extract: Extract,
    texts: Mapping[Place, str] | None = None,
    brought: Mapping[str, Brought] | None = None,
) -> list[Photo]:
    """Label photos with a suite's ensemble: one `Photo` each, in the order given.

    Args:
        photos: where they are.
        made: the ensemble.
        extract: `answering.on_disk` or `answering.in_memory`.
        texts: what stands beside them, for stores of texts.
        brought: features that were made elsewhere, for stores of such: {name: `Brought`}.
    """
    beside = [texts.get(place, "") for place in photos] if texts else []
    answers = answering.answer(photos, made, extract, functools.partial(given, made.labels), beside, brought)
    return [Photo(place, labels or (), failure) for place, (labels, failure) in zip(photos, answers, strict=True)]


def summary(photos: Iterable[Photo]) -> str:
    """Give one line a photo: its name, then its labels with their probabilities, or why it could not be read."""
    return "\n".join(f"{name_of(photo.place)}: {_outcome(photo)}" for photo in photos)


def failures(photos: Sequence[Photo]) -> str:
    """Tell how many photos could not be read, and why; empty where all could.

    Raises:
        InputError: none could.
    """
    reasons = collections.Counter(photo.failure.partition(" (")[0] for photo in photos if photo.failure)
    counts = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.most_common())
    if reasons.total() == len(photos):
        raise InputError(
            f"None of the {len(photos):,} photos could be read ({counts}): check that they are whole images."
        )
    return counts and f"{reasons.total():,} of {len(photos):,} photos could not be read ({counts})"


def table(photos: Iterable[Photo]) -> "pd.DataFrame":
    """Give a table, one row for each label of each photo, the likeliest first; a photo without any has one row.

    Returns:
        `COLUMNS`: image, label_id, label, group, probability, threshold and failure. Of a photo without labels those
        between the first and the last are empty, and the numbers NaN.
    """
    import pandas as pd

    nothing = ("", "", "", np.nan, np.nan)
    rows = [
        (name_of(photo.place), *cells, photo.failure)
        for photo in photos
        for cells in [dataclasses.astuple(label) for label in photo.labels] or [nothing]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def write(path: pathlib.Path, photos: Iterable[Photo]) -> None:
    """Write `table` as CSV.

    A name that a spreadsheet would run as a formula is written with an apostrophe before it.
    """
    cells = table(photos).map(lambda cell: to_cell(cell) if isinstance(cell, str) else cell)
    write_text(path, cells.to_csv(index=False))


def given(labels: Labels, answer: Answer) -> tuple[Given, ...]:
    """List the labels that a photo was given, the likeliest first."""
    return tuple(
        Given(
            labels.ids[column] if labels.ids_are_own else "",
            labels.names[column],
            labels.groups[column],
            _short(answer.probabilities[column]),
            _short(answer.needed[column]),
        )
        for column in np.argsort(-answer.probabilities, kind="stable")
        if answer.decided[column]
    )


def name_of(place: Place) -> str:
    """Give a photo's path; bytes in it that are not UTF-8 are spelt out."""
    return str(place).encode("utf-8", "backslashreplace").decode("utf-8")


def _outcome(photo: Photo) -> str:
    if photo.failure:
        return f"not read ({photo.failure})"
    return ", ".join(map(_labelled, photo.labels)) or "no label"


def _labelled(given: Given) -> str:
    """Name a label with its probability; where that is low, say why it was given all the same."""
    why = f" ({given.threshold:.2f} is enough)" if given.probability < EVEN else ""
    return f"{given.name} {given.probability:.2f}{why}"


def _short(value: float) -> float:
    return round(float(value), 4)

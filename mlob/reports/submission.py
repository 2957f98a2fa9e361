"""submission.csv: the decisions on the photos of test, in the form that the recipe or a sample wants."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mlob.data.annotations.labelcolumns import WORDS
from mlob.data.dataset import DataSet
from mlob.errors import InputError
from mlob.files import atomic
from mlob.predictions import Table
from mlob.recipes import Submission
from mlob.reports import sample
from mlob.reports.form import IDS, PAIRS, PHOTOS, PROBABILITIES, Form, check, default, written

Rows = list[list[str]]  # of one photo, without the photo's own cell
DIGITS = 6  # of a probability
PRECISION = 10.0 ** (1 - DIGITS)  # to which it comes back


@dataclasses.dataclass(frozen=True)
class Layout:
    """How answers are laid out.

    Attributes:
        told: in words.
        answers: the attribute of a `Table` that is written, decisions or probabilities.
        rows: (form, answers on a photo (labels,)) -> its rows.
        read: (form, rows of a photo) -> the answers (labels,); raises ValueError or KeyError.
    """

    told: str
    answers: str
    rows: Callable[[Form, np.ndarray], Rows]
    read: Callable[[Form, Rows], np.ndarray]


def _write_joined(form: Form, decided: np.ndarray) -> Rows:
    return [[form.separator.join(form.labels[column] for column in np.flatnonzero(decided))]]


def _read_joined(form: Form, rows: Rows) -> np.ndarray:
    ((cell,),) = rows
    return _marked(form, cell.split(form.separator) if cell else [])


def _write_pairs(form: Form, decided: np.ndarray) -> Rows:
    """A photo without labels has one row with an empty cell, so that none is left out."""
    return [[form.labels[column]] for column in np.flatnonzero(decided)] or [[""]]


def _read_pairs(form: Form, rows: Rows) -> np.ndarray:
    return _marked(form, [label for (label,) in rows if label])


def _write_wide(form: Form, probabilities: np.ndarray) -> Rows:
    return [[f"{probability:.{DIGITS}g}" for probability in probabilities[form.columns].tolist()]]


def _read_wide(form: Form, rows: Rows) -> np.ndarray:
    (cells,) = rows
    probabilities = np.zeros(len(form.labels), np.float32)
    probabilities[form.columns] = np.array(cells, np.float32)
    return probabilities


def _marked(form: Form, texts: Sequence[str]) -> np.ndarray:
    decided = np.zeros(len(form.labels), np.uint8)
    decided[[form.column[text] for text in texts]] = 1
    return decided


LAYOUTS = {
    PHOTOS: Layout("a row a photo", "decisions", _write_joined, _read_joined),
    PAIRS: Layout("a row a photo and label", "decisions", _write_pairs, _read_pairs),
    PROBABILITIES: Layout("a column of probabilities a label", "probabilities", _write_wide, _read_wide),
}


def plan(dataset: DataSet, asked: Submission) -> Form:
    """Say what submission.csv will look like: as the recipe asks, or the data folder's sample.

    Raises:
        InputError: recipe, sample and data set do not fit each other.
    """
    asked = dataclasses.replace(asked, separator=WORDS.get(asked.separator, asked.separator))
    found = sample.read(dataset.folder)
    form = sample.form(found, dataset, asked) if found else default(dataset, asked)
    check(form)
    return form


def told(form: Form, dataset: DataSet) -> str:
    """Tell in a line what submission.csv will look like, and how many photos have no place in it."""
    kind = "ids" if form.labels == written(dataset.labels, IDS) else "names"
    marks = f", separated by {form.separator!r}" if form.layout == PHOTOS else ""
    left_out = len(dataset["test"].ids) - len(form.ids)
    more = f"; test photos that are not in the sample and get no row: {left_out:,}" if left_out else ""
    header = ",".join(form.header[:3]) + (",…" if len(form.header) > 3 else "")
    return (
        f"submission: {LAYOUTS[form.layout].told} ({header}), {kind} of labels{marks}, {len(form.ids):,} photos{more}"
    )


def write(path: pathlib.Path, form: Form, table: Table) -> None:
    """Write a submission, atomically, and read it back before it gets its name.

    Args:
        path: of the CSV.
        form: as `plan` gives it.
        table: probabilities and decisions on test.

    Raises:
        RuntimeError: what was read back is not what was to be written, or a photo is there twice; no file stays.
    """
    layout = LAYOUTS[form.layout]
    answers = np.asarray(getattr(table, layout.answers))
    photos = zip(form.ids, form.rows.tolist(), strict=True)
    with atomic(path) as part:
        with open(part, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=form.delimiter, lineterminator="\n")
            writer.writerow(form.header)
            writer.writerows(form.row(name, cells) for name, row in photos for cells in layout.rows(form, answers[row]))
        _check(part, form, answers)


def read(path: pathlib.Path, form: Form) -> Iterator[tuple[str, np.ndarray]]:
    """Read a submission: each photo with its answers (labels,), 0/1 or probabilities.

    Raises:
        InputError: missing, or of another form.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file, delimiter=form.delimiter)
            if (header := next(rows, [])) != list(form.header):
                raise ValueError(f"the header is {form.delimiter.join(header)!r}")
            for name, cells in itertools.groupby(map(form.cells, rows), lambda photo: photo[0]):
                yield name, LAYOUTS[form.layout].read(form, [row for _, row in cells])
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: run `make submission`.") from error
    except (ValueError, KeyError, csv.Error) as error:
        raise InputError(
            f"{path} is no submission: expected the columns {form.delimiter.join(form.header)[:200]} with known labels "
            f"({error})."
        ) from error


def _check(path: pathlib.Path, form: Form, answers: np.ndarray) -> None:
    if len(set(form.ids)) < len(form.ids):
        raise RuntimeError(f"{path} would hold a photo twice.")
    for found, name, row in itertools.zip_longest(read(path, form), form.ids, form.rows):
        if found is None or found[0] != name:
            raise RuntimeError(f"{path} does not hold every photo exactly once, in order; {name!r} is out of place.")
        if (np.abs(found[1] - answers[row]) > PRECISION * answers[row]).any():
            raise RuntimeError(f"{path} holds other answers on {name!r} than were to be written.")

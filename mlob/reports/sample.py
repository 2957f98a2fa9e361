"""The data folder's sample_submission.csv: the form that it wants, which the test photos have to fit."""

from __future__ import annotations

import collections
import csv
import dataclasses
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import places
from mlob.data.annotations import csvtable
from mlob.data.annotations.formats import SAMPLE
from mlob.data.dataset import DataSet
from mlob.errors import InputError
from mlob.recipes import Submission
from mlob.reports.form import DEFAULTS, IDS, NAMES, PAIRS, PHOTOS, PROBABILITIES, Form, kind_of, written

if TYPE_CHECKING:
    from mlob.data.places import Folder

FEWEST_KNOWN = 0.5  # share of the labels in a sample that are the data set's
SEPARATORS = (" ", "|", ", ", ",", "; ", ";", "/")  # tried in this order
TRIMS: tuple[Callable[[str], str], ...] = (  # how a photo is written there and how in the annotations
    lambda name: name,
    posixpath.basename,
    lambda name: posixpath.splitext(name)[0],
    lambda name: posixpath.splitext(posixpath.basename(name))[0],
)


@dataclasses.dataclass(frozen=True)
class Sample:
    """The file as it is: its header, its columns, and what delimits their cells."""

    path: Folder
    delimiter: str
    header: tuple[str, ...]
    columns: list[list[str]]


def read(folder: Folder) -> Sample | None:
    """Read the sample in a data folder; None where there is none.

    Raises:
        InputError: it is no table, or names no photos.
    """
    if SAMPLE not in places.names(folder):
        return None
    path = folder / SAMPLE
    layout, table = csvtable.read(path)
    if not len(table) or len(layout.header) < 2:
        raise InputError(
            f"{path}: expected a column of photos and one of labels, with rows: copy it again, or remove it."
        )
    with places.reached(path), path.open(encoding="utf-8-sig", newline="") as file:
        exact = tuple(next(csv.reader(file, delimiter=layout.delimiter)))  # blanks around names included
    header = exact if tuple(map(str.strip, exact)) == layout.header else layout.header
    return Sample(path, layout.delimiter, header, [column.to_pylist() for column in table.columns])


def form(sample: Sample, dataset: DataSet, asked: Submission) -> Form:
    """Give the form that a sample wants.

    Raises:
        InputError: it names photos or labels that the data set lacks, or lacks labels; the recipe says otherwise.
    """
    for name in filter(None, (asked.image, asked.label)):
        if name not in sample.header:
            raise InputError(f"{sample.path} has no column {name!r}: correct submission.image or submission.label.")
    place, known = _photos(sample, dataset["test"].ids, asked)
    names = sample.columns[place]
    _check_photos(sample, names, known)
    others = [name for at, name in enumerate(sample.header) if at != place]
    layout = _layout(sample, dataset, names, others, asked)
    if layout == PROBABILITIES:
        kind, separator = _columns(sample, dataset, others, asked), ""
    else:
        kind, separator = _marks(sample, dataset, sample.columns[1 - place], layout, asked)
    texts, ids = written(dataset.labels, kind), list(dict.fromkeys(names))
    column = {text: number for number, text in enumerate(texts)}
    columns = [column[text] for text in others] if layout == PROBABILITIES else []
    rows = np.array([known[name] for name in ids], np.int64)
    order = np.array(columns, np.int64)
    return Form(layout, sample.header, ids, rows, texts, order, separator, place, sample.delimiter)


def _photos(sample: Sample, ids: Sequence[str], asked: Submission) -> tuple[int, Mapping[str, int]]:
    """Find the column of the photos, and which row of test each text in it is."""
    best: tuple[int, int, dict[str, int]] = (0, 0, {})
    for trim in TRIMS:
        rows = {trim(name): row for row, name in enumerate(ids)}
        for place, name in enumerate(sample.header):
            if len(rows) < len(ids) or asked.image not in ("", name):
                continue
            texts = dict.fromkeys(sample.columns[place])
            known = {text: rows[trim(text)] for text in texts if trim(text) in rows}
            if len(known) == len(texts) == len(set(known.values())):
                return place, known
            best = max(best, (len(known), -place, known), key=lambda found: found[:2])
    if not best[0]:
        raise InputError(
            f"{sample.path}: none of its columns ({', '.join(sample.header[:5])}) names a photo of test, for example "
            f"{ids[0]!r}: correct it, or remove it."
        )
    return -best[1], best[2]


def _check_photos(sample: Sample, names: Sequence[str], known: Mapping[str, int]) -> None:
    """Refuse photos that are not in test, or that are one photo of test twice."""
    if unknown := [name for name in dict.fromkeys(names) if name not in known]:
        raise InputError(
            f"{sample.path} names {len(unknown):,} photos that test lacks, the first is {unknown[0]!r}: add them to "
            "the test split, or remove them there."
        )
    counts = collections.Counter(known.values())
    if twice := [name for name, row in known.items() if counts[row] > 1]:
        raise InputError(f"{sample.path} names one photo of test twice, {twice[0]!r} and {twice[1]!r}: remove one.")


def _layout(sample: Sample, dataset: DataSet, names: Sequence[str], others: Sequence[str], asked: Submission) -> str:
    is_wide = len(others) > 1 or any(set(others) == set(written(dataset.labels, kind)) for kind in DEFAULTS)
    has_pairs = len(set(names)) < len(names)
    layout = PROBABILITIES if is_wide else PAIRS if has_pairs or asked.layout == PAIRS else PHOTOS
    if is_wide and has_pairs:
        twice = collections.Counter(names).most_common(1)[0][0]
        raise InputError(f"{sample.path} has two rows of the photo {twice!r}, and a column a label: remove one.")
    if asked.layout not in ("", layout):
        raise InputError(
            f"submission.layout is {asked.layout!r}, yet {sample.path} has the layout {layout!r}: leave the one out, "
            "or remove the other."
        )
    return layout


def _columns(sample: Sample, dataset: DataSet, others: Sequence[str], asked: Submission) -> str:
    """Say whether ids or names of labels head the columns; refuse other columns, and labels without a column."""
    heads = {kind: set(written(dataset.labels, kind)) for kind in _kinds(dataset, asked)}
    kind = max(heads, key=lambda kind: len(heads[kind] & set(others)))
    strange = [name for name in others if name not in heads[kind]]
    missing = sorted(heads[kind] - set(others))
    if strange or missing:
        more = f"{len(strange):,} columns are no labels ({', '.join(map(repr, strange[:3]))})" if strange else ""
        less = f"{len(missing):,} labels have no column ({', '.join(map(repr, missing[:3]))})" if missing else ""
        raise InputError(
            f"{sample.path}: expected the photos' column, and one of labels or one for each of {len(dataset.labels):,} "
            f"labels; {' and '.join(filter(None, (more, less)))}: correct it, or remove it."
        )
    return kind


def _marks(sample: Sample, dataset: DataSet, cells: Sequence[str], layout: str, asked: Submission) -> tuple[str, str]:
    """Say whether ids or names stand in the cells of labels, and by what they are separated there.

    A sample's labels are mere examples, and some may be none of the data set's: the reading that knows most of them
    counts, and it has to know half.
    """
    known = {kind: set(written(dataset.labels, kind)) for kind in _kinds(dataset, asked)}
    readings = [
        (kind, mark, _share_known(cells, mark, known[kind]))
        for kind in known
        for mark in _separators(layout, asked, kind)
    ]
    highest = max(share for *_, share in readings)
    if highest < FEWEST_KNOWN and not (asked.labels and asked.separator):
        odd = next(number for number, cell in enumerate(cells, 2) if cell)
        raise InputError(
            f"{sample.path}, row {odd}: {cells[odd - 2]!r} is no list of labels of {dataset.folder}: name how they are "
            "written there with SET=submission.labels=names,submission.separator=; or remove the file."
        )
    best = [(kind, mark) for kind, mark, share in readings if share == highest]
    return next(((kind, mark) for kind, mark in best if any(mark in cell for cell in cells)), best[0])


def _separators(layout: str, asked: Submission, kind: str) -> Sequence[str]:
    """Give what may separate labels; where each label has its row, what none holds."""
    if layout != PHOTOS:
        return ("\n",)
    default = DEFAULTS[kind][2]
    return (asked.separator,) if asked.separator else tuple(dict.fromkeys((default, *SEPARATORS)))


def _share_known(cells: Sequence[str], mark: str, known: set[str]) -> float:
    """Say how many of the labels in cells are known, as a share; where all cells are empty, all are."""
    parts = [part for cell in cells if cell for part in cell.split(mark)]
    return sum(part in known for part in parts) / len(parts) if parts else 1.0


def _kinds(dataset: DataSet, asked: Submission) -> Sequence[str]:
    """Give what labels may be written as, likeliest first."""
    if asked.labels or not dataset.labels.ids_are_own:
        return (kind_of(dataset, asked),)
    return IDS, NAMES

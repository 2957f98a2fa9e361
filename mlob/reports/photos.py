"""Photos of validation for the page: taken small, and chosen so that every label is seen."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mlob.data import images
from mlob.data.dataset import DataSet
from mlob.data.places import Place
from mlob.errors import Unreadable
from mlob.labels import positives

PER_LABEL = 12  # photos that each label gets at least, where it has as many
MOST = 150  # photos in all
THUMBNAIL = 160  # pixels


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo of a split.

    Attributes:
        id: as in the annotations.
        image: JPEG bytes; None where it cannot be read.
        true: columns of the labels that it is annotated with.
    """

    id: str
    image: bytes | None
    true: list[int]


@dataclasses.dataclass(frozen=True)
class Labelled:
    """A photo, and the columns of the labels that the ensemble gives it.

    Attributes:
        unknown: those of the predicted ones of which nobody knows whether they are right.
    """

    photo: Photo
    predicted: list[int]
    unknown: Sequence[int] = ()


Camera = Callable[[int], Photo]  # of a row of a split


def camera(dataset: DataSet, name: str = "validation") -> Camera:
    """Give a function that takes one photo of a split by its row; a second time it gives the same one."""
    split, files = dataset[name], dataset.photos(name)
    targets = np.zeros((len(split.ids), 0), np.uint8) if split.annotations is None else split.labelled_targets

    @functools.cache
    def take(row: int) -> Photo:
        return Photo(split.ids[row], _thumbnail(files[row]), np.flatnonzero(positives(targets[row])).tolist())

    return take


def gallery(targets: np.ndarray, decided: np.ndarray, take: Camera, seen: np.ndarray) -> Iterator[Labelled]:
    """Choose photos of validation, and yield each with its true and its predicted labels.

    Args:
        targets, decided: uint8 (n, labels) on validation.
        take: as `camera` gives it.
        seen: rows of the photos that have features; the others are not shown.
    """
    for row in seen[choose(targets[seen], decided[seen], per_label=PER_LABEL)].tolist():
        unknown = np.flatnonzero((targets[row] > 1) & (decided[row] == 1))
        yield Labelled(take(row), np.flatnonzero(decided[row]).tolist(), unknown.tolist())


def choose(targets: np.ndarray, decided: np.ndarray, *, per_label: int = 3, most: int = MOST) -> np.ndarray:
    """Choose photos to show so that every label that occurs is seen, rarest labels first.

    In each turn, every label that is still on no more photos than turns have passed gets one more: in the
    first, third, … turn one where it was predicted, if there is one, in the others one where it was missed.
    So any first part of the result covers the labels evenly; with at most `most` labels none goes without.

    Args:
        targets, decided: 0/1 (n, labels); a label that is unknown on a photo is not seen there.
        per_label: turns: photos a label gets at least, where it has as many.
        most: photos in all.

    Returns:
        Rows, integers (up to `most`,), in order of choice. Equal inputs give equal rows.
    """
    targets, decided = positives(np.asarray(targets)), np.asarray(decided, bool)
    rarest_first = [label for label in np.argsort(targets.sum(axis=0), kind="stable") if targets[:, label].any()]
    chosen: list[int] = []
    for turn in range(per_label):
        for label in rarest_first:
            if len(chosen) < most and targets[chosen, label].sum() <= turn:
                left = np.setdiff1d(np.flatnonzero(targets[:, label]), chosen)
                preferred = left[decided[left, label] == (turn % 2 == 0)]
                chosen += [int(row) for row in (preferred if len(preferred) else left)[:1]]
    return np.array(chosen, np.int64)


def _thumbnail(place: Place | None) -> bytes | None:
    try:
        return images.thumbnail(images.content(place), THUMBNAIL)
    except Unreadable:
        return None

"""Members' predictions of a split on each other, by photo or by product: what an ensemble is fitted on."""

import dataclasses
import pathlib
from collections.abc import Hashable, Mapping

import numpy as np

from mlob import predictions, workspace
from mlob.data import splits
from mlob.data.dataset import DataSet, Split
from mlob.errors import InputError
from mlob.labels import UNKNOWN, Labels, positives
from mlob.predictions import Table
from mlob.runs.model import PREDICTED


@dataclasses.dataclass(frozen=True)
class Stack:
    """Members' predictions of one split, whose rows are photos, or products and photos by themselves.

    Attributes:
        members: probabilities float32 (members, rows, labels).
        targets: uint8 (rows, labels); None where the split has none.
        keys: one a row, equal for those that may not be torn apart.
        place: the row of each photo, int (photos,).
    """

    members: np.ndarray
    targets: np.ndarray | None
    keys: list[Hashable]
    place: np.ndarray


def read(dataset: DataSet, runs: Mapping[str, pathlib.Path], is_averaged: bool = False) -> dict[str, Stack]:
    """Stack the members' predictions of validation and test: {split: stack}.

    Args:
        dataset: the `DataSet`.
        runs: {member: runs/<suite>/<member>}.
        is_averaged: the photos of a product are one row.

    Raises:
        InputError: a member predicted other photos than the rest, or other labels.
    """
    predicted = {
        name: _predictions(name, folder / workspace.PREDICTIONS, dataset.labels) for name, folder in runs.items()
    }
    found = {
        split: {name: own[split] for name, own in predicted.items()} for split in PREDICTED if split in dataset.splits
    }
    return {split: _stack(dataset[split], tables, is_averaged) for split, tables in found.items()}


def averaged(stack: Stack, is_read: np.ndarray) -> Stack:
    """Make one row of the photos that have one place: their mean, and the labels of them all.

    Photos that could not be read count only where all of a row are such.

    Args:
        stack: a row for each photo, and the place that each will have.
        is_read: bool (photos,).
    """
    place, count = stack.place, int(stack.place.max(initial=-1)) + 1
    if count == len(place):
        return stack
    read_there = np.bincount(place, is_read, minlength=count)
    weight = np.where(read_there[place] > 0, is_read, 1.0)
    weight /= np.bincount(place, weight, minlength=count)[place]
    members = np.stack([_summed(place, weight[:, None] * member) for member in stack.members]).astype(np.float32)
    targets = None if stack.targets is None else _labels_of_all(place, stack.targets)
    _, first = np.unique(place, return_index=True)
    return Stack(np.clip(members, 0, 1), targets, [stack.keys[row] for row in first], place)


def _labels_of_all(place: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Give targets of rows of photos: a label that one has is there, and lacking where it is known that all lack it."""
    has, unknown = (_summed(place, marks.astype(np.float32)) > 0 for marks in (positives(targets), targets > 1))
    return np.where(has, 1, np.where(unknown, UNKNOWN, 0)).astype(np.uint8)


def _summed(place: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum the photos' values (photos, labels) by place: (rows, labels)."""
    from scipy.sparse import csr_array

    photos = np.arange(len(place))
    return csr_array((np.ones(len(place)), (place, photos))) @ values


def _stack(split: Split, tables: Mapping[str, Table], is_averaged: bool) -> Stack:
    first, count = next(iter(tables.values())), len(split.ids)
    keys, place = first.keys(split.ids, split.together), np.arange(count)
    stack = Stack(predictions.align(tables, split.ids), split.targets, keys, place)
    if split.together is None or not is_averaged:
        return stack
    products = splits.places(count, [name or row for row, name in enumerate(split.together)])
    is_read = np.array([key != name for key, name in zip(first.keys(split.ids), split.ids, strict=True)])
    return averaged(dataclasses.replace(stack, place=products), is_read)


def _predictions(name: str, path: pathlib.Path, labels: Labels) -> dict[str, Table]:
    found = predictions.read(path)
    if predictions.read_labels(path) not in (None, list(labels.ids)):
        raise InputError(
            f"The predictions of {name} are of other labels than the annotations: remove {path.parent} and run "
            f"`make train MODEL={name}`."
        )
    return found

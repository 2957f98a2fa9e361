"""What a detector found, as arrays: boxes in shares of the photo, the features made of them, and their table.

The boxes of photos are float32 (n, most, 6): class number, score, left, top, right, bottom. Rows of score 0 are none.
"""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.files import to_cell, write_text

if TYPE_CHECKING:
    from mlob.data.images import Inset

COLUMNS = ("photo", "class", "score", "x1", "y1", "x2", "y2")


def in_photos(boxes: np.ndarray, insets: Sequence[Inset], side: int) -> np.ndarray:
    """Give boxes in shares of the photos; nothing is left of what lies in the margins beside a photo.

    Args:
        boxes: float32 (n, most, 6), in shares of the square that the detector saw.
        insets: (n,), where in the square each photo lies.
        side: of the square, pixels.
    """
    placed = np.array(insets, float).reshape(-1, 1, 4)  # left, top, width, height
    shares = (boxes[..., 2:] * side - placed[..., [0, 1, 0, 1]]) / placed[..., [2, 3, 2, 3]]
    within = np.concatenate([boxes[..., :2], shares.clip(0, 1)], axis=-1).astype(np.float32)
    is_there = (within[..., 1] > 0) & (within[..., 2] < within[..., 4]) & (within[..., 3] < within[..., 5])
    return np.where(is_there[..., None], within, np.float32(0))


def features(boxes: np.ndarray, classes: int, threshold: float) -> np.ndarray:
    """Make features of boxes, which may be in any order.

    Args:
        boxes: float32 (n, most, 6), in shares of the photo.
        classes: how many there are.
        threshold: score from which on a box counts as an object.

    Returns:
        float32 (n, 3 * classes): the best score of each class, then the number of its objects, then the share of the
        photo that they cover, each place once. Zeros where nothing was found.
    """
    rows = [_features(found[found[:, 1] > 0], classes, threshold) for found in boxes]
    return np.array(rows, np.float32).reshape(len(boxes), 3 * classes)


def _features(found: np.ndarray, classes: int, threshold: float) -> np.ndarray:
    """Make the features of one photo, (3, classes), of its boxes (n, 6)."""
    scores, counts, areas = row = np.zeros((3, classes), np.float32)
    np.maximum.at(scores, found[:, 0].astype(int), found[:, 1])
    objects = found[found[:, 1] >= threshold]
    counts[:] = np.bincount(objects[:, 0].astype(int), minlength=classes)
    for number in np.flatnonzero(counts):
        areas[number] = covered(objects[objects[:, 0] == number, 2:])
    return row


def covered(corners: np.ndarray) -> float:
    """Give the area of the union of boxes (n, 4), left, top, right, bottom, on the grid that their sides make."""
    left, top, right, bottom = corners.astype(float).T[:, :, None]
    across, down = np.unique(np.concatenate([left, right])), np.unique(np.concatenate([top, bottom]))
    columns = (left <= across[:-1]) & (across[1:] <= right)  # (n, cells across)
    rows = (top <= down[:-1]) & (down[1:] <= bottom)
    is_inside = np.einsum("nr,nc->rc", rows, columns)  # of booleans: any
    return min(1.0, float(np.diff(down) @ is_inside @ np.diff(across)))


def table_path(shard_path: pathlib.Path) -> pathlib.Path:
    """Name the table of boxes beside a shard."""
    return shard_path.with_name(f"boxes-{shard_path.stem}.csv")


def write_table(path: pathlib.Path, ids: Sequence[str], boxes: np.ndarray) -> None:
    """Write a row for each box of photos, atomically; equal boxes give equal bytes.

    Args:
        path: of the CSV.
        ids: texts (n,).
        boxes: float32 (n, most, 6), in shares of the photo.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for name, found in zip(ids, boxes, strict=True):
        for number, *numbers in found[found[:, 1] > 0].tolist():
            rows.writerow([to_cell(name), int(number), *(f"{value:.5f}" for value in numbers)])
    write_text(path, text.getvalue())

"""The submission: `image_id,label_id`, label ids separated by spaces, one row for each photo of test."""

import csv
import pathlib
from collections.abc import Sequence

import numpy as np

from mlob.errors import InputError
from mlob.files import atomic
from mlob.labels import Labels

HEADER = ["image_id", "label_id"]


def write(path: pathlib.Path, ids: Sequence[str], decided: np.ndarray, labels: Labels) -> None:
    """Write a submission, atomically, and read it back before it gets its name.

    Args:
        path: of the CSV.
        ids: in the order of the test file.
        decided: 0/1 (n, labels).
        labels: their ids (iMaterialist counts from 1) are written, in column order.

    Raises:
        RuntimeError: what was read back is not what was decided, or an id is there twice; no file stays.
    """
    names = [[str(labels.ids[column]) for column in np.flatnonzero(row)] for row in np.asarray(decided)]
    with atomic(path) as part:
        with open(part, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows((name, " ".join(row)) for name, row in zip(ids, names, strict=True))
        _check(part, ids, decided, labels)


def read(path: pathlib.Path) -> tuple[tuple[str, ...], list[set[int]]]:
    """Read a submission: the photos' ids, and a set of label ids for each.

    Raises:
        InputError: missing, or of another layout.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if header != HEADER:
            raise ValueError(f"the header is {','.join(header)!r}")
        return tuple(name for name, _ in rows), [{int(label) for label in text.split()} for _, text in rows]
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: run `make submission`.") from error
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"{path} is no submission: expected the columns image_id,label_id with whole label ids ({error})."
        ) from error


def _check(path: pathlib.Path, ids: Sequence[str], decided: np.ndarray, labels: Labels) -> None:
    written, label_sets = read(path)
    if written != tuple(ids) or len(set(written)) < len(written):
        raise RuntimeError(f"{path} does not hold every image id exactly once, in order.")
    if not np.array_equal(labels.targets(label_sets), np.asarray(decided)):
        raise RuntimeError(f"{path} holds other labels than were decided.")

"""Data sets of Hugging Face in Parquet: photos and their labels in `train-00000-of-00002.parquet` and so on.

Any Parquet files whose photos are in a column count, whoever wrote them. What Hugging Face says of their columns (names
of classes) is read from the files where it stands there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlob.data import listing, parquet, places
from mlob.data.listing import Listed, Listing
from mlob.data.splits import SPLITS
from mlob.errors import InputError, nearest
from mlob.labels import Labels
from mlob.recipes import Annotations
from mlob.texts import Mirrors, Texts

if TYPE_CHECKING:
    import pyarrow

    from mlob.data.places import Folder

FOLDERS = ("", "data")  # where the files are, or in folders there that are named as splits
WORDS = {  # in the names of files: https://huggingface.co/docs/hub/datasets-file-names-and-splits
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
PHOTO = ("image", "img", "photo", "picture")  # names of the photos' column, where several could be it
IDS = ("id", "image_id", "photo_id", "file_name", "filename")
LABELS = ("label", "labels", "class", "target")  # columns of numbers that are labels even if nothing names these
TOGETHER = ("together", "product")
UNLABELLED = -1  # in a column of classes: https://huggingface.co/docs/datasets/about_dataset_features


class Column(NamedTuple):
    """A column of labels as hits: `rows` that have a label, and the place in `names` of that label.

    Attributes:
        group: the column's name.
        names: of its labels.
        rows, codes: int64 (hits,).
        unknown: int64 rows of which nobody said which labels they have.
    """

    group: str
    names: list[str]
    rows: np.ndarray
    codes: np.ndarray
    unknown: np.ndarray


def find(folder: Folder, names: list[str]) -> str:
    """Give the path of the first Parquet file with photos, relative to the folder; empty if there is none."""
    for path in files(folder, names):
        with parquet.opened(folder / path) as content:
            if parquet.photo_columns(content.schema_arrow):
                return path
    return ""


def files(folder: Folder, names: list[str]) -> list[str]:
    """List the Parquet files of a data folder, relative to it."""
    found = [f"{home}/{name}".lstrip("/") for home in FOLDERS for name in _parquet(folder, home, names)]
    homes = [f"{home}/{split}".lstrip("/") for home in FOLDERS for split in SPLITS]
    return found or [f"{home}/{name}" for home in homes for name in _parquet(folder, home, names)]


def _parquet(folder: Folder, home: str, names: list[str]) -> list[str]:
    in_home = places.names(folder / home) if home else names
    return sorted(name for name in in_home if name.endswith(".parquet") and not name.startswith((".", "_")))


def read(folder: Folder, names: list[str], asked: Annotations) -> Listing:
    """Read the Parquet files of a folder, without their photos.

    Raises:
        InputError: a file is damaged, or differs from the others; the column of the photos or of the labels cannot be
            told, or holds something else.
    """
    paths = files(folder, names)
    splits = [_split(path) for path in paths]
    if any(splits):
        paths, splits = [path for path in paths if _split(path)], [split for split in splits if split]
    first = folder / paths[0]
    with parquet.opened(first) as content:
        schema = content.schema_arrow
    photo = _photo_column(schema, asked, first)
    homes = [parquet.file(folder / path, photo) for path in paths]
    columns = [name for name in schema.names if name not in parquet.photo_columns(schema)]
    table = parquet.read([folder / path for path in paths], [*columns, f"{photo}.path"])
    of_row = np.repeat(np.array(splits, object), [sum(home.rows) for home in homes])
    of_row = _open_splits(of_row)
    ids, named_by = _ids(table, photo, of_row)
    ...

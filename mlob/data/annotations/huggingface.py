"""Data sets of Hugging Face in Parquet: photos with their labels in `train-00000-of-00002.parquet` and so on.

Any Parquet files with a column of photos count, whoever wrote them. Where they say which classes a column of numbers
stands for, as those of Hugging Face do, these are the labels; otherwise labels are found as in any table.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlob.data import parquet, places
from mlob.data.annotations import columns, labelcolumns, listing
from mlob.data.annotations import table as tables
from mlob.data.annotations.columns import Columns, key
from mlob.data.annotations.listing import Listed, Listing
from mlob.data.splits import NAMES, SPLITS
from mlob.data.tree import Tree
from mlob.errors import InputError, nearest
from mlob.labels import Labels
from mlob.recipes import Annotations
from mlob.texts import Mirrors, Texts

if TYPE_CHECKING:
    import pyarrow
    from scipy.sparse import csr_array

    from mlob.data.places import Folder

FOLDERS = ("", "data")  # where the files are, or in folders there that are named as splits
WORDS = NAMES | {"dev": "validation", "eval": "test", "evaluation": "test"}  # of splits, as [Hugging Face] has them
PHOTO = {"image", "img", "photo", "picture"}  # the column of photos, where several hold bytes
UNLABELLED = -1  # in a column of classes, as [Hugging Face] has it


class Gathered(NamedTuple):
    """What the files of a data set hold, one file after another.

    Attributes:
        path: for messages: the file, or the folder of several.
        files: with photos.
        splits: the split that its file names for each photo, an array of texts (n,), empty where it names none.
        table: the other columns.
        classes: the columns whose classes have names.
        told: about files that are left out.
    """

    path: Folder
    files: list[parquet.File]
    splits: np.ndarray
    table: Columns
    classes: list[str]
    told: list[str]


def find(tree: Tree, names: list[str]) -> str:
    """Give the first Parquet file with photos, relative to the folder; empty if there is none."""
    paths = _files(tree.root, names)
    return next((path for path in paths if parquet.photo_columns(parquet.schema(tree.root / path))), "")


def read(tree: Tree, names: list[str], asked: Annotations) -> Listing:
    """Read the Parquet files of a folder, without their photos.

    Raises:
        InputError: a file is damaged, or differs from the others; the column of photos or of labels cannot be told, or
            holds something else.
    """
    found = _gathered(tree.root, _files(tree.root, names), asked)
    table, photos = found.table, found.files[0].column
    by_column = "" if found.splits.all() else tables.role(table, asked.split, "split", tables.SPLIT)
    together = tables.role(table, asked.together, "together", tables.TOGETHER)
    splits = tables.splits(table, by_column)[0] if by_column else _given(found.splits)
    products = tables.stripped(table, together) if together else None
    text = tables.role(table, asked.text, "text", set())
    texts = tables.stripped(table, text) if text else None
    ids, named_by = _ids(found)
    free = [name for name in table.cells if name not in (by_column, together, text, named_by)]
    labels, annotations, told = _labels(found, ids, free, asked)
    listed = Listed(
        found.path, ids, Mirrors(() for _ in ids), annotations, splits,
        ids_are_paths=True, together=products, places=parquet.Rows(found.files), texts=texts,
    )  # fmt: skip
    parts = {"named by": named_by or "split and row", "splits:": by_column, "together:": together, "texts:": text}
    more = "".join(f", {what} {name}" for what, name in parts.items() if name)
    about = f"Photos: the column {photos}, read in place{more}."
    return Listing(labels, [listed], (about, *found.told, *told))


def _gathered(folder: Folder, every: list[str], asked: Annotations) -> Gathered:
    paths = [path for path in every if _split(path)] or every
    left = [path for path in every if path not in paths]
    told = [f"Left out, since their names tell no split: {', '.join(left)}."] if left else []
    path = folder / paths[0] if len(paths) == 1 else folder
    schemas = {folder / each: parquet.schema(folder / each) for each in paths}
    photo = _photo_column(next(iter(schemas.values())), asked, path)
    files = [parquet.file(each, photo) for each in schemas]
    splits = np.repeat(np.array([_split(each) for each in paths], object), [sum(file.rows) for file in files])
    content, classes = parquet.read(list(schemas)), _classes(schemas)
    for name, names in classes.items():
        cells = _named(content.column(name), names, splits, asked.unknown, f"{path}, column {name!r}")
        content = content.set_column(content.schema.names.index(name), name, cells)
    return Gathered(path, files, splits, columns.of_arrow(path, content, "Parquet"), list(classes), told)


# Files and their splits


def _files(folder: Folder, names: list[str]) -> list[str]:
    """List the Parquet files of a data folder, relative to it."""
    found = [path for home in FOLDERS for path in _parquet(folder, home, names)]
    homes = [posixpath.join(home, split) for home in FOLDERS for split in SPLITS]
    return found or [path for home in homes for path in _parquet(folder, home, names)]


def _parquet(folder: Folder, home: str, names: list[str]) -> list[str]:
    in_home = places.names(folder / home) if home else names
    kept = sorted(name for name in in_home if name.endswith(".parquet") and not name.startswith((".", "_")))
    return [posixpath.join(home, name) for name in kept]


def _split(path: str) -> str:
    """Give the split that a file's name tells, else the one that its folder tells; empty if none does, or two do."""
    for part in reversed(path.removesuffix(".parquet").split("/")):
        if told := {WORDS[word] for word in re.findall("[a-z]+", part.lower()) if word in WORDS}:
            return told.pop() if len(told) == 1 else ""
    return ""


def _given(splits: np.ndarray) -> np.ndarray | None:
    """Give the splits that files tell; None where all are to be drawn, empty texts where validation is."""
    told = set(splits.tolist())
    if told <= {"", "train"}:
        return None
    return splits if "validation" in told else np.where(splits == "train", "", splits)


# Columns


def _photo_column(schema: pyarrow.Schema, asked: Annotations, path: Folder) -> str:
    found = parquet.photo_columns(schema)
    likely = [name for name in found if key(name) in PHOTO] if len(found) > 1 else found
    if asked.image in found:
        return asked.image
    if asked.image or len(likely) != 1:
        raise InputError(
            f"{path} holds photos in the columns {', '.join(found) or '(none)'}: name the right one, "
            f"SET=annotations.image=…{nearest(asked.image, found) if asked.image else ''}"
        )
    return likely[0]


def _classes(schemas: dict[Folder, pyarrow.Schema]) -> dict[str, list[str]]:
    """Give {column: names of its classes}, here all different, of the columns of which Hugging Face's writer tells.

    Raises:
        InputError: two files tell different names.
    """
    classes: dict[str, list[str]] = {}
    for path, schema in schemas.items():
        named = {column: _class_names(feature) for column, feature in _features(schema).items()}
        for column in [each.name for each in schema if named.get(each.name) and columns.holds_numbers(each.type)]:
            if classes.setdefault(column, named[column]) != named[column]:
                raise InputError(f"{path} names other classes of the column {column} than the files before it.")
    return classes


def _features(schema: pyarrow.Schema) -> dict[str, Any]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(feature: Any) -> list[str]:
    """Give the names of a column's classes, or those of the classes in its lists; empty if it has none."""
    if isinstance(feature, list):
        feature = next(iter(feature), None)
    if isinstance(feature, dict) and "feature" in feature:
        feature = feature["feature"]
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    texts = list(map(str, names)) if isinstance(names, list) else []
    return [name if texts.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(texts)]


def _named(
    column: pyarrow.ChunkedArray, names: list[str], splits: np.ndarray, unknown: str, where: str
) -> pyarrow.ChunkedArray:
    """Give names for the numbers of classes, as lists of texts.

    -1 stands for a class that nobody told: unknown, but in a split without any class, which is to be predicted.

    Raises:
        InputError: a number has no name; `where` is the column, for the message.
    """
    counts, codes = columns.numbers(column)
    if len(wrong := codes[(codes < UNLABELLED) | (codes >= len(names))]):
        raise InputError(f"{where}: the class {wrong[0]} has no name, since there are {len(names):,}: correct it.")
    rows = np.repeat(np.arange(len(counts)), counts)
    labelled = set(splits[rows[codes != UNLABELLED]].tolist())
    kept = np.array([split in labelled for split in splits.tolist()], bool)[rows]
    counts = np.bincount(rows[kept], minlength=len(counts))
    return columns.lists(counts, codes[kept] % (len(names) + 1), [*names, unknown])


def _labels(found: Gathered, ids: Texts, free: list[str], asked: Annotations) -> tuple[Labels, csr_array, list[str]]:
    """Read the labels in the columns whose classes have names, if there are some, else as in any table."""
    if asked.labels or not found.classes:
        return labelcolumns.read(found.table, ids, free, asked)
    asked = dataclasses.replace(asked, labels=tuple(found.classes))
    labels, annotations, told = labelcolumns.read(found.table, ids, found.classes, asked)
    if left := [name for name in (*free, *found.table.dropped) if name not in found.classes]:
        named = "SET=annotations.labels=[…] names all columns of labels."
        told.append(f"Left out: {', '.join(left)} (without names of classes). {named}")
    return labels, annotations, told


# Names of photos


def _ids(found: Gathered) -> tuple[Texts, str]:
    """Name the photos by a column of names, or as they are named beside their bytes, else by split and row.

    Returns:
        ids, and the column that they are from; empty where there is none.
    """
    table = found.table
    named = {name: table.texts(name) for name in table.cells if key(name) in tables.IMAGE and not table.is_list(name)}
    named[f"{found.files[0].column}.{parquet.PATH}"] = parquet.names(found.files)
    for name, texts in named.items():
        if len(np.unique(texts.array)) == len(texts) and np.strings.str_len(texts.array).all():
            return listing.ids(texts, found.path), name
    return listing.ids(_numbered(found.splits), found.path), ""


def _numbered(splits: np.ndarray) -> Iterator[str]:
    seen = collections.Counter[str]()
    for split in splits.tolist():
        yield f"{split}-{seen[split]}" if split else str(seen[split])
        seen[split] += 1

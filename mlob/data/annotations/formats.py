"""The formats in which photos and their labels are read, in one table.

To add a format, write a function `read(tree, names, asked)` that gives a `Listing`, and add a line to `FORMATS`. A
small format is written in this file, so that no other file changes; a long one in a module of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

from mlob.data import places
from mlob.data.annotations import (
    class_folders,
    coco,
    corrections,
    folded,
    huggingface,
    imaterialist,
    imaterialist2017,
    label_groups,
    labelstudio,
    listing,
    styles,
    table,
)
from mlob.data.annotations.listing import Listing
from mlob.data.tree import Tree
from mlob.errors import InputError, some
from mlob.recipes import Annotations

SAMPLE = "sample_submission.csv"  # says what answers look like, and annotates nothing


@dataclasses.dataclass(frozen=True)
class Format:
    """How annotations are laid out in a folder.

    Attributes:
        told_by: what in a folder tells this format, for people: the README's table and messages are made of it.
        find: (data folder, names of the files in it) -> the file or folder that tells the format; empty if none does.
        read: (data folder, names, how a table is to be read) -> `Listing`; raises InputError.
        is_general: whether the format counts only where no other one is told, nor a general one above it.
    """

    told_by: str
    find: Callable[[Tree, list[str]], str]
    read: Callable[[Tree, list[str], Annotations], Listing]
    is_general: bool = False


def _named(*files: str) -> Callable[[Tree, list[str]], str]:
    """Give the function that finds the first of some file names."""
    return lambda tree, names: next((file for file in files if file in names), "")


FORMATS = {
    "one table": Format("photos.csv", _named(table.PHOTOS), table.read),
    "Fashion Product Images": Format("styles.csv with a column articleType", styles.find, styles.read, is_general=True),
    "a table": Format("the only .csv, .tsv or .parquet file", table.find, table.read, is_general=True),
    "iMaterialist 2018": Format("train.json", imaterialist.find, imaterialist.read),
    "iMaterialist 2017": Format("*train.data.json", imaterialist2017.find, imaterialist2017.read),
    "COCO, iNaturalist": Format("instances_train2017.json, train2019.json and the like", coco.find, coco.read),
    "Label Studio": Format("an export of Label Studio, *.json", labelstudio.find, labelstudio.read),
    "Hugging Face": Format("*.parquet or data/*.parquet with a column of photos", huggingface.find, huggingface.read),
    "folders of classes": Format(
        "a folder for each class, dress/1.jpg or train/dress/1.jpg", class_folders.find, class_folders.read, True
    ),
}


def read(tree: Tree, asked: Annotations | None = None) -> Listing:
    """Read the annotations in a folder, in any of the formats.

    Args:
        tree: the data folder, whose files a format may list.
        asked: how a table is to be read, where its names do not tell.

    Raises:
        InputError: there is no folder, or it has none of the formats, or two of them; the annotations cannot be right;
            a bucket cannot be read.
    """
    folder = tree.root
    names = places.names(folder)
    if not names and not folder.is_dir():
        raise InputError(f"The data folder {folder} does not exist: name it with DATA= (--data).")
    own = [name for name in names if name not in (*corrections.FILES, SAMPLE)]
    name, file = _told(tree, own)
    asked = asked or Annotations()
    annotations = FORMATS[name].read(tree, own, asked)
    listing.check(annotations)
    if asked.text and all(listed.texts is None for listed in annotations.files):
        raise InputError(f"annotations.text names the column {asked.text!r}; expected a table, found {name} ({file}).")
    if label_groups.FILE in own and file != label_groups.FILE:
        annotations = label_groups.apply(annotations, folder)
    label_groups.check_exclusive(annotations, asked.exclusive)
    annotations = folded.fold(annotations, asked)
    told = (f"Read as {name}, told by {file}.", *annotations.told)
    return corrections.apply(dataclasses.replace(annotations, told=told), folder, names)


def _told(tree: Tree, names: list[str]) -> tuple[str, str]:
    """Give the name of the format in a folder, and the file or folder that tells it."""
    folder, told = tree.root, dict(_found(tree, names, is_general=False))
    if len(told) > 1:
        raise InputError(f"{folder} holds {' and '.join(told.values())}, two formats: move one of them elsewhere.")
    general = _found(tree, names, is_general=True)  # one by one: to find classes, all folders of photos are listed
    for pair in itertools.chain(told.items(), general):
        return pair
    if len(tables := table.candidates(names)) > 1:
        raise InputError(
            f"{folder} holds {len(tables)} tables, {some(tables)}: name the one that lists the photos {table.PHOTOS}, "
            "or move the others elsewhere."
        )
    expected = ", ".join(f"{known.told_by} ({name})" for name, known in FORMATS.items())
    raise InputError(
        f"{folder} holds no annotations: expected one of {expected}. The README's section on your own photos shows "
        "each format."
    )


def _found(tree: Tree, names: list[str], is_general: bool) -> Iterator[tuple[str, str]]:
    """Give the formats that are told, each with the file or folder that tells it."""
    for name, known in FORMATS.items():
        if known.is_general == is_general and (file := known.find(tree, names)):
            yield name, file

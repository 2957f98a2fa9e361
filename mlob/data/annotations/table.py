"""The format of one table: a row a photo, in photos.csv or in the only CSV, TSV or parquet file of the folder."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlob.data.annotations import columns, csvtable, labelcolumns, listing
from mlob.data.annotations.columns import Columns, key
from mlob.data.annotations.listing import Listed, Listing
from mlob.data.splits import NAMES, SPLITS
from mlob.data.tree import Tree
from mlob.errors import InputError, counted
from mlob.recipes import Annotations
from mlob.texts import KIND, Mirrors, Texts

if TYPE_CHECKING:
    from mlob.data.places import Folder

PHOTOS, LABELS = "photos.csv", "labels.csv"
OTHERS = (LABELS, "sample_submission.csv", "corrections.csv", "*label_map*.csv", ".*")  # tables that list no photos
IMAGE = {
    *("image", "imageid", "imagepath", "imagename", "imagefile", "imagefilename", "img", "imgpath", "imgname"),
    *("file", "filename", "filepath", "path", "photo", "photoid", "photopath", "photoname", "picture", "id"),
}  # names of the column of photos, as `columns.key` gives them
URL = {"url", "imageurl", "photourl", "imgurl", "pictureurl"}
SPLIT, TOGETHER = {"split"}, {"product", "productid", "together"}


class Roles(NamedTuple):
    """Names of the columns that are no labels; empty where there is none."""

    image: str
    url: str
    split: str
    together: str
    text: str
    even: str


def find(tree: Tree, names: list[str]) -> str:
    """Find the only table in a folder, whatever its name; empty where there is none, or where there are several."""
    tables = candidates(names)
    if not tables and LABELS in names and not _gives_groups(tree.root):
        return LABELS
    return tables[0] if len(tables) == 1 else ""


def candidates(names: list[str]) -> list[str]:
    """List the files that may be a table of photos."""
    tables = sorted(name for name in names if name.lower().endswith(columns.SUFFIXES))
    return [name for name in tables if not any(fnmatch.fnmatch(name, other) for other in OTHERS)]


def read(tree: Tree, names: list[str], asked: Annotations) -> Listing:
    """Read the table in a folder.

    Raises:
        InputError: the table cannot be read; it is not clear which column holds what; a cell cannot be right.
    """
    path = tree.root / (PHOTOS if PHOTOS in names else find(tree, names))
    listed = understood(columns.read(path, asked.encoding), asked)
    columns.release()
    return listed


def understood(table: Columns, asked: Annotations) -> Listing:
    """Tell what the columns of a table are, and read the photos.

    Raises:
        InputError: it is not clear which column holds what; a cell cannot be right.
    """
    roles = _roles(table, asked)
    ids, urls = _photos(table, roles)
    free = [name for name in table.cells if name not in roles]
    labels, annotations, told = labelcolumns.read(table, ids, free, asked)
    of_split, words = splits(table, roles.split) if roles.split else (None, "")
    of_split = _by_parity(table, roles.even) if roles.even else of_split
    products = stripped(table, roles.together) if roles.together else None
    texts = stripped(table, roles.text) if roles.text else None
    listed = Listed(
        table.path, ids, urls, annotations, of_split,
        ids_are_paths=True, together=products, first_row=table.first_row, texts=texts,
    )  # fmt: skip
    found = f"{table.path.name}: {counted(len(table), 'row')}, {table.told}."
    return Listing(labels, [listed], (found, _told(roles, words), *told))


def read_texts(path: Folder, asked: Annotations) -> dict[str, str]:
    """Read the texts beside photos from a table, by the photos' names there.

    Raises:
        InputError: there is no such file, or it has no column of photos, or not the one of texts.
    """
    if not path.is_file() or path.suffix.lower() not in columns.SUFFIXES:
        raise InputError(f"{path} is no table: expected a file that ends in {', '.join(columns.SUFFIXES)}.")
    table = columns.read(path, asked.encoding)
    image = table.find(asked.image, "image") if asked.image else _image(table, asked)
    if not image:
        raise InputError(f"{path} has no column of photos: expected one called image, file, path, photo or id.")
    return dict(zip(table.texts(image), stripped(table, table.find(asked.text, "text")), strict=True))


def _told(roles: Roles, words: str) -> str:
    parts = {
        "Photos: the column": roles.image,
        "their addresses:": roles.url,
        "splits:": f"{roles.split}{words}" if roles.split and not roles.even else "",
        "test: what is not even in": roles.even,
        "photos that belong together:": roles.together,
        "their texts:": roles.text,
    }
    return ", ".join(f"{what} {name}" for what, name in parts.items() if name) + "."


def _gives_groups(folder: Folder) -> bool:
    """Say whether labels.csv is a list of labels with their groups, and not of photos."""
    return {"label", "group"} <= set(map(key, csvtable.look(folder / LABELS).header))


# Columns that are no labels


def _roles(table: Columns, asked: Annotations) -> Roles:
    url = role(table, "", "url", URL)
    image = table.find(asked.image, "image") if asked.image else _image(table, asked) or url
    if not image:
        raise InputError(
            f"{table.path} has no column of photos: expected one called image, file, path, photo or id, found "
            f"{', '.join(table.cells)}. Name it, SET=annotations.image=…, or move a file that lists no "
            "photos elsewhere."
        )
    if image in table.floats:
        raise InputError(f"{table.path}, column {image!r}: photos have floating-point numbers as names: save text.")
    split = role(table, asked.split, "split", SPLIT)
    product = role(table, asked.together, "together", TOGETHER)
    text, even = role(table, asked.text, "text", set()), role(table, asked.even, "even", set())
    roles = Roles(image, "" if url == image else url, split, product, text, even)
    for name in filter(None, roles):
        _refuse_lists(table, name)
    return roles


def _refuse_lists(table: Columns, column: str) -> None:
    if table.is_list(column):
        raise InputError(f"{table.path}, column {column!r}: expected one text in each cell, found lists: save texts.")


def _image(table: Columns, asked: Annotations) -> str:
    found = [name for name in table.cells if key(name) in IMAGE and name not in asked.labels]
    if len(found) > 1:
        raise InputError(
            f"{table.path} has {len(found)} columns that may name the photos, {' and '.join(found)}: say which one, "
            f"SET=annotations.image={found[0]}"
        )
    return found[0] if found else ""


def role(table: Columns, asked: str, field: str, names: set[str]) -> str:
    """Give the column that a recipe's field asks for, else the first that has one of some names; empty if none has.

    Raises:
        InputError: there is no such column as the recipe asks for.
    """
    return table.find(asked, field) if asked else next((name for name in table.cells if key(name) in names), "")


def _photos(table: Columns, roles: Roles) -> tuple[Texts, Mirrors]:
    """Give the ids of photos, and their paths and addresses."""
    named = listing.ids(table.texts(roles.image), table.path)
    if table.row_with(roles.image, "://") is None:
        return named, _with_addresses(named, table, roles.url)
    files = [posixpath.basename(re.split("[?#]", text)[0]) if _is_address(text) else text for text in named]
    if len(set(files)) < len(set(named)):
        raise InputError(
            f"{table.path}, column {roles.image!r}: two addresses end in the same name, which would be that of both "
            "photos: add a column image with names of their own."
        )
    return listing.ids(files, table.path), Mirrors.single(named)


def _with_addresses(ids: Texts, table: Columns, column: str) -> Mirrors:
    if not column:
        return Mirrors.single(ids)
    pairs = zip(ids, table.texts(column), strict=True)
    return listing.urls(([name, url] if url and url != name else [name] for name, url in pairs), table.path)


def _is_address(text: str) -> bool:
    return "://" in text


def splits(table: Columns, column: str) -> tuple[np.ndarray, str]:
    """Give the split of each photo, an array of texts (n,), and which other words were taken for splits.

    Raises:
        InputError: a value is not the name of a split.
    """
    rows, codes, values = table.parts(column)
    named = [NAMES.get(value.casefold(), "") for value in values]
    for code, (value, split) in enumerate(zip(values, named, strict=True)):
        if not split:
            row = int(rows[np.argmax(codes == code)]) + table.first_row
            raise InputError(
                f"{table.path}: the column {column} holds {value!r}; expected {', '.join(SPLITS)}: correct row {row:,}."
            )
    words = [f"{value} is {split}" for value, split in zip(values, named, strict=True) if value.casefold() != split]
    return np.array(named, KIND)[codes], f" ({', '.join(words)})" if words else ""


def _by_parity(table: Columns, column: str) -> np.ndarray:
    """Give test to the photos whose number is not even or not there; the others' splits are drawn."""
    _, codes, values = table.parts(column)
    numbers = [value.removesuffix(".0") for value in values]
    of_values = ["" if number.isdecimal() and int(number) % 2 == 0 else "test" for number in numbers]
    return np.array(of_values, KIND)[codes]


def stripped(table: Columns, column: str) -> Texts:
    """Give the cells of a column without blanks around them.

    Raises:
        InputError: they are lists.
    """
    _refuse_lists(table, column)
    _, codes, values = table.parts(column)
    return Texts(np.array(values, KIND)[codes])

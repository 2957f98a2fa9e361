"""Which columns of a table are labels, and what they say: one column, columns of 0 and 1, or a column a group."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data.annotations import listing
from mlob.data.annotations.columns import Columns, key
from mlob.errors import InputError, counted
from mlob.labels import Labels
from mlob.recipes import Annotations
from mlob.texts import Texts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

GROUP = "label"  # of labels whose group has no name
ALL = {"label", "labels", "tag", "tags"}  # a column of this name holds all labels, and the others hold none
CLASSES = {"class", "classes", "category", "categories", "target", "targets"}  # 0 and 1 are names there
NO_LABELS = {
    *("width", "height", "title", "description", "caption", "productdisplayname", "price", "comment", "comments"),
    *("note", "notes", "filesize", "bytes", "md5", "sha1", "sha256", "hash", "digest", "checksum", "timestamp", "date"),
    *("datetime", "time", "author", "photographer", "copyright", "license", "licence", "source", "link", "index"),
}  # names of columns that are no labels
ONES, ZEROS = ("1", "true"), ("0", "false")
BINARY, NUMBER, WHOLE = (
    r"[01](\.0)?|true|True|TRUE|false|False|FALSE",
    r"[-+]?[0-9]+([.,][0-9]+)?",
    r"[-+]?[0-9]+(\.0*)?|nan",
)
FEW = 10  # cells; of fewer nobody can tell whether they are free text
SHARE = 0.8  # of different values among a column's cells, from which on it is no label
MARKS = {"|": "|", ";": "a semicolon", ",": "a comma", " ": "a blank", "\t": "a tab"}
WORDS = {"bar": "|", "semicolon": ";", "comma": ",", "space": " ", "tab": "\t"}  # for SET
MOST_UNKNOWN = 2**30  # entries, 5 bytes each


@dataclasses.dataclass(frozen=True)
class Entries:
    """What a column says: value `codes[i]` of `values` is on row `rows[i]`; of `unknown` rows nobody knows any of them.

    Attributes:
        told: about its cells, in a few words.
        is_one_hot: the column is a label, and not a group.
    """

    group: str
    values: list[str]
    rows: np.ndarray
    codes: np.ndarray
    unknown: np.ndarray
    told: str
    is_one_hot: bool = False


def read(table: Columns, ids: Texts, free: Sequence[str], asked: Annotations) -> tuple[Labels, csr_array, list[str]]:
    """Read the labels in a table.

    Args:
        ids: of the photos, for messages.
        free: the columns that are nothing else, such as the photos' names.

    Returns:
        Labels, group by group in the order of the table's columns, sorted by name in each, and numbered from 1;
        annotations; and lines that say what was found.

    Raises:
        InputError: no column holds labels; no separator fits; a cell that cannot be right.
    """
    chosen, left = _chosen(table, free, asked)
    left |= dict.fromkeys(table.dropped, "neither text nor numbers")
    _check_separator(table, chosen, asked.separator)
    read = [_entries(table, ids, name, asked) for name in chosen]
    order = list(dict.fromkeys(entries.group for entries in read))
    found = {(value, entries.group) for entries in read for value in entries.values}
    pairs = sorted(found, key=lambda pair: (order.index(pair[1]), pair[0]))
    labels = listing.labels(((number, *pair) for number, pair in enumerate(pairs, 1)), table.path)
    columns = {pair: column for column, pair in enumerate(pairs)}
    of_read = [np.array([columns[value, entries.group] for value in entries.values], np.int32) for entries in read]
    annotations = labels.annotate(
        len(table),
        _joined([entries.rows for entries in read]),
        _joined([own[entries.codes] for own, entries in zip(of_read, read, strict=True)]),
        _unknown(table, of_read, [entries.unknown for entries in read]),
    )
    told = [*_told(chosen, read), *_told_left(left)]
    return labels, annotations, told


# Which columns


def _chosen(table: Columns, free: Sequence[str], asked: Annotations) -> tuple[list[str], dict[str, str]]:
    """Give the columns of labels, and {column: why it is none} of the others."""
    if asked.labels:
        chosen = [table.find(name, "labels") for name in asked.labels]
        return chosen, {name: "not named" for name in free if name not in chosen}
    if whole := [name for name in free if key(name) in ALL]:
        return whole, {name: f"{whole[0]} holds all labels" for name in free if name not in whole}
    reasons = {name: _why_none(table, name) for name in free}
    chosen = [name for name in free if not reasons[name]]
    if not chosen:
        found = ", ".join(f"{name} ({why})" if why else name for name, why in reasons.items()) or "none"
        raise InputError(
            f"{table.path} has no column of labels; the other columns are: {found}. Add a column labels, or name the "
            "columns that hold labels, SET=annotations.labels=[…]."
        )
    return chosen, {name: why for name, why in reasons.items() if why}


def _why_none(table: Columns, name: str) -> str:
    """Say why a column is obviously no label; empty if it may be one."""
    if name in table.unnamed:
        return "without a name"
    if key(name) in NO_LABELS:
        return "by its name"
    filled, different = len(table) - table.count(name, ""), table.distinct(name)
    if not filled and len(table):
        return "empty"
    is_number = name in table.floats or table.count(name, NUMBER) == filled
    if is_number and (table.count(name, WHOLE) < filled or different >= max(FEW, filled / FEW)):
        return "numbers"
    if filled < FEW or different < SHARE * filled:
        return ""
    _, codes, values = table.parts(name, next(iter(_marks(table, name)), ""))
    return "nearly every photo has another" if len(values) >= SHARE * len(codes) else ""


def _is_one_hot(table: Columns, name: str, unknown: str) -> bool:
    """Say whether a column is a label by itself: half of its cells, or more, are 0, 1, true or false.

    So are 0.0 and 1.0, which are refused: there is no telling whether a label is called so.
    """
    if key(name) in ALL | CLASSES:
        return False
    known = len(table) - table.count(name, "") - (table.count(name, re.escape(unknown)) if unknown else 0)
    return bool(known) and 2 * table.count(name, BINARY) >= known


# What they say


def _entries(table: Columns, ids: Texts, name: str, asked: Annotations) -> Entries:
    if name in table.floats:
        raise InputError(
            f"{table.path}, row {table.first_row}, column {name!r}: expected text, whole numbers or true and false as "
            f"labels, found the floating-point number {float(table.texts(name)[0] or 'nan')}: save the column as one "
            "of these, or name the columns of labels, SET=annotations.labels=[…]."
        )
    if _is_one_hot(table, name, asked.unknown):
        return _one_hot(table, ids, name, asked)
    return _group(table, name, asked)


def _one_hot(table: Columns, ids: Texts, name: str, asked: Annotations) -> Entries:
    rows, codes, values = table.parts(name)
    lower = [value.casefold() for value in values]
    for code, value in enumerate(lower):
        if value not in ONES + ZEROS and values[code] != asked.unknown:
            row = int(rows[np.argmax(codes == code)])
            raise InputError(
                f"{table.path}, row {row + table.first_row:,} (image {ids[row]!r}), column {name!r}: expected 0 or 1, "
                f"found {values[code]!r}: correct the cell ({asked.unknown} where nobody knows), or name the columns "
                "of labels, SET=annotations.labels=[…]."
            )
    has = np.isin(codes, [code for code, value in enumerate(lower) if value in ONES])
    unknown = np.isin(codes, [code for code, value in enumerate(values) if value == asked.unknown])
    return Entries(GROUP, [name], rows[has], np.zeros(has.sum(), np.int32), rows[unknown], "", is_one_hot=True)


def _group(table: Columns, name: str, asked: Annotations) -> Entries:
    separator = WORDS.get(asked.separator, asked.separator) or _found(table, name)
    rows, codes, values = table.parts(name, separator)
    is_label = np.array([bool(value) and value != asked.unknown for value in values], bool)
    if not separator and not table.is_list(name):
        _check_separated(table, name, values, codes)
    unknown = rows[codes == values.index(asked.unknown)] if asked.unknown in values else rows[:0]
    if not is_label.all():
        has = is_label[codes]
        rows, codes = rows[has], (np.cumsum(is_label, dtype=np.int32) - 1)[codes[has]]
    group = GROUP if key(name) in ALL else name
    row = table.row_with(name, separator) if separator else None
    told = f"separated by {MARKS.get(separator, separator)}, first in row {row:,}" if row is not None else ""
    return Entries(group, [value for value in values if value and value != asked.unknown], rows, codes, unknown, told)


def _check_separator(table: Columns, chosen: Sequence[str], asked: str) -> None:
    """Refuse a separator that is named and occurs nowhere, where others do."""
    if not asked or any(table.row_with(name, WORDS.get(asked, asked)) for name in chosen):
        return
    for name in chosen:
        for mark, row in _marks(table, name).items():
            raise InputError(
                f"{table.path}: annotations.separator is {asked!r}, which stands in no cell of {_listed(chosen)}; row "
                f"{row:,} of {name} has {MARKS[mark]}: name that one, or none."
            )


def _found(table: Columns, name: str) -> str:
    """Find the separator of a column's labels: a bar or a semicolon, else a comma; empty where none occurs.

    Raises:
        InputError: both occur.
    """
    found = _marks(table, name)
    if len(found.keys() - {","}) > 1:
        raise InputError(
            f"{table.path}, column {name!r}: no separator fits all cells, row {found['|']:,} has | and row "
            f"{found[';']:,} a semicolon: use one of them, or name it, SET=annotations.separator=bar."
        )
    return next(iter(found), "")


def _marks(table: Columns, name: str) -> dict[str, int]:
    """Give the marks that may separate labels, each with the first row that has it; a comma last."""
    return {mark: row for mark in "|;," if (row := table.row_with(name, mark)) is not None}


def _check_separated(table: Columns, name: str, values: list[str], codes: np.ndarray) -> None:
    """Refuse a column that holds all labels if hardly two photos have the same and blanks or slashes stand in them."""
    if key(name) not in ALL or len(codes) < FEW or len(values) < SHARE * len(codes):
        return
    mark = max(" /", key=lambda mark: sum(mark in value for value in values))
    if 2 * sum(mark in value for value in values) > len(values):
        row = int(np.argmax(np.array([mark in value for value in values])[codes]))
        raise InputError(
            f"{table.path}, column {name!r}: no separator was found (|, a semicolon or a comma), and nearly every "
            f"cell is another, for example {values[codes[row]][:60]!r} in row {row + table.first_row:,}: name what "
            f"separates labels, SET=annotations.separator={'space' if mark == ' ' else mark}."
        )


def _unknown(table: Columns, columns: list[np.ndarray], rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """Give rows and columns of the entries that nobody knows."""
    count = sum(len(own) * len(of_column) for own, of_column in zip(columns, rows, strict=True))
    if count > MOST_UNKNOWN:
        raise InputError(
            f"{table.path} leaves {count:,} pairs of a photo and a label unknown, expected at most {MOST_UNKNOWN:,}: "
            "leave out the photos of which nothing is known."
        )
    if not count:
        return None
    of_rows = [np.repeat(of_column, len(own)) for own, of_column in zip(columns, rows, strict=True)]
    return _joined(of_rows), _joined([np.tile(own, len(each)) for own, each in zip(columns, rows, strict=True)])


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


# What was found


def _told(names: list[str], read: list[Entries]) -> Iterable[str]:
    """Say which columns hold labels, how many, and what separates them."""
    if one_hot := [name for name, entries in zip(names, read, strict=True) if entries.is_one_hot]:
        yield f"Labels: {counted(len(one_hot), 'column')} of 0 and 1: {_listed(one_hot)}."
    groups = [
        f"{name} ({', '.join(filter(None, [counted(len(entries.values), 'label'), entries.told]))})"
        for name, entries in zip(names, read, strict=True)
        if not entries.is_one_hot
    ]
    if groups:
        yield f"Labels: {'a column a group: ' if len(groups) > 1 else 'the column '}{', '.join(groups)}."


def _told_left(left: dict[str, str]) -> Iterable[str]:
    if left:
        reasons = [
            f"{_listed([name for name in left if left[name] == why])} ({why})" for why in dict.fromkeys(left.values())
        ]
        yield f"Left out: {'; '.join(reasons)}. SET=annotations.labels=[…] names all columns of labels."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")

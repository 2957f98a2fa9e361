"""Why a product is made anew: what it was made of, beside what is there now, in one line."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

from mlob import workspace
from mlob.data import record
from mlob.data.dataset import DataSet
from mlob.errors import InputError
from mlob.files import ANEW, read_arrays, read_json, write_arrays
from mlob.runs import results
from mlob.training.checkpoint import differing

MOST = 6  # differences that are told; a changed kind of head has dozens
WORDS = {"labels": "names or groups of the labels", "groups": "groups of the labels"}


def note(folder: pathlib.Path, dataset: DataSet) -> None:
    """Note which photos and labels there are, so that what is made of them can tell later what has changed.

    Args:
        folder: runs/<suite>/data. Notes that no run was made of are removed.
        dataset: what is there now.
    """
    path = _note(folder, dataset.digest)
    if path.is_file():
        return
    write_arrays(path, **record.of(dataset))
    kept = {
        path,
        *(_note(folder, of) for recipe in folder.parent.glob(f"*/{workspace.RECIPE}") if (of := _data(recipe))),
    }
    for old in set(folder.glob(workspace.NOTED)) - kept:
        old.unlink()


def why(path: pathlib.Path, wanted: dict[str, Any], folder: pathlib.Path, dataset: DataSet) -> str:
    """Say what has changed since a product was made; empty where nothing has, or where there is none.

    Args:
        path: of the JSON file that holds what shaped it, as a whole or under the key identity.
        wanted: what would shape it now.
        folder: as of `note`.
        dataset: what is there now.

    Raises:
        InputError: the file cannot be read.
    """
    if not path.is_file():
        return ""
    content = read_json(path, ANEW)
    found = content.get("identity", content)
    if (version := content.get("version", results.VERSION)) != results.VERSION:
        return f"{path.name} is of version {version}, not {results.VERSION}"
    told = list(_differences(found, wanted, folder, dataset))
    more = f"; {len(told) - MOST:,} more" if len(told) > MOST else ""
    return "; ".join(told[:MOST]) + more


def _differences(
    found: dict[str, Any], wanted: dict[str, Any], folder: pathlib.Path, dataset: DataSet
) -> Iterator[str]:
    """Yield what differs between two identities, in words."""
    for name, before, now in differing(found, wanted):
        part, _, field = name.partition(".")
        if part == "recipe":
            yield f"{field} {_from_to(before, now)}"
        elif part == "data":
            yield _photos(folder, before, dataset)
        elif part == "fingerprint":
            store, _, field = field.partition(".")
            yield f"{field or 'features'} of {store} {_from_to(before, now)}"
        else:
            yield WORDS.get(part, f"{part} of {field}")


def _from_to(before: Any, now: Any) -> str:
    return f"from {_short(before)} to {_short(now)}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"


def _photos(folder: pathlib.Path, before: str | None, dataset: DataSet) -> str:
    """Say what has changed in the photos and their labels since those of a digest, as far as it was noted."""
    then, now = _note(folder, str(before)), _note(folder, dataset.digest)
    with contextlib.suppress(InputError):
        return record.changes(read_arrays(then), read_arrays(now) if now.is_file() else record.of(dataset))
    return "the photos, or their labels"


def _note(folder: pathlib.Path, digest: str) -> pathlib.Path:
    return folder / workspace.NOTED.replace("*", digest[:16])


def _data(recipe: pathlib.Path) -> str:
    """Give the digest of the photos that a run was made of; empty where it cannot be read."""
    with contextlib.suppress(InputError):
        return str(read_json(recipe).get("data", ""))
    return ""

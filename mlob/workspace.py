"""What lies in a folder of runs: the products by their names, and how they are removed."""

import contextlib
import os
import pathlib
import reprlib

from mlob.errors import InputError
from mlob.files import remove_stale_parts

# In runs/<suite>/<model>. Other programs have files of the second names, too: these go beside one of the first alone.
OURS = (
    *("recipe.json", "checkpoint/training.npz", "curve/*.npz", "search/journal.log", "ensemble.json"),
    *("inputs.json", "predictions.csv"),
)
BESIDE = (
    *("result.json", "history.csv", "head.keras", "predictions.h5", "curve/curve.json"),
    *("search/search.json", "search/recipe.py", "search/journal.log.*", "search/*.npy"),
    *("second_level.*", "submission.csv", "index.html", "dev.json"),
)


def folder(variable, default):
    """Give the folder of products that a variable of the environment names, or the default.

    Raises:
        InputError: it is no folder, or no path at all.
    """
    path = pathlib.Path(os.environ.get(variable) or default)
    try:
        is_usable = path.is_dir() or not path.exists()
    except OSError as error:
        raise InputError(f"{variable}={reprlib.repr(str(path))}: {error.strerror}. Name another folder.") from error
    if not is_usable:
        raise InputError(f"{variable}={path} is a file: expected a folder, which may be missing.")
    return path


def clean(runs, suite=None):
    """Remove the products of one suite, or of all, from a folder of runs; whatever else lies there stays.

    Args:
        runs: the folder; it may be missing.
        suite: name of a folder in it (None: each of them).

    Returns:
        A line for each suite of which something was removed.
    """
    folders = sorted(folder for folder in pathlib.Path(runs).glob("*/") if suite in (None, folder.name))
    told = [line for folder in folders if (line := _clean(folder))]
    if told:
        _remove_empty([pathlib.Path(runs)])
    return told


def _clean(folder):
    """Remove a suite's products and the folders that they leave empty; tell how many, and what stays."""
    found = [path for made in sorted(folder.glob("*/")) for path in _products(made)]
    if not found:
        return None
    parents = {parent for path in found for parent in path.parents if parent.is_relative_to(folder)}
    for path in found:
        path.unlink()
    for parent in parents:
        remove_stale_parts(parent, 0)
    _remove_empty(sorted(parents, reverse=True))
    kept = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    more = f"; {len(kept):,} that mlob did not make stay ({kept[0]}{', …' * (len(kept) > 1)})" if kept else ""
    return f"{folder}: {len(found):,} files removed{more}"


def _products(folder):
    """List the products in the folder of a model, an ensemble or a report."""
    ours, beside = (
        [path for name in names for path in folder.glob(name) if path.is_file()] for names in (OURS, BESIDE)
    )
    return ours and [*ours, *beside]


def _remove_empty(folders):
    for folder in folders:
        with contextlib.suppress(OSError):  # not empty, a link, or where a disk is mounted
            folder.rmdir()

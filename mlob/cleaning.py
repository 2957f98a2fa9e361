"""What `mlob clean` removes: the products of suites, and nothing else that lies in their folders."""

import contextlib
import pathlib
from collections.abc import Iterable

from mlob import workspace
from mlob.files import remove_stale_parts


def clean(runs: pathlib.Path, suite: str | None = None) -> list[str]:
    """Remove the products of one suite, or of all, from a folder of runs; whatever else lies there stays.

    Args:
        runs: the folder; it may be missing.
        suite: its name (None: all of them).

    Returns:
        A line for each folder of a suite and its data from which something was removed.
    """
    folders = sorted(
        folder for folder in pathlib.Path(runs).glob("*/") if suite is None or workspace.is_of(folder, suite)
    )
    told = [line for folder in folders if (line := _clean(folder))]
    if told:
        _remove_empty([pathlib.Path(runs)])
    return told


def _clean(folder: pathlib.Path) -> str | None:
    """Remove a suite's products and the folders that they leave empty; tell how many, and what stays."""
    from mlob.data import owners

    found = [path for made in sorted(folder.glob("*/")) for path in _products(made)]
    if not found:
        return None
    (folder / owners.NOTE).unlink(missing_ok=True)
    parents = {parent for path in found for parent in path.parents if parent.is_relative_to(folder)}
    for path in found:
        path.unlink()
    for parent in parents:
        remove_stale_parts(parent, 0)
    _remove_empty(sorted(parents, reverse=True))
    kept = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    more = f"; {len(kept):,} that mlob did not make stay ({kept[0]}{', …' * (len(kept) > 1)})" if kept else ""
    return f"{folder}: {len(found):,} files removed{more}"


def _products(folder: pathlib.Path) -> list[pathlib.Path]:
    """List the products in the folder of a model, an ensemble or a report, or of models that have left."""
    if folder.name == workspace.EXPORT:
        left = [about.with_name(name) for about in folder.glob(f"*/*/{workspace.ABOUT}") for name in workspace.EXPORTED]
        return [path for path in left if path.is_file()]
    ours, beside = (
        [path for name in names for path in folder.glob(name) if path.is_file()]
        for names in (workspace.OURS, workspace.BESIDE)
    )
    return [*ours, *beside] if ours else []


def _remove_empty(folders: Iterable[pathlib.Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # not empty, a link, or where a disk is mounted
            folder.rmdir()

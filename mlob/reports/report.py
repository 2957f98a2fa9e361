"""The report of a suite, gathered: facts of the data, models compared, what went wrong, photos, and the page."""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from mlob import predictions, workspace
from mlob.data import facts
from mlob.data.dataset import DataSet
from mlob.features import table
from mlob.files import digest, read_json, read_record, write_json
from mlob.predictions import Table
from mlob.recipes import Judging
from mlob.reports import inside, mistakes, page, photos
from mlob.reports.page import Findings
from mlob.runs import dev, results
from mlob.runs.dev import Comparison
from mlob.runs.inside import Inside


def write(
    path: pathlib.Path,
    dataset: DataSet,
    store_folder: pathlib.Path,
    runs: Mapping[str, pathlib.Path],
    judging: Judging,
    seen_inside: Mapping[str, Inside],
    task: str = "",
) -> Comparison | None:
    """Write the report page, and dev.json beside it, unless they are there already for the same results.

    Args:
        path: of the page, runs/<suite>/report/index.html.
        dataset: the annotated photos.
        store_folder: of any feature set, which knows the photos that failed and those that are equal.
        runs: {model: runs/<suite>/<model>}; the first is what the others are measured against on dev.
        judging: the suite's.
        seen_inside: {network: what it looks like inside}, of those that are shown.
        task: the group of labels that the suite is about, if any.

    Returns:
        What `dev.compare` gives.
    """
    folder = path.parent.parent
    inputs = digest(task, *(file.read_bytes() for file in _inputs(folder)))
    inputs_path, comparison_path = path.with_name(workspace.INPUTS), path.with_name(workspace.COMPARED)
    if all(file.is_file() for file in (path, inputs_path, comparison_path)) and read_record(inputs_path, str) == inputs:
        return _read_comparison(comparison_path)
    comparison = dev.compare(dataset, runs, judging)
    write_json(comparison_path, comparison and dataclasses.asdict(comparison))
    findings = _findings(dataset, store_folder, folder, comparison, seen_inside)
    page.write(path, folder, dataset.labels, dataclasses.replace(findings, task=task))
    write_json(inputs_path, inputs)
    return comparison


def _findings(
    dataset: DataSet,
    store_folder: pathlib.Path,
    folder: pathlib.Path,
    comparison: Comparison | None,
    seen_inside: Mapping[str, Inside],
) -> Findings:
    shards = table.read_photos(store_folder, dataset)
    validation, take = dataset["validation"], photos.camera(dataset)
    ensemble = predictions.read(folder / "ensemble" / workspace.PREDICTIONS)["validation"]
    seen = np.flatnonzero(np.isin(validation.ids, shards["validation"].ids))
    row_of = {name: row for row, name in enumerate(validation.ids)}
    return Findings(
        facts.describe(dataset, shards),
        mistakes.diagnose(dataset, ensemble, _members(folder), take, seen),
        comparison,
        photos.gallery(validation.labelled_targets, ensemble.decisions, take, seen),
        [inside.pictures(name, own, lambda id_: take(row_of[id_])) for name, own in seen_inside.items()],
    )


def _read_comparison(path: pathlib.Path) -> Comparison | None:
    return None if read_json(path) is None else read_record(path, Comparison)


def _members(folder: pathlib.Path) -> dict[str, Table]:
    """Read the members' predictions on validation."""
    ensemble = results.read_ensemble(folder / "ensemble")
    names = ensemble.members if ensemble else []
    return {name: predictions.read(folder / name / workspace.PREDICTIONS)["validation"] for name in names}


def _inputs(folder: pathlib.Path) -> list[pathlib.Path]:
    """List the files that a page is made from."""
    curve = f"{workspace.CURVE_FOLDER}/{workspace.CURVE}"
    search = f"{workspace.SEARCH_FOLDER}/{workspace.SEARCH}"
    names = (workspace.RESULT, workspace.HISTORY, workspace.ENSEMBLE, workspace.INSIDE, curve, search)
    return sorted(path for name in names for path in folder.glob(f"*/{name}"))

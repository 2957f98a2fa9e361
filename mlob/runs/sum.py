"""Specialists' predictions added up: one model of the suite, as if it had been trained whole. Products as of a run."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlob import machine, predictions, recipes, workspace
from mlob.data.dataset import DataSet
from mlob.errors import InputError
from mlob.files import ANEW, atomic, read_json
from mlob.predictions import Table
from mlob.recipes import Judging, Sum
from mlob.runs import model, results
from mlob.runs.job import plain
from mlob.runs.results import Result


def identity(total: Sum, dataset: DataSet, parts: dict[str, pathlib.Path]) -> dict[str, Any]:
    """Give all that shapes a sum, as it stands in recipe.json.

    Args:
        total: the recipe's `Sum`.
        dataset: the `DataSet`.
        parts: {model: runs/<suite>/<model>}.
    """
    digests = {name: results.predictions_digest(folder) for name, folder in parts.items()}
    made_of = [read_json(folder / workspace.RECIPE, ANEW) for folder in parts.values()]
    by_folds = next(({"fold_seed": own["fold_seed"]} for own in made_of if "fold_seed" in own), {})
    return plain({"recipe": recipes.plain(total), "data": dataset.digest, "predictions": digests, **by_folds})


def add(
    name: str,
    total: Sum,
    dataset: DataSet,
    parts: dict[str, pathlib.Path],
    folder: pathlib.Path,
    judging: Judging,
) -> Result:
    """Add up the predictions of trained specialists, judge the sum, write its folder; result.json comes last.

    Args:
        name: of the sum.
        total: its recipe, a `Sum`.
        dataset: the `DataSet`.
        parts: {model: runs/<suite>/<model>}.
        folder: runs/<suite>/<name>.
        judging: the suite's `Judging`.

    Returns:
        The result, as result.json holds it.

    Raises:
        InputError: two parts predict the same label, or read other features.
    """
    (folder / workspace.RESULT).unlink(missing_ok=True)  # it says that all else in the folder is there and fits
    shaped_by = identity(total, dataset, parts)
    part_results = {part: results.read(path) for part, path in parts.items()}
    if len({str(result.fingerprint) for result in part_results.values()}) > 1:
        raise InputError(f"{' and '.join(parts)} read different stores: give them the same `stores`.")
    part_tables = {part: predictions.read(path / workspace.PREDICTIONS) for part, path in parts.items()}
    splits = next(iter(part_tables.values()))
    tables = {split: _added({part: own[split] for part, own in part_tables.items()}) for split in splits}
    result = _result(name, list(part_results.values()), tables["validation"], dataset, judging)
    _write_head(folder / workspace.HEAD, parts)
    model.write(folder, result, tables, [], shaped_by, dataset.labels)
    return result


def _added(parts: Mapping[str, Table]) -> Table:
    """Add the parts' tables of one split up."""
    first = next(iter(parts.values()))
    stack = predictions.align(parts, first.ids)
    if ((stack > 0).any(axis=1).sum(axis=0) > 1).any():
        raise InputError(
            f"{' and '.join(parts)} predict the same labels: the least_share of one has to be the most_share of "
            "another."
        )
    return Table(first.ids, np.minimum(stack.sum(axis=0), 1), digests=first.digests)


def _result(name: str, parts: Sequence[Result], table: Table, dataset: DataSet, judging: Judging) -> Result:
    """Judge the sum; what it cost is what the parts cost together, and the rest they have in common."""
    together = results.cost_together(parts)
    seconds, epochs = sum(part.seconds.training for part in parts), sum(part.epochs for part in parts)
    return dataclasses.replace(
        parts[0],
        **(model.judged_on_validation(table, dataset, judging) | machine.facts()),
        method=name,
        parameters=together.parameters,
        seconds=together.seconds,
        epochs=epochs,
        rows_per_second=round(parts[0].rows["train"] * max(epochs, 1) / seconds, 1),
        note=" + ".join(part.method for part in parts),
    )


def _write_head(path: pathlib.Path, parts: Mapping[str, pathlib.Path]) -> None:
    """Write the sum as one Keras model, so that new photos are predicted as by any other."""
    machine.load_keras()
    from mlob.models import heads

    loaded = {part: heads.load(folder / workspace.HEAD) for part, folder in parts.items()}
    with atomic(path) as written:
        heads.added(loaded).save(written)

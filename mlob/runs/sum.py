"""Specialists' predictions added up: one model of the suite, as if it had been trained whole. Products as of a run."""

import dataclasses

import numpy as np

from mlob import machine, predictions, workspace
from mlob.errors import InputError
from mlob.files import atomic, digest, read_product, write_json
from mlob.runs import model

# The shape of a part's result.json, as far as it is read
PART = model.COSTS | {"seed": int, "rows": {"train": int}, "weights": str, "fingerprint": dict, "epochs": int}


def identity(total, dataset, parts):
    """Give all that shapes a sum, as it stands in recipe.json.

    Args:
        total: the recipe's `Sum`.
        dataset: the `DataSet`.
        parts: {model: runs/<suite>/<model>}.
    """
    found = {name: digest((folder / workspace.PREDICTIONS).read_bytes()) for name, folder in parts.items()}
    return model.plain({"recipe": dataclasses.asdict(total), "data": dataset.digest, "predictions": found})


def add(name, total, dataset, parts, folder, judging):
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
    wanted = identity(total, dataset, parts)
    results = {part: read_product(path / workspace.RESULT, PART) for part, path in parts.items()}
    if len({str(result["fingerprint"]) for result in results.values()}) > 1:
        raise InputError(f"{' and '.join(parts)} read different stores: give them the same `stores`.")
    predicted = {part: predictions.read(path / workspace.PREDICTIONS) for part, path in parts.items()}
    first = next(iter(predicted.values()))
    found = {split: _added({part: held[split] for part, held in predicted.items()}) for split in first}
    result = model.result(name, found["validation"], dataset, judging) | _facts(list(results.values()))
    _write_head(folder / workspace.HEAD, parts)
    predictions.write(folder / workspace.PREDICTIONS, found, labels=dataset.labels.ids, seed=result["seed"], **wanted)
    model.write_history(folder / workspace.HISTORY, [])
    write_json(folder / workspace.RECIPE, wanted)
    write_json(folder / workspace.RESULT, result)
    return result


def _added(parts):
    """Add the parts' tables of one split up."""
    first = next(iter(parts.values()))
    stack = predictions.align(parts, first.ids)
    if ((stack > 0).any(axis=1).sum(axis=0) > 1).any():
        raise InputError(
            f"{' and '.join(parts)} predict some label twice: the least_share of one has to be the most_share of "
            "another."
        )
    return predictions.Table(first.ids, np.minimum(stack.sum(axis=0), 1), digests=first.digests)


def _facts(results):
    """Tell what the parts cost together, and what they have in common."""
    common = {key: results[0][key] for key in ("seed", "rows", "stores", "weights", "fingerprint")}
    seconds = sum(result["seconds"]["training"] for result in results)
    epochs = sum(result["epochs"] for result in results)
    rate = round(results[0]["rows"]["train"] * max(epochs, 1) / seconds, 1)
    note = " + ".join(result["method"] for result in results)
    return {**common, **model.costs(results), "rows_per_second": rate, "epochs": epochs, "note": note}


def _write_head(path, parts):
    """Write the sum as one Keras model, so that new photos are predicted as by any other."""
    machine.load_keras()
    from mlob.models import heads

    loaded = {part: heads.load(folder / workspace.HEAD) for part, folder in parts.items()}
    with atomic(path) as written:
        heads.added(loaded).save(written)

"""Models compared on dev, the rows of train by which recipes are chosen: validation stays unseen."""

from mlob import predictions, workspace
from mlob.evaluation import dev
from mlob.evaluation.crossfit import folds


def compare(dataset, runs, judging):
    """Judge models on the dev rows that all of them have, and each against the first, on the same photos.

    Args:
        dataset: the `DataSet`.
        runs: {model: runs/<suite>/<model>}; the first is what the others are measured against.
        judging: the suite's `Judging`.

    Returns:
        {"photos", "against": the first's name, "models": a list of {model, micro_f1, gain}, by falling micro-F1}.
        Figures are {value, low, high}: at calibrated thresholds, cross-fitted, with 95% intervals over photos.
        None where fewer than two dev rows are common to all, which compare nothing.
    """
    predicted = {name: predictions.read(folder / workspace.PREDICTIONS)["dev"] for name, folder in runs.items()}
    shared = set.intersection(*(set(table.ids) for table in predicted.values()))
    photos = [(row, name) for row, name in enumerate(dataset["train"].ids) if name in shared]
    if len(photos) < 2:
        return None
    rows, ids = zip(*photos, strict=True)
    targets, keys = dataset["train"].targets[list(rows)], next(iter(predicted.values())).keys(ids)
    fold = folds(targets, judging.folds, seed=judging.seed, keys=keys)
    held = {name: dev.decide(_at(table, ids), targets, fold) for name, table in predicted.items()}
    models = [
        {"model": name, "micro_f1": found, "gain": gain}
        for name, found, gain in dev.figures(held, targets, judging, keys)
    ]
    models.sort(key=lambda model: -model["micro_f1"]["value"])
    return {"photos": len(ids), "against": next(iter(held)), "models": models}


def _at(table, ids):
    place = {name: row for row, name in enumerate(table.ids)}
    return table.probabilities[[place[name] for name in ids]]

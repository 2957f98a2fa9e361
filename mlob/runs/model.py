"""A run: one model trained, its predictions written, judged on validation. Products: runs/<suite>/<model>/."""

import csv
import dataclasses
import functools
import io
import json

import numpy as np

from mlob import machine, predictions, workspace
from mlob.data import preflight
from mlob.ensemble.thresholds import ONE_THRESHOLD
from mlob.evaluation import bootstrap, judge
from mlob.evaluation.crossfit import folds
from mlob.features import log, store
from mlob.files import NUMBER, archive_fault, atomic, digest, read_product, write_json, write_text
from mlob.metrics import micro_f1
from mlob.progress import say
from mlob.training import batches, checkpoint, sampling

JUDGED = ("validation", "test")
LOGISTIC = "logistic"
FIGURE = dict.fromkeys(("value", "low", "high"), NUMBER)
SCORE = dict.fromkeys(("cross_fitted", "low", "high", "in_sample"), NUMBER)
METHOD = {  # the shape of one row of results, a model's or a method's
    **{"method": str, "members": [str], "thresholds": str, "micro_f1": SCORE, "macro_f1": SCORE},
    "parameters": {"own": NUMBER, "total": NUMBER},
    "seconds": {"features": NUMBER, "training": NUMBER},
    **{"weights": {str: NUMBER}, "processor?": str, "note?": str, "judging?": dict},
}
RESULT = METHOD | {"weights": str, "processor": str, "rows?": {"train": int}}  # of result.json
COSTS = {  # of what `costs` reads of it
    **{"method": str, "parameters": {"own": NUMBER}, "seconds": {"training": NUMBER}},
    "stores": {str: {"parameters": NUMBER, "seconds": NUMBER}},
}
FEWEST_ROWS = 20_000  # from here on a head has rows enough, and one regression a label takes hours


def identity(experiment, dataset, stores):
    """Give all that shapes a run, as it stands in recipe.json: recipe, labelled photos, stores and what they hold.

    The labels' groups shape a head that has a softmax for each.
    """
    fingerprints = {name: store.fingerprint(folder) for name, folder in stores.items()}
    found = {name: fingerprint and fingerprint.fields() for name, fingerprint in fingerprints.items()}
    features = {name: store.content_digest(folder) for name, folder in stores.items()}
    groups = {"groups": digest(json.dumps(dataset.labels.groups))} if experiment.head.groups else {}
    shaped = {"recipe": dataclasses.asdict(experiment), "data": dataset.digest, **groups}
    return plain({**shaped, "fingerprint": found, "features": features})


def key(identity):
    """Name an identity in twelve letters."""
    return digest(json.dumps(identity, sort_keys=True))[:12]


def is_done(folder, wanted):
    """Say whether a run's folder holds the result of just this identity, and its head whole; what is not, is told."""
    if not all((folder / name).is_file() for name in (workspace.RESULT, workspace.RECIPE)):
        return False
    if read_product(folder / workspace.RECIPE, dict) != wanted:
        return False
    if fault := archive_fault(folder / workspace.HEAD):
        say(f"{folder / 'head.keras'} {fault}: {folder.name} is made anew.")
    return not fault


def labelled_validation(dataset):
    """Give the validation split, on which everything is judged.

    Raises:
        InputError: it is missing, too small, or without labels.
    """
    preflight.check(dataset, ["validation"])
    return dataset["validation"]


def train(name, experiment, dataset, *, stores, folder, judging, memory_bytes=None):
    """Train one model, predict validation and test, judge it, write its folder; result.json comes last.

    Args:
        name: of the model.
        experiment: its recipe.
        dataset: the `DataSet`.
        stores: {store name: features/<set>/<data set>}.
        folder: runs/<suite>/<model>.
        judging: the suite's `Judging`.
        memory_bytes: that the features of train may take, as `batches.train_and_dev` has it.

    Returns:
        The result, as result.json holds it.
    """
    validation = labelled_validation(dataset)
    judged = [split for split in JUDGED if split in dataset.splits]
    rows = {split: _rows(dataset[split], stores) for split in ("train", *judged)}
    train, dev = batches.train_and_dev(rows["train"], experiment.training.limit, memory_bytes)
    (folder / workspace.RESULT).unlink(missing_ok=True)  # it says that all else in the folder is there and fits
    wanted = identity(experiment, dataset, stores)
    head = _trained(experiment, train, dev, dataset.labels.groups, name, folder, wanted)
    shares = _own_shares(experiment, train.targets)
    on_dev = predictions.Table(tuple(dev.ids), head.predict(dev.features), digests=dev.digests)
    found = {
        split: predictions.cover(dataset[split], rows[split], head.predict(rows[split].features), shares)
        for split in judged
    }
    failed = sum(len(dataset[split].ids) - len(rows[split].ids) for split in rows)
    made = {
        **result(name, found["validation"], dataset, judging),
        **_costs(head, stores, train),
        "seed": experiment.seed,
        "rows": {"train": len(train.ids), "dev": len(dev.ids), "validation": len(validation.ids), "failed": failed},
        "note": head.note,
        "fingerprint": wanted["fingerprint"],
    }
    predictions.write(
        folder / workspace.PREDICTIONS,
        {**found, "dev": on_dev},
        labels=dataset.labels.ids,
        seed=experiment.seed,
        **wanted,
    )
    write_history(folder / workspace.HISTORY, head.history)
    write_json(folder / workspace.RECIPE, wanted)
    write_json(folder / workspace.RESULT, made)
    checkpoint.Checkpoint(folder / workspace.CHECKPOINT, wanted).remove()
    return made


def judge_again(folder, dataset, judging):
    """Judge a run by its predictions, without training, where its result is of another `Judging` or rule.

    Returns:
        The result, as result.json holds it now, or None where it stays as it was.
    """
    result = read_product(folder / workspace.RESULT, dict)
    if (result.get("judging"), result.get("thresholds")) == (dataclasses.asdict(judging), ONE_THRESHOLD):
        return None
    made = result | judged(predictions.read(folder / workspace.PREDICTIONS)["validation"], dataset, judging)
    write_json(folder / workspace.RESULT, made)
    return made


def judged(predicted, dataset, judging):
    """Judge a model's `Table` of validation: its figures in result.json, and how they were made."""
    targets, keys = labelled_validation(dataset).targets, predicted.keys(predicted.ids)
    _, _, figures = judge.judge_model(predicted.probabilities, targets, judging, keys)
    return {**figures, "judging": dataclasses.asdict(judging), "thresholds": ONE_THRESHOLD}


def result(name, predicted, dataset, judging):
    """Judge a model's `Table` of validation: the first keys of its result.json, and where it was made."""
    figures = judged(predicted, dataset, judging)
    return {"method": name, "members": [name], **figures, **machine.facts()}


def train_and_dev(experiment, dataset, stores, memory_bytes=None):
    """Read what an experiment is trained on, and what it is watched on: two `batches.Rows`."""
    return batches.train_and_dev(_rows(dataset["train"], stores), experiment.training.limit, memory_bytes)


def wants_reference(dataset, reference):
    """Say whether train is so small that logistic regression must stand in the table."""
    return min(reference.training.limit or FEWEST_ROWS, len(dataset["train"].ids)) < FEWEST_ROWS


def summary(result):
    """Tell a result in one line."""
    found, cost = result["micro_f1"], result["seconds"]
    return (
        f"{result['method']}: micro-F1 {found['cross_fitted']:.3f} ({found['low']:.3f} to {found['high']:.3f}) on "
        f"validation, cross-fitted; {result['parameters']['own'] / 1e6:.2f} M parameters trained in "
        f"{cost['training']:.0f} s"
    )


def compare(folder, reference, dataset, judging):
    """Note in a run's result by how much its head falls short of logistic regression on the same features.

    It does where the 95% interval of the difference, on the same draws of validation photos, excludes 0.
    """
    split = labelled_validation(dataset)
    predicted = {
        name: predictions.read(path / workspace.PREDICTIONS)["validation"]
        for name, path in (("own", folder), ("reference", reference))
    }
    keys = predicted["own"].keys(split.ids)
    fold = folds(split.targets, judging.folds, seed=judging.seed, keys=keys)
    own, other = (judge.decide_alone(one, split.targets, fold) for one in predictions.align(predicted, split.ids))
    options = {"keys": keys, "draws": judging.draws, "seed": judging.seed}
    low, high = bootstrap.micro_f1_difference(split.targets, other, own, **options)
    gap = micro_f1(split.targets, other) - micro_f1(split.targets, own)
    note = f"below logistic by {gap:.3f} ({low:.3f} to {high:.3f})" if low > 0 else ""
    result = read_product(folder / workspace.RESULT, dict)
    if result.get("note") != note:
        write_json(folder / workspace.RESULT, {**result, "note": note})
    return note


@dataclasses.dataclass(frozen=True)
class _Trained:
    """What every kind of head gives: a function to probabilities, and what it cost."""

    predict: object
    history: list
    parameters: int
    seconds: float
    note: str = ""


def _trained(experiment, train, dev, groups, name, folder, wanted):
    machine.load_keras()
    if experiment.head.kind == LOGISTIC:
        from mlob.training import logistic

        found = logistic.fit(train.resident(), dev)
        _save(found.model, folder)
        note = f"C = {found.regularisation:g}, chosen on dev"
        return _Trained(lambda rows: found.predict(rows[:]), [], found.parameters, found.seconds, note)
    from mlob.training import fit

    kept = checkpoint.Checkpoint(folder / workspace.CHECKPOINT, wanted)
    fitted = fit.fit(experiment, train, dev, name=name, groups=groups, checkpoint=kept)
    _save(fitted.model, folder)
    predict_with = functools.partial(fit.predict, fitted.model)
    return _Trained(predict_with, fitted.history, fitted.model.count_params(), fitted.seconds)


def _save(model, folder):
    with atomic(folder / workspace.HEAD) as part:
        model.save(part)


def _own_shares(experiment, targets):
    """Give each label's share of the rows to train on, 0 for labels that are left to another specialist."""
    own = sampling.own_columns(targets, experiment.least_share, experiment.most_share)
    shares = np.zeros(targets.shape[1])
    shares[own] = targets[:, own].mean(axis=0)
    return shares


def _rows(split, stores):
    return batches.read([folder / split.name for folder in stores.values()], split)


def _costs(head, stores, train):
    logs = {name: log.read(folder) for name, folder in stores.items()}
    costs = {name: {"parameters": each.parameters, "seconds": round(each.seconds, 1)} for name, each in logs.items()}
    epochs = len(head.history)
    return {
        **total_costs([head.parameters], [round(head.seconds, 1)], costs),
        "stores": costs,
        "rows_per_second": round(len(train.ids) * max(epochs, 1) / head.seconds, 1),
        "epochs": epochs,
        "weights": ", ".join(sorted({each.weights for each in logs.values()})),
    }


def costs(results):
    """Add up what several models cost, from their results, as result.json holds it."""
    stores = {name: store for one in results for name, store in one["stores"].items()}
    own = [one["parameters"]["own"] for one in results]
    return total_costs(own, [one["seconds"]["training"] for one in results], stores)


def total_costs(parameters, seconds, stores):
    """Add up what heads and their stores cost, as result.json holds it.

    Args:
        parameters, seconds: one of each a head.
        stores: {name: {"parameters": of its backbone, "seconds": of its extraction}}; a store that several heads read
            counts once.
    """
    own = sum(parameters)
    return {
        "parameters": {"own": own, "total": own + sum(store["parameters"] for store in stores.values())},
        "seconds": {
            "features": round(sum(store["seconds"] for store in stores.values()), 1),
            "training": round(sum(seconds), 1),
        },
    }


def write_history(path, rows):
    """Write a history, atomically; a model without epochs has the header alone."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", "loss", "dev_loss", "dev_micro_f1", "learning_rate"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def plain(value):
    """As JSON gives it back: tuples become lists, so that it compares with what a file holds."""
    return json.loads(json.dumps(value))

"""An ensemble: all methods fitted and judged on the members' predictions. Products: runs/<suite>/ensemble/."""

import dataclasses

import numpy as np

from mlob import machine
from mlob.ensemble import methods
from mlob.evaluation import bootstrap, judge
from mlob.evaluation.runs import JUDGED, labelled_validation, total_costs
from mlob.files import digest, read_json, write_json
from mlob.metrics import micro_f1
from mlob.predictions import table as tables

WHY = (
    "it has the highest cross-fitted micro-F1 of {} methods on validation; picking the highest flatters the figure by "
    "a little"
)


def identity(dataset, runs, recipe):
    """Give all that shapes an ensemble: members' predictions, labelled photos, recipe.

    Args:
        runs: {member: runs/<suite>/<member>}.
        recipe: the suite's `Ensemble`.
    """
    found = {name: digest((folder / "predictions.h5").read_bytes()) for name, folder in runs.items()}
    return {"predictions": found, "data": dataset.digest, "recipe": dataclasses.asdict(recipe)}


def is_done(folder, wanted):
    """Say whether ensemble.json holds the result of just this identity."""
    path = folder / "ensemble.json"
    return path.is_file() and read_json(path)["identity"] == wanted


def make(suite, dataset, runs, folder, recipe):
    """Fit every method on all of validation, judge it cross-fitted, choose one, and decide with it.

    Args:
        suite: its name.
        dataset: the `DataSet`.
        runs: {member: runs/<suite>/<member>}.
        folder: runs/<suite>/ensemble.
        recipe: the suite's `Ensemble`.

    Returns:
        What ensemble.json holds.
    """
    targets = labelled_validation(dataset).targets
    stacks = _stacks(dataset, runs)
    judged = judge.judge(methods.fit(recipe), stacks["validation"], targets, recipe)
    chosen = choose(judged)
    decision, held, _ = judged[chosen]
    decided = {split: held if split == "validation" else decision(stack) for split, stack in stacks.items()}
    found = {
        split: tables.Table(dataset[split].ids, decision.probabilities(stack), decided[split])
        for split, stack in stacks.items()
    }
    (folder / "ensemble.json").unlink(missing_ok=True)  # it says that the predictions beside it are its own
    tables.write(folder / "predictions.h5", found)
    content = {
        "suite": suite,
        "members": list(runs),
        "chosen": {"method": ", ".join(chosen), "why": WHY.format(len(judged) - 1)},
        "decision": _to_json(decision, runs),
        "methods": _rows(judged, runs),
        **_on_test(dataset, decided, recipe),
        "folds": recipe.folds,
        "swarm": {"history": list(judged[methods.PSO, methods.ONE_GLOBAL][0].history)},
        "labels": judge.by_label(dataset.labels, dataset["train"].targets, targets, held),
        "identity": identity(dataset, runs, recipe),
    }
    write_json(folder / "ensemble.json", content)
    return content


def choose(judged):
    """Name the method with the highest cross-fitted micro-F1; the constant answer does not stand for election."""
    candidates = [name for name in judged if name[0] != methods.CONSTANT]
    return max(candidates, key=lambda name: judged[name][2]["micro_f1"]["cross_fitted"])


def text(content):
    """Tell the chosen method, the best single member beside it, and test where it has labels, a line each."""
    names = {"chosen": content["chosen"]["method"], "beside": f"{methods.BEST_SINGLE}, {methods.ONE_GLOBAL}"}
    scores = {f"{row['method']}, {row['thresholds']}": row["micro_f1"] for row in content["methods"]}
    lines = [
        f"{role}: {name}: micro-F1 {scores[name]['cross_fitted']:.3f} {_interval(scores[name])} on validation, "
        f"cross-fitted; in-sample {scores[name]['in_sample']:.3f}"
        for role, name in names.items()
    ]
    if test := content.get("test"):
        figure = test["micro_f1"]
        lines.append(
            f"test: micro-F1 {figure['value']:.3f} {_interval(figure)} on {test['photos']:,} labelled test "
            "photos, which chose nothing"
        )
    return "\n".join(lines)


def load_decision(content):
    """Rebuild the chosen method's `Decision` from what ensemble.json holds."""
    found = content["decision"]
    weights = np.array([found["weights"][name] for name in content["members"]])
    return methods.Decision(weights, np.array(found["thresholds"], np.float32), found["is_harmonic"])


def _interval(figure):
    return f"({figure['low']:.3f} to {figure['high']:.3f})"


def _stacks(dataset, runs):
    """The members' probabilities float32 (members, n, labels) of each split."""
    predicted = {name: tables.read(folder / "predictions.h5") for name, folder in runs.items()}
    return {
        split: tables.align({name: found[split] for name, found in predicted.items()}, dataset[split].ids)
        for split in JUDGED
        if split in dataset.splits
    }


def _on_test(dataset, decided, recipe):
    """Judge the decisions on the test photos that bear a label, which nothing was fitted on; {} where none does."""
    targets = dataset["test"].targets if "test" in decided else None
    if targets is None or not targets.any():
        return {}
    labelled = targets.any(axis=1)
    pair = targets[labelled], decided["test"][labelled]
    low, high = bootstrap.micro_f1_interval(*pair, draws=recipe.draws, seed=recipe.seed)
    return {"test": {"photos": len(pair[0]), "micro_f1": {"value": micro_f1(*pair), "low": low, "high": high}}}


def _rows(judged, runs):
    """One row a method, as result.json has them, with each member's weight."""
    results = {name: read_json(folder / "result.json") for name, folder in runs.items()}
    return [_row(name, *found, results) for name, found in judged.items()]


def _row(name, decision, held, figures, results):
    weights = {} if name[0] == methods.CONSTANT else dict(zip(results, decision.weights.tolist(), strict=True))
    used = [results[member] for member, weight in weights.items() if weight > 0]
    return {
        "method": name[0],
        "members": [result["method"] for result in used],
        **figures,
        "thresholds": name[1],
        **_costs(used),
        "weights": weights,
        **machine.facts(),
    }


def _costs(results):
    stores = {name: store for result in results for name, store in result["stores"].items()}
    own = [result["parameters"]["own"] for result in results]
    return total_costs(own, [result["seconds"]["training"] for result in results], stores)


def _to_json(decision, runs):
    return {
        "weights": dict(zip(runs, decision.weights.tolist(), strict=True)),
        "thresholds": decision.thresholds.tolist(),
        "is_harmonic": decision.is_harmonic,
    }

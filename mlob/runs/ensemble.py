"""An ensemble: all methods fitted and judged on the members' predictions. Products: runs/<suite>/ensemble/."""

import dataclasses
import json

import numpy as np

from mlob import machine, predictions, workspace
from mlob.ensemble import methods
from mlob.ensemble.thresholds import ONE_THRESHOLD
from mlob.errors import InputError
from mlob.evaluation import judge
from mlob.evaluation.crossfit import folds
from mlob.files import NUMBER, digest, read_arrays, read_product, write_arrays, write_json
from mlob.runs import shift
from mlob.runs.model import COSTS, FIGURE, JUDGED, METHOD, costs, labelled_validation, plain

WHY = (
    "it has the highest cross-fitted micro-F1 of {} methods on validation; picking the highest flatters the figure by "
    "a little: where each photo is decided on by the method that is highest on the other folds, it is {:.3f}"
)
ENSEMBLE = {  # the shape of ensemble.json, as far as it is read
    **{"members": [str], "methods": [METHOD], "identity?": dict, "settings?": str, "folds?": int},
    "chosen?": {"method": str, "why": str},
    "decision?": {"thresholds": [NUMBER]},
    "test?": {"photos": int, "micro_f1": FIGURE},
    "paired?": [{"method": str, "against": str} | dict.fromkeys(("gain", "low", "high"), NUMBER)],
    "groups?": [{"group": str, "micro_f1": FIGURE}],
    "labels?": [{"id": int, "name": str, "group": str, "validation": int}],
    "swarm?": {"history": [NUMBER]},
    "shift?": ({"shares": [dict], "decided": [str], "features": [dict], "equal": [dict]}, None),
}
DECISION = {  # of what it decides by
    "members": [str],
    "decision": {"kind": str},
}


def identity(dataset, runs, recipe):
    """Give all that shapes an ensemble: members' predictions, labelled photos, labels' names and groups, recipe.

    Args:
        runs: {member: runs/<suite>/<member>}.
        recipe: the suite's `Ensemble`.
    """
    found = {name: digest((folder / workspace.PREDICTIONS).read_bytes()) for name, folder in runs.items()}
    labels = digest(json.dumps([dataset.labels.names, dataset.labels.groups]))
    shaped = {"data": dataset.digest, "labels": labels, "recipe": dataclasses.asdict(recipe)}
    return plain({"predictions": found, **shaped})


def is_done(folder, wanted):
    """Say whether ensemble.json holds the result of just this identity."""
    return (folder / workspace.ENSEMBLE).is_file() and read(folder).get("identity") == wanted


def read(folder):
    """Read ensemble.json of runs/<suite>/ensemble.

    Raises:
        InputError: as of `files.read_product`.
    """
    return read_product(folder / workspace.ENSEMBLE, ENSEMBLE)


def fit(suite, dataset, runs, folder, recipe, features=None, settings=""):
    """Fit every method on all of validation, judge it cross-fitted, choose one, and decide with it.

    Args:
        suite: its name.
        dataset: the `DataSet`.
        runs: {member: runs/<suite>/<member>}.
        folder: runs/<suite>/ensemble.
        recipe: the suite's `Ensemble`.
        features: features/<set>/<data set> of a store, which knows what photos look like; without one, the splits'
            features are not compared.
        settings: SET= of the work, kept for whoever predicts with this ensemble.

    Returns:
        What ensemble.json holds.
    """
    targets, (stacks, keys) = labelled_validation(dataset).targets, _stacks(dataset, runs)
    judging = recipe.judging
    fold = folds(targets, judging.folds, seed=judging.seed, keys=keys["validation"])
    fit_methods = methods.fit(
        recipe.methods, recipe.rules, groups=dataset.labels.groups, seed=recipe.seed, swarm=recipe.swarm
    )
    judged = judge.judge(fit_methods, stacks["validation"], targets, fold, judging, keys["validation"])
    chosen = judge.choose(targets, {name: found.held for name, found in judged.items()})
    decision, held, _ = judged[chosen]
    decided = {split: held if split == "validation" else decision(stack) for split, stack in stacks.items()}
    content = {
        "suite": suite,
        "members": list(runs),
        "settings": settings,
        **_figures(dataset, judged, chosen, fold, judging, keys["validation"]),
        "decision": _to_json(decision, runs),
        "methods": _rows(judged, runs),
        **_on_test(dataset, decided, judging, keys),
        "judging": dataclasses.asdict(judging),
        "folds": len(np.unique(fold)),
        "swarm": {"history": _swarm_history(judged)},
        "shift": shift.describe(dataset, decided, features, seed=judging.seed),
        "identity": identity(dataset, runs, recipe),
    }
    (folder / workspace.ENSEMBLE).unlink(missing_ok=True)  # it says that all else in the folder is its own
    blended = {split: decision.probabilities(stack) for split, stack in stacks.items()}
    blended["validation"] = methods.of_the_fit(decision.blend, stacks["validation"])
    found = {split: predictions.Table(dataset[split].ids, blended[split], decided[split]) for split in stacks}
    predictions.write(folder / workspace.PREDICTIONS, found)
    write_arrays(folder / workspace.DECISION, **decision.arrays())
    write_json(folder / workspace.ENSEMBLE, content)
    return content


def summary(content):
    """Tell the chosen method, the best single member beside it, and how far both and the choice can be believed."""
    chosen, fits = content["chosen"]["method"], content["optimism"]["fits"]
    names = {"chosen": chosen, "beside": f"{methods.BEST_SINGLE}, {ONE_THRESHOLD}"}
    scores = {f"{row['method']}, {row['thresholds']}": row["micro_f1"] for row in content["methods"]}
    lines = [
        f"{role}: {name}: micro-F1 {scores[name]['cross_fitted']:.3f} {_interval(scores[name])} on validation, "
        f"cross-fitted; in-sample {scores[name]['in_sample']:.3f}, optimistic by {fits[name]:.3f}"
        for role, name in names.items()
    ]
    lines += [_paired_line(pair) for pair in content["paired"] if _is_told(pair, chosen)]
    lines += _constant_lines(scores, names["chosen"])
    figure = content["chosen"]["micro_f1"]
    lines.append(f"chosen anew on the other folds each time: micro-F1 {figure['value']:.3f} {_interval(figure)}")
    if test := content.get("test"):
        figure = test["micro_f1"]
        lines.append(
            f"test: micro-F1 {figure['value']:.3f} {_interval(figure)} on {test['photos']:,} test photos, "
            "which chose nothing"
        )
    return "\n".join(lines)


def load_decision(folder):
    """Rebuild the chosen method's `Decision` from runs/<suite>/ensemble.

    Raises:
        InputError: a file is missing or damaged.
    """
    content, path = read_product(folder / workspace.ENSEMBLE, DECISION), folder / workspace.DECISION
    try:
        return methods.rebuilt(content["decision"]["kind"], read_arrays(path), len(content["members"]))
    except (InputError, ValueError) as error:
        raise InputError(
            f"{path} is missing or damaged ({error}): remove {folder} and run `make ensemble` again."
        ) from error


def decide(folder, found):
    """Decide by the chosen method of runs/<suite>/ensemble, each member's weight applied by its name.

    Args:
        folder: runs/<suite>/ensemble.
        found: {member: probabilities float32 (n, labels)}, in any order.

    Returns:
        Probabilities float32 (n, labels), and decisions uint8 (n, labels).

    Raises:
        InputError: other members than the ensemble was made of; as `load_decision`.
    """
    members, decision = read_product(folder / workspace.ENSEMBLE, DECISION)["members"], load_decision(folder)
    if set(members) != set(found):
        raise InputError(
            f"{folder} was made of {', '.join(members)}; found predictions of {', '.join(found)}: run `make ensemble` "
            "with the members that are wanted."
        )
    stack = np.stack([found[name] for name in members])
    return decision.probabilities(stack), decision(stack)


def _constant_lines(scores, chosen):
    """Tell where the members learned less than what looks at no photo."""
    for name, figure in scores.items():
        if name.startswith(f"{methods.CONSTANT}, ") and figure["cross_fitted"] > scores[chosen]["cross_fitted"]:
            yield (
                f"the constant answer, which looks at no photo and cannot be chosen, is higher: micro-F1 "
                f"{figure['cross_fitted']:.3f}; the members have learned too little"
            )


def _is_told(pair, chosen):
    """Whether a pair is the chosen method against the best single member, or the plain mean, at the same rule."""
    rule = chosen.rpartition(", ")[2]
    beside = [judge.full_name((method, rule)) for method in (methods.BEST_SINGLE, methods.MEAN)]
    return pair["method"] == chosen and pair["against"] in beside


def _paired_line(pair):
    interval = f"{pair['low']:+.3f} to {pair['high']:+.3f}"
    return f"{pair['method']} against {pair['against']}: {pair['gain']:+.3f}, 95% {interval}"


def _interval(figure):
    return f"({figure['low']:.3f} to {figure['high']:.3f})"


def _stacks(dataset, runs):
    """The members' probabilities float32 (members, n, labels) of each split; its photos' keys (`Table.keys`)."""
    predicted = {
        name: _predictions(name, folder / workspace.PREDICTIONS, dataset.labels) for name, folder in runs.items()
    }
    ids = {split: dataset[split].ids for split in JUDGED if split in dataset.splits}
    found = {split: {name: own[split] for name, own in predicted.items()} for split in ids}
    stacks = {split: predictions.align(members, ids[split]) for split, members in found.items()}
    return stacks, {split: next(iter(members.values())).keys(ids[split]) for split, members in found.items()}


def _predictions(name, path, labels):
    found = predictions.read(path)
    if predictions.read_labels(path) not in (None, list(labels.ids)):
        raise InputError(
            f"The predictions of {name} are of other labels than the annotations: remove {path.parent} and run "
            f"`make train MODEL={name}`."
        )
    return found


def _on_test(dataset, decided, judging, keys):
    """Judge the decisions on a labelled test split, which nothing was fitted on; {} where there is none."""
    targets = dataset["test"].targets if "test" in decided else None
    if targets is None:
        return {}
    figure = judge.figure("micro_f1", targets, decided["test"], judging, keys["test"])
    return {"test": {"photos": len(targets), "micro_f1": figure}}


def _figures(dataset, judged, chosen, fold, judging, keys):
    """Say how good the chosen method is: beside the others, in each group and on each label; and how optimistic."""
    labels, targets = dataset.labels, dataset["validation"].targets
    held = {name: found.held for name, found in judged.items()}
    elsewhere = judge.figure("micro_f1", targets, judge.chosen_elsewhere(targets, held, fold), judging, keys)
    beside = held[methods.BEST_SINGLE, chosen[1]]
    thresholds = judged[chosen].decision.thresholds
    why = WHY.format(len(judged) - 1, elsewhere["value"])
    return {
        "chosen": {"method": judge.full_name(chosen), "why": why, "micro_f1": elsewhere},
        "optimism": _optimism(judged, chosen, elsewhere["value"]),
        "paired": judge.paired(targets, held, chosen, judging, keys),
        "groups": judge.by_group(labels, targets, held[chosen], beside, judging, keys),
        "labels": judge.by_label(labels, dataset["train"].targets, targets, held[chosen], thresholds),
    }


def _swarm_history(judged):
    """The swarm's best fitness after each iteration; empty where there was one member, which needs no search."""
    found = judged.get((methods.PSO, ONE_THRESHOLD))
    return list(found.decision.blend.history) if found else []


def _optimism(judged, chosen, elsewhere):
    """By how much in-sample figures lie above cross-fitted ones, and the chosen figure above that of choosing anew."""
    micro = {judge.full_name(name): found.figures["micro_f1"] for name, found in judged.items()}
    fits = {name: figure["in_sample"] - figure["cross_fitted"] for name, figure in micro.items()}
    return {"choice": micro[judge.full_name(chosen)]["cross_fitted"] - elsewhere, "fits": fits}


def _rows(judged, runs):
    """One row for each method, as result.json has them, with each member's weight."""
    results = {name: read_product(folder / workspace.RESULT, COSTS) for name, folder in runs.items()}
    facts = machine.facts()
    return [_row(name, found, results) | facts for name, found in judged.items()]


def _row(name, found, results):
    weights = dict(zip(results, _shares(found.decision.blend, len(results)).tolist(), strict=True))
    used = [results[member] for member, weight in weights.items() if weight > 0]
    return {
        "method": name[0],
        "members": [result["method"] for result in used],
        **found.figures,
        "thresholds": name[1],
        **costs(used),
        "weights": weights,
    }


def _to_json(decision, runs):
    """What a reader may want to know of a decision; the arrays that it goes by have a file of their own."""
    weights = decision.blend.weights
    return {
        "kind": decision.kind,
        "weights": None if weights is None else dict(zip(runs, weights.tolist(), strict=True)),
        "thresholds": decision.thresholds.tolist(),
    }


def _shares(blend, members):
    """How much each member counts, (members,): the mean over labels, where they differ; all alike without weights."""
    weights = np.full(members, 1 / members) if blend.weights is None else blend.weights
    return weights.reshape(members, -1).mean(axis=1)

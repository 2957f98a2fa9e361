"""An ensemble: all methods fitted and judged on the members' predictions. Products: runs/<suite>/ensemble/."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from mlob import decisions, machine, predictions, workspace
from mlob.data.dataset import DataSet
from mlob.decisions import Ensemble
from mlob.ensemble import methods
from mlob.errors import InputError
from mlob.evaluation import judge, scores
from mlob.evaluation.bootstrap import Interval
from mlob.files import digest, read_arrays, write_arrays, write_json
from mlob.labels import positives
from mlob.runs import results, shift, stack
from mlob.runs.job import measure_of, one_each, plain
from mlob.runs.model import labelled_validation
from mlob.runs.results import Chosen, Decider, EnsembleResult, MethodResult, Tested


def identity(dataset: DataSet, runs: dict[str, pathlib.Path], recipe: Ensemble) -> dict[str, Any]:
    """Give all that shapes an ensemble: members' predictions, labelled photos, labels' names and groups, recipe.

    Args:
        runs: {member: runs/<suite>/<member>}.
        recipe: the suite's `Ensemble`.
    """
    found = {name: results.predictions_digest(folder) for name, folder in runs.items()}
    labels = digest(json.dumps([dataset.labels.names, dataset.labels.groups]))
    shaped = {"data": dataset.digest, "labels": labels, "recipe": decisions.plain_ensemble(recipe)}
    return plain({"predictions": found, **shaped})


def check(dataset: DataSet, recipe: Ensemble) -> None:
    """Refuse an ensemble over products where the annotations name none.

    Raises:
        InputError: that is so.
    """
    if recipe.average_together and not any(any(split.together or ()) for split in dataset.splits.values()):
        raise InputError(
            "ensemble.average_together is True, and no photos belong together: name the product of each photo in a "
            "column product, or leave it out."
        )


def check_metric(dataset: DataSet, recipe: Ensemble) -> None:
    """Refuse top-1 of labels that the data set lacks, or of which photos have several.

    Raises:
        InputError: that is so.
    """
    columns = set(measure_of(dataset, recipe.judging).likeliest)
    if columns and columns not in [set(exclusive.columns) for exclusive in dataset.exclusive]:
        raise InputError(
            f"ensemble.metric is 'top_1' of {recipe.group or 'all labels'}, and photos of train have several of these: "
            "name a group of which a photo has one label."
        )


def is_done(folder: pathlib.Path, wanted: dict[str, Any]) -> bool:
    """Say whether ensemble.json holds the result of just this identity."""
    result = results.read_ensemble(folder)
    return result is not None and result.identity == wanted


def fit(
    suite: str,
    dataset: DataSet,
    runs: dict[str, pathlib.Path],
    folder: pathlib.Path,
    recipe: Ensemble,
    store_folder: pathlib.Path | None = None,
    settings: str = "",
) -> EnsembleResult:
    """Fit every method on all of validation, judge it cross-fitted, choose one, and decide with it.

    What is written of validation is `probabilities` of the chosen method, whose thresholds they are compared with, and
    the nested decisions, of which the headline is the figure: each photo by what is chosen and fitted without it.

    Args:
        suite: its name.
        dataset: the `DataSet`.
        runs: {member: runs/<suite>/<member>}.
        folder: runs/<suite>/ensemble.
        recipe: the suite's `Ensemble`.
        store_folder: features/<set>/<data set> of a store, which knows what photos look like; without one, the splits'
            features are not compared.
        settings: SET= of the work, kept for whoever predicts with this ensemble.
    """
    labelled_validation(dataset)
    stacks = stack.read(dataset, runs, recipe.average_together)
    validation = stacks["validation"]
    assert validation.targets is not None  # else it was refused
    verdict = judge.judge(
        fits(dataset, recipe),
        validation.members,
        validation.targets,
        recipe.judging,
        labels=dataset.labels,
        train_positives=positives(dataset["train"].labelled_targets).sum(axis=0),
        keys=validation.keys,
    )
    blended = _blended(verdict, stacks)
    tables = _tables(dataset, stacks, blended)
    decided = {split: table.decisions for split, table in tables.items()}
    result = EnsembleResult(
        suite=suite,
        members=list(runs),
        settings=settings,
        **_known_of(verdict),
        methods=_method_results(verdict.judged, runs),
        test=_on_test(stacks.get("test"), blended.get("test"), recipe.judging, measure_of(dataset, recipe.judging)),
        products=len(validation.keys) if recipe.average_together else None,
        judging=recipe.judging,
        shift=shift.describe(dataset, decided, store_folder, seed=recipe.seed),
        identity=identity(dataset, runs, recipe),
        **machine.facts(),
    )
    _write(folder, result, tables, verdict.decision)
    return result


def fits(dataset: DataSet, recipe: Ensemble) -> Callable[..., methods.Fitted]:
    """Give the function that fits the recipe's methods and rules."""
    return methods.fit(
        recipe.methods,
        recipe.rules,
        groups=dataset.labels.groups,
        seed=recipe.seed,
        swarm=recipe.swarm,
        one_each=one_each(dataset, recipe.judging),
        measure=measure_of(dataset, recipe.judging),
    )


def _write(folder, result, tables, decision):
    """Write an ensemble's folder; ensemble.json comes last."""
    (folder / workspace.ENSEMBLE).unlink(missing_ok=True)  # it says that all else in the folder is its own
    predictions.write(folder / workspace.PREDICTIONS, tables)
    write_arrays(folder / workspace.DECISION, **decision.arrays())
    write_json(folder / workspace.ENSEMBLE, dataclasses.asdict(result))


def _blended(verdict, stacks):
    """Predict and decide on the rows of each split by what is chosen; the decisions on validation are the nested ones.

    Returns:
        {split: (probabilities, decisions), both (rows, labels)}.
    """
    decision = verdict.decision
    probabilities = {split: decision.probabilities(stack.members) for split, stack in stacks.items()}
    probabilities["validation"] = methods.of_the_fit(decision.blend, stacks["validation"].members)
    decided = {split: decision.decide(own) for split, own in probabilities.items() if split != "validation"}
    decided["validation"] = verdict.nested
    return {split: (probabilities[split], decided[split]) for split in stacks}


def _tables(dataset, stacks, blended):
    """Lay what was predicted and decided on rows out over the photos of each split."""
    return {
        split: predictions.Table(dataset[split].ids, *(rows[stacks[split].place] for rows in own))
        for split, own in blended.items()
    }


def _known_of(verdict):
    """Give the fields of an `EnsembleResult` that are the verdict's."""
    choice = verdict.choice
    return {
        "chosen": Chosen(choice.name[0], choice.name[1], Decider(*choice.fixed), choice.gain),
        "headline": verdict.headline,
        "optimism": verdict.optimism,
        "pairs": verdict.pairs,
        "groups": verdict.groups,
        "labels": verdict.labels,
        "tasks": verdict.tasks,
        "folds": verdict.folds,
        "swarm": _swarm_history(verdict.judged),
        "decision": verdict.decision.kind,
        "automated": verdict.automated,
    }


def summary(result: EnsembleResult, task: str = "") -> str:
    """Tell how good the ensemble is, what decides and why, and whether that is better than its best single member.

    Of a suite about a task first how often the likeliest label of that is right.
    """
    figure, title = result.figure, result.title
    lines = [
        *_task_lines(result, task),
        f"ensemble: {title} {figure.value:.3f} ({figure}) on validation; the choice of the method, too, is made "
        f"on other photos; in-sample {figure.in_sample:.3f}",
        f"decides by {result.chosen.name}: {reason(result)}",
    ]
    lines += [f"{pair.method} against {pair.against}: {_told(pair.gain)}" for pair in beside(result)]
    lines += [*_left_lines(result), *_constant_lines(result)]
    if result.test:
        lines.append(
            f"test: {title} {result.test.figure.value:.3f} ({result.test.figure}) on {result.test.photos:,} test "
            f"{'photos' if result.products is None else 'products'}, which played no part in any choice"
        )
    if result.products is not None:
        lines.append(
            f"these figures are over {result.products:,} products of validation, each the mean of its photos; those of "
            "single models are over photos"
        )
    return "\n".join(lines)


def reason(result: EnsembleResult) -> str:
    """Say why the chosen method decides: it was fixed in advance, or another one clearly was not as good."""
    chosen, tried = result.chosen, sum(method.method != methods.CONSTANT for method in result.methods)
    highest = f"the highest of {tried} on the other folds gains {_told(chosen.gain)}"
    if chosen.is_fixed:
        return f"fixed in advance; {highest}, which is not clear"
    return f"{chosen.fixed.name} was fixed in advance, and {highest}, which is clear"


def beside(result: EnsembleResult) -> list[judge.Pair]:
    """Take the pairs of the ensemble with its best single member and the plain mean, at the rule fixed in advance.

    What decides is left out: it is no other.
    """
    names = [Decider(method, result.chosen.fixed.thresholds).name for method in (methods.BEST_SINGLE, methods.MEAN)]
    return [
        pair
        for pair in result.pairs
        if pair.method == judge.ENSEMBLE and pair.against in {*names} - {result.chosen.name}
    ]


def load_decision(folder: pathlib.Path) -> tuple[list[str], methods.Decision]:
    """Rebuild the chosen method's `Decision` from runs/<suite>/ensemble, with the members in the order it takes them.

    Raises:
        InputError: a file is missing, damaged or of another version.
    """
    result, path = results.read_ensemble(folder), folder / workspace.DECISION
    if result is None:
        raise InputError(f"{folder / workspace.ENSEMBLE} is missing or of another version: run `make ensemble`.")
    try:
        return result.members, methods.rebuilt(result.decision, read_arrays(path), len(result.members))
    except (InputError, ValueError) as error:
        raise InputError(
            f"{path} is missing or damaged ({error}): remove {folder} and run `make ensemble` again."
        ) from error


def answers(folder: pathlib.Path, split: str) -> tuple[predictions.Table, np.ndarray]:
    """Read what runs/<suite>/ensemble answers on a split, and what each probability had to reach, float32 (n, labels).

    Raises:
        InputError: as `predictions.read` and `load_decision`.
    """
    table = predictions.read(folder / workspace.PREDICTIONS)[split]
    _, decision = load_decision(folder)
    return table, decision.needed(table.probabilities)


def decide(
    loaded: tuple[list[str], methods.Decision], probabilities: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decide by an ensemble's chosen method, each member's weight applied by its name.

    Args:
        loaded: as `load_decision` gives it.
        probabilities: {member: float32 (n, labels)}, in any order.

    Returns:
        Probabilities float32 (n, labels), decisions uint8 (n, labels), and what each probability had to reach, float32
        (n, labels).

    Raises:
        InputError: other members than the ensemble was made of.
    """
    members, decision = loaded
    if set(members) != set(probabilities):
        raise InputError(
            f"The ensemble was made of {', '.join(members)}; found predictions of {', '.join(probabilities)}: run "
            "`make ensemble` with the members that are wanted."
        )
    blended = decision.probabilities(np.stack([probabilities[name] for name in members]))
    return blended, decision.decide(blended), decision.needed(blended)


def _task_lines(result, task):
    for own in result.tasks:
        if own.group == task:
            top_1 = own.scores["top_1"]
            yield f"ensemble: top-1 of {task} {top_1.value:.3f} ({top_1}) on {own.photos:,} validation photos"


def _left_lines(result):
    """Tell how much people are left to do."""
    if result.automated is not None:
        left = [label.name for label in result.labels if label.left]
        yield (
            f"{result.automated:.0%} of the decisions are automated; of {len(result.labels):,} labels {len(left):,} "
            f"cannot promise {result.metric.wished:g} and are left to people"
        )


def _constant_lines(result):
    """Tell where the members learned less than what looks at no photo."""
    for row in result.methods:
        figure = row.scores[result.metric.name].value
        if row.method == methods.CONSTANT and figure > result.figure.value:
            yield (
                f"the constant answer, which looks at no photo and cannot be chosen, is higher: {result.title} "
                f"{figure:.3f}; the members have learned too little"
            )


def _told(gain: Interval) -> str:
    return f"{gain.value:+.3f}, 95% {gain.low:+.3f} to {gain.high:+.3f}"


def _on_test(stack, blended, judging, measure):
    """Judge the answers on a labelled test split, which nothing was fitted on; None where there is none."""
    if stack is None or stack.targets is None:
        return None
    probabilities, decided = blended
    answer = probabilities if measure.ranks else decided
    (figure, _), *_ = scores.measured(measure, stack.targets, answer, judging=judging, keys=stack.keys)
    return Tested(len(stack.targets), figure)


def _swarm_history(judged):
    """The swarm's best fitness after each iteration; empty where there was one member, which needs no search."""
    swarmed = [each.decision.blend for (method, _), each in judged.items() if method == methods.PSO]
    return list(swarmed[0].history) if swarmed else []


def _method_results(judged, runs):
    """One row a method, with each member's weight: the mean over labels, where they differ."""
    members = {name: results.read(folder) for name, folder in runs.items()}
    return [_method_result(name, each, members) for name, each in judged.items()]


def _method_result(name, judged, members):
    weights = dict(zip(members, _shares(judged.decision.blend, len(members)).tolist(), strict=True))
    cost = results.cost_together(members[member] for member, weight in weights.items() if weight > 0)
    return MethodResult(cost.parameters, cost.seconds, name[0], name[1], judged.scores, weights)


def _shares(blend, members):
    """How much each member counts, (members,): the mean over labels, where they differ; all alike without weights."""
    weights = np.full(members, 1 / members) if blend.weights is None else blend.weights
    return weights.reshape(members, -1).mean(axis=1)

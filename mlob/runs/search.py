"""A search over a recipe's fields, judged: what it gained on dev, and how much of it is luck. Product: search.json."""

import dataclasses

from mlob import machine, recipes, workspace
from mlob.evaluation import dev, judge
from mlob.evaluation.crossfit import folds
from mlob.files import NUMBER, write_json, write_text
from mlob.runs import model

TRIAL = {
    **{"number": int, "changes": str, "values": dict, "seconds": NUMBER, "dev_micro_f1": (*NUMBER, None)},
    **{"micro_f1": (model.FIGURE, None), "gain": (model.FIGURE, None)},
}
SEARCH = {"photos": int, "trials": [TRIAL], "best": TRIAL, "elsewhere": model.FIGURE}  # of search.json
RECIPE = '''"""{name}, changed by a search of {trials} trials on {photos:,} dev photos.

Command: make train SUITE={suite} MODEL={name}_searched
Measured on dev: {gain:+.4f} micro-F1, which flatters it; {elsewhere:+.4f} where it was chosen on other photos.
"""

from mlob.recipes import {used}

recipe = {recipe}
'''


def run(suite, name, experiment, dataset, *, stores, folder, judging, budget_seconds, memory_bytes=None):
    """Search until the budget is spent, judge the trials, write search.json and the best recipe as a file.

    Args:
        suite, name: of the suite, of the model.
        experiment: its recipe.
        dataset: the `DataSet`.
        stores: {store name: features/<set>/<data set>}.
        folder: runs/<suite>/<model>/search.
        judging: the suite's `Judging`.
        budget_seconds: of training, that of earlier calls included.
        memory_bytes: that the features of train may take, as `batches.train_and_dev` has it.

    Returns:
        What search.json holds: `photos` of dev; `trials`, each {number, changes, values, epochs, seconds, dev_micro_f1,
        micro_f1, gain}, the last two {value, low, high}, cross-fitted, against the recipe as it is, None where it was
        stopped; `best`, one of these; `elsewhere`, the gain {value, low, high} where each photo is decided by the trial
        that is best on the other folds.
    """
    machine.load_keras()
    from mlob.training import search

    train, on_dev = model.train_and_dev(experiment, dataset, stores, memory_bytes)
    wanted = model.identity(experiment, dataset, stores)
    trials = search.search(
        experiment,
        train,
        on_dev,
        name=name,
        groups=dataset.labels.groups,
        budget_seconds=budget_seconds,
        folder=folder,
        key=model.key(wanted),
    )
    found = _judged(trials, on_dev, judging)
    content = {"identity": wanted, "judging": dataclasses.asdict(judging), "photos": len(on_dev.ids), **found}
    content |= machine.facts()
    write_text(folder / workspace.BEST_RECIPE, _recipe(suite, name, experiment, content))
    write_json(folder / workspace.SEARCH, content)
    return content


def summary(content):
    """Tell the best trial, and what choosing it is worth."""
    best, tried = content["best"], content["trials"]
    stopped = sum(trial["micro_f1"] is None for trial in tried)
    if not best["changes"]:
        return f"{len(tried)} trials, {stopped} stopped early: none is better than the recipe as it is."
    return (
        f"{len(tried)} trials, {stopped} stopped early; the best, trial {best['number']}:\n  SET={best['changes']}\n"
        f"micro-F1 on the {content['photos']:,} dev photos {best['micro_f1']['value']:.4f}: {_told(best['gain'])} "
        f"against the recipe as it is; chosen on the other folds each time {_told(content['elsewhere'])}, which the "
        "choice does not flatter."
    )


def _told(gain):
    return f"{gain['value']:+.4f} (95% {gain['low']:+.4f} to {gain['high']:+.4f})"


def _judged(trials, on_dev, judging):
    """Judge the trials that ran to their end against the first, and the choice among them."""
    fold = folds(on_dev.targets, judging.folds, seed=judging.seed, keys=on_dev.keys)
    held = {
        (str(trial.number), ""): dev.decide(trial.probabilities(), on_dev.targets, fold)
        for trial in trials
        if trial.kept
    }
    base, elsewhere = next(iter(held)), ("chosen elsewhere", "")
    held[elsewhere] = judge.chosen_elsewhere(on_dev.targets, held, fold)
    judged = dev.figures(held, on_dev.targets, judging, on_dev.keys)
    figures = {name: (score, gain) for name, score, gain in judged}
    _, gained = figures.pop(elsewhere)
    found = [_row(trial, *figures.get((str(trial.number), ""), (None, None))) for trial in trials]
    best = max((row for row in found if row["micro_f1"]), key=lambda row: row["micro_f1"]["value"])
    return {"trials": found, "best": best, "elsewhere": gained, "base": int(base[0])}


def _row(trial, micro_f1, gain):
    kept = {
        field: getattr(trial, field) for field in ("number", "changes", "values", "dev_micro_f1", "epochs", "seconds")
    }
    return {**kept, "micro_f1": micro_f1, "gain": gain}


def _recipe(suite, name, experiment, content):
    """Write the best trial's recipe as the text of a file for experiments/<suite>."""
    best = content["best"]
    code = _code(recipes.override(experiment, recipes.parse(best["changes"])[recipes.Experiment]))
    return RECIPE.format(
        name=name,
        suite=suite,
        trials=len(content["trials"]),
        photos=content["photos"],
        gain=best["gain"]["value"],
        elsewhere=content["elsewhere"]["value"],
        used=", ".join(kind for kind in ("Experiment", "Head", "Training") if f"{kind}(" in code),
        recipe=code,
    )


def _code(value):
    """Give Python's text of a recipe, with the fields that differ from the defaults."""
    if not dataclasses.is_dataclass(value):
        return repr(value)
    shown = [field for field in dataclasses.fields(value) if getattr(value, field.name) != field.default]
    return (
        f"{type(value).__name__}({', '.join(f'{field.name}={_code(getattr(value, field.name))}' for field in shown)})"
    )

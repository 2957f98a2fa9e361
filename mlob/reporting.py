"""The verb that reports: models that have rows alone are trained, repeated and compared, then the page is written."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING

from mlob import fields, recipes, steps
from mlob import workspace as places
from mlob.progress import is_verbose, say, show
from mlob.workspace import Workspace

if TYPE_CHECKING:
    from mlob.reports.tables import Row
    from mlob.runs import repeats
    from mlob.runs.dev import Comparison
    from mlob.runs.inside import Inside


def report(work: Workspace, readme: str | None = None) -> None:
    """Print the table, write the report page where a result has changed, put the table into a README if asked to."""
    from mlob.reports import report as reports
    from mlob.reports import tables

    steps.train(work, work.suite.rows)
    steps.train_reference(work)
    inside = look_inside(work)
    page = work.run("report") / places.PAGE
    if not work.is_dry:
        tell_otherwise_judged(work)
        runs = of_equal_dev(work)
        store_folder = next(iter(work.stores(work.members[0]).values()))
        judging = work.suite.ensemble.judging
        compared = reports.write(page, work.dataset, store_folder, runs, judging, inside, work.suite.task)
        rows = tables.rows(work.runs)
        show(tables.aligned(rows) if is_verbose() else tables.brief(rows))
        show(tables.dev_aligned(compared, None if is_verbose() else tables.FEW))
        by_task = compare_by_task(work)
        show(tables.task_aligned(by_task) if by_task else "")
        if readme:
            put_tables(work, rows, compared, by_task, readme)
    elif work.suite.task and work.suite.repeats > 1:
        say(f"for the table of {work.suite.task} each model would have {work.suite.repeats} trainings in all")
    say(f"report: {page}")


def compare_by_task(work: Workspace) -> "repeats.Comparison | None":
    """Train what a suite of a task wants repeated, and compare its models by the task; None without one."""
    from mlob.runs import repeats

    suite = work.suite
    if not suite.task:
        return None
    for model in work.models():
        repeat(work, model)
    trainings = {model: work.trainings(model) for model in work.models()}
    return repeats.compare(work.dataset, trainings, suite.task, suite.ensemble.judging)


def repeat(work: Workspace, model: str) -> None:
    """Train a model with further seeds, as often as the suite asks for; those of a sum's specialists are added up."""
    from mlob.runs import model as runs
    from mlob.runs import sum as sums

    experiment, judging = work.experiment(model), work.suite.ensemble.judging
    for part in getattr(experiment, "parts", ()):
        repeat(work, part)
    for number, folder in enumerate(work.trainings(model)[1:], 1):
        if isinstance(experiment, recipes.Sum):
            parts = {part: work.trainings(part)[number] for part in experiment.parts}
            if not runs.is_done(folder, sums.identity(experiment, work.dataset, parts)):
                sums.add(model, experiment, work.dataset, parts, folder, judging)
            continue
        again = dataclasses.replace(experiment, seed=experiment.seed + number)
        job = dataclasses.replace(steps.job_of(work, model), name=f"{model}, seed {again.seed}", experiment=again)
        if not runs.is_done(folder, job.identity):
            say(runs.summary(runs.train(job, folder, judging), work.suite.task))


def of_equal_dev(work: Workspace) -> dict[str, pathlib.Path]:
    """Find the runs whose dev photos are those of the first model: {model: folder}; those of other limits are named."""
    limits = {model: work.first_experiment(model).training.limit for model in work.models()}
    alike = [model for model, limit in limits.items() if limit == limits[work.members[0]]]
    if others := [model for model in limits if model not in alike]:
        say(f"report: {', '.join(others)}: not compared on dev, since training.limit gives them other dev photos")
    return {model: work.run(model) for model in alike}


def look_inside(work: Workspace) -> "dict[str, Inside]":
    """Look inside the network with the highest figure, where the suite has one: {model: what is seen}."""
    from mlob.runs import inside, results
    from mlob.runs import model as runs

    jobs = [] if work.is_dry else [steps.job_of(work, model) for model in work.networks()]
    trained = {job.name: job for job in jobs if runs.is_done(work.run(job.name), job.identity)}
    if not trained:
        return {}
    best = max(trained, key=lambda model: results.read(work.run(model)).figure.value)
    return {best: inside.look(trained[best], work.run(best), work.suite.ensemble.judging)}


def tell_otherwise_judged(work: Workspace) -> None:
    """Name the curves and searches that the report shows with figures judged in another way than the rest."""
    from mlob.runs import curve
    from mlob.runs import search as searches

    for model in work.models():
        for verb, read, path in (
            ("learning-curve", curve.read, work.run(model) / places.CURVE_FOLDER / places.CURVE),
            ("search", searches.read, work.run(model) / places.SEARCH_FOLDER / places.SEARCH),
        ):
            if path.is_file() and read(path).judging != work.suite.ensemble.judging:
                say(f"report: {path} is judged in another way than the rest: `mlob {verb}` judges it anew")


def put_tables(
    work: Workspace,
    rows: "list[Row]",
    compared: "Comparison | None",
    by_task: "repeats.Comparison | None",
    readme: str,
) -> None:
    """Put the members' results, all models on dev, the whole networks, and the task between a file's markers."""
    from mlob.reports import blocks, tables
    from mlob.runs import results

    members = (*work.members, fields.LOGISTIC)
    shown = [row for row in rows if row.kind != "model" or row.method in members]
    ensemble = results.read_ensemble(work.run("ensemble"))
    found = {
        "results": tables.markdown(shown, ensemble),
        "dev": tables.dev_markdown(compared),
        "networks": tables.networks_markdown(rows, networks(work)),
    }
    if by_task:
        recipe_of = {each.model: work.experiment(each.model) for each in by_task.models}
        found["task"] = tables.task_markdown(by_task, rows, recipe_of, ensemble)
    blocks.update(readme, work.name, found)


def networks(work: Workspace) -> dict[str, recipes.Experiment]:
    """Give the recipes of a suite's whole networks, and of the heads that they begin with: {model: recipe}."""
    found = {model: work.first_experiment(model) for model in work.models()}
    starts = {work.start(model) for model in found}
    return {model: recipe for model, recipe in found.items() if recipe.network or model in starts}

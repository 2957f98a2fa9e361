"""What a verb needs, in order: each step makes what comes before it, and redoes nothing that is there.

A step of a workspace that is dry says what it would make, and makes nothing.
"""

import pathlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeAlias

from mlob import fields, importing, machine, recipes
from mlob import workspace as places
from mlob.errors import InputError, about
from mlob.fields import check_choice
from mlob.files import make_folder
from mlob.progress import detail, say, show
from mlob.workspace import Workspace

if TYPE_CHECKING:
    from mlob.models.beginning import Beginning
    from mlob.reports.form import Form
    from mlob.runs.job import Job

FeatureSets: TypeAlias = dict[str, tuple[recipes.FeatureSet, pathlib.Path]]  # by name, each with its store's folder


def check(work: Workspace, models: Collection[str], *splits: str) -> None:
    """Refuse what recipes, then folders, then the annotations alone can tell to be in vain, before anything long."""
    from mlob.data import preflight
    from mlob.features import texts
    from mlob.runs import anew
    from mlob.runs import ensemble as ensembles

    for model in models:
        work.check(model)
    if not work.is_dry:
        make_folder(work.first_runs)
    preflight.check(work.dataset, splits or preflight.JUDGED)
    check_tasks(work, models)
    check_rows(work, models)
    ensembles.check_metric(work.dataset, work.suite.ensemble)
    for name, recipe in [pair for model in models for pair in work.feature_sets(model).items()]:
        texts.check_there(name, recipe, work.dataset)
    if not work.is_dry:
        work.claim_runs()
        anew.note(work.run(places.DATA), work.dataset)
        for model in models:
            check_unfreezing(work, model)


def check_tasks(work: Workspace, models: Collection[str]) -> None:
    """Refuse a suite that is about a group of labels which the data set lacks, and models with tasks of such groups."""
    from mlob.training import sampling

    groups = work.dataset.labels.groups
    if work.suite.task:
        check_choice("task", work.suite.task, sorted({*groups}))
    for model in models:
        with about(model):
            sampling.check_tasks(work.first_experiment(model), groups)


def check_rows(work: Workspace, models: Collection[str]) -> None:
    """Refuse kernel machines where there are more photos than they can learn from."""
    from mlob.runs.job import Job

    for model in models:
        experiment = work.first_experiment(model)
        if experiment.head.kind == fields.KERNEL:
            with about(model):
                recipes.check_kernel(Job(model, experiment, work.dataset, {}).most_rows)


def check_unfreezing(work: Workspace, model: str) -> None:
    """Refuse a network that unfreezes what its backbone lacks; not one that is trained: building it takes seconds."""
    extractor, network = work.extractor(model), work.first_experiment(model).network
    if not (network and extractor) or (work.run(model) / places.RESULT).is_file():
        return
    machine.load_keras()
    from mlob.models import networks

    (reads,) = work.feature_sets(model).values()
    with about(model):
        networks.check_unfreezing(network, reads, extractor)


def download(work: Workspace, side: int, allow_private: bool, contact: str) -> None:
    """Download the photos that are missing, prepared for the networks."""
    from mlob.data import download as downloads

    if work.is_dry:
        missing = sum(place is None for split in work.dataset.splits for place in work.dataset.photos(split))
        return say(f"images: {missing:,} photos are not there")
    outcome = downloads.photos(work.dataset, size=side, allow_private=allow_private, contact=contact)
    show(downloads.summary(outcome))


def describe(work: Workspace) -> None:
    """Print what there is in the data, and what has to be mended."""
    from mlob.data import duplicates, facts, factsheet, preflight
    from mlob.features import table

    show("\n".join(factsheet.understood(work.dataset)))
    stores = [work.store(path.stem) for path in sorted(places.RECIPES.glob("*.py"))]
    photos = table.first_whole(stores, work.dataset) or duplicates.look(work.dataset)
    show(factsheet.summary(facts.describe(work.dataset, photos)))
    unfit = []
    try:
        if "test" in work.dataset.splits:
            plan_submission(work)
    except InputError as error:
        unfit.append(str(error))
    show(preflight.summary(work.dataset, unfit))


def extract(work: Workspace, models: Collection[str], **where: Any) -> None:
    """Extract what the stores of these models lack."""
    from mlob.data import factsheet
    from mlob.features import backbones
    from mlob.features import extract as extraction

    names = [name for model in models for name in work.stores(model) if name not in work.extracted]
    work.extracted.update(names)
    found: FeatureSets = {name: (work.feature_set(name), work.store(name)) for name in names}
    is_first = 0 < len(found) == len(work.extracted) and not any(path.exists() for _, path in found.values())
    for line in factsheet.understood(work.dataset) if is_first else ():
        say(line)
    importing.renew(work, [name for name, (recipe, _) in found.items() if backbones.is_imported(recipe)])
    texts = {name: own for name, own in found.items() if backbones.is_text(own[0])}
    sets = {name: own for name, own in found.items() if name not in texts and not backbones.is_imported(own[0])}
    if sets and work.is_dry:
        tell_lacking(work, sets)
    elif sets:
        extraction.extract(sets, work.dataset, given=work.weights, random_fallback=work.suite.generated, **where)
    extract_texts(work, texts)


def tell_lacking(work: Workspace, sets: FeatureSets) -> None:
    """Say what stores lack."""
    from mlob.data import factsheet
    from mlob.features import extract as extraction

    for line in factsheet.missing(work.dataset):
        say(line)
    for name, plan in extraction.plan(sets, work.dataset, work.weights).items():
        say(f"features {name}: {plan.summary(work.feature_set(name))}")


def extract_texts(work: Workspace, sets: FeatureSets) -> None:
    """Make what stores of texts lack."""
    from mlob.features import texts

    for name, (recipe, folder) in sets.items():
        texts.check_there(name, recipe, work.dataset)
        if work.is_dry:
            say(f"features {name}: {texts.lacking(folder, work.dataset):,} texts to be read")
        else:
            texts.extract(name, recipe, folder, work.dataset)


def train(work: Workspace, models: Collection[str]) -> list[str]:
    """Train the models whose runs are not there, a sum's specialists before it; name those, in a dry run too.

    Before a model comes the one that it begins with.
    """
    from mlob.runs import model as runs

    check(work, models)
    starts = [start for model in models if (start := work.start(model))]
    made = train(work, starts) if starts else []
    extract(work, models)
    for model in models:
        experiment = work.experiment(model)
        if isinstance(experiment, recipes.Sum):
            made += [model] if add(work, model, experiment) else []
            continue
        job = job_of(work, model)
        if is_lacking(work, model, job.identity):
            made.append(model)
            for line in runs.plan(job):
                say(line)
            if not work.is_dry:
                say(runs.summary(runs.train(job, work.run(model), work.suite.ensemble.judging), work.suite.task))
    return made


def is_lacking(work: Workspace, model: str, identity: dict[str, Any]) -> bool:
    """Say whether a model's run is not there, and tell why; one that is there is judged as the suite is."""
    from mlob.runs import model as runs

    folder = work.run(model)
    if runs.is_done(folder, identity):
        judge_again(work, folder)
        return False
    tell_why(work, model, folder / places.RECIPE, identity)
    return True


def tell_why(work: Workspace, name: str, path: pathlib.Path, identity: dict[str, Any]) -> None:
    """Say why a product is made anew, where there is one of something else; in a dry run also where there is none.

    Args:
        name: of the product.
        path: of the JSON file that holds what shaped it.
        identity: what would shape it now.
    """
    from mlob.runs import anew

    if changed := anew.why(path, identity, work.run(places.DATA), work.dataset):
        say(f"{name} {'would be' if work.is_dry else 'is'} made anew: {changed}")
    elif work.is_dry:
        say(f"{name} would be made in {path.parent}")


def job_of(work: Workspace, model: str) -> "Job":
    """Give a model's recipe with what it is trained on."""
    from mlob.runs.job import Job

    experiment = work.first_experiment(model)
    begin = beginning(work, model) if experiment.network or experiment.start else None
    seed = work.suite.ensemble.seed
    return Job(model, experiment, work.dataset, work.stores(model), work.memory_bytes, work.held, begin, seed)


def beginning(work: Workspace, model: str) -> "Beginning":
    """Give what a model begins with: a network's weights are downloaded where they are missing."""
    from mlob.features import weights
    from mlob.models.beginning import Beginning

    reads, extractor, start = [*work.feature_sets(model).values()], work.extractor(model), work.start(model)
    source = weights.at_hand(extractor, work.weights) if extractor else None
    if extractor and not source and not work.is_dry:
        source = weights.downloaded(extractor, work.suite.generated)
    head = work.run(start) / places.HEAD if start else None
    return Beginning(reads[0], extractor, source, head, job_of(work, start).identity if start else None)


def add(work: Workspace, model: str, total: recipes.Sum) -> bool:
    """Add up a model's specialists where the sum is not there; they are trained first. Say whether that was so."""
    from mlob.runs import model as runs
    from mlob.runs import sum as sums

    parts, folder = work.parts(model), work.run(model)
    if (made := train(work, parts)) and work.is_dry:
        say(f"{model} would be made in {folder}, with {', '.join(made)}")
        return True
    if is_lacking(work, model, sums.identity(total, work.dataset, parts)):
        if not work.is_dry:
            added = sums.add(model, total, work.dataset, parts, folder, work.suite.ensemble.judging)
            say(runs.summary(added, work.suite.task))
        return True
    return False


def judge_again(work: Workspace, folder: pathlib.Path) -> None:
    """Make the figures of a trained model anew where the suite is judged in another way."""
    from mlob.runs import model as runs

    if not work.is_dry and (result := runs.judge_again(folder, work.dataset, work.suite.ensemble.judging)):
        say(f"judged anew, as the suite is: {runs.summary(result, work.suite.task)}")


def train_reference(work: Workspace) -> None:
    """Train `logistic` where train is small, and note in the runs on the same rows whether they lose to it.

    There is none where the suite's default model learns from photos alone, without features of a backbone.
    """
    from mlob.features import backbones
    from mlob.runs import model as runs

    reference = work.first_experiment(fields.LOGISTIC)
    reads_pixels = any(map(backbones.is_pixels, work.feature_sets(fields.LOGISTIC).values()))
    if reads_pixels or not runs.wants_reference(work.dataset, reference):
        return
    train(work, [fields.LOGISTIC])
    for model in [] if work.is_dry else work.models():
        experiment, folder = work.experiment(model), work.run(model)
        if isinstance(experiment, recipes.Sum) or experiment.head.kind != "dense" or not experiment.learns_all:
            continue
        alike = (experiment.stores, experiment.training.limit) == (reference.stores, reference.training.limit)
        if not alike or not runs.is_done(folder, (job := job_of(work, model)).identity):
            continue
        logistic, judging = work.run(fields.LOGISTIC), work.suite.ensemble.judging
        if note := runs.compare(folder, logistic, work.dataset, judging, runs.noted(job)):
            detail(f"{model}: {note}")


def overfit(work: Workspace, model: str, count: int) -> None:
    """Learn a few photos by heart; print how far the loss went."""
    experiment = work.head(model)
    check(work, [model], "train")
    extract(work, [model])
    if work.is_dry:
        return say(f"overfit {model}: {count} photos")
    machine.load_keras()
    from mlob.training import sanity

    job = job_of(work, model)
    rows, _ = job.train_and_dev()
    groups = work.dataset.labels.groups
    learned = sanity.overfit(experiment, rows, name=model, count=count, groups=groups, begin=job.begin)
    show(sanity.summary(model, learned))


def measure_curve(work: Workspace, model: str) -> None:
    """Train on growing parts of the photos; print the points."""
    from mlob.runs import curve

    work.head(model)  # a model without one is refused
    folder = work.run(model) / places.CURVE_FOLDER
    check(work, [model], "train")
    extract(work, [model])
    job = job_of(work, model)
    tell_why(work, f"learning curve of {model}", folder / places.CURVE, job.identity)
    if not work.is_dry:
        show(curve.summary(curve.measure(job, folder, work.suite.ensemble.judging)))


def search(work: Workspace, model: str, seconds: float) -> None:
    """Search for better values of a recipe's fields; print the best trial."""
    from mlob.runs import search as searches

    work.head(model)  # a model without one is refused
    folder = work.run(model) / places.SEARCH_FOLDER
    check(work, [model], "train")
    extract(work, [model])
    job = job_of(work, model)
    tell_why(work, f"search of {model}", folder / places.SEARCH, job.identity)
    if work.is_dry:
        return say(f"search {model}: {seconds:,.0f} s of training, what {folder} holds of it included")
    made = searches.run(job, folder, work.suite.ensemble.judging, seconds)
    show(searches.summary(made))
    best = folder / places.BEST_RECIPE
    searches.write_recipe(best, work.name, job, made)
    say(f"search: {best} is the best recipe; in {places.EXPERIMENTS / work.name} it can be trained")


def fit_ensemble(work: Workspace) -> None:
    """Fit and judge the ensemble where its members, photos or recipe have changed."""
    from mlob.runs import ensemble as ensembles

    ensembles.check(work.dataset, work.suite.ensemble)
    made = train(work, work.members)
    train_reference(work)
    members = {name: work.run(name) for name in work.members}
    folder, recipe = work.run("ensemble"), work.suite.ensemble
    if made and work.is_dry:
        return say(f"ensemble would be made in {folder}, with {', '.join(made)}")
    identity = ensembles.identity(work.dataset, members, recipe)
    if not ensembles.is_done(folder, identity):
        tell_why(work, "ensemble", folder / places.ENSEMBLE, identity)
        if not work.is_dry:
            store_folder = next(iter(work.stores(work.members[0]).values()))
            result = ensembles.fit(work.name, work.dataset, members, folder, recipe, store_folder, work.settings)
            say(ensembles.summary(result, work.suite.task))
    if not work.is_dry:
        keep(work)


def keep(work: Workspace) -> None:
    """Keep with the ensemble what labelling new photos takes beside its members."""
    from mlob.runs import kept

    stores = {name: folder for model in work.members for name, folder in work.stores(model).items()}
    feature_sets = {name: work.feature_set(name) for name in stores}
    kept.write(work.run("ensemble"), kept.Kept(work.dataset.labels, feature_sets), stores)


def plan_submission(work: Workspace) -> "Form":
    """Say what submission.csv will look like; a sample that does not fit the data is refused."""
    from mlob.reports import submission

    form = submission.plan(work.dataset, work.suite.submission)
    say(submission.told(form, work.dataset))
    return form


def submit(work: Workspace) -> None:
    """Write the submission of the ensemble's answers on test, and all their probabilities beside it."""
    from mlob.reports import probabilities, submission
    from mlob.runs import ensemble as ensembles

    check(work, work.members, "train", "validation", "test")
    form = plan_submission(work)
    fit_ensemble(work)
    folder = work.run("ensemble")
    if not work.is_dry:
        test, needed = ensembles.answers(folder, "test")
        submission.write(folder / places.SUBMISSION, form, test)
        probabilities.write(folder, work.dataset.labels, test, needed, with_csv=work.suite.submission.csv)
        say(probabilities.least_certain(work.dataset.labels, test, needed))
    say(f"submission: {folder / places.SUBMISSION}")


def review(work: Workspace, split: str, count: int) -> None:
    """Write the photos of a split that are decided with the least certainty, for people to check."""
    from mlob.reports import review as reviews
    from mlob.runs import ensemble as ensembles

    folder = work.run("ensemble")
    if not work.is_dry:
        found = reviews.cases(work.dataset, split, *ensembles.answers(folder, split), count)
        reviews.write(folder, work.name, work.dataset, split, found)
    say(f"review: {folder / places.REVIEW}.html, {places.REVIEW}.csv, and {places.LABEL_STUDIO}.json for Label Studio")

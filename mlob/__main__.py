"""The command line: `mlob <verb>`, the same as `python -m mlob <verb>`. The only module that knows where things lie."""

import dataclasses
import errno
import functools
import pathlib
import re
import reprlib
import sys

import click

from mlob import fields, machine, recipes, workspace
from mlob.engine import ENGINES
from mlob.errors import InputError
from mlob.files import make_folder, read_product
from mlob.progress import be_verbose, detail, is_verbose, say

EXPERIMENTS, RECIPES = pathlib.Path("experiments"), pathlib.Path("features")
LOGISTIC = fields.LOGISTIC
REFUSED = (errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM, errno.EROFS)


@dataclasses.dataclass(frozen=True)
class Work:
    """A suite, its data, and where its recipes and products lie."""

    name: str
    data: str | None
    weights: str | None
    settings: str
    is_dry: bool
    memory_bytes: int | None = None  # for the features of train; half of the machine's where it is not given
    extracted: set = dataclasses.field(default_factory=set)  # stores that this verb has seen to

    @functools.cached_property
    def overrides(self):
        """SET= by the recipe that each field belongs to."""
        return recipes.parse(self.settings)

    @functools.cached_property
    def suite(self):
        """The suite's recipe."""
        fields.check_name(self.name, "The suite")
        folder = EXPERIMENTS / self.name
        if not EXPERIMENTS.is_dir():
            raise InputError(
                "There is no folder experiments/ here: run mlob in the folder that holds experiments/ and features/."
            )
        if not (folder / "suite.py").is_file():
            known = [path.parent.name for path in EXPERIMENTS.glob("*/suite.py")]
            raise InputError(f"There is no suite {self.name!r}{recipes.nearest(self.name, known)}")
        return recipes.override(recipes.load(folder / "suite.py", [], (recipes.Suite,)), self.overrides[recipes.Suite])

    @functools.cached_property
    def dataset(self):
        """The annotated photos; the demo set is drawn where it is not there."""
        from mlob.data import places
        from mlob.data.dataset import read_dataset
        from mlob.features import store_folders

        folder = places.data_folder(self.data or self.suite.data)
        if self.suite.generated and not self.data:
            from mlob.data import demo

            demo.make(folder)
        return read_dataset(folder, digests=store_folders.digests_table(self.features, folder))

    @property
    def features(self):
        """The folder of all feature stores."""
        return workspace.folder("FEATURES", RECIPES)

    def store(self, name):
        """The folder of a feature set's store of this data."""
        from mlob.features import store_folders

        return store_folders.find(self.features / name, self.dataset.folder)

    def run(self, model):
        """The folder of a model's run, or of the ensemble's and the report's products."""
        suite = workspace.folder("RUNS", "runs") / self.name
        if not self.is_dry:
            make_folder(suite)  # a folder that cannot be made is told before anything is trained
        return suite / model

    def feature_set(self, name):
        """The recipe of a feature set."""
        known = [path.stem for path in RECIPES.glob("*.py")]
        recipe = recipes.load(RECIPES / f"{name}.py", known, (recipes.FeatureSet,))
        return recipes.override(recipe, self.overrides[recipes.FeatureSet])

    def feature_sets(self, model):
        """The recipes of what a model reads, {name: feature set}."""
        return {name: self.feature_set(name) for name in self.first_experiment(model).stores}

    def experiment(self, model):
        """The recipe of a model; `logistic` is the reference head on the default model's stores and rows."""
        if model == LOGISTIC:
            if (own := EXPERIMENTS / self.name / f"{model}.py").exists():
                raise InputError(f"{own} has the name of the reference that every suite has: rename the file.")
            default = self.first_experiment(self.suite.members[0])
            limit = recipes.Training(limit=default.training.limit)
            return recipes.Experiment(default.stores, recipes.LOGISTIC, limit)
        recipe = self._loaded(model)
        if not isinstance(recipe, recipes.Sum):
            return checked(recipes.override(recipe, self.overrides[recipes.Experiment]), "SET")
        for part in recipe.parts:
            if isinstance(self._loaded(part), recipes.Sum):
                raise InputError(f"{model} has the part {part}, a sum itself: expected models that have a head.")
        return recipe

    def _loaded(self, model):
        """The recipe in a model's file."""
        fields.check_name(model, "The model", fields.RESERVED)
        folder = EXPERIMENTS / self.name
        known = [path.stem for path in folder.glob("*.py") if path.stem != "suite"]
        path = folder / f"{model}.py"
        return checked(recipes.load(path, known, (recipes.Experiment, recipes.Sum)), path)

    def first_experiment(self, model):
        """The recipe of a model, or of the first specialist that it is the sum of."""
        recipe = self.experiment(model)
        return self.first_experiment(recipe.parts[0]) if isinstance(recipe, recipes.Sum) else recipe

    def head(self, model):
        """The recipe of a model that has a head of its own, trained in epochs."""
        recipe = self.experiment(model)
        if isinstance(recipe, recipes.Sum):
            raise InputError(f"{model} is the sum of {', '.join(recipe.parts)}: name one of these.")
        if recipe.head.kind == LOGISTIC:
            raise InputError(f"{model} is scikit-learn's logistic regression, which has no epochs: name another model.")
        return recipe

    def parts(self, model):
        """The specialists that a model is the sum of: {name: folder of its run}; none where it is trained itself."""
        return {name: self.run(name) for name in getattr(self.experiment(model), "parts", ())}

    def stores(self, model):
        """The stores that a model reads: {name: folder}."""
        for part in self.parts(model):
            return self.stores(part)
        return {name: self.store(name) for name in self.experiment(model).stores}

    def models(self, model):
        """The models asked for: one, or all of the suite's."""
        return [model] if model else [*self.suite.members, *self.suite.rows]


def checked(recipe, where):
    """Give a recipe back whose choices are in their tables and fit each other; `where` they were made is told else."""
    from mlob.models import losses

    try:
        if isinstance(recipe, recipes.Experiment):
            losses.check(recipe)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return recipe


# Steps: each makes what it needs first, and redoes nothing that is there


def check(work, models, *splits):
    """Refuse what recipes, then folders, then the annotations alone can tell to be in vain, before anything long."""
    from mlob.data import preflight

    for model in models:
        work.feature_sets(model)
        work.run(model)
    preflight.check(work.dataset, splits or preflight.JUDGED)


def make_images(work, side, allow_private, contact):
    """Download the photos that are missing, prepared for the networks."""
    from mlob.data import download

    if work.is_dry:
        missing = sum(place is None for split in work.dataset.splits for place in work.dataset.photos(split))
        return say(f"images: {missing:,} photos are not there")
    made = download.make(work.dataset, size=side, allow_private=allow_private, contact=contact)
    click.echo(download.text(made))


def make_features(work, models, **where):
    """Extract what the stores of these models lack."""
    from mlob.data import facts as described
    from mlob.features import extract

    names = [store for model in models for store in work.stores(model) if store not in work.extracted]
    work.extracted.update(names)
    sets = {name: (work.feature_set(name), work.store(name)) for name in names}
    if not work.is_dry:
        return extract.extract(sets, work.dataset, given=work.weights, random_fallback=work.suite.generated, **where)
    for line in described.missing(work.dataset) if sets else ():
        say(line)
    for name, (features, folder) in sets.items():
        say(f"features {name}: {extract.plan(name, features, work.dataset, folder, work.weights).text(features)}")


def make_runs(work, models):
    """Train the models whose runs are not there."""
    from mlob.runs import model as runs

    check(work, models)
    make_features(work, models)
    for model in models:
        experiment, stores, folder = work.experiment(model), work.stores(model), work.run(model)
        if isinstance(experiment, recipes.Sum):
            make_sum(work, model, experiment)
            continue
        if runs.is_done(folder, runs.identity(experiment, work.dataset, stores)):
            judge_again(work, folder)
            continue
        if work.is_dry:
            say(f"train {model}: {folder} is missing or of another recipe, photos or features")
            continue
        where = {"stores": stores, "folder": folder, "memory_bytes": work.memory_bytes}
        judging = work.suite.ensemble.judging
        say(runs.summary(runs.train(model, experiment, work.dataset, judging=judging, **where)))


def judge_again(work, folder):
    """Make the figures of a trained model anew where the suite is judged in another way."""
    from mlob.runs import model as runs

    if not work.is_dry and (result := runs.judge_again(folder, work.dataset, work.suite.ensemble.judging)):
        say(f"judged anew, as the suite is: {runs.summary(result)}")


def make_overfit(work, model, count):
    """Learn a few photos by heart; say how far the loss went."""
    from mlob.runs import model as runs

    experiment, stores = work.head(model), work.stores(model)
    check(work, [model], "train")
    make_features(work, [model])
    if work.is_dry:
        return say(f"overfit {model}: {count} photos")
    machine.load_keras()
    from mlob.training import sanity

    train, _ = runs.train_and_dev(experiment, work.dataset, stores, work.memory_bytes)
    found = sanity.overfit(experiment, train, name=model, count=count, groups=work.dataset.labels.groups)
    click.echo(sanity.text(model, found))


def make_curve(work, model):
    """Train on growing parts of the photos; print the points."""
    from mlob.runs import curve

    experiment, stores, folder = work.head(model), work.stores(model), work.run(model) / "curve"
    check(work, [model], "train")
    make_features(work, [model])
    if work.is_dry:
        return say(f"learning curve of {model}: {folder}, where photos, features or recipe have changed")
    where = {"stores": stores, "folder": folder, "memory_bytes": work.memory_bytes}
    judging = work.suite.ensemble.judging
    click.echo(curve.summary(curve.measure(model, experiment, work.dataset, judging=judging, **where)))


def make_search(work, model, seconds):
    """Search for better values of a recipe's fields; print the best trial."""
    from mlob.runs import search

    experiment, stores, folder = work.head(model), work.stores(model), work.run(model) / "search"
    check(work, [model], "train")
    make_features(work, [model])
    if work.is_dry:
        return say(f"search {model}: {seconds:,.0f} s of training, what {folder} holds included")
    where = {"stores": stores, "folder": folder, "memory_bytes": work.memory_bytes}
    found = search.run(
        work.name, model, experiment, work.dataset, judging=work.suite.ensemble.judging, budget_seconds=seconds, **where
    )
    click.echo(search.summary(found))
    say(f"search: {folder / 'recipe.py'} is the best recipe; in {EXPERIMENTS / work.name} it can be trained")


def make_sum(work, model, total):
    """Add up a model's specialists where the sum is not there; they are trained first."""
    from mlob.runs import model as runs
    from mlob.runs import sum as sums

    parts, folder = work.parts(model), work.run(model)
    make_runs(work, parts)
    if work.is_dry:
        say(f"sum {model}: of {', '.join(parts)}, where one of them is made anew")
    elif not runs.is_done(folder, sums.identity(total, work.dataset, parts)):
        say(runs.summary(sums.add(model, total, work.dataset, parts, folder, work.suite.ensemble.judging)))
    else:
        judge_again(work, folder)


def make_reference(work):
    """Train `logistic` where train is small, and note in the runs on the same rows whether they lose to it."""
    from mlob.runs import model as runs

    reference = work.experiment(LOGISTIC)
    if not runs.wants_reference(work.dataset, reference):
        return
    make_runs(work, [LOGISTIC])
    for model in [] if work.is_dry else work.models(None):
        experiment, folder = work.experiment(model), work.run(model)
        if isinstance(experiment, recipes.Sum) or experiment.head.kind == LOGISTIC:
            continue
        alike = (experiment.stores, experiment.training.limit) == (reference.stores, reference.training.limit)
        if not (alike and runs.is_done(folder, runs.identity(experiment, work.dataset, work.stores(model)))):
            continue
        if note := runs.compare(folder, work.run(LOGISTIC), work.dataset, work.suite.ensemble.judging):
            detail(f"{model}: {note}")


def make_ensemble(work):
    """Fit and judge the ensemble where its members, photos or recipe have changed."""
    from mlob.runs import ensemble as ensembles

    make_runs(work, work.suite.members)
    make_reference(work)
    folders = {name: work.run(name) for name in work.suite.members}
    folder, recipe = work.run("ensemble"), work.suite.ensemble
    if work.is_dry:
        say(f"ensemble: of {', '.join(folders)}, where one of them is made anew")
    elif not ensembles.is_done(folder, ensembles.identity(work.dataset, folders, recipe)):
        features = next(iter(work.stores(work.suite.members[0]).values()))
        say(ensembles.summary(ensembles.fit(work.name, work.dataset, folders, folder, recipe, features, work.settings)))


def make_submission(work):
    """Write the submission of the ensemble's decisions on test."""
    from mlob import predictions
    from mlob.reports import submission

    check(work, work.suite.members, "train", "validation", "test")
    make_ensemble(work)
    path = work.run("ensemble") / "submission.csv"
    if not work.is_dry:
        test = work.dataset["test"]
        decided = predictions.read(path.with_name("predictions.h5"))["test"].decided
        submission.write(path, test.ids, decided, work.dataset.labels)
    say(f"submission: {path}")


def tell_otherwise_judged(work):
    """Name the curves and searches that the report shows with figures judged in another way than the rest."""
    judging = dataclasses.asdict(work.suite.ensemble.judging)
    for verb, name in (("learning-curve", "curve/curve.json"), ("search", "search/search.json")):
        for path in (work.run(model) / name for model in work.models(None)):
            if path.is_file() and read_product(path, dict).get("judging") != judging:
                say(f"report: {path} is judged in another way than the rest: `mlob {verb}` judges it anew")


def make_report(work, readme):
    """Print the table, write the report page where a result has changed, put the table into a README if asked to."""
    from mlob.reports import report, tables

    make_ensemble(work)
    make_runs(work, work.suite.rows)
    make_reference(work)
    page = work.run("report") / "index.html"
    if not work.is_dry:
        tell_otherwise_judged(work)
        runs = {model: work.run(model) for model in work.models(None)}
        stores = work.stores(work.suite.members[0])
        compared = report.make(page, work.name, work.dataset, stores, runs, work.suite.ensemble.judging)
        rows = tables.rows(page.parent.parent)
        click.echo(tables.text(rows) if is_verbose() else tables.brief(rows))
        click.echo(tables.dev_text(compared, None if is_verbose() else tables.FEW))
        if readme:
            put_tables(work, rows, compared, readme)
    say(f"report: {page}")


def put_tables(work, rows, compared, readme):
    """Put the members' results, and all models on dev, between a file's markers."""
    from mlob.reports import tables

    members = (*work.suite.members, LOGISTIC)
    shown = [row for row in rows if row["kind"] != "model" or row["method"] in members]
    blocks = {"results": tables.markdown(shown), "dev": tables.dev_markdown(compared)}
    tables.update_blocks(readme, work.name, blocks)


def as_ensembled(work):
    """Give the work with the SET= that its ensemble was made with, unless another is asked for."""
    path = work.run("ensemble") / "ensemble.json"
    is_asked = work.settings or not path.is_file()
    settings = "" if is_asked else read_product(path, {"settings?": str}).get("settings", "")
    if not settings:
        return work
    say(f"predict: with SET={settings}, as the ensemble was made")
    return dataclasses.replace(work, settings=settings)


def make_predictions(work, paths):
    """Label new photos with the suite's ensemble; print the labels and write them as a table."""
    from mlob.runs import predict as predicted

    found = predicted.find(paths)
    work = as_ensembled(work)
    make_ensemble(work)
    if work.is_dry:
        return say(f"predict: {len(found):,} photos")
    models = {model: (work.run(model), tuple(work.stores(model))) for model in work.suite.members}
    sets = {name: (work.feature_set(name), work.store(name)) for _, names in models.values() for name in names}
    table = predicted.label(found, models, sets, work.run("ensemble"), work.dataset.labels, given=work.weights)
    click.echo(predicted.summary(table))
    path = work.run("predict") / "predictions.csv"
    predicted.write(path, table)
    say(f"predictions: {path}")
    if told := predicted.failures(table):
        say(f"predict: {told}")


# Verbs


class Text(click.ParamType):
    """A name or a path: an empty one, which a shell makes of a variable that is not set, would mean something else."""

    name = "text"

    def convert(self, value, param, ctx):
        """Give the text."""
        return value or self.fail("it is empty; leave it out, or name something.", param, ctx)


class Gigabytes(click.ParamType):
    """Gigabytes, a number above 0."""

    name = "GB"

    def convert(self, value, param, ctx):
        """Give bytes."""
        try:
            gigabytes = float(value)
        except ValueError:
            gigabytes = 0
        if not 0 < gigabytes < float("inf"):
            self.fail(f"{reprlib.repr(value)}: expected gigabytes for the features, for example 2.", param, ctx)
        return int(gigabytes * 1e9)


def options(verb):
    """Give a verb the options that all of them share, and hand it a `Work`; each may stand in the environment."""

    @functools.wraps(verb)
    def run(suite, data, weights, fields, memory, dry_run, verbose, **others):
        be_verbose(verbose)
        recipes.parse(fields)  # a mistake in it is told before anything else
        return verb(Work(suite, data, weights, fields or "", dry_run, memory), **others)

    for option in (
        click.option(
            "--dry-run", "dry_run", is_flag=True, help="Say what would be done, from what, and how long it takes."
        ),
        click.option("--verbose", envvar="VERBOSE", is_flag=True, help="Tell all rows and every reason."),
        click.option(
            "--memory", envvar="MEMORY", type=Gigabytes(), help="For the features of train; half of the machine's."
        ),
        click.option("--set", "fields", envvar="SET", metavar="FIELD=VALUE,…", help="Change fields of the recipes."),
        click.option(
            "--weights", envvar="WEIGHTS", type=Text(), metavar="PATH", help="Weights file, or a folder of them."
        ),
        click.option(
            "--data", envvar="DATA", type=Text(), metavar="FOLDER", help="Data folder, instead of the suite's own."
        ),
        click.option("--suite", envvar="SUITE", default="demo", show_default=True, help="A folder of experiments/."),
    ):
        run = option(run)
    return run


def model_option(verb):
    """Give a verb the option that names one model of the suite."""
    return click.option("--model", envvar="MODEL", type=Text(), metavar="NAME", help="One model of the suite.")(verb)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="mlob")
def cli():
    """Multi-label photos: features once, heads in minutes, an ensemble that holds up.

    \b
    Example, the whole job on a generated set:
      mlob submission
      mlob report
    """


@cli.command()
@options
def facts(work):
    """Print what there is (photos, labels, splits, photos twice, labels whose share differs) and what is to be mended.

    \b
    Example:
      mlob facts --data data/mine
    """
    from mlob.data import facts as described
    from mlob.data import preflight
    from mlob.features import store

    stores = [work.store(path.stem) for path in sorted(RECIPES.glob("*.py"))]
    photos = store.first_whole(stores, work.dataset) or described.look(work.dataset)
    click.echo(f"{described.text(described.describe(work.dataset, photos))}\n{preflight.text(work.dataset)}")


@cli.command()
@options
@click.option("--size", type=click.Choice(("299", "224")), default="299", show_default=True, help="Side, pixels.")
@click.option("--allow-private", is_flag=True, help="Ask private and loopback addresses, too.")
@click.option("--contact", envvar="CONTACT", default="", metavar="ADDRESS", help="Told to hosts: mail, or a page.")
def images(work, size, allow_private, contact):
    """Download the photos that the annotations name, letterboxed to one size.

    Hosts that opt out of training (X-Robots-Tag, TDM-Reservation) are heeded.

    What failed stands in images/<split>.csv with its reason; the same command asks again for what may have passed.

    \b
    Example:
      mlob images --suite imaterialist2018 --data data/imaterialist2018
    """
    make_images(work, int(size), allow_private, contact)


class Part(click.ParamType):
    """i/n: the i-th of n parts."""

    name = "i/n"

    def convert(self, value, param, ctx):
        """Give (i, n)."""
        found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,8})", value)
        if not found or int(found[1]) > int(found[2]):
            self.fail(f"{reprlib.repr(value)}: expected i/n with i from 1 to n, for example 2/3.")
        return int(found[1]), int(found[2])


@cli.command()
@options
@model_option
@click.option("--shard", "part", type=Part(), default="1/1", help="Only the i-th of n parts; others make the rest.")
@click.option("--engine", "name", type=click.Choice(ENGINES), default="here", show_default=True, help="Where it runs.")
def features(work, model, part, name):
    """Extract features: each photo once through a frozen backbone, to HDF5.

    Ray runs on the cluster that RAY_ADDRESS names; every machine has to see the same folders.

    \b
    Example:
      mlob features --suite photos --data data/mine --dry-run
      mlob features --suite photos --data data/mine --shard 2/3
      mlob features --suite photos --data data/mine --engine ray
    """
    from mlob.data import preflight

    for sentence in preflight.refusals(work.dataset):
        say(f"What comes after the features will be refused: {sentence}")
    make_features(work, work.models(model), part=part, run=ENGINES[name])


@cli.command()
@options
@model_option
def train(work, model):
    """Train a model's head on its features, and judge it on validation.

    \b
    Example:
      mlob train --model xception --set head.dropout=0.3,training.epochs=20
    """
    default = work.suite.members[0]
    make_runs(work, [model or default])
    if (model or default) == default:
        make_reference(work)


@cli.command()
@options
@model_option
@click.option("-n", "count", envvar="N", type=click.IntRange(2), default=50, show_default=True, help="Photos.")
def overfit(work, model, count):
    """Train on a few photos until the loss is near zero; fail where it does not go there.

    \b
    Example:
      mlob overfit --model xception -n 50
    """
    make_overfit(work, model or work.suite.members[0], count)


@cli.command("learning-curve")
@options
@model_option
def learning_curve(work, model):
    """Train on growing parts of the photos: would more of them help?

    \b
    Example:
      mlob learning-curve --model xception
    """
    make_curve(work, model or work.suite.members[0])


class Duration(click.ParamType):
    """Seconds, minutes or hours: 90s, 20m, 1.5h."""

    name = "duration"

    def convert(self, value, param, ctx):
        """Give seconds."""
        found = re.fullmatch(r"(\d{1,9}\.?\d{0,9})([smh])", value)
        if not found or not float(found[1]):
            self.fail(f"{reprlib.repr(value)}: expected a duration, for example 90s, 20m or 1.5h.")
        return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


@cli.command()
@options
@model_option
@click.option("--budget", envvar="BUDGET", type=Duration(), default="20m", show_default=True, help="Time to train for.")
def search(work, model, budget):
    """Search for better values of a recipe's fields, judged on dev; poor trials are stopped early.

    Called again it goes on from what was tried; the budget is for all of it.

    \b
    Example:
      mlob search --model xception --budget 20m
    """
    make_search(work, model or work.suite.members[0], budget)


@cli.command()
@options
def ensemble(work):
    """Weight the members, choose thresholds, and judge every method cross-fitted.

    \b
    Example:
      mlob ensemble --suite demo
    """
    make_ensemble(work)


@cli.command()
@options
def submission(work):
    """Write submission.csv for the test photos.

    \b
    Example:
      mlob submission --suite photos --data data/mine
    """
    make_submission(work)


@cli.command()
@options
@click.option("--readme", type=Text(), metavar="FILE", help="Put the tables between this file's markers, too.")
def report(work, readme):
    """Print the table of results and write the report page.

    \b
    Example:
      mlob report --suite demo
    """
    make_report(work, readme)


@cli.command()
@options
@click.option("--photos", envvar="PHOTOS", type=Text(), metavar="FOLDER", help="A folder of photos.")
@click.argument("paths", nargs=-1, type=Text())
def predict(work, photos, paths):
    """Predict labels for new photos: files, or folders and archives of them.

    Photos that cannot be read are listed with their reasons; where none can, the exit status is 2.

    \b
    Example:
      mlob predict a.jpg b.jpg
      mlob predict --photos holiday/ > labels.txt
    """
    make_predictions(work, [pathlib.Path(path) for path in (*paths, *([photos] if photos else []))])


@cli.command()
@click.option("--suite", envvar="SUITE", type=Text(), metavar="NAME", help="This suite's alone.")
def clean(suite):
    """Remove the products in runs/ or RUNS: runs, ensembles, reports. Features stay, and whatever mlob did not make.

    \b
    Example:
      mlob clean --suite demo
    """
    runs = workspace.folder("RUNS", "runs")
    told = workspace.clean(runs, suite)
    say("\n".join(told) or f"{runs / (suite or '')} holds no products of mlob: nothing was removed.")


def main():
    """Run a verb: 0, or 2 on bad input with one sentence, or 130 on Ctrl-C."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.reconfigure(errors="backslashreplace")  # a terminal or a file may lack a name's letters
    try:
        cli.main(standalone_mode=False)
    except InputError as error:
        say(f"mlob: {error}")
        sys.exit(2)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        say(
            f"mlob: {reprlib.repr(str(error.filename))}: {error.strerror}. Name another file or folder, or give access."
        )
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        say("\nmlob: stopped; the same command goes on from here.")
        sys.exit(130)


if __name__ == "__main__":
    main()

"""The command line: `mlob <verb>`, the same as `python -m mlob <verb>`. Verbs, options and exit statuses, no more."""

import errno
import pathlib
import reprlib
import sys

import click

from mlob import cleaning, exporting, importing, initialise, listing, machine, predicting, reporting, steps, workspace
from mlob.engine import ENGINES
from mlob.errors import InputError
from mlob.exports.formats import FORMATS
from mlob.options import Duration, Part, Several, Text, for_demo, for_model, for_suite
from mlob.progress import say
from mlob.serving import server
from mlob.workspace import Workspace

REFUSED = (errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM, errno.EROFS)


def show_version(context: click.Context, _: click.Option, is_asked: bool) -> None:
    """Print the version with the commit, and end."""
    if is_asked:
        click.echo(f"mlob {machine.version()}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show the version."
)
def cli() -> None:
    """Label photos: features once, heads in minutes, an ensemble of them, and honest figures.

    \b
    Example, the whole job on drawn photos:
      mlob init work
      cd work
      mlob demo
    """


@cli.command()
@click.argument("folder", type=Text())
def init(folder: str) -> None:
    """Write a working folder: recipes of the suites demo and photos, a Makefile, a .gitignore.

    Files that are there stay as they are.

    \b
    Example:
      mlob init work
    """
    initialise.write(pathlib.Path(folder))


@cli.command()
@for_demo
def demo(work: Workspace) -> None:
    """Do the whole job on drawn photos: features, heads, ensemble, submission, report.

    \b
    Example:
      mlob demo
    """
    steps.submit(work)
    reporting.report(work)


@cli.command()
@click.argument("name", type=Text(), required=False)
@click.option(
    "--weights", envvar="MLOB_WEIGHTS", type=Text(), metavar="PATH", help="Weights file, or a folder of them."
)
def backbones(name: str | None, weights: str | None) -> None:
    """List the backbones, or those with NAME in their names: cost, sizes, licence, and whether weights are at hand.

    GFLOP are for a photo of the size that the weights were trained on, the first of the sizes.

    \b
    Example:
      mlob backbones dinov2
    """
    listing.backbones(name or "", weights)


@cli.command()
@for_suite
def facts(work: Workspace) -> None:
    """Print what is in the data (photos, labels, splits, copies, shifts between splits) and what has to be mended.

    \b
    Example:
      mlob facts --data data/mine
    """
    steps.describe(work)


@cli.command()
@for_suite
@click.option(
    "--size", type=click.Choice(("299", "224")), default="299", show_default=True, help="Side of the photos in pixels."
)
@click.option("--allow-private", is_flag=True, help="Also download from private and loopback addresses.")
@click.option(
    "--contact",
    envvar="MLOB_CONTACT",
    default="",
    metavar="ADDRESS",
    help="Your mail address or page, sent to the hosts.",
)
def images(work: Workspace, size: str, allow_private: bool, contact: str) -> None:
    """Download the photos that the annotations name, letterboxed to one size.

    Hosts that opt out of training (X-Robots-Tag, TDM-Reservation) are respected.

    Failures and their reasons are listed in images/<split>.csv; the same command tries again those that may pass.

    \b
    Example:
      mlob images --suite imaterialist2018 --data data/imaterialist2018
    """
    steps.download(work, int(size), allow_private, contact)


@cli.command()
@for_suite
@for_model
@click.option("--shard", "part", type=Part(), default="1/1", help="Make only the i-th of n parts.")
@click.option("--engine", "name", type=click.Choice(ENGINES), default="here", show_default=True, help="Where it runs.")
def features(work: Workspace, model: str | None, part: tuple[int, int], name: str) -> None:
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
    steps.extract(work, work.models(model), part=part, run=ENGINES[name])


@cli.command("import")
@for_suite
@click.argument("table", type=Text())
@click.option("--name", required=True, type=Text(), metavar="NAME", help="Of the feature set, as models name it.")
@click.option(
    "--ids", default="", metavar="COLUMN", help="The table's column of photos' ids; of an array, the file of its ids."
)
def bring(work: Workspace, table: str, name: str, ids: str) -> None:
    """Bring features that another program made of the photos: a table (.parquet, .csv, .tsv) or an array (.npy).

    A row's id is that of its photo in the annotations, or the name of its file; where splits number their photos from 1
    each, train/1 and so on.

    \b
    Example:
      mlob import marqo.parquet --name marqo --suite photos --data data/mine
      mlob import vectors.npy --ids names.txt --name clip
    """
    importing.bring(work, pathlib.Path(table), name, ids)


@cli.command()
@for_suite
@for_model
def train(work: Workspace, model: str | None) -> None:
    """Train a model's head on its features, and judge it on validation.

    \b
    Example:
      mlob train --model xception --set head.dropout=0.3,training.epochs=20
    """
    default = work.default
    steps.train(work, [model or default])
    if (model or default) == default:
        steps.train_reference(work)


@cli.command()
@for_suite
@for_model
@click.option(
    "-n", "count", envvar="MLOB_N", type=click.IntRange(2), default=50, show_default=True, help="Number of photos."
)
def overfit(work: Workspace, model: str | None, count: int) -> None:
    """Train on a few photos until the loss is near zero; fail if it does not get there.

    \b
    Example:
      mlob overfit --model xception -n 50
    """
    steps.overfit(work, model or work.default, count)


@cli.command("learning-curve")
@for_suite
@for_model
def learning_curve(work: Workspace, model: str | None) -> None:
    """Train on growing parts of the photos: would more of them help?

    \b
    Example:
      mlob learning-curve --model xception
    """
    steps.measure_curve(work, model or work.default)


@cli.command()
@for_suite
@for_model
@click.option(
    "--budget", envvar="MLOB_BUDGET", type=Duration(), default="20m", show_default=True, help="Time to train for."
)
def search(work: Workspace, model: str | None, budget: float) -> None:
    """Search for better values of a recipe's fields, judged on dev; poor trials are stopped early.

    A second call continues the search. The budget covers all calls together.

    \b
    Example:
      mlob search --model xception --budget 20m
    """
    steps.search(work, model or work.default, budget)


@cli.command()
@for_suite
def ensemble(work: Workspace) -> None:
    """Combine the members, choose thresholds, and judge every method by cross-fitting.

    \b
    Example:
      mlob ensemble --suite demo
    """
    steps.fit_ensemble(work)


@cli.command()
@for_suite
def submission(work: Workspace) -> None:
    """Write submission.csv for the test photos.

    \b
    Example:
      mlob submission --suite photos --data data/mine
    """
    steps.submit(work)


@cli.command()
@for_suite
@click.option(
    "--split", type=click.Choice(("test", "validation")), default="test", show_default=True, help="Of which photos."
)
@click.option(
    "-n", "count", envvar="MLOB_N", type=click.IntRange(1), default=300, show_default=True, help="Number of photos."
)
def review(work: Workspace, split: str, count: int) -> None:
    """List the photos whose decision is least certain, to be checked by hand.

    Corrections are read back from the data folder: review.csv, edited, as corrections.csv, or an export of Label
    Studio as corrections.json.

    \b
    Example:
      mlob review --suite photos --data data/mine -n 100
    """
    steps.check(work, work.members, "train", "validation", split)
    steps.fit_ensemble(work)
    steps.review(work, split, count)


@cli.command()
@for_suite
@click.option("--readme", type=Text(), metavar="FILE", help="Also write the tables between this file's markers.")
def report(work: Workspace, readme: str | None) -> None:
    """Print the table of results and write the report page.

    \b
    Example:
      mlob report --suite demo
    """
    steps.fit_ensemble(work)
    reporting.report(work, readme)


@cli.command()
@for_suite
@click.option("--photos", envvar="MLOB_PHOTOS", type=Text(), metavar="FOLDER", help="A folder of photos.")
@click.option("--texts", envvar="MLOB_TEXTS", type=Text(), metavar="TABLE", help="A table of the texts beside them.")
@click.option(
    "--vectors",
    envvar="MLOB_VECTORS",
    type=Several(),
    multiple=True,
    metavar="[NAME=]TABLE",
    help="Features of them that were made elsewhere, as `mlob import` takes them.",
)
@click.option("--ids", default="", metavar="COLUMN", help="Its column of photos' names; of an array, the file of them.")
@click.argument("paths", nargs=-1, type=Text())
def predict(
    work: Workspace,
    photos: str | None,
    texts: str | None,
    vectors: tuple[str, ...],
    ids: str,
    paths: tuple[str, ...],
) -> None:
    """Predict labels for new photos: files, or folders and archives of them.

    An ensemble that is there is taken as it is. It needs neither its data nor its features.

    Photos that cannot be read are listed with their reasons. If none can be read, the exit status is 2.

    \b
    Example:
      mlob predict a.jpg b.jpg
      mlob predict --photos holiday/ > labels.txt
      mlob predict --photos holiday/ --texts titles.csv
      mlob predict --photos holiday/ --vectors marqo.parquet
    """
    from mlob.runs import predict as labelling

    found = labelling.find([pathlib.Path(path) for path in (*paths, *([photos] if photos else []))])
    tables = predicting.Tables(pathlib.Path(texts) if texts else None, vectors, ids)
    predicting.predict(work, found, tables)


@cli.command()
@for_suite
def track(work: Workspace) -> None:
    """Log the suite's models and its ensemble to MLflow: recipes, figures with intervals, history, files.

    MLFLOW_TRACKING_URI says where. What was logged before is not logged again.

    \b
    Example:
      MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlob track --suite demo
    """
    from mlob import tracking

    tracking.track(work.runs, is_dry=work.is_dry)


@cli.command()
@for_suite
@click.option("--host", default="127.0.0.1", show_default=True, type=Text(), help="The address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Its port.")
@click.argument("folder", required=False, type=Text())
def serve(work: Workspace, host: str, port: int, folder: str | None) -> None:
    """Serve a page, and an endpoint for programs, that label photos, until Ctrl-C.

    FOLDER is a folder of runs, such as runs/photos. It is enough: no data, features or recipes are needed. Without it
    the suite's ensemble is served, as `mlob predict` finds it.

    Only this machine reaches the page. With --host 0.0.0.0 others do.

    \b
    Example:
      mlob serve --suite demo
      mlob serve runs/photos --port 8080
    """
    server.serve(work, pathlib.Path(folder) if folder else None, host, port)


@cli.command()
@for_suite
@for_model
@click.option(
    "--format", "name", envvar="MLOB_FORMAT", type=click.Choice(FORMATS), required=True, help="What runs it elsewhere."
)
@click.option("--photos", envvar="MLOB_PHOTOS", type=Text(), metavar="FOLDER", help="Photos that it is tried on.")
def export(work: Workspace, model: str | None, name: str, photos: str | None) -> None:
    """Write one file from a photo to probabilities, of the ensemble or of one model, which runs without mlob.

    Scaling and preprocessing are inside. It is tried on 32 photos (of validation, unless others are named): where it
    answers otherwise than mlob, no file stays. labels.json and a README.md with code that calls it lie beside it.

    \b
    Example:
      mlob export --format onnx
      mlob export --suite photos --data data/mine --format openvino --model efficientnet_lite0
    """
    exporting.export(work, name, model, [pathlib.Path(photos)] if photos else [])


@cli.command()
@click.option("--suite", envvar="MLOB_SUITE", type=Text(), metavar="NAME", help="Only this suite's products.")
def clean(suite: str | None) -> None:
    """Remove runs, ensembles and reports from runs/ or RUNS. Features stay, and so does whatever mlob did not make.

    \b
    Example:
      mlob clean --suite demo
    """
    runs = workspace.folder("MLOB_RUNS", "runs")
    told = cleaning.clean(runs, suite)
    say("\n".join(told) or f"{runs / (suite or '')} holds no products of mlob: nothing was removed.")


def main() -> None:
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

"""The options that verbs share, and what options take: names, memory, parts of the work, durations."""

import functools
import os
import re
import reprlib
from collections.abc import Callable
from typing import Any

import click

from mlob import loading
from mlob.progress import be_verbose
from mlob.workspace import Workspace

Verb = Callable[..., None]


class Text(click.ParamType):
    """A name or a path: an empty one, which a shell makes of a variable that is not set, would mean something else."""

    name = "text"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give the text."""
        return value or self.fail("it is empty; leave it out, or name something.", param, ctx)


class Several(Text):
    """Several names or paths; those of a variable stand as those of PATH do."""

    envvar_list_splitter = os.pathsep


class Gigabytes(click.ParamType):
    """Gigabytes, a number above 0."""

    name = "GB"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give bytes."""
        try:
            gigabytes = float(value)
        except ValueError:
            gigabytes = 0
        if not 0 < gigabytes < float("inf"):
            self.fail(f"{reprlib.repr(value)}: expected gigabytes for the features, for example 2.", param, ctx)
        return int(gigabytes * 1e9)


class Part(click.ParamType):
    """i/n: the i-th of n parts."""

    name = "i/n"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give (i, n)."""
        found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,8})", value)
        if not found or int(found[1]) > int(found[2]):
            self.fail(f"{reprlib.repr(value)}: expected i/n with i from 1 to n, for example 2/3.")
        return int(found[1]), int(found[2])


class Duration(click.ParamType):
    """Seconds, minutes or hours: 90s, 20m, 1.5h."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Give seconds."""
        found = re.fullmatch(r"(\d{1,9}\.?\d{0,9})([smh])", value)
        if not found or not float(found[1]):
            self.fail(f"{reprlib.repr(value)}: expected a duration, for example 90s, 20m or 1.5h.")
        return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


SHARED = (
    click.option(
        "--dry-run", "dry_run", is_flag=True, help="Say what would be done, from what, and how long it takes."
    ),
    click.option(
        "--memory",
        envvar="MLOB_MEMORY",
        type=Gigabytes(),
        help="Memory for the features of train (default: half of the machine's).",
    ),
    click.option(
        "--verbose", envvar="MLOB_VERBOSE", is_flag=True, help="Show all rows of the tables, and every reason."
    ),
    click.option("--set", "fields", envvar="MLOB_SET", metavar="FIELD=VALUE,…", help="Change fields of the recipes."),
    click.option(
        "--weights", envvar="MLOB_WEIGHTS", type=Text(), metavar="PATH", help="Weights file, or a folder of them."
    ),
    click.option(
        "--data", envvar="MLOB_DATA", type=Text(), metavar="FOLDER", help="Data folder, instead of the suite's own."
    ),
)


def for_demo(verb: Verb) -> Verb:
    """Give a verb the options that all share but --suite, and hand it the `Workspace` of the demo.

    MLOB_… in the environment set them, too.
    """

    @functools.wraps(verb)
    def run(data, weights, fields, memory, dry_run, verbose, suite="demo", **others):
        be_verbose(verbose)
        loading.parse(fields)  # a mistake in it is told before anything else
        return verb(Workspace(suite, data, weights, fields or "", memory, dry_run), **others)

    return functools.reduce(lambda command, option: option(command), SHARED, run)


def for_suite(verb: Verb) -> Verb:
    """Give a verb the options that all share, and hand it the `Workspace` of a suite."""
    suite = click.option(
        "--suite", envvar="MLOB_SUITE", default="demo", show_default=True, help="A folder of experiments/."
    )
    return suite(for_demo(verb))


def for_model(verb: Verb) -> Verb:
    """Give a verb the option that names one model of the suite."""
    return click.option("--model", envvar="MLOB_MODEL", type=Text(), metavar="NAME", help="One model of the suite.")(
        verb
    )

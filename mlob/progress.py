"""Progress of long work on stderr: a bar on a terminal, one plain line every ten seconds elsewhere."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

SECONDS_BETWEEN_LINES = 10


class Advance(Protocol):
    """Adds a number of finished units to the progress, with a note to show beside it."""

    def __call__(self, count: int = 1, note: str = "") -> None:
        """Add them."""


def say(text: str) -> None:
    """Print a line to stderr; only results go to stdout."""
    print(text, file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Print a result to stdout."""
    print(text, flush=True)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout: cells are folded to the width of a terminal, and stand as they are elsewhere."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 1000
    Console(width=width, highlight=False, markup=False, file=sys.stdout).print(table)


def be_verbose(is_on: bool) -> None:
    """Print details from now on, or stop; processes that are started inherit it."""
    os.environ["MLOB_VERBOSE"] = "1" if is_on else ""


def is_verbose() -> bool:
    """Tell whether details are printed."""
    return bool(os.environ.get("MLOB_VERBOSE"))


def detail(text: str) -> None:
    """Print a line to stderr if details are wanted: one that explains a surprise and is otherwise no news."""
    if is_verbose():
        say(text)


@contextlib.contextmanager
def bar(description: str, total: int, *, unit: str = "photos") -> Iterator[Advance]:
    """Show progress while the block runs; give the function that adds finished units to it.

    Rate and time left are shown from the first unit on.
    """
    if sys.stderr.isatty():
        with _rich_bar(description, total, unit) as advance:
            yield advance
    else:
        yield _plain(description, total, unit)


@contextlib.contextmanager
def _rich_bar(description: str, total: int, unit: str) -> Iterator[Advance]:
    from rich import progress
    from rich.console import Console
    from rich.table import Column

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=16),
        progress.TextColumn("{task.completed:,.0f}/{task.total:,.0f}", table_column=Column(no_wrap=True)),
        progress.TextColumn("{task.fields[rate]}", table_column=Column(no_wrap=True)),
        progress.TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        progress.TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(description, total=total, rate="", note="")

        def advance(count: int = 1, note: str = "") -> None:
            shown.advance(task, count)
            speed = shown.tasks[0].finished_speed or shown.tasks[0].speed
            shown.update(task, note=note, rate=f"{speed:,.1f} {unit}/s" if speed else "")

        yield advance


def _plain(description: str, total: int, unit: str) -> Advance:
    started = last = time.monotonic()
    done = 0

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES and done < total:
            return
        last = now
        rate = max(done, 1) / max(now - started, 1e-9)
        pace = f"{rate:,.1f} {unit}/s, {(total - done) / rate:,.0f} s left"
        say(f"{description}: {done:,}/{total:,} {unit}, {pace} {note}".rstrip())

    return advance

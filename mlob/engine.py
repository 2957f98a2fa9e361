"""Where work runs: in this process, or on a Ray cluster. The only door to Ray.

All keep to one contract: `work(slices, advance)` makes some slices, and calls `advance` with the number of photos that
it has just done. It may be called for any part of the slices, in any order, more than once, and on another machine:
what it makes is whole or absent, and the same whoever makes it.
"""

import importlib.util
import os
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from mlob.errors import InputError

RETRIES = 3  # of a slice whose worker died
ANSWER_SECONDS = 25  # that a cluster has to answer
QUIET = {"log_to_driver": False, "logging_level": "error"}
WORKER_CPUS = 4  # at most; more slices at once scale better than more threads on one


Advance: TypeAlias = Callable[[int], object]
Work: TypeAlias = Callable[[Sequence[Any], Advance], object]  # on slices of any kind


def here(work: Work, slices: Sequence[Any], advance: Advance) -> None:
    """Run in this process."""
    work(slices, advance)


def ray(work: Work, slices: Sequence[Any], advance: Advance) -> None:
    """Run each slice as a task of the Ray cluster that RAY_ADDRESS names, or of one on this machine.

    A task whose worker dies is run again by another. A worker never takes all processors of a machine, and takes a
    whole GPU where there are any; all machines have to see the same folders.

    Raises:
        InputError: Ray is not installed, or does not answer at RAY_ADDRESS.
    """
    library, address = _library(), os.environ.get("RAY_ADDRESS") or None
    if address and address != "local":
        _ask(address)
    context = library.init(address=address, **QUIET)
    with context:
        task = library.remote(_counted).options(max_retries=RETRIES, **worker_resources(library.nodes()))
        waiting = [task.remote(work, [part]) for part in slices]
        while waiting:
            done, waiting = library.wait(waiting)
            advance(library.get(done[0]))


ENGINES = {"here": here, "ray": ray}


def _ask(address: str) -> None:
    """Connect to a cluster in another process: Ray tries for two minutes, and then ends the process that it is in."""
    code = f"import ray, sys; ray.init(address=sys.argv[1], **{QUIET!r})"
    try:
        command = [sys.executable, "-c", code, address]
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{_unanswered(address)}: no answer in {ANSWER_SECONDS} s.") from error
    except subprocess.CalledProcessError as error:
        raise InputError(f"{_unanswered(address)}: {' '.join(error.stderr.splitlines()[-1:])[:200]}") from error


def _unanswered(address: str) -> str:
    return f"No Ray cluster answers at RAY_ADDRESS={address}. Start it with `ray start --head`, or name where it is"


def _counted(work: Work, slices: Sequence[Any]) -> int:
    """Do some slices, and count their photos."""
    counts: list[int] = []
    work(slices, counts.append)
    return sum(counts)


def worker_resources(nodes: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Give a worker at most half of the smallest machine's processors, and a GPU where the cluster has any.

    Args:
        nodes: the cluster's, as Ray lists them.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    smallest = min(int(node.get("CPU", 1)) for node in alive)
    gpus = {"num_gpus": 1} if any(node.get("GPU") for node in alive) else {}
    return {"num_cpus": min(WORKER_CPUS, max(1, smallest // 2)), **gpus}


def _library() -> types.ModuleType:
    """Import Ray."""
    if not importlib.util.find_spec("ray"):
        raise InputError('--engine ray needs Ray, which is not installed: pip install "mlob[ray]"')
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it sends usage statistics unless told not to
    import ray as library

    return library

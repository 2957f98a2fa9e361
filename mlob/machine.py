"""The machine at hand: what a figure was measured on and with, and a terminal without TensorFlow's log lines."""

import contextlib
import importlib.metadata
import logging
import math
import os
import pathlib
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from mlob.errors import InputError

ROOT = pathlib.Path("/")
CHECKOUT = pathlib.Path(__file__).parents[1]
BACKENDS = ("tensorflow", "jax", "torch")
PACKAGES = ("mlob", "tensorflow", "keras", "numpy", "scikit-learn", "openvino", "pyswarms")


def facts() -> dict[str, Any]:
    """Give {versions: of the packages, processor, commit}, as results hold them; commit is None outside a checkout."""
    return {"versions": {name: _version(name) for name in PACKAGES}, "processor": processor(), "commit": commit()}


def processor() -> str:
    """Name the processor and its number of cores."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {cores()} cores"


def cores(root: pathlib.Path = ROOT) -> int:
    """Count the processors that this process may keep busy: its affinity mask, within its container's quota.

    Args:
        root: of the file system whose control groups are read.
    """
    quotas = [_numbers(group / "cpu.max") for group in _groups("cpu", root)]
    quotas += [_numbers(group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us") for group in _groups("cpu", root)]
    return min([_mask(), *(math.ceil(quota / period) for quota, period in filter(None, quotas))])


def _mask() -> int:
    """Count the processors in this process's affinity mask."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes(root: pathlib.Path = ROOT) -> int:
    """Give the memory that this process may take: the machine's, or its container's limit where that is less.

    Args:
        root: of the file system whose control groups are read.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    names = ("memory.max", "memory.limit_in_bytes")
    limits = [_numbers(group / name) for group in _groups("memory", root) for name in names]
    return min([machine, *(limit for (limit,) in filter(None, limits))])


def _groups(controller: str, root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield the folders of the control groups, of version 2 or 1, that this process is in."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        group = pathlib.PurePosixPath(name.lstrip("/"))
        base = root / "sys/fs/cgroup" / (controller if controllers else "")
        if not controllers or controller in controllers.split(","):
            yield from (base / path for path in (group, *group.parents))


def _numbers(*paths: pathlib.Path) -> list[int]:
    """Read the numbers in files; none where a file is missing, or one of them stands for no limit."""
    try:
        numbers = [int(word) for path in paths for word in path.read_text().split()]
    except (OSError, ValueError):
        return []
    return numbers if all(number > 0 for number in numbers) else []


def commit(folder: pathlib.Path | None = None) -> str | None:
    """Give the short commit of a folder, by default the current one, with + where it has changes; None without git."""
    try:
        command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def version(folder: pathlib.Path = CHECKOUT) -> str:
    """Give mlob's version, and in a checkout its commit: "0.1.0 (1a2b3c4)"."""
    here = commit(folder) if (folder / ".git").exists() else None  # else the commit is of what it is installed in
    return f"{_version('mlob')} ({here})" if here else str(_version("mlob"))


def threads(root: pathlib.Path = ROOT) -> int | None:
    """Give the threads that OMP_NUM_THREADS, or else the container's quota allows; None where neither bounds them.

    OMP_NUM_THREADS may hold a number for each nested level: the first counts.

    Raises:
        InputError: it is no number above 0.
    """
    text = os.environ.get("OMP_NUM_THREADS", "").strip()
    if text and not re.fullmatch(r"0*[1-9]\d{0,5}( *,.*)?", text, re.ASCII):
        raise InputError(f"OMP_NUM_THREADS: expected a number of threads, for example 2, found {text!r}.")
    if text:
        return int(text.split(",")[0])
    allowed = cores(root)
    return allowed if allowed < _mask() else None


def load_keras() -> None:
    """Import Keras and its backend without the lines that TensorFlow's C++ side logs.

    Raises:
        InputError: KERAS_BACKEND, or Keras's own settings, name a backend that is unknown or not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _backend_told(), silent_stderr():
        import keras

        if keras.backend.backend() not in BACKENDS:
            raise ValueError(f"{keras.backend.backend()} trains nothing")


@contextlib.contextmanager
def _backend_told() -> Iterator[None]:
    """Tell that a backend does not load, and which do."""
    try:
        yield
    except (ImportError, ValueError) as error:
        named = f"KERAS_BACKEND={os.environ['KERAS_BACKEND']}" if os.environ.get("KERAS_BACKEND") else "Keras's backend"
        raise InputError(
            f"{named} does not load ({error}): expected {', '.join(BACKENDS)}; the last two are extras, "
            'pip install "mlob[jax]" or "mlob[torch]".'
        ) from error


def has_gpu() -> bool:
    """Say whether Keras's backend has a GPU."""
    import keras

    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    if backend == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import tensorflow

    return bool(tensorflow.config.list_physical_devices("GPU"))


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Keep what C++ libraries write to file descriptor 2 off the terminal."""
    sys.stderr.flush()
    terminal, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(null)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

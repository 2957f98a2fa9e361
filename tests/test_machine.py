"""What the machine is asked for is there, or told."""

import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mlob import machine
from mlob.errors import InputError


@pytest.mark.parametrize("text, threads", [("2", 2), (" 16 ", 16), ("4,2,1", 4), ("", None)])
def test_threads_are_the_first_number_that_openmp_is_given(monkeypatch, tmp_path, text, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert machine.threads(tmp_path) == threads


@pytest.mark.parametrize("text", ["x", "0", "-1", "1.5", "2;3", "9" * 5000, "٣"])
def test_threads_that_are_no_number_are_refused(monkeypatch, text):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(InputError, match="OMP_NUM_THREADS: expected a number of threads"):
        machine.threads()


LOAD = """
from mlob import machine
from mlob.errors import InputError
try:
    machine.load_keras()
except InputError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflw", "numpy", "../os"])
def test_a_backend_of_keras_that_trains_nothing_is_refused(backend, tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": backend, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"KERAS_BACKEND={backend} does not load")
    assert "expected tensorflow, jax, torch" in done.stdout


# The version


GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]


@pytest.fixture
def checkout(tmp_path):
    """A folder under git with one file."""
    (tmp_path / "file").write_text("one")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*GIT, *words], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_the_version_of_a_checkout_has_its_commit_and_a_plus_where_files_are_changed(checkout):
    plain = importlib.metadata.version("mlob")
    head = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True).stdout
    shown = re.fullmatch(rf"{re.escape(plain)} \(([0-9a-f]{{7,}})\)", machine.version(checkout))
    assert shown and head.startswith(shown[1])
    (checkout / "file").write_text("two")
    assert machine.version(checkout) == f"{plain} ({shown[1]}+)"


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_package_that_is_installed_below_a_checkout_does_not_take_its_commit(checkout):
    (checkout / "site-packages").mkdir()
    assert machine.version(checkout / "site-packages") == importlib.metadata.version("mlob")


def test_without_git_the_version_stands_alone(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    assert machine.version(tmp_path) == importlib.metadata.version("mlob")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.version() == importlib.metadata.version("mlob")


def test_what_a_figure_was_measured_on_is_told():
    facts = machine.facts()
    assert set(facts) == {"versions", "processor", "commit"}
    assert facts["versions"]["numpy"] == np.__version__ and set(facts["versions"]) == set(machine.PACKAGES)
    assert re.fullmatch(rf".+, {machine.cores()} cores", facts["processor"]) and "\n" not in facts["processor"]


def test_a_package_that_is_not_there_has_no_version(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("numpy", "no_such_package"))
    assert machine.facts()["versions"] == {"numpy": np.__version__, "no_such_package": None}


def test_a_folder_has_the_commit_of_its_checkout_marked_where_it_has_changes(tmp_path):
    assert machine.commit(tmp_path) is None
    (tmp_path / "file").write_text("one")
    for command in ("init -q", "add file", "-c user.name=a -c user.email=a@b commit -qm first"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    commit = machine.commit(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{7,}", commit)
    (tmp_path / "file").write_text("other")
    assert machine.commit(tmp_path) == f"{commit}+"


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.commit() is None


def test_what_c_libraries_write_is_kept_off_the_terminal_and_what_comes_after_is_not(capfd):
    with machine.silent_stderr():
        os.write(2, b"from C\n")
    os.write(2, b"after\n")
    with pytest.raises(ZeroDivisionError), machine.silent_stderr():
        os.write(2, b"from C again\n")
        raise ZeroDivisionError
    os.write(2, b"at last\n")
    assert capfd.readouterr().err == "after\nat last\n"


def test_a_gpu_is_told_where_the_backend_has_one(monkeypatch):
    tensorflow = pytest.importorskip("tensorflow")
    monkeypatch.setattr("keras.backend.backend", lambda: "tensorflow")
    for devices, has_gpu in (([], False), (["/device:GPU:0"], True)):
        monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind, found=devices: found)
        assert machine.has_gpu() is has_gpu


# The container's limits


MASK = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
GROUPS = {
    "version 2, in its own namespace": ("0::/", {"memory.max": "1000000", "cpu.max": "50000 100000"}),
    "version 2, named": ("0::/a/b", {"a/b/memory.max": "1000000", "a/b/cpu.max": "100000 100000"}),
    "version 2, limited above": (
        "0::/a/b",
        {"a/memory.max": "1000000", "a/b/memory.max": "max", "a/cpu.max": "1 100000", "a/b/cpu.max": "max 100000"},
    ),
    "version 1": (
        "4:memory:/docker/1\n1:cpu,cpuacct:/docker/1\n0::/",
        {
            "memory/docker/1/memory.limit_in_bytes": "1000000",
            "cpu/docker/1/cpu.cfs_quota_us": "99999",
            "cpu/docker/1/cpu.cfs_period_us": "100000",
        },
    ),
    "version 1, whose name is the host's": (
        "4:memory:/docker/1\n1:cpu:/docker/1",
        {"memory/memory.limit_in_bytes": "1000000", "cpu/cpu.cfs_quota_us": "10", "cpu/cpu.cfs_period_us": "100000"},
    ),
}
FREE = {
    "no groups": (None, {}),
    "nothing readable": ("0::/a\n4:memory:/b", {}),
    "version 2 without a limit": ("0::/", {"memory.max": "max", "cpu.max": "max 100000"}),
    "version 1 without a limit": (
        "4:memory:/\n1:cpu:/",
        {
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "cpu/cpu.cfs_quota_us": "-1",
            "cpu/cpu.cfs_period_us": "100000",
        },
    ),
    "more than there is": ("0::/", {"memory.max": str(2**60), "cpu.max": "100000000 100000"}),
    "odd": ("0::/../..", {"memory.max": "many", "cpu.max": "0 0"}),
}


def root(folder, named, limits):
    limits = {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}
    for path, text in {"proc/self/cgroup": named, **limits}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            (folder / path).write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize("named, limits", GROUPS.values(), ids=GROUPS)
def test_a_container_has_its_own_memory_and_processors(tmp_path, monkeypatch, named, limits):
    place = root(tmp_path, named, limits)
    assert (machine.memory_bytes(place), machine.cores(place)) == (1_000_000, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert machine.threads(place) == (1 if MASK > 1 else None)


@pytest.mark.parametrize("named, limits", FREE.values(), ids=FREE)
def test_without_a_limit_they_are_the_machines(tmp_path, named, limits):
    place = root(tmp_path, named, limits)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert (machine.memory_bytes(place), machine.cores(place)) == (memory, MASK)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks here")
def test_an_affinity_mask_bounds_the_processors():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    code += "\nfrom mlob import machine; print(machine.cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"1\n"


def test_nothing_else_asks_for_the_hosts_processors_or_memory():
    folder = pathlib.Path(machine.__file__).parent
    asking = [path.name for path in folder.rglob("*.py") if re.search("cpu_count|SC_PHYS_PAGES", path.read_text())]
    assert asking == ["machine.py"]

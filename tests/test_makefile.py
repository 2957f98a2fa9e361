"""Make hands its variables on as they were typed."""

import json
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MAKEFILES = [ROOT / "Makefile", ROOT / "mlob/initial/Makefile"]  # the first includes the second
PRINT = """#!/usr/bin/env python3
import json, os, sys
print(json.dumps({"words": sys.argv[1:], **os.environ}))
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a blank in its name, where `mlob` prints its arguments and its environment."""
    folder = tmp_path / "my work"
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / "mlob/initial").mkdir(parents=True)
    for path in MAKEFILES:
        shutil.copy(path, folder / path.relative_to(ROOT))
    for name in ("setup.cfg", "pyproject.toml", ".venv/installed"):
        (folder / name).touch()
    (folder / ".venv/bin/mlob").write_text(PRINT)
    (folder / ".venv/bin/mlob").chmod(0o755)
    return folder


def make(folder, *words, **environment):
    done = subprocess.run(
        ["make", "--no-print-directory", *words], cwd=folder, env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


NAMES = ("SUITE", "MODEL", "DATA", "WEIGHTS", "PHOTOS", "SET", "FEATURES", "RUNS", "MEMORY", "N", "BUDGET")
ODD = (
    *("/x/big disk/runs", "a ", "it's", 'a "b" c', "a; touch harm", "$(touch harm)", "$HOME/a$b", "`touch harm`"),
    *("a#b", "*", "é", "a,b\\", "${x"),
)


@pytest.mark.parametrize("value", ODD)
def test_a_variable_arrives_as_it_was_typed(folder, value):
    typed = dict.fromkeys(NAMES, value)
    for found in (make(folder, "clean", *(f"{name}={value}" for name in NAMES)), make(folder, "clean", **typed)):
        assert {name: json.loads(found)[f"MLOB_{name}"] for name in NAMES} == typed
    assert not (folder / "harm").exists()


def test_a_variable_that_is_not_set_is_empty_or_absent(folder):
    assert not json.loads(make(folder, "facts")).get("MLOB_RUNS")
    assert json.loads(make(folder, "facts", MLOB_RUNS="elsewhere"))["MLOB_RUNS"] == "elsewhere"


@pytest.mark.parametrize("verb", ["clean", "predict", "report", "search"])
def test_each_target_is_the_verb_of_its_name(folder, verb):
    assert json.loads(make(folder, verb))["words"] == [verb]


def test_a_python_with_a_blank_in_its_path_makes_the_environment(folder):
    python = folder / "my python"
    python.write_text('#!/bin/sh\necho "$@" > made; exit 1\n')
    python.chmod(0o755)
    (folder / ".venv/installed").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        make(folder, "facts", f"PYTHON={python}")
    assert (folder / "made").read_text().split() == ["-m", "venv", "--clear", ".venv"]


@pytest.fixture
def installations(folder):
    """A file that lists what is installed in `folder`, by a pip that installs nothing."""
    for name, script in {"pip": 'echo "$@" >> installations', "ruff": "true", "mypy": "true", "python": "true"}.items():
        (folder / ".venv/bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / ".venv/bin" / name).chmod(0o755)
    (folder / "installations").touch()
    return folder / "installations"


def test_what_develops_mlob_is_installed_once_and_for_tests_and_lint_alone(folder, installations):
    make(folder, "facts")
    assert installations.read_text() == ""
    for target in ("lint", "test", "test-quick", "facts"):
        make(folder, target)
    (line,) = installations.read_text().splitlines()
    assert line.startswith("install ") and line.endswith("--editable .[dev]")


def test_the_demo_is_installed_without_what_develops_mlob(folder, installations):
    (folder / ".venv/installed").unlink()
    make(folder, "facts", "PYTHON=true")
    (line,) = installations.read_text().splitlines()
    assert line.endswith("--editable .")


@pytest.mark.parametrize("path", MAKEFILES, ids=["checkout", "working folder"])
def test_no_recipe_removes_a_folder(path):
    assert "rm " not in path.read_text()


def test_the_makefile_of_a_working_folder_runs_the_installed_mlob(folder):
    alone = folder / "alone"
    alone.mkdir()
    shutil.copy(MAKEFILES[1], alone)
    found = json.loads(make(alone, "demo", "DATA=a b", PATH=f"{folder / '.venv/bin'}:/usr/bin:/bin"))
    assert (found["words"], found["MLOB_DATA"]) == (["demo"], "a b")
    assert json.loads(make(alone, "facts", f"MLOB='{folder / '.venv/bin/mlob'}'"))["words"] == ["facts"]


def test_verbs_are_listed_before_what_tests_mlob(folder):
    told = make(folder, "help")
    assert told.index("make demo") < told.index("make test") < told.index("SUITE ")
    assert make(folder) == told

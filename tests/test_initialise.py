"""`mlob init` writes a folder that mlob runs in, and never replaces a file."""

import configparser
import pathlib

import pytest

from mlob import initialise, loading
from mlob.errors import InputError
from mlob.workspace import Workspace

ROOT = pathlib.Path(__file__).parents[1]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder in a folder that was not there, and the current one."""
    initialise.write(tmp_path / "some" / "work")
    monkeypatch.chdir(tmp_path / "some" / "work")
    return tmp_path / "some" / "work"


def test_the_folder_holds_what_the_checkout_has_of_two_suites(work):
    found = contents(work)
    names = [name for name in found if name.endswith(".py")]
    assert {name.rpartition("/")[0] for name in names} == {"experiments/demo", "experiments/photos", "features"}
    assert {name: found[name] for name in names} == {name: (ROOT / name).read_bytes() for name in names}
    assert {*names, "Makefile", ".gitignore"} == {*found}


@pytest.mark.parametrize("suite", ["demo", "photos"])
def test_every_recipe_of_its_suites_loads_with_what_it_reads(work, suite):
    opened = Workspace(suite)
    for model in opened.suite.members:
        assert all(loading.load(work / f"features/{name}.py", []) for name in opened.first_experiment(model).stores)


def test_writing_it_again_changes_nothing(work, capsys):
    before = contents(work)
    initialise.write(work)
    assert contents(work) == before
    assert f"{work}: 0 files written\n" in capsys.readouterr().err


def test_a_file_that_is_there_stays_and_one_that_is_gone_comes_back(work, capsys):
    (work / "experiments/photos/suite.py").write_text("mine")
    (work / "Makefile").unlink()
    initialise.write(work)
    assert (work / "experiments/photos/suite.py").read_text() == "mine"
    assert (work / "Makefile").read_bytes() == (ROOT / "mlob/initial/Makefile").read_bytes()
    assert "1 file written; kept as they are: experiments/photos/suite.py" in capsys.readouterr().err


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "work").write_text("")
    with pytest.raises(InputError, match="work is a file: name a folder"):
        initialise.write(tmp_path / "work")


def test_a_wheel_packs_what_is_written():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    packed = config["options.package_data"]["mlob"].split()
    assert {f"initial/{pattern}" for pattern in initialise.WRITTEN} == {name for name in packed if "/" in name}

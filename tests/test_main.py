"""What is typed is done or refused in one sentence, before anything long begins."""

import functools
import os
import pathlib
import subprocess
import sys

import pytest

from mlob import __main__ as main
from mlob import machine

HEADER = "from mlob.recipes import *\nrecipe = "
WORDS = ("SUITE", "MODEL", "DATA", "WEIGHTS", "PHOTOS", "SET", "FEATURES", "RUNS", "MEMORY", "N", "BUDGET")
RECIPES = {
    "experiments/tiny/suite.py": "Suite('photos', members=('wide', 'total'))",
    "experiments/tiny/wide.py": "Experiment(('average',))",
    "experiments/tiny/other.py": "Experiment(('average',))",
    "experiments/tiny/total.py": "Sum(('wide', 'other'))",
    "experiments/tiny/of_sums.py": "Sum(('wide', 'total'))",
    "experiments/tiny/itself.py": "Sum(('wide', 'itself'))",
    "experiments/tiny/of_none.py": "Sum(('wide', 'nowhere'))",
    "experiments/tiny/a_set.py": "FeatureSet('mobilenet')",
    "experiments/tiny/mistaken.py": "Experiment(('average',), Head(droput=1))",
    "experiments/tiny/lossy.py": "Experiment(('average',), training=Training(loss='binry'))",
    "experiments/tiny/lost.py": "Experiment(('experiment',))",
    "experiments/tiny/spineless.py": "Experiment(('spineless',))",
    "experiments/none/suite.py": "Suite('photos', members=())",
    "features/average.py": "FeatureSet('efficientnet_lite0')",
    "experiments/tiny/reader.py": "Experiment(('words',), NAIVE_BAYES)",
    "features/words.py": "FeatureSet('text', text=Text())",
    "features/spineless.py": "FeatureSet('mobilnet')",
    "features/experiment.py": "Experiment(('average',))",
}


@pytest.fixture
def told(tmp_path, monkeypatch, command):
    """Run a verb beside a small suite: told(*words, SETTING=…) gives its status and what it printed."""
    for path, recipe in RECIPES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{HEADER}{recipe}\n")
    monkeypatch.chdir(tmp_path)
    return functools.partial(command, tmp_path, SUITE="tiny")


REFUSED = {
    "a field that there is not": (["train", "--model", "mistaken"], "mistaken.py, line 2: Head has no field 'droput'"),
    "a feature set as a model": (["train", "--model", "a_set"], "expected `recipe = Experiment(...) or Sum(...)`"),
    "a backbone that there is not": (
        ["train", "--model", "spineless"],
        "spineless.py: backbone is 'mobilnet'. Did you mean mobilenet",
    ),
    "a backbone of SET that there is not": (
        ["train", "--set", "features.backbone=mobilnet"],
        "SET: backbone is 'mobilnet'. Did you mean mobilenet",
    ),
    "a loss that there is not": (
        ["train", "--model", "lossy"],
        "lossy.py: training.loss is 'binry'. Did you mean binary",
    ),
    "a loss of softmaxes alone": (["train", "--set", "training.loss=categorical"], "SET: training.loss=categorical"),
    "a loss by SET": (["train", "--set", "training.loss=focl"], "SET: training.loss is 'focl'. Did you mean focal?"),
    "a suite without members": (["train", "--suite", "none"], "none/suite.py: members is empty"),
    "a sum of itself": (["train", "--model", "itself"], "itself has the part itself, a sum itself"),
    "a sum of sums": (["train", "--model", "of_sums"], "of_sums has the part total, a sum itself"),
    "a sum of what is not there": (["train", "--model", "of_none"], "nowhere.py"),
    "a model as a feature set": (["train", "--model", "lost"], "expected `recipe = FeatureSet(...)`, found Experiment"),
    "the suite as a model": (["train", "--model", "suite"], "The model 'suite' is taken"),
    "a product as a model": (["train", "--model", "ensemble"], "The model 'ensemble' is taken"),
    "a path as a model": (["train", "--model", "../tiny/wide"], "'../tiny/wide' is no name"),
    "an ensemble that reads texts and is to leave": (
        ["export", "--format", "keras", "--set", "members=[wide,reader]"],
        "words is of the texts beside photos, which cannot",
    ),
    "the reference as a member": (["ensemble", "--set", "members=[logistic]"], "SET: members names 'logistic'"),
    "a product as a member": (["ensemble", "--set", "members=[report]"], "SET: members 'report' is taken"),
}


REFUSED |= {
    "an empty path to predict": (["predict", ""], "it is empty"),
    "an empty folder of photos": (["predict", "--photos", ""], "it is empty"),
    "an empty data folder": (["facts", "--data", ""], "it is empty"),
    "an empty model": (["train", "--model", ""], "it is empty"),
    "empty weights": (["features", "--weights", ""], "it is empty"),
    "a path as a suite": (["facts", "--suite", "../experiments/tiny"], "is no name"),
    "a suite of a long name": (["facts", "--suite", "s" * 5000], "is no name"),
    "a model of a long name": (["train", "--model", "m" * 5000], "is no name"),
    "a data folder of a long name": (["facts", "--data", "d" * 5000], "File name too long"),
    "a photo of a long name": (["predict", "p" * 5000], "File name too long"),
    "a data folder that is a file": (["facts", "--data", "features/average.py"], "features/average.py"),
    "many parts": (["features", "--shard", f"1/{'9' * 5000}"], "expected i/n"),
    **{
        f"memory of {text}": (["train", "--memory", text], f"{text!r}: expected gigabytes")
        for text in ("much", "-1", "0", "nan", "inf", "1e400")
    },
    "a budget without end": (["search", "--budget", f"{'9' * 5000}h"], "expected a duration"),
    "a number of many digits": (["train", "--set", f"training.epochs={'9' * 5000}"], "SET: training.epochs="),
    "brackets without end": (["train", "--set", f"head.units={'[' * 5000}"], "SET: head.units="),
    "an endless seed": (["train", "--set", "seed=4294967296"], "SET: seed is 4294967296; expected"),
    "a warm-up longer than the training": (
        ["train", "--set", "training.warmup_epochs=60,training.epochs=50"], "training.warmup_epochs is 60; expected"
    ),
}  # fmt: skip


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_in_one_sentence(told, words, message):
    status, said = told(*words)
    assert status == 2 and message in said and "Traceback" not in said
    assert len(said) < 1000 and ("empty" in message or "expected" in message or said.count("\n") == 1)


TABLES = {  # a table that is refused, how, and the SET that mends it
    "two columns of photos": ("image,file,labels\na.jpg,b.jpg,x\n", "image and file", "annotations.image=file"),
    "no separator that fits": ("image,labels\na.jpg,x|y\nb.jpg,x;y\n", "row 2 has |", "annotations.separator=|"),
    "cells that are neither 0 nor 1": (
        "image,red,blue\na.jpg,1,0\nb.jpg,0,2\n", "row 3 (image 'b.jpg'), column 'blue'", "annotations.labels=[red]"
    ),
    "another encoding": (b"image,labels\na.jpg,ros\xe9\n", "line 2: b'a.jpg,ros", "annotations.encoding=latin-1"),
    "no column of labels": ("image,title\na.jpg,x\n", "title (by its name)", "annotations.labels=[title]"),
}  # fmt: skip


@pytest.mark.parametrize("table, message, mend", TABLES.values(), ids=TABLES)
def test_a_table_is_refused_in_one_sentence_before_anything_runs_and_read_with_the_mend(
    told, tmp_path, table, message, mend
):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/photos.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    for verb in ("facts", "submission"):
        status, said = told(verb, "--data", "mine")
        assert status == 2 and message in said and mend.partition("=")[0] in said and said.count("\n") == 1
    status, said = told("facts", "--data", "mine", "--set", mend)
    assert status == 0 and "Read as one table, told by photos.csv." in said


@pytest.mark.parametrize("place", ["features/average.py", "features/average.py/below", "/proc/nowhere", "x" * 5000])
@pytest.mark.parametrize("variable, verb", [("FEATURES", "facts"), ("RUNS", "ensemble"), ("RUNS", "clean")])
def test_products_that_have_no_folder_are_told_at_once(told, place, variable, verb):
    status, said = told(verb, *(("--data", "nowhere") if verb == "facts" else ()), **{variable: place})
    assert status == (0 if verb == "clean" and "/" in place and place != "features/average.py" else 2), said
    assert "Traceback" not in said and len(said) < 1000


def test_a_folder_of_runs_that_cannot_be_made_is_told_before_the_photos_are_read(told):
    status, said = told("train", "--model", "total", RUNS="/proc/nowhere")
    assert status == 2 and "The folder /proc/nowhere/tiny cannot be made" in said


def test_the_version_is_told(told):
    assert told("--version") == (0, f"mlob {machine.version()}\n")


def test_the_name_of_the_reference_is_not_that_of_a_recipe(told):
    pathlib.Path("experiments/tiny/logistic.py").write_text(f"{HEADER}Experiment(('average',))\n")
    status, said = told("train", "--model", "logistic")
    assert status == 2 and "rename the file" in said


def test_memory_in_gigabytes_comes_from_the_environment_too(told, monkeypatch):
    handed_on = []
    monkeypatch.setattr(main.steps, "train", lambda work, models: handed_on.append(work.memory_bytes))
    monkeypatch.setattr(main.steps, "train_reference", lambda work: None)
    told("train", "--memory", "1.5")
    told("train", MEMORY="0.25")
    told("train")
    assert handed_on == [1_500_000_000, 250_000_000, None]


def test_variables_that_are_empty_are_as_if_they_were_not_set(told):
    status, said = told("train", **{**dict.fromkeys(WORDS, ""), "SUITE": "tiny"})
    assert status == 2 and "photos" in said  # the suite's own data, which is not there


ODD_NAMES = "click.echo('tinn\\udcff é …'); say('tinn\\udcff é …')"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize(
    "done", [ODD_NAMES, "told(['ensemble', '--help'])", "told(['facts', '--suite', 'tinn\\udcff'])"]
)
def test_a_terminal_or_a_file_that_lacks_a_letter_ends_nothing(tmp_path, encoding, done):
    code = f"""
import click
from mlob import __main__ as main
from mlob import machine
from mlob.progress import say
told = main.cli.main
main.cli.main = lambda **_: {done.replace("; ", " or ")}
main.main()
"""
    path = pathlib.Path(main.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONIOENCODING": encoding}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, cwd=path, capture_output=True, check=False)
    said = (ended.stdout + ended.stderr).decode(encoding, "replace")
    assert ended.returncode == (2 if "facts" in done else 0), said
    assert "Traceback" not in said and ("tinn" in said or "Usage" in said)

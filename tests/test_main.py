"""What is typed is done or refused in one sentence, before anything long begins."""

import sys

import pytest

from mlob import __main__ as main

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
    "experiments/tiny/lost.py": "Experiment(('experiment',))",
    "experiments/none/suite.py": "Suite('photos', members=())",
    "features/average.py": "FeatureSet('efficientnet_lite0')",
    "features/experiment.py": "Experiment(('average',))",
}


@pytest.fixture
def told(tmp_path, monkeypatch, capfd):
    """Run a verb beside a small suite: told(*words) gives its status and what it printed."""
    for path, recipe in RECIPES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{HEADER}{recipe}\n")
    monkeypatch.chdir(tmp_path)
    for name in WORDS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUITE", "tiny")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["mlob", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main.main()
            raise SystemExit(0)
        found = capfd.readouterr()
        return ended.value.code, found.out + found.err

    return run


REFUSED = {
    "a field that there is not": (["train", "--model", "mistaken"], "mistaken.py, line 2: Head has no field 'droput'"),
    "a feature set as a model": (["train", "--model", "a_set"], "expected `recipe = Experiment(...) or Sum(...)`"),
    "a suite without members": (["train", "--suite", "none"], "none/suite.py: members is empty"),
    "a sum of itself": (["train", "--model", "itself"], "itself has the part itself, a sum itself"),
    "a sum of sums": (["train", "--model", "of_sums"], "of_sums has the part total, a sum itself"),
    "a sum of what is not there": (["train", "--model", "of_none"], "nowhere.py"),
    "a model as a feature set": (["train", "--model", "lost"], "expected `recipe = FeatureSet(...)`, found Experiment"),
    "the suite as a model": (["train", "--model", "suite"], "The model 'suite' is taken"),
    "a product as a model": (["train", "--model", "ensemble"], "The model 'ensemble' is taken"),
    "a path as a model": (["train", "--model", "../tiny/wide"], "'../tiny/wide' is no name"),
    "the reference as a member": (["ensemble", "--set", "members=[logistic]"], "SET: members names 'logistic'"),
    "a product as a member": (["ensemble", "--set", "members=[report]"], "SET: members 'report' is taken"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_in_one_sentence(told, words, message):
    status, said = told(*words)
    assert status == 2 and message in said and "Traceback" not in said
    assert said.startswith("mlob: ") and said.count("\n") == 1

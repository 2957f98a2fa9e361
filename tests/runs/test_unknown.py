"""What is unknown reaches no product: a set is run to its end twice, with two codes for it."""

import dataclasses
import json

import numpy as np
import pytest
import unknown

from mlob import predictions
from mlob.ensemble import methods, thresholds
from mlob.recipes import LINEAR, LOGISTIC, Ensemble, Experiment, Judging, Training
from mlob.reports import mistakes
from mlob.reports.photos import Photo
from mlob.runs import ensemble, model, shift
from mlob.runs.job import Job

pytestmark = pytest.mark.slow

JUDGE = Judging(folds=2, draws=20)
MODELS = {
    "linear": Experiment(("one",), dataclasses.replace(LINEAR, groups=True), Training(epochs=2, batch=64, mixup=0.4)),
    "logistic": Experiment(("one",), LOGISTIC),
}
METHODS, RULES = tuple(methods.METHODS), tuple(thresholds.RULES)
RECIPE = Ensemble(methods=METHODS, rules=RULES, folds=2, draws=20, particles=4, iterations=2)
OF_THE_MACHINE = {"seconds", "rows_per_second", "steps_seconds", "warm_up_seconds"}


@pytest.fixture(scope="module")
def uncertain(made):
    """A function from a code to the set, of which a third is unknown, whole photos and in train a whole label too."""

    def coded(code):
        generator, splits = np.random.default_rng(2), {}
        for name, split in made.splits.items():
            lost = generator.random(split.targets.shape) < 0.3
            lost[:9] = True
            lost[:, 3] |= name == "train"
            splits[name] = dataclasses.replace(split, annotations=np.where(lost, code, split.targets).astype(np.uint8))
        dataset = dataclasses.replace(made, splits=splits)
        vars(dataset)["digest"] = "the same"  # of the annotations, which do differ
        return dataset

    return coded


def products(dataset, stores, folder):
    """All that training and the ensemble leave on disk but what depends on the machine, and what the page tells."""
    for name, experiment in MODELS.items():
        model.train(Job(name, experiment, dataset, stores), folder / name, JUDGE)
    members = {name: folder / name for name in MODELS}
    ensemble.fit("made", dataset, members, folder / "ensemble", RECIPE)
    tables = {path.parent.name: predictions.read(path) for path in sorted(folder.glob("*/predictions.h5"))}
    _, decision = ensemble.load_decision(folder / "ensemble")
    of_members, take = {name: tables[name]["validation"] for name in MODELS}, lambda row: Photo(str(row), None, [])
    seen = np.arange(len(dataset["validation"].ids))
    return {
        "tables": {name: {split: _arrays(table) for split, table in own.items()} for name, own in tables.items()},
        "decision": decision.arrays(),
        "history": (folder / "linear" / "history.csv").read_bytes(),
        "json": [_lasting(json.loads(path.read_text())) for path in sorted(folder.glob("*/*.json"))],
        "mistakes": mistakes.diagnose(dataset, tables["ensemble"]["validation"], of_members, take, seen),
        "shift": shift.describe(dataset, {}),
    }


def _arrays(table):
    return [table.probabilities, *([] if table.decided is None else [table.decided])]


def _lasting(content):
    if isinstance(content, dict):
        return {name: _lasting(part) for name, part in content.items() if name not in OF_THE_MACHINE}
    return list(map(_lasting, content)) if isinstance(content, list) else content


@pytest.mark.usefixtures("small_stackers")
def test_the_code_of_what_is_unknown_changes_no_byte_of_any_product(made, uncertain, write_store, tmp_path):
    stores = {"one": write_store(tmp_path / "features" / "one", made, failed=("validation 20",))}
    one, other = (products(uncertain(code), stores, tmp_path / str(code)) for code in (2, 255))
    assert unknown.same_bytes([one["tables"], one["decision"]], [other["tables"], other["decision"]])
    for name in ("history", "json", "mistakes", "shift"):
        assert one[name] == other[name]
    assert one["json"] and one["mistakes"].unlearned == 1

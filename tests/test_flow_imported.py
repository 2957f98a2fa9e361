"""A whole job on features that other programs made, beside a network in a file, as a user runs it."""

import csv
import json
import re
import shutil

import encoders
import numpy as np
import pandas as pd
import pytest
import workplaces

from mlob import Labeller, predictions
from mlob.data import demo
from mlob.data.dataset import read_dataset
from mlob.ensemble.methods import CONSTANT
from mlob.errors import InputError
from mlob.training import batches

pytestmark = pytest.mark.slow

HEAD = "Head(units=(32,)), Training(epochs=20, batch=32)"
RECIPES = {
    "features/rows.py": 'FeatureSet("file:tiny.onnx", size=96, precision="float32")',
    "experiments/tiny/suite.py": f'Suite("photos", ("own", "copied", "noise", "priced"), ensemble={workplaces.QUICK})',
    "experiments/tiny/own.py": f'Experiment(("rows",), {HEAD})',
    "experiments/tiny/copied.py": f'Experiment(("copy",), {HEAD})',
    "experiments/tiny/noise.py": f'Experiment(("random",), {HEAD})',
    "experiments/tiny/priced.py": f'Experiment(("price",), {HEAD})',
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a suite of four models, 240 drawn photos, and a network in a file."""
    folder = tmp_path_factory.mktemp("imported")
    demo.draw(folder / "photos", photos=240)
    encoders.write(folder / "tiny.onnx", sides=("h", "w"))
    return workplaces.write(folder, RECIPES)


@pytest.fixture
def mlob(workplace, command):
    return lambda *words, **settings: command(workplace, *words, SUITE="tiny", **settings)


def exported(store, dataset):
    """Read the rows of a store, each under its photo's split and id: (ids, values)."""
    found = {name: batches.read([store], split) for name, split in dataset.splits.items()}
    ids = [f"{split}/{name}" for split, rows in found.items() for name in rows.ids.tolist()]
    return ids, np.concatenate([rows.features[:] for rows in found.values()])


def write(path, ids, values):
    pd.DataFrame({"id": ids, "vector": [*map(list, values)]}).to_parquet(path)
    return path


def bring(workplace, mlob):
    """Bring what the network in the file gives, random numbers and prices: ({name: what was told}, ids)."""
    assert mlob("train", MODEL="own")[0] == 0
    ids, values = exported(workplace / "features/rows/photos", read_dataset(workplace / "photos"))
    random, prices = np.random.default_rng(0).normal(size=values.shape), np.arange(len(ids))[:, None]
    told = {}
    for name, made in {"copy": values, "random": random, "price": prices}.items():
        status, told[name] = mlob("import", write(workplace / f"{name}.parquet", ids, made), "--name", name)
        assert status == 0, told[name]
    return told, ids


def figures(workplace, model):
    result = json.loads((workplace / f"runs/tiny/{model}/result.json").read_text())
    return {name: result[name] for name in ("scores", "thresholds", "rows", "epochs")}


def test_features_come_by_import_and_are_worth_what_they_are_elsewhere(workplace, mlob):
    status, told = mlob("train", MODEL="copied")
    assert status == 2 and "copy" in told
    brought, ids = bring(workplace, mlob)
    for name, told in brought.items():
        assert f"features/{name}.py is its recipe; models read stores=('{name}',)" in told
        assert re.search(rf"{name}: {len(ids)} of 240 photos have \d number.? each; [\d]+ new rows\.", told), told
        assert f"of 240 photos are not in {name}.parquet, for example '6' of train." in told
    status, told = mlob("ensemble")
    assert status == 0, told
    own, copied = (predictions.read(workplace / f"runs/tiny/{model}/predictions.h5") for model in ("own", "copied"))
    for split, table in own.items():
        assert table.ids == copied[split].ids
        assert table.probabilities.tobytes() == copied[split].probabilities.tobytes()
    assert figures(workplace, "own") == figures(workplace, "copied")
    ensemble = json.loads((workplace / "runs/tiny/ensemble/ensemble.json").read_text())
    (constant,) = (each["scores"]["micro_f1"] for each in ensemble["methods"] if each["method"] == CONSTANT)
    noise, own = (figures(workplace, model)["scores"]["micro_f1"] for model in ("noise", "own"))
    assert noise["low"] <= constant["high"] and own["value"] > max(noise["value"], constant["value"])


def test_new_photos_are_labelled_with_theirs_and_not_without(workplace, mlob):
    bring(workplace, mlob)
    assert mlob("ensemble")[0] == 0
    shutil.copytree(workplace / "photos/images/validation", workplace / "new", dirs_exist_ok=True)
    status, told = mlob("predict", PHOTOS=workplace / "new")
    assert status == 2 and "copy reads features that were made elsewhere: bring those of these photos, too" in told
    with pytest.raises(
        InputError, match=r"elsewhere \(copy, random, price\): label photos with `mlob predict --vectors"
    ):
        Labeller.load(workplace / "runs/tiny")
    dataset = read_dataset(workplace / "photos")
    ids, values = exported(workplace / "features/rows/photos", dataset)
    names = [name.removeprefix("validation/") for name in ids if name.startswith("validation/")]
    rows = values[[name.startswith("validation/") for name in ids]]
    tables = [
        write(workplace / "copy.parquet", names[1:], rows[1:]),
        write(workplace / "random.parquet", names, np.zeros_like(rows)),
        write(workplace / "price.parquet", names, rows[:, :1]),
    ]
    status, told = mlob("predict", VECTORS=tables[0], PHOTOS=workplace / "new")
    assert status == 2 and "expected NAME=TABLE, the name one of copy, random, price" in told
    given = ":".join(f"{path.stem}={path}" for path in tables)
    status, told = mlob("predict", VECTORS=given, PHOTOS=workplace / "new")
    assert status == 0, told
    assert re.search(
        rf"copy.parquet has no row of \d of {len([*(workplace / 'new').iterdir()])} photos, for example", told
    )
    with (workplace / "runs/tiny/predict/predictions.csv").open(newline="") as file:
        failed = {row["image"]: row["failure"] for row in csv.DictReader(file) if row["failure"]}
    assert any(name.endswith(f"/{names[0]}.jpg") for name in failed)
    assert set(failed.values()) >= {"not in copy.parquet"}
    write(workplace / "copy.parquet", names, rows[:, :1])
    status, told = mlob("predict", VECTORS=given, PHOTOS=workplace / "new")
    assert status == 2 and "has 1 number a row, and" in told and "Traceback" not in told


def test_a_name_that_is_taken_and_a_dry_run(workplace, mlob):
    assert mlob("train", MODEL="own")[0] == 0
    status, told = mlob("import", workplace / "copy.parquet", "--name", "rows")
    assert status == 2 and "features/rows.py makes features of photos: give those of" in told
    status, told = mlob("import", workplace / "none.parquet", "--name", "x")
    assert status == 2 and "There is no file" in told
    ids, values = exported(workplace / "features/rows/photos", read_dataset(workplace / "photos"))
    status, told = mlob("import", write(workplace / "other.parquet", ids, values), "--name", "other", "--dry-run")
    assert status == 0 and "features/other.py would be its recipe" in told
    assert not (workplace / "features/other").exists() and not (workplace / "features/other.py").exists()

"""Small data that tests share: a data set of 24 drawn photos, and one of made-up features that can be learned from."""

import dataclasses
import json
import os
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from mlob import __main__ as main
from mlob import machine, predictions
from mlob.data.dataset import DataSet, Split, read_dataset
from mlob.evaluation.scores import Score
from mlob.features import log, store
from mlob.features.fingerprint import Fingerprint
from mlob.labels import Labels
from mlob.recipes import Judging
from mlob.runs import results

MOST_WORKERS = 4  # each holds up to 3 GB: TensorFlow, OpenVINO and the networks of its tests
LABELS = (1, 2, 5, 8)
PHOTOS = {"train": 12, "validation": 7, "test": 5}
ROWS = {"train": 240, "validation": 90, "test": 30}
FIRST_DIGEST = {"train": 1_000_000, "validation": 3_000_000, "test": 5_000_000}  # of made-up photos
FINGERPRINT = Fingerprint("mobilenet", 224, "last", "avg", "whole", 1, "any", "made up", "keras", "float32", None)


def pytest_xdist_auto_num_workers():
    """Give the workers of `-n auto`: a processor each, of those that this container has."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")  # the workers inherit it
    return min(machine.cores(), MOST_WORKERS)


@pytest.fixture(scope="module")
def chromium():
    """Headless Chromium; where it or playwright is not installed, tests of pages are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'mlob[dev]'")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def namesakes(tmp_path):
    """Three data folders of one last name."""
    made = [tmp_path / place / "photos" for place in "abc"]
    for folder in made:
        folder.mkdir(parents=True)
    return made


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A folder of 24 noisy photos in the iMaterialist layout; ids start at 1 in each split."""
    folder = tmp_path_factory.mktemp("drawn")
    generator = np.random.default_rng(0)
    for split, count in PHOTOS.items():
        names = [str(number) for number in range(1, count + 1)]
        (folder / "images" / split).mkdir(parents=True)
        for name in names:
            pixels = generator.integers(0, 256, (24, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / split / f"{name}.png")
        content = {"images": [{"imageId": name, "url": f"http://nowhere/{name}.jpg"} for name in names]}
        if split != "test":
            content["annotations"] = [
                {"imageId": name, "labelId": [label for label in LABELS if generator.random() < 0.5]} for name in names
            ]
        (folder / f"{split}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def photos(drawn, tmp_path):
    """A `DataSet` of 24 photos that a test may spoil."""
    shutil.copytree(drawn, tmp_path / "photos")
    return read_dataset(tmp_path / "photos")


@pytest.fixture(scope="session")
def made():
    """A `DataSet` without photos; `write_store` makes features of it up."""
    generator = np.random.default_rng(1)
    splits = {}
    for split, count in ROWS.items():
        targets = (generator.random((count, len(LABELS))) < (0.6, 0.4, 0.2, 0.1)).astype(np.uint8)
        ids = tuple(f"{split} {number}" for number in range(count))
        splits[split] = Split(split, ids, ((),) * count, targets)
    names = ("red", "blue", "long", "short")
    return DataSet("made", "nowhere", Labels(LABELS, names, ("colour",) * 2 + ("length",) * 2), splits)


@pytest.fixture(scope="session")
def write_store():
    """Write a store of 6 made-up features that tell the labels more or less: write_store(folder, dataset, …)."""

    def write(folder, dataset, *, noise=0.5, seed=0, failed=()):
        generator = np.random.default_rng(seed)
        mixing = generator.normal(size=(len(dataset.labels), 6))
        for name, split in dataset.splits.items():
            features = split.targets @ mixing + noise * generator.normal(size=(len(split.ids), 6))
            kept = [row for row, photo in enumerate(split.ids) if photo not in failed]
            shard = store.Shard(
                tuple(split.ids[row] for row in kept),
                features[kept].astype(np.float16),
                np.array(kept, np.uint64) + np.uint64(FIRST_DIGEST[name]),
                {photo: "empty file" for photo in split.ids if photo in failed},
            )
            store.write(store.shard_path(folder / name, 0), shard, FINGERPRINT)
        facts = {"weights": "random", "parameters": 1000, "processor": "made up"}
        seconds = {"read": 0.5, "forward": 1.75, "write": 0.25}
        log.write(store.shard_path(folder / "train", 0), photos=240, seconds=seconds, **facts)
        return folder

    return write


@pytest.fixture(scope="session")
def shards():
    """Give the bytes of every shard of a store: shards(folder) gives {path inside the folder: bytes}."""
    return lambda folder: {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("**/[0-9]*.h5"))
    }


@pytest.fixture
def small_stackers(monkeypatch):
    """Let stackers learn in two folds, of few trees and units."""
    from mlob.ensemble import convolution, stacking, trees

    monkeypatch.setattr(stacking, "FOLDS", 2)
    monkeypatch.setattr(convolution, "EPOCHS", 1)
    monkeypatch.setattr(convolution, "UNITS", 4)
    monkeypatch.setattr(trees, "COUNTS", (0, 2))
    monkeypatch.setattr(trees, "RARE", 5)


@pytest.fixture
def command(monkeypatch, capfd):
    """Run a command in this process, with TensorFlow loaded once for all: command(folder, *words, SETTING=…).

    Each SETTING stands in the environment as MLOB_SETTING, beside no others. Give the exit status and what was printed.
    """

    def run(folder, *words, **settings):
        status = 0
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("MLOB_")]:
                patch.delenv(name)
            for name, value in settings.items():
                patch.setenv(f"MLOB_{name}", str(value))
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["mlob", *map(str, words)])
            try:
                main.main()
            except SystemExit as ended:
                status = ended.code
        printed = capfd.readouterr()
        return status, printed.out + printed.err

    return run


def score(value):
    return Score(value, value - 0.02, value + 0.02, value + 0.01)


def result(name, value, **changes):
    """A model's `Result` with a micro-F1, made up."""
    made_up = results.Result(
        method=name,
        scores={"micro_f1": score(value), "macro_f1": score(value - 0.1)},
        judging=Judging(),
        thresholds="one threshold",
        parameters=results.Parameters(2_820_068, 23_681_548),
        seconds=results.Seconds(41.2, 8.1),
        stores={},
        rows_per_second=1000.0,
        epochs=50,
        weights="imagenet",
        seed=0,
        rows={"train": 100},
        note="",
        fingerprint={},
        versions={},
        processor="a processor",
        commit=None,
    )
    return dataclasses.replace(made_up, **changes)


@pytest.fixture(scope="session")
def write_result():
    """Write one model's result.json, made up: write_result(folder of the run, micro-F1, field=value, …)."""

    def write(folder, value, **changes):
        folder.mkdir(parents=True, exist_ok=True)
        results.write(folder, result(folder.name, value, **changes))

    return write


JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "x", [], {}, [[]], [5], {"x": 5}])


@st.composite
def _spoilt(draw, content):
    value = whole = json.loads(json.dumps(content))
    for _ in range(draw(st.integers(0, 5))):
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        if not keys:
            break
        holder, key = value, draw(st.sampled_from(keys))
        value = holder[key]
        if draw(st.booleans()):
            holder[key] = draw(JUNK)
            return whole
    return draw(JUNK) if value is whole else whole


@pytest.fixture(scope="session")
def spoilt():
    """Give a strategy of what a JSON product may hold where something in it, or all of it, is another value."""
    return _spoilt


@pytest.fixture(scope="session")
def colours(made, write_result, tmp_path_factory):
    """A folder of runs whose ensemble needs no backbone: "red" is as likely as a photo is red, "blue" as it is blue.

    They are means over the letterboxed photo, from 0 to 1; "long" and "short" are always 0.25 and 0.75.
    """
    import keras

    from mlob.features import pixels, plan
    from mlob.recipes import Ensemble, FeatureSet
    from mlob.runs import ensemble, kept

    folder = tmp_path_factory.mktemp("runs") / "colours"
    seen = FeatureSet("pixels", size="tiny", pool="grid")
    fingerprint = plan.fingerprint(seen, pixels.source(seen), pixels.Pixels(seen).choice)
    photo = keras.Input((96, 96, 3))
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(photo))
    weights = np.zeros((3, 4), np.float32)
    weights[0, 0] = weights[2, 1] = 1
    rates = keras.layers.Dense(4)
    head = keras.Model(photo, rates(means))
    rates.set_weights([weights, np.array([0, 0, 0.25, 0.75], np.float32)])
    (folder / "mean").mkdir(parents=True)
    head.save(folder / "mean/head.keras")
    tables = {
        split: predictions.Table(made[split].ids, (0.8 * made[split].targets + 0.1).astype(np.float32))
        for split in ("validation", "test")
    }
    predictions.write(folder / "mean/predictions.h5", tables)
    stores = {"pixels": results.StoreCost(0, 1.0)}
    write_result(folder / "mean", 0.5, fingerprint={"pixels": fingerprint.fields()}, stores=stores)
    recipe = Ensemble(folds=2, draws=2, methods=("mean",), rules=("0.5",))
    ensemble.fit("colours", made, {"mean": folder / "mean"}, folder / "ensemble", recipe)
    store.declare(folder / "pixels", fingerprint)
    kept.write(folder / "ensemble", kept.Kept(made.labels, {"pixels": seen}), {"pixels": folder / "pixels"})
    shutil.rmtree(folder / "pixels")
    return folder

"""The store of a detector: by the contract of all stores, with a table of boxes beside each shard that agrees."""

import csv
import dataclasses
import pathlib
import shutil
import signal
import subprocess
import sys

import detectors
import numpy as np
import pytest

from mlob.data import images
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.features import boxes, extract, forms, new_photos, plan, store
from mlob.recipes import Detector, FeatureSet
from mlob.training import batches

SIDE, CLASSES = 64, 3


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    """Shards of five photos, and no Keras."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "SLICE", 5)
        patch.setattr(extract, "load_keras", lambda: None)
        patch.setattr(new_photos, "load_keras", lambda: None)
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = detectors.write(tmp_path_factory.mktemp("detector") / "tiny.xml", side=SIDE)
    made = Detector(str(path), SIDE, CLASSES, units="pixels", scale=(255.0,), threshold=0.9)
    return FeatureSet("detector", detector=made)


def run(recipe, dataset, folder):
    forms.of.cache_clear()
    extract.extract({"tiny": (recipe, folder)}, dataset)


@pytest.fixture(scope="module")
def made(drawn, recipe, tmp_path_factory):
    """A store of the drawn photos."""
    folder = tmp_path_factory.mktemp("features") / "tiny"
    run(recipe, read_dataset(drawn), folder)
    return folder


def files(folder):
    """Give the bytes of the shards and tables of a store: {path inside of it: bytes}."""
    paths = [*folder.glob("*/[0-9]*.h5"), *folder.glob("*/*.csv")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def table_of(shard_path):
    """Read the table beside a shard: {photo: boxes (n, 6)}."""
    with boxes.table_path(shard_path).open(newline="") as file:
        rows = [(row["photo"], [float(row[name]) for name in boxes.COLUMNS[1:]]) for row in csv.DictReader(file)]
    return {name: np.array([found for photo, found in rows if photo == name]) for name, _ in rows}


def expected(place):
    """Give what the detector finds in a photo, by plain arithmetic: best scores, counts and areas."""
    data = images.content(place)
    pixels, (left, top, width, height) = images.decode_inset(data, SIDE)
    features = np.zeros((3, CLASSES))
    for number in range(CLASSES):
        down, across = np.nonzero(pixels[..., number] < 127.5)
        score = 1 - pixels[..., number].min() / 255
        x1, x2 = max(across.min(), left), min(across.max() + 1, left + width)
        y1, y2 = max(down.min(), top), min(down.max() + 1, top + height)
        is_object = score >= 0.9
        features[:, number] = score, is_object, is_object * (x2 - x1) * (y2 - y1) / (width * height)
    return features.ravel()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_rows_are_what_the_detector_finds_in_the_photos(drawn, made, split):
    dataset = read_dataset(drawn)
    rows = batches.read([made], dataset[split])
    assert rows.features[:].dtype == np.float16 and rows.ids.tolist() == [*dataset[split].ids]
    np.testing.assert_allclose(rows.features[:], [*map(expected, dataset.photos(split))], atol=1e-3)


def test_each_shard_has_a_table_of_whose_boxes_its_features_are_made(made):
    paths = sorted(made.glob("*/[0-9]*.h5"))
    assert len(paths) == 3 + 2 + 1 == len([*made.glob("*/*.csv")])
    for path in paths:
        shard, found = store.read(path), table_of(path)
        assert list(found) == list(shard.ids)
        again = [boxes.features(found[name][None], CLASSES, 0.9)[0] for name in shard.ids]
        np.testing.assert_allclose(shard.features, again, atol=1e-3)


def test_a_second_run_makes_nothing(drawn, made, recipe):
    before = files(made)
    run(recipe, read_dataset(drawn), made)
    assert files(made) == before


@pytest.mark.parametrize("written", range(6))
def test_interrupted_anywhere_no_shard_is_without_its_table_and_the_same_bytes_follow(
    drawn, made, recipe, tmp_path, monkeypatch, written
):
    def interrupted(*_, left=[written], write=store.hdf5.writing):  # noqa: B006  counts the calls
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return write(*_)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store.hdf5, "writing", interrupted)
        run(recipe, read_dataset(drawn), tmp_path / "tiny")
    there = sorted(tmp_path.glob("tiny/*/[0-9]*.h5"))
    assert all(boxes.table_path(path).is_file() for path in there)
    run(recipe, read_dataset(drawn), tmp_path / "tiny")
    assert files(tmp_path / "tiny") == files(made)


DRIVER = """
import os, pathlib, signal, sys
from mlob.data.dataset import read_dataset
from mlob.features import extract, store
from mlob.recipes import Detector, FeatureSet

store.SLICE = 5
extract.load_keras = lambda: None

def killed(path, *others, write=store.hdf5.writing):
    if path.name == "00001.h5":
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, *others)

store.hdf5.writing = killed
recipe = FeatureSet("detector", detector=Detector(sys.argv[3], 64, 3, units="pixels", scale=(255.0,), threshold=0.9))
extract.extract({"tiny": (recipe, pathlib.Path(sys.argv[2]))}, read_dataset(pathlib.Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_kill_9_between_a_table_and_its_shard_costs_no_byte(drawn, made, recipe, tmp_path):
    command = [sys.executable, "-c", DRIVER, drawn, tmp_path / "tiny", recipe.detector.file]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    left = files(tmp_path / "tiny")
    assert "0001/boxes-00001.csv" in left and "0001/00001.h5" not in left
    run(recipe, read_dataset(drawn), tmp_path / "tiny")
    assert files(tmp_path / "tiny") == files(made)


def test_another_reading_of_the_same_file_is_another_store(drawn, made, recipe):
    other = dataclasses.replace(recipe, detector=dataclasses.replace(recipe.detector, threshold=0.5))
    with pytest.raises(InputError, match=r"made with detector '.*threshold 0.9.*', but '.*threshold 0.5.*' is asked"):
        run(other, read_dataset(drawn), made)


def test_a_file_that_moved_is_the_same_detector_and_one_with_other_bytes_is_not(drawn, made, recipe, tmp_path):
    before, path = files(made), pathlib.Path(recipe.detector.file)
    for each in (path, path.with_suffix(".bin")):
        shutil.copy(each, tmp_path)
    moved = dataclasses.replace(recipe.detector, file=str(tmp_path / path.name))
    moved = dataclasses.replace(recipe, detector=moved)
    run(moved, read_dataset(drawn), made)
    assert files(made) == before
    (tmp_path / "tiny.bin").write_bytes(b"\0" + (tmp_path / "tiny.bin").read_bytes()[1:] + b"\0")
    with pytest.raises(InputError, match="was made with weights"):
        run(moved, read_dataset(drawn), made)


def test_a_damaged_file_is_refused_before_other_sets_take_their_time(photos, network, recipe, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    broken = FeatureSet("detector", detector=dataclasses.replace(recipe.detector, file=str(tmp_path / "broken.onnx")))
    sets = {"mobilenet": FeatureSet("mobilenet", weights="random"), "tiny": broken}
    with pytest.raises(InputError, match=r"broken\.onnx is no network"):
        extract.extract({name: (recipe, tmp_path / name / "data") for name, recipe in sets.items()}, photos)
    assert network.seen == 0 and not [*tmp_path.glob("*/data")]


def test_it_stands_beside_the_features_of_a_backbone(photos, network, recipe, tmp_path):
    sets = {"mobilenet": FeatureSet("mobilenet", weights="random"), "tiny": recipe}
    extract.extract({name: (recipe, tmp_path / name / "data") for name, recipe in sets.items()}, photos)
    alone = [batches.read([tmp_path / name / "data"], photos["train"]).features[:] for name in sets]
    both = batches.read([tmp_path / name / "data" for name in sets], photos["train"]).features[:]
    np.testing.assert_array_equal(both, np.concatenate(alone, axis=1))


def test_new_photos_get_the_same_features_and_a_table(drawn, made, recipe, tmp_path):
    dataset = read_dataset(drawn)
    paths = dict(zip("ab", dataset.photos("validation"), strict=False))
    rows, failures = new_photos.extract(recipe, made, paths, tmp_path / "new")
    assert not failures
    stored = batches.read([made], dataset["validation"]).features[:2]
    np.testing.assert_array_equal([rows["a"], rows["b"]], stored)
    (path,) = tmp_path.glob("new/*/00000.h5")
    assert list(table_of(path)) == ["a", "b"]


def test_what_is_to_be_done_names_the_file(drawn, recipe, tmp_path, capsys):
    planned = plan.plan({"tiny": (recipe, tmp_path / "none")}, read_dataset(drawn))["tiny"]
    assert planned.summary(recipe).endswith("24 photos through detector (weights: tiny.xml), no rate measured yet")
    run(recipe, read_dataset(drawn), tmp_path / "tiny" / "data")
    assert "tiny: 24 photos through the detector tiny.xml, openvino float32." in capsys.readouterr().err

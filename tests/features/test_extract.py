import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from mlob.errors import InputError
from mlob.features import backbones, extract, runtimes, store, weights
from mlob.recipes import FeatureSet

RECIPE = FeatureSet("mobilenet", weights="random")


class Network:
    """Stands for a backbone: the features of a photo are the mean colours of its two halves."""

    def __init__(self):
        self.seen = 0

    def count_params(self):
        return 7

    def run(self, photos):
        rows = []
        for photo in photos:
            self.seen += 1
            rows.append(np.concatenate([half.mean(axis=(0, 1)) for half in np.split(photo / 255, 2)]))
        return np.array(rows, np.float32).reshape(-1, 6)


@pytest.fixture
def network(monkeypatch):
    """Puts `Network` in place of every backbone, and makes shards of three photos."""
    made = Network()
    monkeypatch.setattr(store, "SLICE", 3)
    monkeypatch.setattr(extract, "load_keras", lambda: None)
    monkeypatch.setattr(weights, "network", lambda features, source: made)
    monkeypatch.setattr(backbones, "extractor", lambda network, features: network)
    monkeypatch.setattr(runtimes, "choose", lambda *_: runtimes.Choice("keras", "float32"))
    monkeypatch.setattr(runtimes, "run", lambda choice, model: model.run)
    return made


def shards(folder):
    """The bytes of every HDF5 file of a store."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.h5"))}


def file_of(photos, split, name):
    return photos.folder / "images" / split / f"{name}.png"


def spoil(photos):
    """One photo of each way to be unreadable."""
    file_of(photos, "train", "2").write_bytes(file_of(photos, "train", "2").read_bytes()[:300])
    file_of(photos, "train", "5").unlink()
    Image.new("RGB", (30, 20), "grey").save(file_of(photos, "validation", "1"))
    file_of(photos, "test", "3").write_bytes(b"")
    return {"train": {"2": "not decoded", "5": "no file"}, "validation": {"1": "blank"}, "test": {"3": "empty file"}}


def test_rows_are_the_readable_photos_in_annotation_order_and_the_rest_have_a_reason(photos, network, tmp_path):
    broken = spoil(photos)
    extract.extract(RECIPE, photos, tmp_path / "store")
    assert network.seen == 24 - 4
    for split, reasons in broken.items():
        found = store.read_split(tmp_path / "store" / split, photos[split].ids)
        assert found.ids == tuple(name for name in photos[split].ids if name not in reasons)
        assert found.features.dtype == np.float16 and found.features.shape == (len(found.ids), 6)
        assert set(found.failures) == set(reasons)
        assert all(found.failures[name].startswith(reason) for name, reason in reasons.items())


def test_features_are_those_of_the_photo_of_that_id(photos, network, tmp_path):
    extract.extract(RECIPE, photos, tmp_path / "store")
    found = store.read_split(tmp_path / "store" / "test", photos["test"].ids)
    for row, name in enumerate(found.ids):
        pixels = np.asarray(Image.open(file_of(photos, "test", name)))[:, :, 0] / 255
        white = (224 - 168) / 2  # rows above a photo of 4 to 3
        expected = (pixels[:12].mean() * (112 - white) + white) / 112
        assert found.features[row, 0] == pytest.approx(expected, abs=0.01)


def test_a_rerun_computes_nothing_and_a_second_store_has_the_same_bytes(photos, network, tmp_path):
    spoil(photos)
    extract.extract(RECIPE, photos, tmp_path / "one")
    before, seen = shards(tmp_path / "one"), network.seen
    extract.extract(RECIPE, photos, tmp_path / "one")
    assert network.seen == seen and shards(tmp_path / "one") == before
    assert extract.plan(RECIPE, photos, tmp_path / "one").text(RECIPE) == "complete"
    extract.extract(RECIPE, photos, tmp_path / "two")
    assert shards(tmp_path / "two") == before
    assert set(before) >= {"train/00003.h5", "validation/00002.h5", "test/00001.h5", "train.h5", "test.h5"}


def test_a_photo_that_has_come_since_is_extracted_and_no_other_shard_is_touched(photos, network, tmp_path):
    missing = file_of(photos, "train", "5")
    kept = missing.read_bytes()
    extract.extract(RECIPE, photos, tmp_path / "whole")
    missing.unlink()
    extract.extract(RECIPE, photos, tmp_path / "late")
    assert store.failures(tmp_path / "late" / "train" / "00001.h5") == {"5": "no file"}
    missing.write_bytes(kept)
    network.seen = 0
    extract.extract(RECIPE, photos, tmp_path / "late")
    assert network.seen == 3 and shards(tmp_path / "late") == shards(tmp_path / "whole")


def test_a_split_without_photos_is_refused_before_anything_is_written(photos, network, tmp_path):
    shutil.rmtree(photos.folder / "images" / "test")
    with pytest.raises(InputError, match=r"None of the 5 test photos .* images/test/1.jpg"):
        extract.extract(RECIPE, photos, tmp_path / "store")
    assert network.seen == 0 and not (tmp_path / "store").exists()


def test_a_split_of_unreadable_photos_is_refused_and_tried_again_when_mended(photos, network, tmp_path):
    kept = {name: file_of(photos, "test", name).read_bytes() for name in photos["test"].ids}
    for name in kept:
        file_of(photos, "test", name).write_bytes(b"GIF89a")
    with pytest.raises(InputError, match="No photo of the test split can be read"):
        extract.extract(RECIPE, photos, tmp_path / "store")
    assert not [name for name in shards(tmp_path / "store") if name.startswith("test")]
    for name, data in kept.items():
        file_of(photos, "test", name).write_bytes(data)
    extract.extract(RECIPE, photos, tmp_path / "store")
    assert store.read_split(tmp_path / "store" / "test", photos["test"].ids).ids == photos["test"].ids


def test_a_train_split_of_unreadable_photos_is_refused_before_anything_is_written(photos, network, tmp_path):
    for name in photos["train"].ids:
        file_of(photos, "train", name).write_bytes(b"")
    with pytest.raises(InputError, match=r"No photo of .* can be read"):
        extract.extract(RECIPE, photos, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("broken_at", [1, 5, 13, 23])
def test_an_interrupted_job_goes_on_where_it_stopped(broken_at, photos, network, tmp_path, monkeypatch):
    spoil(photos)
    extract.extract(RECIPE, photos, tmp_path / "whole")

    def interrupted(path, size, decode=extract._photo):
        nonlocal broken_at
        broken_at -= 1
        if not broken_at:
            raise KeyboardInterrupt
        return decode(path, size)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(extract, "_photo", interrupted)
        patched.setattr(extract, "_choice", lambda *_: runtimes.Choice("keras", "float32"))
        extract.extract(RECIPE, photos, tmp_path / "store")
    finished = shards(tmp_path / "store")
    network.seen = 0
    extract.extract(RECIPE, photos, tmp_path / "store")
    assert shards(tmp_path / "store") == shards(tmp_path / "whole")
    assert network.seen == 20 - sum(store.readable(tmp_path / "whole" / name) for name in finished)


DRIVER = """
import pathlib, sys, time
from mlob.data import annotations
from mlob.features import backbones, extract, runtimes, store, weights
from mlob.recipes import FeatureSet

class Network:
    count_params = lambda self: 7

def run(photos):
    rows = []
    for photo in photos:
        time.sleep(0.01)
        rows.append(photo.mean(axis=(0, 1)))
    import numpy as np
    return np.array(rows, np.float32).reshape(-1, 3)

store.SLICE = 2
extract.load_keras = lambda: None
weights.network = lambda features, source: Network()
backbones.extractor = lambda network, features: network
runtimes.choose = lambda *_: runtimes.Choice("keras", "float32")
runtimes.run = lambda choice, model: run

def make(job, *others, make=extract._make_shard):
    print("again" if job.path.exists() else "new", job.path.name, flush=True)
    make(job, *others)

extract._make_shard = make
dataset = annotations.read(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
extract.extract(FeatureSet("mobilenet", weights="random"), dataset, pathlib.Path(sys.argv[2]))
"""


def test_kill_9_at_any_moment_costs_no_finished_shard_and_no_byte(drawn, tmp_path):
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    generator, printed, killed = random.Random(0), [], 0

    def job(folder, seconds=None):
        nonlocal killed
        command = [sys.executable, driver, drawn, folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            if seconds is not None:
                time.sleep(seconds)
                process.send_signal(signal.SIGKILL)
            printed.append(process.stdout.read())
        killed += process.returncode == -signal.SIGKILL
        return process.returncode

    assert job(tmp_path / "whole") == 0
    for _ in range(6):
        job(tmp_path / "store", generator.uniform(0, 0.15))
    assert killed >= 3
    assert job(tmp_path / "store") == 0
    assert shards(tmp_path / "store") == shards(tmp_path / "whole")
    assert "again" not in "".join(printed)
    assert not [name for name in os.listdir(tmp_path / "store") if ".part" in name]


def test_what_killed_jobs_left_half_written_is_removed(photos, network, tmp_path):
    extract.extract(RECIPE, photos, tmp_path / "store")
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    for path in (tmp_path / "store" / "extraction.json", tmp_path / "store" / "train" / "00000.h5"):
        part = path.with_name(f".{path.stem}.{socket.gethostname()}.{dead.pid}.part{path.suffix}")
        part.write_text("half")
    extract.plan(RECIPE, photos, tmp_path / "store")
    assert not [path for path in (tmp_path / "store").rglob(".*")]


def test_what_is_there_decides_on_runtime_and_precision(photos, network, tmp_path, monkeypatch):
    monkeypatch.setattr(runtimes, "choose", lambda *_: runtimes.Choice("openvino", "bfloat16"))
    extract.extract(RECIPE, photos, tmp_path / "store")
    whole = shards(tmp_path / "store")
    (tmp_path / "store" / "train" / "00002.h5").unlink()
    monkeypatch.setattr(runtimes, "choose", lambda *_: pytest.fail("chose again"))
    extract.extract(RECIPE, photos, tmp_path / "store")
    assert shards(tmp_path / "store") == whole


OTHERS = {
    "backbone": FeatureSet("resnet50", weights="random"),
    "layer": FeatureSet("mobilenet", weights="random", layer="conv_pw_5_relu"),
    "pool": FeatureSet("mobilenet", weights="random", pool="blocks"),
    "runtime": FeatureSet("mobilenet", weights="random", runtime="openvino"),
    "precision": FeatureSet("mobilenet", weights="random", precision="bfloat16"),
}


@pytest.mark.parametrize("field", OTHERS)
def test_a_store_of_another_recipe_is_refused_by_field(field, photos, network, tmp_path):
    extract.extract(RECIPE, photos, tmp_path / "store")
    with pytest.raises(InputError, match=f"was made with {field} .*Remove {tmp_path / 'store'} and run"):
        extract.extract(OTHERS[field], photos, tmp_path / "store")


def test_a_store_of_another_size_or_of_other_weights_is_refused(photos, network, tmp_path, monkeypatch):
    small, large = (FeatureSet("resnet50", size, weights="random") for size in ("small", "large"))
    extract.extract(small, photos, tmp_path / "store")
    with pytest.raises(InputError, match="size 224, but 299"):
        extract.extract(large, photos, tmp_path / "store")
    monkeypatch.setattr(weights, "random", lambda: weights.Source("random", None, "another digest"))
    with pytest.raises(InputError, match=r"weights .* but 'another digest'"):
        extract.extract(small, photos, tmp_path / "store")


def test_downloaded_weights_other_than_those_of_the_shards_there_are_refused(photos, network, tmp_path, monkeypatch):
    """A store begun with WEIGHTS= and gone on with without: the digest is known only after the download."""
    imagenet = FeatureSet("mobilenet")
    monkeypatch.setattr(weights, "at_hand", lambda *_: weights.Source("mine.weights.h5", None, "mine"))
    extract.extract(imagenet, photos, tmp_path / "store")
    (tmp_path / "store" / "test" / "00000.h5").unlink()
    before = shards(tmp_path / "store")
    monkeypatch.setattr(weights, "at_hand", lambda *_: None)
    monkeypatch.setattr(weights, "download", lambda *_: weights.Source("imagenet", None, "Keras's"))
    with pytest.raises(InputError, match="weights 'mine', but \"Keras's\""):
        extract.extract(imagenet, photos, tmp_path / "store")
    assert shards(tmp_path / "store") == before


def test_random_weights_stand_in_where_they_may_and_are_known_again(photos, network, tmp_path, monkeypatch, capsys):
    def unreachable(features):
        raise weights.Unreachable("Keras's host does not answer.")

    monkeypatch.setattr(weights, "at_hand", lambda *_: None)
    monkeypatch.setattr(weights, "download", unreachable)
    with pytest.raises(InputError, match="does not answer"):
        extract.extract(FeatureSet("mobilenet"), photos, tmp_path / "store")
    extract.extract(FeatureSet("mobilenet"), photos, tmp_path / "store", random_fallback=True)
    assert "RANDOM weights for mobilenet" in capsys.readouterr().err
    assert extract.log(tmp_path / "store")["weights"] == "random"
    assert not extract.plan(FeatureSet("mobilenet"), photos, tmp_path / "store").jobs


def test_a_dry_run_tells_photos_weights_and_the_time_at_the_measured_rate(photos, network, tmp_path):
    told = extract.plan(RECIPE, photos, tmp_path / "store").text(RECIPE)
    assert told == "24 photos through mobilenet (weights: random), no rate measured yet"
    extract.extract(RECIPE, photos, tmp_path / "store")
    log = json.loads((tmp_path / "store" / "extraction.json").read_text())
    log["seconds"] = dict.fromkeys(log["seconds"], 1.0)  # 24 photos in 9 shards
    (tmp_path / "store" / "extraction.json").write_text(json.dumps(log))
    (tmp_path / "store" / "train" / "00000.h5").unlink()
    told = extract.plan(RECIPE, photos, tmp_path / "store").text(RECIPE)
    assert told.startswith("3 photos") and told.endswith("about 1 s at the measured 2.7 photos/s")


def test_features_beyond_float16_are_its_largest_numbers(photos):
    paths = photos.photos("test")
    shard = extract.slice_features(
        photos["test"].ids, paths, lambda images: np.array([[1e9, -1e9] for _ in images], np.float32), 224
    )
    assert np.isfinite(shard.features).all() and abs(shard.features).min() == np.finfo(np.float16).max


def test_at_most_ahead_results_wait_and_all_come_in_order(monkeypatch):
    monkeypatch.setattr(extract, "AHEAD", 4)
    started = []

    def slow(item):
        started.append(item)
        time.sleep(0.001 * (item % 3))
        return item

    for taken, item in enumerate(extract._ahead(slow, range(40))):
        assert item == taken and len(started) <= taken + 4
        time.sleep(0.002)
    assert len(started) == 40


def test_new_photos_are_extracted_once_under_whatever_name(photos, network, tmp_path, monkeypatch):
    found = extract.fingerprint(RECIPE, weights.random(), runtimes.Choice("keras", "float32"))
    paths = {f"digest {number}": path for number, path in enumerate(photos.photos("test"))}
    rows, failures = extract.extract_new(RECIPE, found, paths, tmp_path / "new")
    assert set(rows) == set(paths) and network.seen == 5 and not failures
    spoil(photos)
    more = {**paths, "digest 9": file_of(photos, "test", "3")}
    again, failures = extract.extract_new(RECIPE, found, more, tmp_path / "new")
    assert network.seen == 5 and failures == {"digest 9": "empty file"}
    before = shards(tmp_path / "new")
    extract.extract_new(RECIPE, found, more, tmp_path / "new")
    assert shards(tmp_path / "new") == before
    assert all(again[name].tobytes() == rows[name].tobytes() for name in paths)
    with pytest.raises(InputError, match="other weights of mobilenet"):
        extract.extract_new(RECIPE, found | {"weights": "others"}, paths, tmp_path / "new")

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from mlob import files
from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.features import decoding, extract, log, new_photos, runtimes, store, table, weights
from mlob.recipes import FeatureSet
from mlob.training import batches

pytestmark = pytest.mark.slow

RECIPE = FeatureSet("mobilenet", weights="random")


def run(recipe, photos, folder, **others):
    """Extract one feature set."""
    return extract.extract({"set": (recipe, folder)}, photos, **others)


def planned(photos, folder, recipe=RECIPE):
    return extract.plan({"set": (recipe, folder)}, photos)["set"]


def file_of(photos, split, name):
    return photos.folder / "images" / split / f"{name}.png"


def test_rows_are_the_readable_photos_in_annotation_order_and_the_rest_have_a_reason(photos, network, tmp_path, spoil):
    broken = spoil(photos)
    run(RECIPE, photos, tmp_path / "store")
    assert network.seen == 24 - 4
    for split, reasons in broken.items():
        found = batches.read([tmp_path / "store"], photos[split])
        failures = table.locate(tmp_path / "store", photos[split]).failures
        assert found.ids.tolist() == [name for name in photos[split].ids if name not in reasons]
        assert found.features[:].dtype == np.float16 and found.features.shape == (len(found.ids), 6)
        assert set(failures) == set(reasons)
        assert all(failures[name].startswith(reason) for name, reason in reasons.items())


def test_photos_without_features_are_told_with_count_and_reason_each_time(photos, network, tmp_path, capsys, spoil):
    spoil(photos)
    file_of(photos, "train", "7").unlink()
    sets = {name: (RECIPE, tmp_path / name) for name in ("one", "other")}
    for _ in range(2):
        extract.extract(sets, photos)
        told = capsys.readouterr().err
        assert told.count("3 of 12 train photos have no features: no file 2, not decoded") == 1
        assert told.count("1 of 7 validation photos have no features: blank") == 1


def test_where_all_photos_have_features_no_loss_is_told(photos, network, tmp_path, capsys):
    run(RECIPE, photos, tmp_path)
    assert "no features" not in capsys.readouterr().err


def test_features_are_those_of_the_photo_of_that_id(photos, network, tmp_path):
    run(RECIPE, photos, tmp_path / "store")
    found = batches.read([tmp_path / "store"], photos["test"])
    features = found.features[:]
    for row, name in enumerate(found.ids):
        pixels = np.asarray(Image.open(file_of(photos, "test", name)))[:, :, 0] / 255
        white = (224 - 168) / 2  # rows above a photo of 4 to 3
        expected = (pixels[:12].mean() * (112 - white) + white) / 112
        assert features[row, 0] == pytest.approx(expected, abs=0.01)


def test_a_rerun_computes_nothing_and_a_second_store_has_the_same_bytes(photos, network, tmp_path, spoil, shards):
    spoil(photos)
    run(RECIPE, photos, tmp_path / "one")
    before, seen = shards(tmp_path / "one"), network.seen
    run(RECIPE, photos, tmp_path / "one")
    assert network.seen == seen and shards(tmp_path / "one") == before
    assert planned(photos, tmp_path / "one").summary(RECIPE) == "complete"
    run(RECIPE, photos, tmp_path / "two")
    assert shards(tmp_path / "two") == before
    assert set(before) == {f"0001/0000{number}.h5" for number in range(4 + 3 + 2)}  # no slice is of two splits


def test_a_photo_that_has_come_since_is_extracted_and_no_other_shard_is_touched(
    photos, network, tmp_path, shards, rows
):
    missing = file_of(photos, "train", "5")
    kept = missing.read_bytes()
    run(RECIPE, photos, tmp_path / "whole")
    missing.unlink()
    without = read_dataset(photos.folder)
    run(RECIPE, without, tmp_path / "late")
    assert table.locate(tmp_path / "late", without["train"]).failures == {"5": "no file"}
    before = shards(tmp_path / "late")
    missing.write_bytes(kept)
    network.seen = 0
    run(RECIPE, photos, tmp_path / "late")
    after = shards(tmp_path / "late")
    assert network.seen == 1 and after.keys() - before.keys() == {"0002/00000.h5"} and before.items() <= after.items()
    assert rows(tmp_path / "late", photos) == rows(tmp_path / "whole", photos)


def test_a_split_without_photos_is_refused_before_anything_is_written(photos, network, tmp_path):
    shutil.rmtree(photos.folder / "images" / "test")
    with pytest.raises(InputError, match=r"None of the 5 test photos .* images/test/1.jpg, images/1.jpg\)"):
        run(RECIPE, photos, tmp_path / "store")
    assert network.seen == 0 and not (tmp_path / "store").exists()


def test_a_split_of_unreadable_photos_is_refused_and_tried_again_when_mended(photos, network, tmp_path):
    kept = {name: file_of(photos, "test", name).read_bytes() for name in photos["test"].ids}
    for name in kept:
        file_of(photos, "test", name).write_bytes(b"GIF89a")
    with pytest.raises(InputError, match="No photo of the test split can be read"):
        run(RECIPE, photos, tmp_path / "store")
    for name, data in kept.items():
        file_of(photos, "test", name).write_bytes(data)
    run(RECIPE, read_dataset(photos.folder), tmp_path / "store")
    assert batches.read([tmp_path / "store"], photos["test"]).ids.tolist() == [*photos["test"].ids]


def test_a_train_split_of_unreadable_photos_is_refused_before_anything_is_written(photos, network, tmp_path):
    for name in photos["train"].ids:
        file_of(photos, "train", name).write_bytes(b"")
    with pytest.raises(InputError, match=r"No photo of .* can be read"):
        run(RECIPE, photos, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("broken_at", [1, 5, 13, 23])
def test_an_interrupted_job_goes_on_where_it_stopped(broken_at, photos, network, tmp_path, monkeypatch, spoil, shards):
    spoil(photos)
    run(RECIPE, photos, tmp_path / "whole")

    def interrupted(place, size, views, decode=decoding.photo):
        nonlocal broken_at
        broken_at -= 1
        if not broken_at:
            raise KeyboardInterrupt
        return decode(place, size, views)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(extract, "_sample", lambda *_: None)
        patched.setattr(decoding, "photo", interrupted)
        run(RECIPE, photos, tmp_path / "store")
    finished = shards(tmp_path / "store")
    network.seen = 0
    run(RECIPE, photos, tmp_path / "store")
    assert shards(tmp_path / "store") == shards(tmp_path / "whole")
    assert network.seen == 20 - sum(len(store.read(tmp_path / "whole" / name).ids) for name in finished)


DRIVER = """
import pathlib, sys, time
import numpy as np
from mlob.data.dataset import read_dataset
from mlob.features import extract, forms, log, pipeline, runtimes, store, weights
from mlob.recipes import FeatureSet


class Network:
    batch, is_on_gpu, finish = 1, False, None
    count_params = lambda self: 7

    def __call__(self, photos):
        time.sleep(0.01 * len(photos))
        return np.reshape([photo.mean(axis=(0, 1)) for photo in photos], (-1, 3)).astype("float32")

store.SLICE = 2
extract.load_keras = lambda: None
forms.Forms.model = forms.Forms.runner = lambda *_: Network()
runtimes.choose = lambda *_: runtimes.Choice("keras", "float32")

def write(path, *others, write=store.write):
    print("again" if path.exists() else "new", path.name, flush=True)
    write(path, *others)

store.write = write
dataset = read_dataset(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
extract.extract({"set": (FeatureSet("mobilenet", weights="random"), pathlib.Path(sys.argv[2]))}, dataset)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_costs_no_finished_shard_and_no_byte(drawn, tmp_path, shards):
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
    for part in (tmp_path / "store").rglob(".*.part*"):
        os.utime(part, (0, 0))
    assert job(tmp_path / "store") == 0
    assert shards(tmp_path / "store") == shards(tmp_path / "whole")
    assert "again" not in "".join(printed)
    assert not [name for name in os.listdir(tmp_path / "store") if ".part" in name]


def test_what_killed_jobs_left_half_written_is_removed(photos, network, tmp_path):
    run(RECIPE, photos, tmp_path / "store")
    for path in (tmp_path / "store" / "fingerprint.json", tmp_path / "store" / "0001" / "00000.h5"):
        part = files.part_path(path)
        part.write_text("half")
        os.utime(part, (0, 0))
    planned(photos, tmp_path / "store")
    assert not [path for path in (tmp_path / "store").rglob(".*")]


def test_what_is_there_decides_on_runtime_and_precision(photos, network, tmp_path, monkeypatch, shards):
    monkeypatch.setattr(runtimes, "choose", lambda *_: runtimes.Choice("openvino", "bfloat16"))
    run(RECIPE, photos, tmp_path / "store")
    whole = shards(tmp_path / "store")
    (tmp_path / "store" / "0001" / "00002.h5").unlink()
    monkeypatch.setattr(runtimes, "choose", lambda *_: pytest.fail("chose again"))
    run(RECIPE, photos, tmp_path / "store")
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
    run(RECIPE, photos, tmp_path / "store")
    with pytest.raises(InputError, match=f"was made with {field} .*Remove {tmp_path / 'store'} and run"):
        run(OTHERS[field], photos, tmp_path / "store")


def test_a_store_of_another_size_or_of_other_weights_is_refused(photos, network, tmp_path, monkeypatch):
    small, large = (FeatureSet("resnet50", size, weights="random") for size in ("small", "large"))
    run(small, photos, tmp_path / "store")
    with pytest.raises(InputError, match="size 224, but 299"):
        run(large, photos, tmp_path / "store")
    monkeypatch.setattr(weights, "random", lambda: weights.Source("random", None, "another digest"))
    with pytest.raises(InputError, match=r"weights .* but 'another digest'"):
        run(small, photos, tmp_path / "store")


def test_downloaded_weights_other_than_those_of_the_shards_there_are_refused(
    photos, network, tmp_path, monkeypatch, shards
):
    """A store begun with WEIGHTS= and gone on with without: the digest is known only after the download."""
    imagenet = FeatureSet("mobilenet")
    monkeypatch.setattr(weights, "at_hand", lambda *_: weights.Source("mine.weights.h5", None, "mine"))
    run(imagenet, photos, tmp_path / "store")
    (tmp_path / "store" / "0001" / "00007.h5").unlink()
    before = shards(tmp_path / "store")
    monkeypatch.setattr(weights, "at_hand", lambda *_: None)
    monkeypatch.setattr(weights, "download", lambda *_: weights.Source("imagenet", None, "Keras's"))
    with pytest.raises(InputError, match="weights 'mine', but \"Keras's\""):
        run(imagenet, photos, tmp_path / "store")
    assert shards(tmp_path / "store") == before


def test_random_weights_stand_in_where_they_may_and_are_known_again(photos, network, tmp_path, monkeypatch, capsys):
    def unreachable(features):
        raise weights.Unreachable("Keras's host does not answer.")

    monkeypatch.setattr(weights, "at_hand", lambda *_: None)
    monkeypatch.setattr(weights, "download", unreachable)
    with pytest.raises(InputError, match="does not answer"):
        run(FeatureSet("mobilenet"), photos, tmp_path / "store")
    run(FeatureSet("mobilenet"), photos, tmp_path / "store", random_fallback=True)
    assert "RANDOM weights for mobilenet" in capsys.readouterr().err
    assert log.read(tmp_path / "store").weights == "random"
    assert not planned(photos, tmp_path / "store", FeatureSet("mobilenet")).photos


def test_a_dry_run_tells_photos_weights_and_the_time_at_the_measured_rate(photos, network, tmp_path):
    told = planned(photos, tmp_path / "store").summary(RECIPE)
    assert told == "24 photos through mobilenet (weights: random), no rate measured yet"
    run(RECIPE, photos, tmp_path / "store")
    for path in (tmp_path / "store").glob("*/*.json"):  # 24 photos in 9 shards
        note = json.loads(path.read_text())
        path.write_text(json.dumps(note | {"seconds": {"read": 0.25, "forward": 0.5, "write": 0.25}}))
    (tmp_path / "store" / "0001" / "00000.h5").unlink()
    told = planned(photos, tmp_path / "store").summary(RECIPE)
    assert told.startswith("3 photos") and told.endswith("about 1 s at the measured 2.7 photos/s")


def test_new_photos_are_extracted_once_under_whatever_name(photos, network, tmp_path, monkeypatch, spoil, shards):
    found, mark = tmp_path / "store", extract.fingerprint(RECIPE, weights.random(), runtimes.Choice("keras", "float32"))
    store.declare(found, mark)
    paths = {f"digest {number}": path for number, path in enumerate(photos.photos("test"))}
    rows, failures = new_photos.extract(RECIPE, found, paths, tmp_path / "new")
    assert set(rows) == set(paths) and network.seen == 5 and not failures
    spoil(photos)
    more = {**paths, "digest 9": file_of(photos, "test", "3")}
    again, failures = new_photos.extract(RECIPE, found, more, tmp_path / "new")
    assert network.seen == 5 and failures == {"digest 9": "empty file"}
    before = shards(tmp_path / "new")
    new_photos.extract(RECIPE, found, more, tmp_path / "new")
    assert shards(tmp_path / "new") == before
    assert all(again[name].tobytes() == rows[name].tobytes() for name in paths)
    store.declare(tmp_path / "others", dataclasses.replace(mark, weights="others"))
    with pytest.raises(InputError, match="other weights of mobilenet"):
        new_photos.extract(RECIPE, tmp_path / "others", paths, tmp_path / "new")


@pytest.mark.parametrize("parts", [2, 3, 20])
def test_parts_made_apart_give_the_store_of_one_process(parts, photos, network, tmp_path, capsys, spoil, shards):
    spoil(photos)
    run(RECIPE, photos, tmp_path / "whole")
    seen = network.seen
    for number in range(parts, 0, -1):
        run(RECIPE, photos, tmp_path / "parts", part=(number, parts))
    assert shards(tmp_path / "parts") == shards(tmp_path / "whole")
    assert network.seen == 2 * seen  # no photo twice
    assert "the same command makes them" in capsys.readouterr().err


def test_a_part_takes_the_same_slices_whatever_others_have_made_meanwhile(photos, network, tmp_path, shards):
    run(RECIPE, photos, tmp_path / "store", part=(1, 2))
    first = set(shards(tmp_path / "store"))
    run(RECIPE, photos, tmp_path / "store", part=(1, 2))
    assert set(shards(tmp_path / "store")) == first


def test_two_workers_on_the_same_slices_do_no_harm(photos, network, tmp_path, shards):
    run(RECIPE, photos, tmp_path / "whole")

    def twice(work, slices, advance):
        work(slices, lambda count: None)
        work(slices, advance)

    run(RECIPE, photos, tmp_path / "twice", run=twice)
    assert shards(tmp_path / "twice") == shards(tmp_path / "whole")


def test_of_two_processes_that_begin_a_store_the_first_settles_precision(photos, network, tmp_path, monkeypatch):
    """Each measures for itself, and two measurements may disagree."""
    first = extract.fingerprint(RECIPE, weights.random(), runtimes.Choice("openvino", "bfloat16"))

    def choose(*_):
        store.declare(tmp_path / "store", first)  # the other one was faster
        return runtimes.Choice("openvino", "float32")

    monkeypatch.setattr(runtimes, "choose", choose)
    run(RECIPE, photos, tmp_path / "store")
    assert store.header(tmp_path / "store" / "0001" / "00000.h5").fingerprint == first


def test_clocks_hours_apart_change_nothing(photos, network, tmp_path, shards):
    run(RECIPE, photos, tmp_path / "store")
    before, seen = shards(tmp_path / "store"), network.seen
    for hours, path in enumerate(sorted((tmp_path / "store").rglob("*.*"))):
        os.utime(path, (3600 * hours, 3600 * hours))
    run(RECIPE, photos, tmp_path / "store")
    assert shards(tmp_path / "store") == before and network.seen == seen


def test_several_feature_sets_are_made_at_once_and_each_is_as_if_made_alone(photos, network, tmp_path, shards):
    recipes = {"plain": RECIPE, "flip": FeatureSet("mobilenet", weights="random", view="flip")}
    for name, recipe in recipes.items():
        run(recipe, photos, tmp_path / "alone" / name)
    extract.extract({name: (recipe, tmp_path / name) for name, recipe in recipes.items()}, photos)
    for name in recipes:
        assert shards(tmp_path / name) == shards(tmp_path / "alone" / name)
    assert shards(tmp_path / "plain") != shards(tmp_path / "flip")


def test_the_three_times_are_told(photos, network, tmp_path, capsys):
    run(RECIPE, photos, tmp_path / "store")
    assert re.search(r"set: .* s waiting for photos, .* s in the network, .* s writing", capsys.readouterr().err)


def test_the_times_that_are_told_are_of_the_shards_just_made(photos, network, tmp_path, capsys):
    run(RECIPE, photos, tmp_path / "store")
    for path in (tmp_path / "store").glob("*/[0-9]*.json"):
        note = json.loads(path.read_text())
        path.write_text(json.dumps(note | {"seconds": {"read": 1e6, "forward": 1e6, "write": 1e6}}))
    (tmp_path / "store" / "0001" / "00000.h5").unlink()
    capsys.readouterr()
    run(RECIPE, photos, tmp_path / "store")
    told = re.findall(r"(\S+) s (?:waiting|in the|writing)", capsys.readouterr().err)
    assert len(told) == 3 and all(0 <= float(seconds) < 1000 for seconds in told)


@pytest.mark.parametrize("name", ["fingerprint.json", "0001/00000.json"])
@pytest.mark.parametrize(
    "content", ["", "5", "[]", "{}", "null", '{"backbone": 5}', '{"photos": 1, "seconds": []}', "{"]
)
def test_a_product_of_another_shape_is_named_with_the_mend_which_mends_it(
    name, content, photos, network, tmp_path, shards
):
    run(RECIPE, photos, tmp_path / "store")
    before, path = shards(tmp_path / "store"), tmp_path / "store" / name
    path.write_text(content)
    with pytest.raises(InputError, match=rf"{name} .*: remove it and run the same command again"):
        run(RECIPE, photos, tmp_path / "store")
    path.unlink()
    run(RECIPE, photos, tmp_path / "store")
    assert shards(tmp_path / "store") == before


@pytest.mark.parametrize("broken", ["0001/00000.h5", "0001/00008.h5"])
def test_a_shard_that_cannot_be_written_stops_the_job(broken, photos, network, tmp_path, monkeypatch):
    """Shards are written beside the computation; what the writer meets is met by the job, in whichever slice."""

    def write(path, *others, write=store.write):
        if path == tmp_path / "store" / broken:
            raise InputError("The disk is full.")
        write(path, *others)

    monkeypatch.setattr(store, "write", write)
    with pytest.raises(InputError, match="disk is full"):
        run(RECIPE, photos, tmp_path / "store")
    assert not (tmp_path / "store" / broken).exists()

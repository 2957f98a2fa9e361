"""Models that leave: in every format they answer as mlob does, or no file stays."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from benchmarks import exported
from mlob.data import images
from mlob.ensemble import graphs
from mlob.ensemble.means import Mean
from mlob.ensemble.methods import Decision
from mlob.errors import InputError
from mlob.evaluation.scores import Score
from mlob.exports import checking, export, formats, parts
from mlob.feature_sets import FeatureSet, Text
from mlob.features import pixels, store
from mlob.features.fingerprint import Fingerprint
from mlob.labels import Labels

FEATURES = FeatureSet("pixels", size="tiny", pool="grid")
LABELS = Labels((7, 8, 9), ("red", "blue", "dress"), ("colour", "colour", "kind"), ids_are_own=True)


def network(seed):
    """A small network from photos to three probabilities."""
    keras.utils.set_random_seed(seed)
    photos = keras.Input((96, 96, 3), dtype="uint8", name="photos")
    x = keras.layers.Conv2D(4, 8, strides=8, activation="relu")(keras.ops.cast(photos, "float32") / 255)
    return keras.Model(photos, keras.layers.Dense(3, activation="sigmoid")(keras.layers.GlobalMaxPooling2D()(x)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs, what knows how their store was made, and photos; one of them is broken and one blank."""
    folder, generator = tmp_path_factory.mktemp("exports"), np.random.default_rng(0)
    for seed, name in enumerate(("one", "two")):
        (folder / name).mkdir()
        network(seed).save(folder / name / "head.keras")
    source, choice = pixels.source(FEATURES), pixels.Pixels(FEATURES).choice
    made = (images.DECODER, source.digest, choice.runtime, choice.precision, None)
    store.declare(folder / "store", Fingerprint("pixels", 96, "last", "grid", "whole", 1, *made))
    (folder / "photos").mkdir()
    for number, (height, width) in enumerate([(70, 90), (120, 100), (96, 96), (300, 80), (40, 50)]):
        noise = generator.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"photos/{number}.png")
    Image.new("RGB", (50, 50), "red").save(folder / "photos/5.png")
    (folder / "photos/6.png").write_bytes(b"no photo")
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    blend = Mean(np.array([0.25, 0.75]))
    thresholds = np.float32([0.5, 0.5, 0.7])
    return parts.Whole(
        name="ensemble",
        runs={name: folder / name for name in ("one", "two")},
        reads={name: ("pixels",) for name in ("one", "two")},
        stores={"pixels": parts.Store(FEATURES, folder / "store", None)},
        decision=Decision(blend, thresholds, np.array([0, 0, -1])),
        method="mean, 0.5",
        labels=LABELS,
        scores={"micro_f1": Score(0.9, 0.8, 0.95, 0.91)},
        metric="micro_f1",
        title="micro-F1",
        commit=None,
    )


@pytest.fixture
def leave(folder, whole, tmp_path):
    places = sorted((folder / "photos").iterdir())

    def leave(name, whole=whole):
        made = tmp_path / "export" / name
        return made, export.export(made, name, formats.check(name), whole, places, tmp_path / "features")

    return leave


@pytest.mark.slow
@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_model_that_has_left_answers_without_mlob_as_its_readme_shows(leave, whole, folder, name):
    made, about = leave(name)
    assert sorted(path.name for path in made.iterdir()) == sorted(
        [*formats.FORMATS[name].files, "README.md", "labels.json"]
    )
    assert about["checked"]["same pixels"]["photos"] == 4 and about["one_each"] == [[0, 1]]
    transparent = Image.open(folder / "photos/1.png")
    transparent.putalpha(Image.linear_gradient("L").resize(transparent.size))
    transparent.save(made / "photo.jpg", "PNG")  # Pillow goes by what a file holds
    (script,) = re.findall(r"```python\n(.*?)```", (made / "README.md").read_text("utf-8"), re.DOTALL)
    (made / "call.py").write_text(script)
    command = [sys.executable, "-I", "-P", "call.py"]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=True)
    said = eval(done.stdout)
    photo = images.decode((made / "photo.jpg").read_bytes(), 96)[np.newaxis]
    members = np.stack([np.asarray(network(seed)(photo)) for seed in range(2)])
    (expected,) = whole.decision.probabilities(members)
    given = np.flatnonzero(whole.decision(members)[0])
    assert said == pytest.approx({LABELS.names[column]: expected[column] for column in given}, abs=1e-4)


@pytest.mark.slow
def test_the_benchmark_labels_photos_by_what_has_left_and_leaves_out_what_it_cannot_read(leave, whole, folder):
    made, _ = leave("keras")
    photos = {path.stem: str(path) for path in sorted((folder / "photos").glob("[0126].png"))}
    given = exported.labelled(made, photos)["given"]
    assert sorted(given) == ["0", "1", "2"]
    for name, labels in given.items():
        photo = images.decode(pathlib.Path(photos[name]).read_bytes(), 96)[np.newaxis]
        members = np.stack([np.asarray(network(seed)(photo)) for seed in range(2)])
        assert labels == [str(LABELS.ids[column]) for column in np.flatnonzero(whole.decision(members)[0])]


def test_what_has_left_is_known_again_until_it_changes(leave, whole):
    made, about = leave("keras")
    form = formats.FORMATS["keras"]
    assert json.loads((made / "labels.json").read_text("utf-8"))["identity"] == about["identity"]
    assert export.is_done(made, whole, form)
    other = dataclasses.replace(
        whole, decision=dataclasses.replace(whole.decision, thresholds=np.float32([0.5, 0.5, 0.6]))
    )
    assert not export.is_done(made, other, form)
    (made / "model.keras").unlink()
    assert not export.is_done(made, whole, form)


def test_a_model_that_answers_otherwise_does_not_stay_and_the_photos_are_named(leave, monkeypatch):
    monkeypatch.setitem(graphs.GRAPHS, Mean, lambda blend, members: members[0])
    with pytest.raises(
        InputError, match=r"otherwise than mlob on \d of 4 photos: \d\.png by 0\.\d+ \((red|blue|dress)\)"
    ):
        leave("keras")


def test_a_model_that_is_refused_leaves_what_was_there_and_no_part(leave, monkeypatch):
    made, _ = leave("keras")
    before = {path: path.read_bytes() for path in made.rglob("*.*")}
    monkeypatch.setitem(graphs.GRAPHS, Mean, lambda blend, members: members[1] * 0)
    with pytest.raises(InputError, match="No file stays"):
        leave("keras")
    assert {path: path.read_bytes() for path in made.parent.rglob("*.*") if path.is_file()} == before


def test_other_decisions_are_refused_even_where_probabilities_are_near():
    wanted = checking.Answers(np.float32([[0.5]]), np.uint8([[1]]))
    found = checking.Answers(np.float32([[0.49999]]), np.uint8([[0]]))
    with pytest.raises(InputError, match=r"a.png by 1e-05 \(red\)"):
        checking.refuse([pathlib.Path("a.png")], wanted, found, ["red"])
    checking.refuse([pathlib.Path("a.png")], wanted, wanted, ["red"])
    with pytest.raises(InputError, match="gives 2 probabilities, and there are 1"):
        checking.refuse([pathlib.Path("a.png")], wanted, checking.Answers(np.zeros((1, 2)), np.zeros((1, 2))), ["red"])
    with pytest.raises(InputError, match="by 1 "):
        checking.refuse(
            [pathlib.Path("a.png")], wanted, checking.Answers(np.float32([[np.nan]]), wanted.decided), ["red"]
        )


def test_photos_that_cannot_be_read_or_are_tall_are_not_tried(folder):
    places = sorted((folder / "photos").iterdir())
    assert {place.name for place in checking.chosen(places, 96)} == {"0.png", "1.png", "2.png", "4.png"}
    with pytest.raises(InputError, match="None of 2 photos can be read"):
        checking.chosen([folder / "photos/3.png", folder / "photos/5.png"], 96)
    many = [folder / f"photos/{number % 3}.png" for number in range(99)]
    assert len(checking.chosen(many, 96)) <= checking.COUNT


@pytest.mark.parametrize(
    "feature_set, told",
    [
        (FeatureSet("text", text=Text()), "is of the texts"),
        (FeatureSet("file:encoder.onnx"), "made by another program"),
    ],
)
def test_features_that_no_network_makes_of_a_photo_stay(whole, feature_set, told):
    stores = {"pixels": dataclasses.replace(whole.stores["pixels"], feature_set=feature_set)}
    with pytest.raises(InputError, match=told):
        parts.check(dataclasses.replace(whole, stores=stores))


def test_equal_photos_are_asked_about_once_and_answered_each(folder, whole, tmp_path):
    photo = folder / "photos/0.png"
    copy = tmp_path / "copy.png"
    copy.write_bytes(photo.read_bytes())
    members, _ = parts.loaded(whole)
    found = checking.as_predicted(whole, members, [photo, folder / "photos/1.png", copy], tmp_path / "features")
    assert len(found.probabilities) == len(found.decided) == 3
    assert (found.probabilities[0] == found.probabilities[2]).all()
    assert (found.probabilities[0] != found.probabilities[1]).any()


def test_a_store_that_nothing_counting_reads_is_no_hindrance(whole):
    text = parts.Store(FeatureSet("text", text=Text()), pathlib.Path("none"), None)
    reads = {"one": ("text",), "two": ("pixels",)}
    decision = dataclasses.replace(whole.decision, blend=Mean(np.array([0.0, 1.0])))
    parts.check(dataclasses.replace(whole, stores=whole.stores | {"text": text}, reads=reads, decision=decision))


def test_a_blend_that_is_no_sum_of_products_stays(whole):
    decision = dataclasses.replace(whole.decision, blend=_Other())
    with pytest.raises(InputError, match=r"cannot leave mlob.*ensemble\.methods"):
        parts.check(dataclasses.replace(whole, decision=decision))


class _Other:
    weights = None


def test_a_format_whose_packages_are_missing_is_refused_with_what_brings_them(monkeypatch):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else True)
    with pytest.raises(InputError, match=re.escape('needs tf2onnx, not installed: `pip install "mlob[onnx]"`')):
        formats.check("onnx")
    assert formats.check("keras") is formats.FORMATS["keras"]


def test_a_head_in_half_precision_is_refused(whole, folder, tmp_path):
    (tmp_path / "half").mkdir()
    photos = keras.Input((96, 96, 3), dtype="uint8")
    x = keras.layers.GlobalMaxPooling2D()(keras.ops.cast(photos, "float32"))
    x = keras.layers.Dense(3, activation="sigmoid", dtype="mixed_bfloat16")(x)
    keras.Model(photos, x).save(tmp_path / "half/head.keras")
    with pytest.raises(InputError, match="computes in bfloat16"):
        parts.loaded(dataclasses.replace(whole, runs=whole.runs | {"two": tmp_path / "half"}))


def test_a_layer_that_keras_does_not_have_stays(tmp_path):
    class Other(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    inner = keras.Sequential([keras.Input((3,)), Other()])
    with pytest.raises(InputError, match="a layer Other of "):
        formats.FORMATS["keras"].write(keras.Sequential([keras.Input((3,)), inner]), tmp_path / "model.keras")
    assert not (tmp_path / "model.keras").exists()


def test_every_format_has_its_example():
    from mlob.exports import examples

    for name, form in formats.FORMATS.items():
        assert form.files[0] in examples.python(name, 224) and examples.other(name)
        compile(examples.python(name, 224), name, "exec")

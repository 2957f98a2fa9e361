"""Networks in files: what one makes of photos is known here, whatever its file takes and gives; others are refused."""

import dataclasses
import importlib.util
import warnings

import encoders
import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.features import backbones, encoder, extract, foreign, forms, new_photos, plan, runtimes, store, weights
from mlob.models import beginning
from mlob.recipes import Crop, Detector, Encoder, FeatureSet

SIDE = encoders.SIDE
PHOTO = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
EXPECTED = {
    "cls": encoders.means(PHOTO)[0, 0],
    "avg": encoders.means(PHOTO).mean(axis=(0, 1)),
    "max": encoders.means(PHOTO).max(axis=(0, 1)),
    "grid": encoders.means(PHOTO),
}


def recipe(path, **changes):
    made = {name: changes.pop(name) for name in ("layout", "channels", "mean", "scale", "output") if name in changes}
    return FeatureSet(f"file:{path}", **{"size": "tiny", "encoder": Encoder(**made) if made else None} | changes)


def features(given, photos=(PHOTO,), precision="float32"):
    made = encoder.Encoded(given)
    return made.settle(runtimes.Choice(made.feature_set.runtime, precision))(list(photos))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return encoders.write(tmp_path_factory.mktemp("encoder") / "tiny.onnx")


@pytest.fixture(scope="module")
def in_keras(tmp_path_factory):
    """Write the same network as Keras's own file: in_keras(name, function from the input to outputs, input's shape)."""
    folder = tmp_path_factory.mktemp("keras")

    def write(name, call=None, side=SIDE, **options):
        photo, pool = keras.Input((side, side, 3), **options), keras.layers.AveragePooling2D(encoders.STEP)
        keras.Model(photo, (call or pool)(photo)).save(folder / name)
        return folder / name

    return write


@pytest.mark.parametrize(("pool", "expected"), [each for each in EXPECTED.items() if each[0] != "cls"])
@pytest.mark.parametrize(
    "file",
    [{}, {"layout": "nhwc"}, {"sides": ("h", "w")}, {"batch": "n", "sides": ("h", "w")}, {"kind": TensorProto.UINT8}],
    ids=str,
)
def test_whatever_its_file_takes_the_features_are_the_same(tmp_path, file, pool, expected):
    other = encoders.write(tmp_path / "other.onnx", **file)
    np.testing.assert_allclose(features(recipe(other, pool=pool))[0], expected, rtol=1e-5)


def test_photos_keep_their_order(path):
    photos = [PHOTO, 255 - PHOTO, PHOTO[::-1]]
    np.testing.assert_allclose(features(recipe(path), photos), [encoders.means(each).mean((0, 1)) for each in photos])


def test_rows_and_tokens_are_taken_by_name(tmp_path):
    several = encoders.write(tmp_path / "several.onnx", outputs=("tokens", "row", "map"))
    for name, pool in (("tokens", "avg"), ("tokens", "max"), ("tokens", "cls"), ("row", "avg"), ("map", "grid")):
        np.testing.assert_allclose(features(recipe(several, output=name, pool=pool))[0], EXPECTED[pool], rtol=1e-5)


def test_another_order_of_channels_is_another_reading_and_pixels_are_brought_to_its_range(path):
    np.testing.assert_allclose(features(recipe(path, channels="bgr"))[0], EXPECTED["avg"][::-1], rtol=1e-5)
    scaled = recipe(path, channels="bgr", mean=(1.0, 2.0, 3.0), scale=(4.0, 5.0, 6.0))
    np.testing.assert_allclose(features(scaled)[0], (EXPECTED["avg"][::-1] - [1, 2, 3]) / [4, 5, 6], rtol=1e-5)


def test_openvinos_own_file_and_tflite_are_read(path, tmp_path):
    openvino = runtimes.load_openvino()
    openvino.save_model(runtimes.core().read_model(path), tmp_path / "own.xml", compress_to_fp16=False)
    assert np.array_equal(features(recipe(tmp_path / "own.xml")), features(recipe(path)))


@pytest.mark.slow
def test_tflite_is_read(in_keras, tmp_path):
    keras.saving.load_model(in_keras("tiny.keras")).export(tmp_path / "tiny.tflite", format="litert", verbose=False)
    np.testing.assert_allclose(features(recipe(tmp_path / "tiny.tflite"))[0], EXPECTED["avg"], rtol=1e-5)


@pytest.mark.parametrize("runtime", ["keras", "openvino"])
def test_kerass_own_file_runs_on_both_runtimes(in_keras, runtime):
    path, prepared = in_keras("tiny.keras"), {"channels": "bgr", "mean": (1.0, 2.0, 3.0), "scale": (4.0, 5.0, 6.0)}
    for pool in ("avg", "max", "grid"):
        np.testing.assert_allclose(features(recipe(path, runtime=runtime, pool=pool))[0], EXPECTED[pool], rtol=1e-5)
    found = features(recipe(path, runtime=runtime, **prepared))
    np.testing.assert_allclose(found[0], (EXPECTED["avg"][::-1] - [1, 2, 3]) / [4, 5, 6], rtol=1e-5)


def test_kerass_own_file_may_have_open_sides_and_several_outputs(in_keras):
    def call(photo):
        pooled = keras.layers.AveragePooling2D(encoders.STEP, name="map")(photo)
        return [pooled, keras.layers.GlobalMaxPooling2D(name="row")(pooled)]

    several = in_keras("several.keras", call, None)
    np.testing.assert_allclose(features(recipe(several, output="row", runtime="keras"))[0], EXPECTED["max"], rtol=1e-5)
    refuses(
        recipe(several), r"gives several outputs, map \[.*\], row \[.*\]: name the one that is taken, encoder.output"
    )
    refuses(recipe(several, output="rows"), "names 'rows', which .* does not give; it gives map")


@pytest.mark.parametrize("pool", ["avg", "max", "cls"])
def test_tokens_of_kerass_own_file_are_pooled(in_keras, pool):
    def call(photo):
        return keras.layers.Reshape((-1, 3))(keras.layers.AveragePooling2D(encoders.STEP)(photo))

    found = features(recipe(in_keras("tokens.keras", call), runtime="keras", pool=pool))
    np.testing.assert_allclose(found[0], EXPECTED[pool], rtol=1e-5)


def test_kerass_own_file_runs_on_keras_in_float32_alone(in_keras):
    path = in_keras("half.keras")
    assert encoder.Encoded(recipe(path, runtime="keras")).feature_set.precision == "float32"
    refuses(
        recipe(path, runtime="keras", precision="float16"), "runs on Keras in float32 alone: leave out features.pre"
    )


@pytest.mark.filterwarnings("error:The structure of `inputs`")
def test_kerass_own_file_may_name_its_input(tmp_path):
    photo = keras.Input((SIDE, SIDE, 3), name="images")
    keras.Model({"images": photo}, keras.layers.GlobalAveragePooling2D()(photo)).save(tmp_path / "named.keras")
    found = features(recipe(tmp_path / "named.keras", runtime="keras"))
    np.testing.assert_allclose(found[0], EXPECTED["avg"], rtol=1e-5)


@pytest.mark.parametrize(("seconds", "chosen"), [((3.0, 1.0), "bfloat16"), ((1.0, 1.0), "float32")])
def test_half_precision_is_proved_as_of_other_networks(path, monkeypatch, seconds, chosen):
    times = iter(seconds)
    monkeypatch.setattr(runtimes, "_half_precision", {"openvino": "bfloat16"}.get)
    monkeypatch.setattr(runtimes, "_seconds", lambda run, sample: next(times))
    monkeypatch.setattr(runtimes, "has_gpu", lambda: True)
    made = encoder.Encoded(recipe(path))
    exact = made.runner(runtimes.Choice("openvino", "float32"))
    found = runtimes.choose(made.feature_set, lambda choice: exact, np.stack([PHOTO]))
    assert found == runtimes.Choice("openvino", chosen)


# A store


def test_a_store_is_made_of_it_and_new_photos_are_extracted_alike(path, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(extract, "load_keras", lambda: None)
    monkeypatch.setattr(new_photos, "load_keras", lambda: None)
    dataset, folder, given = read_dataset(drawn), tmp_path / "store", recipe(path, precision="float32")
    extract.extract({"tiny": (given, folder)}, dataset)
    made = store.fingerprint(folder)
    assert (made.backbone, made.runtime, made.precision) == (
        "file:",
        "openvino",
        "float32",
    ) and "layout" in made.encoder
    assert plan.plan({"tiny": (given, folder)}, dataset)["tiny"].photos == 0
    place = next(iter(dataset.photos("train")))
    rows, failures = new_photos.extract(given, folder, {"a": place}, tmp_path / "new")
    shard = store.read(sorted(folder.glob("0001/0*.h5"))[0])
    assert not failures and rows["a"].tobytes() == shard.features[0].tobytes()
    with pytest.raises(InputError, match=r"was made with encoder .*, but .* is asked for"):
        extract.extract({"tiny": (recipe(path, precision="float32", channels="bgr"), folder)}, dataset)
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(path.read_bytes())
    elsewhere = recipe(moved, precision="float32")
    assert plan.plan({"tiny": (elsewhere, folder)}, dataset)["tiny"].photos == 0
    encoders.write(moved, sides=("h", "w"))
    with pytest.raises(InputError, match=r"features of another .*moved.onnx than lies there: copy it back"):
        new_photos.extract(elsewhere, folder, {"b": place}, tmp_path / "other")
    moved.unlink()
    with pytest.raises(InputError, match=r"there is no file .*moved.onnx: copy it there"):
        new_photos.extract(elsewhere, folder, {"b": place}, tmp_path / "other")


def test_the_digest_is_that_of_the_files_content(path, tmp_path):
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(path.read_bytes())
    assert weights.at_hand(recipe(moved)).digest == weights.at_hand(recipe(path)).digest
    moved.write_bytes(path.read_bytes() + b" ")
    assert weights.at_hand(recipe(moved)).digest != weights.at_hand(recipe(path)).digest
    assert isinstance(forms.of(recipe(path), weights.at_hand(recipe(path)), tmp_path), encoder.Encoded)
    forms.of.cache_clear()


def test_arrays_beside_onnx_belong_to_it(path, tmp_path):
    whole, apart = onnx.load(path), tmp_path / "apart.onnx"
    whole.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(300, np.float32), "more"))
    onnx.save(whole, apart, save_as_external_data=True, location="arrays of it.data", size_threshold=1000)
    arrays = tmp_path / "arrays of it.data"
    assert foreign.files(apart, "") == [apart, arrays] and foreign.files(path, "") == [path]
    assert np.array_equal(features(recipe(apart)), features(recipe(path)))
    before = weights.at_hand(recipe(apart)).digest
    arrays.write_bytes(arrays.read_bytes()[::-1] + b" ")
    assert weights.at_hand(recipe(apart)).digest != before
    arrays.unlink()
    refuses(recipe(apart), r"apart.onnx', but there is no file .*arrays of it.data: copy it there")


# What is refused


def refuses(given, match):
    with pytest.raises(InputError, match=match):
        encoder.Encoded(given)


def test_a_file_that_is_missing_is_named(tmp_path):
    refuses(recipe(tmp_path / "none.onnx"), r"there is no file .*none\.onnx: copy it there")
    refuses(recipe(tmp_path / "net.pt"), r"expected a file that ends in \.onnx, \.tflite, \.xml, \.keras")


@pytest.mark.parametrize("name", ["broken.onnx", "broken.tflite", "broken.xml", "broken.keras"])
@pytest.mark.parametrize("content", [b"", b"\x08\x07no network"])
def test_a_damaged_file_is_refused(tmp_path, name, content):
    (tmp_path / "broken.bin").write_bytes(b"")
    (tmp_path / name).write_bytes(content)
    refuses(recipe(tmp_path / name), "is no network that OpenVINO can read: copy or export it|is damaged .*: copy it")


def test_a_name_that_is_no_text_is_refused(path, tmp_path):
    (tmp_path / "odd.onnx").write_bytes(path.read_bytes().replace(b"AveragePool", b"Average\xbeool"))
    refuses(recipe(tmp_path / "odd.onnx"), "is no network that OpenVINO can read: copy or export it again")


def test_a_keras_file_that_is_cut_short_or_runs_code_is_refused(in_keras, tmp_path):
    whole = in_keras("whole.keras")
    (tmp_path / "cut.keras").write_bytes(whole.read_bytes()[:-100])
    refuses(recipe(tmp_path / "cut.keras"), "cut.keras is damaged")
    code = in_keras("code.keras", keras.layers.Lambda(lambda x: x, output_shape=(3,)))
    refuses(recipe(code), "code.keras is no model that Keras loads in safe mode")


def test_a_keras_file_that_leaves_layers_random_is_refused(in_keras, monkeypatch):
    path, load = in_keras("half.keras"), keras.saving.load_model

    def warns(*given, **options):
        warnings.warn("Affected layers will retain their freshly-initialized weights.", stacklevel=2)
        return load(*given, **options)

    monkeypatch.setattr(keras.saving, "load_model", warns)
    refuses(recipe(path, runtime="keras"), "Keras loads in safe mode .Affected layers will retain their freshly-init")


def test_several_outputs_are_named(tmp_path):
    several = encoders.write(tmp_path / "several.onnx", outputs=("tokens", "row"))
    refuses(recipe(several), r"gives several outputs, tokens \[.*\], row \[.*\]: name the one .*, encoder.output")
    refuses(recipe(several, output="rows"), r"encoder.output names 'rows', which .* does not give; it gives tokens")


@pytest.mark.parametrize("file", [{"sides": (64, 64)}, {"sides": ("h", "w"), "squares": 5}], ids=str)
def test_a_size_that_it_does_not_take_is_refused(tmp_path, file):
    other = encoders.write(tmp_path / "other.onnx", **file)
    refuses(recipe(other), "64 x 64 pixels, but features.size is 96|cannot take|is no network")


def test_another_layout_than_the_files_is_refused(tmp_path):
    open_sides = encoders.write(tmp_path / "open.onnx", sides=("h", "w"))
    refuses(recipe(open_sides, layout="nhwc"), r"takes \[1,3,\?,\?\], and the recipe says 'nhwc'; expected one input")


def test_open_channels_want_the_layout(tmp_path):
    channels = encoders.write(tmp_path / "open.onnx", channels="c", sides=("h", "w"))
    refuses(recipe(channels), r"takes \[1,\?,\?,\?\]; expected one input.*; say encoder.layout where sides are open")
    np.testing.assert_allclose(features(recipe(channels, layout="nchw"))[0], EXPECTED["avg"], rtol=1e-5)


def test_numbers_that_hold_no_pixels_are_refused(tmp_path, in_keras):
    signed = encoders.write(tmp_path / "int8.onnx", kind=TensorProto.INT8)
    refuses(
        recipe(signed), "takes numbers of the type i8, which do not hold pixels from 0 to 255: export it with inputs"
    )
    whole = encoders.write(tmp_path / "uint8.onnx", kind=TensorProto.UINT8)
    refuses(recipe(whole, scale=(255.0,)), r"takes whole numbers \(u8\): leave out encoder.scale")
    small = in_keras("int8.keras", keras.layers.Rescaling(1.0), dtype="int8")
    refuses(recipe(small, runtime="keras"), "takes numbers of the type int8, which do not hold pixels")


def test_outputs_that_are_no_features_are_refused(tmp_path):
    classes = encoders.write(tmp_path / "classes.onnx", outputs=("classes",))
    refuses(recipe(classes), "of whole numbers for one photo; expected")
    row = encoders.write(tmp_path / "row.onnx", outputs=("row",))
    refuses(recipe(row, pool="max"), "gives a row of 3 numbers, which features.pool='max' cannot pool")
    refuses(recipe(encoders.write(tmp_path / "map.onnx"), pool="cls"), "gives a map, and features.pool='cls' takes the")
    tokens = encoders.write(tmp_path / "tokens.onnx", outputs=("tokens",))
    refuses(recipe(tokens, pool="grid"), "gives 9 tokens, and features.pool='grid' keeps maps alone")


def test_features_that_are_no_numbers_are_refused(path):
    refuses(recipe(path, scale=(1e-40,)), "gives features of a white photo that are no numbers")


@pytest.mark.parametrize(
    "changes",
    [{"layer": "a"}, {"weights": "random"}, {"crop": Crop("a")}, {"pool": "blocks"}, {"pool": "cls_mean"},
     {"precision": "int8"}, {"detector": Detector("a.onnx", 64, 3)}, {"runtime": "keras"}],
    ids=str,
)  # fmt: skip
def test_a_recipe_asks_for_nothing_that_a_file_lacks(path, changes):
    with pytest.raises(InputError, match=r"features\.\w+ is "):
        backbones.check(recipe(path, **changes))
    with pytest.raises(InputError, match="has its file as backbone: expected 'file:' and a path"):
        backbones.check(FeatureSet("xception", encoder=Encoder()))


def test_no_network_begins_with_a_file(path):
    with pytest.raises(InputError, match="A network begins with a backbone"):
        beginning.check(FeatureSet("pixels", size="tiny", pool="grid"), recipe(path))


def test_without_openvino_it_says_what_to_install(path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))
    refuses(recipe(path), "OpenVINO, which is not installed: `pip install openvino`")


def test_an_encoder_is_compared_by_its_fields(path):
    plain = plan.asked_for(recipe(path), None)
    assert plan.asked_for(dataclasses.replace(recipe(path), encoder=Encoder()), None) == plain
    assert plan.asked_for(recipe(path, scale=(2.0,)), None) != plain

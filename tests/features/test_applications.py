"""Every network of keras.applications: its row of the table, and that features are those of Keras's own network."""

import types
import warnings

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from mlob.errors import InputError
from mlob.features import applications, backbones
from mlob.features.applications import APPLICATIONS
from mlob.recipes import FeatureSet

HEAVY = (  # which take seconds to build, or a gigabyte
    *("convnext_large", "convnext_xlarge", "densenet201", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7"),
    *("efficientnet_v2_m", "efficientnet_v2_l", "nasnet_large", "nasnet_mobile", "resnet152", "resnet152_v2"),
    *("inception_resnet_v2", "efficientnet_b3", "efficientnet_b4", "efficientnet_v2_s", "resnet101", "resnet101_v2"),
    *("efficientnet_v2_b3", "convnext_base", "convnext_small"),
)
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in HEAVY else ()) for name in APPLICATIONS]
CLASSES = {name: class_name for name, _, class_name, *_ in applications.ROWS}
MODULES = {  # of Keras's own preprocessing, by the beginning of our names; the longest one counts
    **{name: name for name in ("convnext", "densenet", "efficientnet", "efficientnet_v2", "inception_resnet_v2")},
    **{name: name for name in ("inception_v3", "mobilenet", "mobilenet_v2", "mobilenet_v3", "nasnet", "resnet")},
    **{name: name for name in ("vgg16", "vgg19", "xception")},
    **{f"resnet{depth}_v2": "resnet_v2" for depth in (50, 101, 152)},
}


def kerass_own(name, side, monkeypatch):
    """Build a network as Keras does with its ImageNet weights, which stay random; tell what file it asks for."""
    asked = []
    monkeypatch.setattr(file_utils, "get_file", lambda file, *others, **more: asked.append(file))
    monkeypatch.setattr(keras.Model, "load_weights", lambda model, path: None)
    warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
    network = getattr(keras.applications, CLASSES[name])(include_top=False, input_shape=(side, side, 3))
    return network, asked[0]


@pytest.fixture(scope="module", params=NAMES)
def pair(request):
    """Each network twice, on equal weights: ours, and Keras's own with what stands before it."""
    name, row = request.param, APPLICATIONS[request.param]
    side = row.side if name.startswith("nasnet") else row.least  # with these weights Keras takes no other
    with pytest.MonkeyPatch.context() as patch:
        theirs, file = kerass_own(name, side, patch)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:  # as they are in the files of EfficientNet
            layer.set_weights([np.array(each) for each in (applications.MEANS, applications.DEVIATIONS, 0)])
            layer.finalize_state()
    keras.layers.Add()  # so that Keras counts on
    ours = backbones.build(FeatureSet(name), side)
    backbones.take_over(ours, theirs)
    module = getattr(keras.applications, MODULES[max((each for each in MODULES if name.startswith(each)), key=len)])
    return types.SimpleNamespace(
        name=name, side=side, ours=ours, theirs=theirs, file=file, preprocess=module.preprocess_input
    )


def test_features_are_those_of_kerass_own_network_behind_its_own_preprocessing(pair):
    photos = np.random.default_rng(0).integers(0, 256, (2, pair.side, pair.side, 3), np.uint8)
    photos //= np.array([1, 2, 4], np.uint8)  # channels that change places tell
    expected = np.mean(pair.theirs(pair.preprocess(photos.astype(np.float32)), training=False), axis=(1, 2))
    found = np.array(backbones.extractor(pair.ours, FeatureSet(pair.name))(photos, training=False))
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3 * float(np.abs(expected).max()))
    other = np.array(backbones.extractor(pair.ours, FeatureSet(pair.name))(photos[..., ::-1], training=False))
    assert np.abs(other - found).max() > 1e-3 * np.abs(expected).max()


def test_each_network_has_the_length_and_the_stages_of_its_row(pair):
    backbone = APPLICATIONS[pair.name]
    assert pair.ours.output_shape[-1] == backbone.length
    cuts = [backbones.cut(pair.ours, FeatureSet(pair.name, layer=stage)) for stage in backbone.stages]
    sides = [cut.output_shape[1] for cut in cuts]
    assert sides == sorted(sides, reverse=True) and sides[-1] == pair.ours.output_shape[1] and len(sides) >= 3
    assert cuts[-1].output_shape == pair.ours.output_shape
    widths = sum(cut.output_shape[-1] for cut in cuts)
    assert backbones.extractor(pair.ours, FeatureSet(pair.name, pool="blocks")).output_shape == (None, widths)


def test_what_lies_above_a_stage_makes_the_last_map_of_it(pair):
    stage = APPLICATIONS[pair.name].stages[-2]
    below = backbones.cut(pair.ours, FeatureSet(pair.name, layer=stage))
    if pair.name.startswith("nasnet"):  # each of its cells reads two
        with pytest.raises(InputError, match="cannot begin behind 'normal_concat_"):
            backbones.above(pair.ours, stage, FeatureSet(pair.name))
        return
    above = backbones.above(pair.ours, stage, FeatureSet(pair.name))
    pixels = np.random.default_rng(0).normal(0, 1, (1, pair.side, pair.side, 3)).astype(np.float32)
    whole = np.array(pair.ours(pixels, training=False))
    assert np.array(above(below(pixels, training=False), training=False)) == pytest.approx(whole, rel=1e-4, abs=1e-5)


def test_the_file_is_the_one_that_keras_asks_for(pair):
    assert pair.file == APPLICATIONS[pair.name].weights.file


def test_no_photo_may_be_smaller_than_keras_takes(pair):
    with pytest.raises(ValueError, match="Input size must be at least"):
        backbones.build(FeatureSet(pair.name), APPLICATIONS[pair.name].least - 1)


def test_no_image_network_of_keras_is_left_out():
    offered = {name for name, found in vars(keras.applications).items() if callable(found)}
    assert offered == set(CLASSES.values())


@pytest.mark.parametrize("name, url, md5", [
    ("resnet50", "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "4d473c1dd8becc155b73f8504c6f6626"),
    ("vgg16", "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc"),
    ("mobilenet", "mobilenet/mobilenet_1_0_224_tf_no_top.h5", ""),
])  # fmt: skip
def test_the_address_and_the_digest_come_from_keras(name, url, md5):
    before = file_utils.get_file
    found = APPLICATIONS[name].weights.address()
    assert found == (f"https://storage.googleapis.com/tensorflow/keras-applications/{url}", md5)
    assert file_utils.get_file is before

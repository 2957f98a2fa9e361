import subprocess
import sys

import keras
import numpy as np
import pytest

from mlob.errors import InputError
from mlob.features import backbones, plan
from mlob.features.applications import APPLICATIONS
from mlob.recipes import Crop, FeatureSet

pytestmark = pytest.mark.slow  # networks are built
OTHERS = tuple(sorted({*backbones.BACKBONES} - {*APPLICATIONS}))  # those of Keras have test_applications


@pytest.fixture(scope="module")
def network():
    """Build each network once: network(name)."""
    built = {}

    def build(name):
        if name not in built:
            built[name] = backbones.build(FeatureSet(name))
        return built[name]

    return build


def widths(network, name):
    """Channels that each main stage of a network ends with."""
    return [
        backbones.cut(network, FeatureSet(name, layer=stage)).output_shape[-1]
        for stage in backbones.BACKBONES[name].stages
    ]


@pytest.mark.parametrize("name", OTHERS)
def test_each_network_has_the_length_the_stages_and_the_cuts_of_its_table(name, network):
    backbone, built = backbones.BACKBONES[name], network(name)
    assert built.output_shape[-1] == backbone.length
    found = widths(built, name)
    assert found[-1] == backbone.length and len(found) >= 3
    sides = [backbones.cut(built, FeatureSet(name, layer=stage)).output_shape[1] for stage in backbone.stages]
    assert sides == sorted(sides, reverse=True) and sides[-1] == built.output_shape[1]


@pytest.mark.parametrize("name", OTHERS)
def test_pool_blocks_is_as_long_as_all_stages_and_ends_with_pool_avg(name, network):
    whole = {pool: backbones.extractor(network(name), FeatureSet(name, pool=pool)) for pool in ("avg", "blocks")}
    assert whole["avg"].output_shape == (None, backbones.BACKBONES[name].length)
    assert whole["blocks"].output_shape == (None, sum(widths(network(name), name)))


def test_pool_blocks_of_a_cut_network_averages_the_stages_before_the_cut(network):
    for layer, stages in {"conv_pw_5_relu": 3, "conv_pw_8_relu": 4}.items():
        features = FeatureSet("mobilenet", layer=layer, pool="blocks")
        cut = backbones.cut(network("mobilenet"), features)
        extractor = backbones.extractor(cut, features)
        expected = [*widths(network("mobilenet"), "mobilenet")[:3], cut.output_shape[-1]][:stages]
        assert extractor.output_shape == (None, sum(expected))


def test_a_feature_is_the_average_of_a_map(network):
    features = FeatureSet("mobilenet", layer="conv_pw_5_relu", pool="blocks")
    photos = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    prepared = keras.applications.mobilenet.preprocess_input(photos.astype(np.float32))
    maps = [
        backbones.cut(network("mobilenet"), FeatureSet("mobilenet", layer=layer)).predict_on_batch(prepared)
        for layer in ("conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu")
    ]
    expected = np.concatenate([one.mean(axis=(1, 2)) for one in maps], axis=1)
    found = backbones.extractor(backbones.cut(network("mobilenet"), features), features).predict_on_batch(photos)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


MEANS = np.array([103.939, 116.779, 123.68])  # of ImageNet's photos, blue first
PUBLISHED = {
    "xception": lambda pixels: pixels / 127.5 - 1,
    "inception_v3": lambda pixels: pixels / 127.5 - 1,
    "mobilenet": lambda pixels: pixels / 127.5 - 1,
    "resnet50": lambda pixels: pixels[..., ::-1] - MEANS,
    **{f"efficientnet_lite{number}": lambda pixels: (pixels - 127) / 128 for number in range(3)},
    "efficientnet_v2_s": lambda pixels: pixels / 128 - 1,
    "mobilenet_v3_large": lambda pixels: pixels / 127.5 - 1,
    **dict.fromkeys(
        ("densenet169", "efficientnet_v2_b0", "convnext_tiny", "mnasnet1_0", "wide_resnet50_2"),
        lambda pixels: (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_network_gets_the_preprocessing_it_was_trained_with(name):
    inputs = keras.Input((224, 224, 3))
    nothing = keras.Model(inputs, keras.layers.Identity()(inputs))
    photos = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8) // np.array([1, 2, 4], np.uint8)
    found = backbones.extractor(nothing, FeatureSet(name)).predict_on_batch(photos)
    assert found == pytest.approx(PUBLISHED[name](photos.astype(float)).mean(axis=(1, 2)), rel=1e-3, abs=1e-3)


def test_xceptions_cut_is_the_input_of_its_last_block_in_the_first_network_and_in_later_ones(network):
    first, later = network("xception"), backbones.build(FeatureSet("xception"))
    assert {layer.name for layer in first.layers} != {layer.name for layer in later.layers}  # Keras counts on
    for built in (first, later):
        cut = backbones.cut(built, FeatureSet("xception", layer="add_11"))
        assert cut.output is built.get_layer("block14_sepconv1").input
        assert cut.output_shape == (None, 7, 7, 1024) and cut.layers[-1].name.startswith("add")
        assert widths(built, "xception") == [128, 256, 728, 728, 1024, 2048]


def test_the_table_is_read_without_loading_a_network():
    code = "import sys; from mlob.features import backbones; print(*backbones.BACKBONES, *sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(backbones.BACKBONES) <= set(done.stdout.split())
    assert not {"keras", "tensorflow", "jax", "torch", "numpy"} & set(done.stdout.split())


def test_unknown_backbones_sizes_and_layers_are_told_with_the_known_ones(network):
    with pytest.raises(InputError, match=r"backbone is 'xceptoin'. Did you mean xception"):
        backbones.check(FeatureSet("xceptoin"))
    with pytest.raises(InputError, match="there are: convnext_base, convnext_large"):
        backbones.check(FeatureSet("qqq"))
    with pytest.raises(InputError, match=r"no layer 'conv_pw_5_rulu'. Did you mean conv_pw_5_relu"):
        backbones.cut(network("mobilenet"), FeatureSet("mobilenet", layer="conv_pw_5_rulu"))
    with pytest.raises(InputError, match="Did you mean block14_sepconv2 or block14_sepconv1 or"):
        backbones.cut(network("xception"), FeatureSet("xception", layer="block14_sepconv"))
    later = backbones.build(FeatureSet("xception"))
    with pytest.raises(InputError, match=r"Did you mean add_11\b"):
        backbones.cut(later, FeatureSet("xception", layer="add_11_"))


def test_a_size_is_a_name_or_pixels_and_both_make_the_same_features():
    for name, side in backbones.SIZES.items():
        named, counted = FeatureSet("resnet50", name), FeatureSet("resnet50", side)
        assert backbones.side(named) == backbones.side(counted) == side
        assert plan.asked_for(named, None) == plan.asked_for(counted, None)
    assert backbones.side(FeatureSet("resnet50", 384)) == 384


def test_a_backbone_is_built_for_the_pixels_that_a_recipe_says():
    assert backbones.build(FeatureSet("mobilenet", 160)).output_shape == (None, 5, 5, 1024)


@pytest.mark.parametrize("name", (*OTHERS, "xception"))
def test_no_photo_is_smaller_than_keras_lets_it_be(name):
    least = backbones.BACKBONES[name].least
    assert backbones.build(FeatureSet(name, least)).input_shape == (None, least, least, 3)
    with pytest.raises(InputError, match=rf"features.size is {least - 1}: {name} takes photos of {least} pixels"):
        backbones.check(FeatureSet(name, least - 1))
    with pytest.raises(InputError, match=rf"features.crop.size is {least - 1}"):
        backbones.check(FeatureSet(name, crop=Crop("head.keras", least - 1)))

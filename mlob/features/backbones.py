"""Backbones: a literal table of networks, and the extractor made of one (preprocessing, cut, pooling).

What a network needs is written beside it: its own preprocessing (MLoB divided by 255 for all of them, seeds E19), the
sizes it takes, the layers that its main stages end in.
"""

import dataclasses
import importlib
from typing import Literal

from mlob.errors import InputError
from mlob.recipes import nearest

PREPROCESSING_VERSION = 1  # part of the fingerprint: raise it when letterbox or preprocessing change
SIZES = {"small": 224, "large": 299}
KERAS_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One network without its top.

    Attributes:
        module: where its builder and its `preprocess_input` stand.
        builder: name of the function that builds it.
        sizes: the input sizes that it takes.
        length: channels of its last map.
        stages: layers that its main stages end in; pool "blocks" averages each of them.
        url, md5: Keras's ImageNet weights without the top (MobileNet's has no published digest).
        cut_before: {stable name: layer whose input it is}, for layers that Keras numbers anew in each process.
    """

    module: str
    builder: str
    sizes: tuple[Literal["small", "large"], ...]
    length: int
    stages: tuple[str, ...]
    url: str = ""
    md5: str = ""
    cut_before: dict[str, str] = dataclasses.field(default_factory=dict)


# fmt: off
BACKBONES = {
    "xception": Backbone(
        "keras.applications.xception", "Xception", ("small", "large"), 2048,
        ("add", "add_1", "add_2", "add_10", "add_11", "block14_sepconv2_act"),
        f"{KERAS_WEIGHTS}/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "b0042744bf5b25fce3cb969f33bebb97",
        {
            "add": "block3_sepconv1_act", "add_1": "block4_sepconv1_act", "add_2": "block5_sepconv1_act",
            "add_10": "block13_sepconv1_act", "add_11": "block14_sepconv1",
        },
    ),
    "inception_v3": Backbone(
        "keras.applications.inception_v3", "InceptionV3", ("small", "large"), 2048,
        ("mixed2", "mixed7", "mixed10"),
        f"{KERAS_WEIGHTS}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "bcbd6486424b2319ff4ef7d526e38f63",
    ),
    "resnet50": Backbone(
        "keras.applications.resnet50", "ResNet50", ("small", "large"), 2048,
        ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
        f"{KERAS_WEIGHTS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "mobilenet": Backbone(
        "keras.applications.mobilenet", "MobileNet", ("small",), 1024,
        ("conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_13_relu"),
        f"{KERAS_WEIGHTS}/mobilenet/mobilenet_1_0_224_tf_no_top.h5",
    ),
    "densenet169": Backbone(
        "keras.applications.densenet", "DenseNet169", ("small", "large"), 1664,
        ("conv2_block6_concat", "conv3_block12_concat", "conv4_block32_concat", "relu"),
        f"{KERAS_WEIGHTS}/densenet/densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "b8c4d4c20dd625c148057b9ff1c1176b",
    ),
    "efficientnet_lite0": Backbone(
        "mlob.features.efficientnet", "build", ("small",), 1280,
        ("block2b_add", "block3b_add", "block5c_add", "top_activation"),
    ),
}
# fmt: on


def find(features):
    """Give the `Backbone` that a feature set names.

    Raises:
        InputError: no such backbone, or a size that it does not take.
    """
    if features.backbone not in BACKBONES:
        raise InputError(f"There is no backbone {features.backbone!r}{nearest(features.backbone, BACKBONES)}")
    backbone = BACKBONES[features.backbone]
    if features.size not in backbone.sizes:
        raise InputError(f"{features.backbone} takes the size {' or '.join(backbone.sizes)}, not {features.size!r}.")
    return backbone


def build(features):
    """Build the network that a feature set names, without its top and with Keras's initial weights.

    Returns:
        A Keras model from preprocessed pixels (size, size, 3) to its last map.
    """
    backbone, pixels = find(features), SIZES[features.size]
    builder = getattr(importlib.import_module(backbone.module), backbone.builder)
    if backbone.module.startswith("keras."):
        return builder(weights=None, include_top=False, input_shape=(pixels, pixels, 3))
    return builder(pixels)


def cut(network, features):
    """Cut a network after the layer that the feature set names.

    Raises:
        InputError: no such layer (with the nearest names).
    """
    import keras

    if features.layer == "last":
        return network
    return keras.Model(network.input, _output(network, features.layer, find(features)))


def extractor(network, features):
    """Wrap a network (with its weights, cut where the feature set says) from photos to features.

    Returns:
        A Keras model from uint8 photos (n, size, size, 3), decoded and letterboxed, to float32 features: (n, d), or
        (n, h, w, c) of pool "grid".
    """
    import keras

    backbone, pixels = find(features), SIZES[features.size]
    photos = keras.Input((pixels, pixels, 3), dtype="uint8", name="photos")
    preprocess = importlib.import_module(backbone.module).preprocess_input
    maps = [network.output]
    if features.pool == "blocks":
        maps = [_output(network, stage, backbone) for stage in _stages_within(network, backbone)] + maps
    tapped = keras.Model(network.input, maps)(preprocess(keras.ops.cast(photos, "float32")))
    pooled = [_pooled(one, features.pool) for one in (tapped if isinstance(tapped, list) else [tapped])]
    joined = pooled[0] if len(pooled) == 1 else keras.layers.Concatenate()(pooled)
    return keras.Model(photos, keras.layers.Activation("linear", dtype="float32")(joined))  # whatever the policy


def _pooled(one, pool):
    """Pool one map; in float32, since half precision loses digits in a sum over the map."""
    import keras

    if pool == "grid":
        return one
    layer = keras.layers.GlobalMaxPooling2D if pool == "max" else keras.layers.GlobalAveragePooling2D
    return layer(dtype="float32")(one)


def _output(network, layer, backbone):
    names = [one.name for one in network.layers]
    if layer in backbone.cut_before:
        return network.get_layer(backbone.cut_before[layer]).input
    if layer not in names:
        raise InputError(f"{network.name} has no layer {layer!r}{nearest(layer, {*names, *backbone.cut_before})}")
    return network.get_layer(layer).output


def _stages_within(network, backbone):
    """The stages that end before the network's own end (which is always among the maps)."""
    names = {one.name for one in network.layers}
    return [
        stage
        for stage in backbone.stages[:-1]
        if backbone.cut_before.get(stage, stage) in names and network.layers[-1].name != stage
    ]

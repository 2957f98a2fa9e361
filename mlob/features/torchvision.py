"""Networks as torchvision builds them: MNASNet and Wide ResNet, in Keras, and how its weight files fit into them.

A layer has the name of torchvision's module, with underscores in place of dots. Torchvision is under the BSD 3-clause
licence.
"""

from __future__ import annotations

import keras
import numpy as np

from mlob.features import torcharrays

EPSILON = 1e-5  # of PyTorch's batch normalisation

# MNASNet-B1 with depth multiplier 1 (Tan et al. 2019, arXiv 1807.11626), one row a stack: the module, kernel, stride of
# its first block, expansion, filters, blocks.
STACKS = (
    (8, 3, 2, 3, 24, 3),
    (9, 5, 2, 3, 40, 3),
    (10, 5, 2, 6, 80, 3),
    (11, 3, 1, 6, 96, 2),
    (12, 5, 2, 6, 192, 4),
    (13, 3, 1, 6, 320, 1),
)
# ResNet-50 (He et al. 2016, arXiv 1512.03385), filters and blocks of each layer, its 3 x 3 convolutions twice as wide
# (Zagoruyko and Komodakis 2016, arXiv 1605.07146); the stride is in the 3 x 3 convolution.
LAYERS = ((64, 3), (128, 4), (256, 6), (512, 3))
WIDTH, EXPANSION = 2, 4


def mnasnet(size: int = 224) -> keras.Model:
    """Build MNASNet 1.0 without its classifier, with fresh weights.

    Args:
        size: height and width of the images in pixels.

    Returns:
        keras.Model from (n, size, size, 3) float32 to the last map (n, size / 32, size / 32, 1280), rounded up.
    """
    inputs = keras.Input((size, size, 3), name="images")
    x = _activated(_convolved(inputs, 32, 3, "layers_0", stride=2), "layers_1")
    x = _activated(_filtered(x, 3, 1, "layers_3"), "layers_4")
    x = _normalised(_convolved(x, 16, 1, "layers_6"), "layers_7")
    for module, kernel, stride, expansion, filters, blocks in STACKS:
        for block in range(blocks):
            x = _inverted(x, f"layers_{module}_{block}", kernel, 1 if block else stride, expansion, filters)
    x = _activated(_convolved(x, 1280, 1, "layers_14"), "layers_15")
    return keras.Model(inputs, x, name="mnasnet1_0")


def wide_resnet(size: int = 224) -> keras.Model:
    """Build Wide ResNet-50-2 without its classifier, with fresh weights.

    Args:
        size: height and width of the images in pixels.

    Returns:
        keras.Model from (n, size, size, 3) float32 to the last map (n, size / 32, size / 32, 2048), rounded up.
    """
    inputs = keras.Input((size, size, 3), name="images")
    x = _activated(_convolved(inputs, 64, 7, "conv1", stride=2), "bn1")
    x = keras.layers.MaxPooling2D(3, 2, name="maxpool")(keras.layers.ZeroPadding2D(1, name="maxpool_pad")(x))
    for layer, (filters, blocks) in enumerate(LAYERS, 1):
        for block in range(blocks):
            x = _bottleneck(x, f"layer{layer}_{block}", filters, 2 if layer > 1 and not block else 1)
    return keras.Model(inputs, x, name="wide_resnet50_2")


def assign(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Put torchvision's arrays into a model of this module.

    Raises:
        InputError: as of `torcharrays.assign`.
    """
    classifier = {f"{module}.{kind}" for module in ("classifier.1", "fc") for kind in ("weight", "bias")}
    torcharrays.assign(model, arrays, lambda layer: layer.replace("_", "."), classifier)


def _inverted(
    inputs: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    """An inverted residual: widen, filter each channel, narrow; added to its input where the shapes agree."""
    x = _activated(_convolved(inputs, expansion * inputs.shape[-1], 1, f"{name}_layers_0"), f"{name}_layers_1")
    x = _activated(_filtered(x, kernel, stride, f"{name}_layers_3"), f"{name}_layers_4")
    x = _normalised(_convolved(x, filters, 1, f"{name}_layers_6"), f"{name}_layers_7")
    return keras.layers.Add(name=f"{name}_add")([x, inputs]) if x.shape == inputs.shape else x


def _bottleneck(inputs: keras.KerasTensor, name: str, filters: int, stride: int) -> keras.KerasTensor:
    """A bottleneck: narrow, convolve, widen; added to its input, which is projected where the shapes differ."""
    width, out = filters * WIDTH, filters * EXPANSION
    x = _activated(_convolved(inputs, width, 1, f"{name}_conv1"), f"{name}_bn1")
    x = _activated(_convolved(x, width, 3, f"{name}_conv2", stride=stride), f"{name}_bn2")
    x = _normalised(_convolved(x, out, 1, f"{name}_conv3"), f"{name}_bn3")
    if x.shape != inputs.shape:
        projected = _convolved(inputs, out, 1, f"{name}_downsample_0", stride=stride)
        inputs = _normalised(projected, f"{name}_downsample_1")
    return keras.layers.ReLU(name=f"{name}_out")(keras.layers.Add(name=f"{name}_add")([x, inputs]))


def _convolved(x: keras.KerasTensor, filters: int, kernel: int, name: str, stride: int = 1) -> keras.KerasTensor:
    return keras.layers.Conv2D(filters, kernel, stride, use_bias=False, name=name)(_padded(x, kernel, name))


def _filtered(x: keras.KerasTensor, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    return keras.layers.DepthwiseConv2D(kernel, stride, use_bias=False, name=name)(_padded(x, kernel, name))


def _padded(x: keras.KerasTensor, kernel: int, name: str) -> keras.KerasTensor:
    """Pad alike on both sides, as PyTorch does; Keras's "same" pads an even side after a stride of 2 on one alone."""
    return keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x) if kernel > 1 else x


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(epsilon=EPSILON, name=name)(x)


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.ReLU(name=f"{name}_activation")(_normalised(x, name))

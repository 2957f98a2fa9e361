"""A kernel machine as a Keras model: how alike a photo is to each that it learned from, and what that says."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from mlob.labels import Exclusive
from mlob.models import heads
from mlob.models.heads import Moments
from mlob.recipes import Head


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a kernel machine is made of.

    Attributes:
        head: the recipe's, which says how features are transformed.
        standard: the moments that standardise them (`scaled`).
        anchors: float32 (n, d), the transformed features of the photos that it learned from.
        gamma: of the kernel exp(-gamma d²), d² the squared distance of transformed features.
        coefficients, intercepts: float32 (n, labels) and (labels,), from kernels to scores.
        mix, biases: float32 (labels, labels) and (labels,), from scores to log-odds, or to what softmaxes take.
        exclusive: the groups that share a softmax each.
    """

    head: Head
    standard: Moments
    anchors: np.ndarray
    gamma: float
    coefficients: np.ndarray
    intercepts: np.ndarray
    mix: np.ndarray
    biases: np.ndarray
    exclusive: Sequence[Exclusive] = ()


def scaled(standard: Moments | None, widths: Sequence[int]) -> Moments:
    """Give moments by which every store counts alike: a squared distance is the mean over stores, and their features.

    Args:
        standard: of the features (d,); None takes them as they are.
        widths: how many of the features each store has.
    """
    mean, variance = standard or (np.zeros(sum(widths), np.float32), np.ones(sum(widths), np.float32))
    return mean, variance * np.repeat(widths, widths).astype(np.float32) * len(widths)


def transformed(head: Head, averages: np.ndarray, standard: Moments) -> np.ndarray:
    """Transform averages float32 (n, d) as the model does."""
    mean, variance = standard
    return ((heads.signed_sqrt(averages) if head.signed_sqrt else averages) - mean) / np.sqrt(variance)


def build(shape: tuple[int, ...], machine: Machine) -> keras.Model:
    """Build the model, from float16 features to float32 probabilities (n, labels).

    Args:
        shape: of a photo's features, (d,), or (h, w, d), of which the average over the places is taken.
        machine: what it is made of.
    """
    anchors, gamma = machine.anchors, machine.gamma
    inputs = keras.Input(shape, dtype="float16", name="features")
    x = keras.ops.cast(inputs, "float32")
    x = keras.layers.GlobalAveragePooling2D()(x) if len(shape) > 1 else x
    x = heads.standardised(machine.head, x, machine.standard)
    near = keras.layers.Dense(len(anchors), name="near")
    distances = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True) + near(x)
    kernels = keras.ops.exp(-gamma * keras.ops.maximum(distances, 0))
    scores, mixed = (keras.layers.Dense(len(machine.biases), name=name) for name in ("scores", "labels"))
    outputs = mixed(scores(kernels))
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(heads.log_odds(outputs, machine.exclusive)))
    near.set_weights([-2 * anchors.T, np.einsum("nd,nd->n", anchors, anchors)])
    scores.set_weights([machine.coefficients, machine.intercepts])
    mixed.set_weights([machine.mix, machine.biases])
    return model

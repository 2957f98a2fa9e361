"""How PyTorch's arrays fit into networks of Keras: their names, their axes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import keras
import numpy as np

from mlob.errors import InputError

VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
AXES = {"Conv2D": (2, 3, 1, 0), "DepthwiseConv2D": (2, 3, 0, 1), "Dense": (1, 0)}  # of PyTorch's kernels
COUNTS = ".num_batches_tracked"  # of training batches, which nothing reads


class _Source(NamedTuple):
    """A variable of the model, the name of its array, and that array's axes in Keras's order."""

    variable: keras.Variable
    name: str
    axes: tuple[int, ...]


def assign(
    model: keras.Model, arrays: dict[str, np.ndarray], module_of: Callable[[str], str], spare: Collection[str] = ()
) -> None:
    """Put PyTorch's arrays into a model. Every weight of it is set, and every array is used but the spare ones.

    Args:
        model: of Keras.
        arrays: by name, as `torchfile.read` gives them.
        module_of: function from the name of a layer to that of PyTorch's module.
        spare: names of arrays that may be there for parts that the model lacks, such as a classifier.

    Raises:
        InputError: an array is missing, unknown or of another shape; the model is then unchanged.
    """
    sources = [
        _Source(
            variable,
            f"{module_of(layer.name)}.{VARIABLES[variable.name]}",
            AXES[type(layer).__name__] if variable.name == "kernel" else (0,),
        )
        for layer in model.layers
        for variable in layer.weights
    ]
    _check_names(model.name, {source.name for source in sources}, arrays.keys(), spare)
    _check_shapes(model.name, sources, arrays)
    for variable, name, axes in sources:
        variable.assign(arrays[name].transpose(axes))


def _check_names(network: str, expected: set[str], found: Collection[str], spare: Collection[str]) -> None:
    unknown = {name for name in found if not name.endswith(COUNTS)} - expected - {*spare}
    for fault, names in (("lack", expected - {*found}), ("hold the unknown", unknown)):
        if names:
            raise InputError(
                f"These are not the weights of {network}: they {fault} {min(names)} ({len(names)} such names)."
            )


def _check_shapes(network: str, sources: list[_Source], arrays: dict[str, np.ndarray]) -> None:
    for variable, name, axes in sources:
        expected = tuple(variable.shape[axes.index(axis)] for axis in range(len(axes)))
        if arrays[name].shape != expected:
            raise InputError(
                f"These are not the weights of {network}: {name} has the shape {arrays[name].shape}, "
                f"expected {expected}."
            )

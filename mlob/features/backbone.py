"""What a backbone is: a network without its top, its preprocessing, and where its weights come from."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import numpy as np


@dataclasses.dataclass(frozen=True)
class Download:
    """ImageNet weights without the top that Keras's host offers.

    Attributes:
        file: name under which Keras keeps them in its cache.
        address: function that asks Keras where they lie: URL, and md5 of the file, empty where Keras has none.
    """

    file: str
    address: Callable[[], tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Packaged:
    """ImageNet weights that lie in an installed package, whose code is not run.

    Attributes:
        project: as pip names it.
        package: as Python names it.
        path: of the PyTorch file inside it.
    """

    project: str
    package: str
    path: str


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One network without its top.

    Attributes:
        build: function of the input's side in pixels that gives the network, a Keras model with initial weights.
        preprocess: function from pixels (0 to 255, float32) to what the network takes.
        length: channels of its last map.
        stages: the layers in which its main stages end; pool "blocks" averages each of them. The last is "last" where
            Keras counts on its name.
        weights: where its ImageNet weights come from; None where a file has to be named.
        licence: of these weights.
        cut_before: {name of a layer: the layer that reads its output}, for layers whose names change: Keras counts on
            where a process builds a second network. A stage whose end has no layer has a name of ours.
        assign: puts the arrays of a PyTorch file, {name: array}, into the network; None where it takes no such file.
        side: of the photos that these weights were trained on, pixels.
        least: side of the smallest photos that it takes, pixels.
        parameters: how many it has, in millions.
        gflop: floating-point operations for a photo of `side` pixels, in 10^9, a multiplication and an addition each
            counted. `python -m benchmarks.backbones` counts both.
    """

    build: Callable[[int], keras.Model]
    preprocess: Callable[[Any], Any]
    length: int
    stages: tuple[str, ...]
    weights: Download | Packaged | None
    licence: str
    cut_before: dict[str, str] = dataclasses.field(default_factory=dict)
    assign: Callable[[keras.Model, dict[str, np.ndarray]], None] | None = None
    side: int = 224
    least: int = 32
    parameters: float = 0.0
    gflop: float = 0.0


def late(module: str, name: str, **options: Any) -> Callable[..., Any]:
    """Give a module's function, some of its arguments set; the module is imported when the function is called."""

    def call(*arguments: Any, **more: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments, **options, **more)

    return call

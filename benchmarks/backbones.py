"""What backbones come to: parameters, and floating-point operations for a photo, as the tables of backbones have them.

    python -m benchmarks.backbones [NAME ...]

Networks are built with random weights, and nothing runs: some seconds each, two minutes for all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from mlob.features import backbones
from mlob.recipes import FeatureSet

if TYPE_CHECKING:
    import keras


def operations(network: keras.Model) -> int:
    """Count the operations of convolutions and dense layers on one photo: a multiplication and an addition each.

    What is left out, activations and the like, is a hundredth of them.
    """
    return 2 * sum(_multiplications(layer) for layer in _layers(network))


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    """List the layers of a network, those of networks inside of it as well."""
    return [inner for each in model.layers for inner in (_layers(each) if hasattr(each, "layers") else [each])]


def _multiplications(layer: keras.layers.Layer) -> int:
    places = math.prod(layer.output.shape[1:-1])
    return sum(places * math.prod(weight.shape) for weight in layer.weights if weight.name.endswith("kernel"))


def measure(name: str) -> tuple[float, float]:
    """Give a backbone's parameters in millions, and GFLOP for a photo of the side of its weights."""
    network = backbones.build(FeatureSet(name), backbones.BACKBONES[name].side)
    return round(network.count_params() / 1e6, 1), round(operations(network) / 1e9, 1)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(backbones.BACKBONES)))
def main(names: tuple[str, ...]) -> None:
    """Print parameters in millions and GFLOP for a photo of each backbone."""
    import keras

    for name in names or backbones.BACKBONES:
        parameters, gflop = measure(name)
        click.echo(f"{name} {parameters} {gflop}")
        keras.backend.clear_session()


if __name__ == "__main__":
    main()

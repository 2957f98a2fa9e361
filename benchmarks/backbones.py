"""What backbones come to: parameters, and floating-point operations for a photo, as the tables of backbones have them.

    python -m benchmarks.backbones [--runtimes] [NAME ...]

Networks are built with random weights, and nothing runs: some seconds each, two minutes for all. With --runtimes each
also sees two made-up photos of the least side that it takes, by Keras and by OpenVINO, in float32: ten minutes for all.
"""

from __future__ import annotations

import math
import pathlib
import tempfile
from typing import TYPE_CHECKING

import click
import numpy as np

from mlob.features import backbones, forms, runtimes, weights
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


def agreement(name: str) -> tuple[float, float]:
    """Compare a backbone's features by Keras and by OpenVINO, in float32.

    Returns:
        The smallest cosine over photos, and the largest difference as a share of the largest feature.
    """
    side = backbones.BACKBONES[name].least
    feature_set = FeatureSet(name, size=side, weights="random")
    photos = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8) // np.array([1, 2, 4], np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        made = forms.Forms(feature_set, weights.random(), pathlib.Path(folder))
        expected, found = (made.runner(runtimes.Choice(name, "float32"))(photos) for name in ("keras", "openvino"))
    return runtimes.least_cosine(expected, found), float(np.abs(found - expected).max() / np.abs(expected).max())


@click.command()
@click.option("--runtimes", "with_runtimes", is_flag=True, help="Compare features by Keras and by OpenVINO, too.")
@click.argument("names", nargs=-1, type=click.Choice(list(backbones.BACKBONES)))
def main(names: tuple[str, ...], with_runtimes: bool) -> None:
    """Print parameters in millions and GFLOP for a photo of each backbone, as rows of a table."""
    import keras

    for name in names or backbones.BACKBONES:
        parameters, gflop = measure(name)
        keras.backend.clear_session()
        cells = [name, f"{parameters:,}", f"{gflop:,}"]
        if with_runtimes:
            cosine, difference = agreement(name)
            cells += [f"{cosine:.7f}", f"{difference:.0e}"]
            keras.backend.clear_session()
        click.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

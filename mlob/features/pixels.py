"""The backbone that does nothing: a store of it holds photos as they are decoded, or as JPEGs."""

import dataclasses

import numpy as np

from mlob.errors import InputError
from mlob.features import backbones, jpegs, runtimes, weights
from mlob.files import digest
from mlob.recipes import FeatureSet


def check(feature_set: FeatureSet) -> None:
    """Refuse a recipe of pixels that asks for more than them.

    Raises:
        InputError: with the recipe that was expected.
    """
    plain = FeatureSet(backbones.PIXELS, size=feature_set.size, pool="grid", view=feature_set.view)
    if feature_set not in (plain, dataclasses.replace(plain, precision=backbones.JPEG)):
        raise InputError(
            f'A feature set of pixels has the pool "grid", and no layer, weights, runtime or precision but '
            f'"{backbones.JPEG}": expected {plain}, found {feature_set}.'
        )


def source(feature_set: FeatureSet) -> weights.Source:
    """Give what stands for the weights of pixels, which have none."""
    return weights.Source("no", None, digest("no weights"))


class Pixels:
    """The one form of the backbone that does nothing.

    Args:
        feature_set: the recipe.
    """

    def __init__(self, feature_set: FeatureSet) -> None:
        size, precision = backbones.side(feature_set), feature_set.precision
        self.shape = (-1, size, size, 3)
        self.choice = runtimes.Choice("decoder", "uint8" if precision == "auto" else precision)

    def parameters(self) -> int:
        """Count none."""
        return 0

    def settle(self, choice: runtimes.Choice) -> runtimes.Runner:
        """Give what keeps photos as they are, uint8 (n, size, size, 3), or as JPEGs, object (n,)."""
        if choice.precision == backbones.JPEG:
            return runtimes.Runner(jpegs.encode)
        return runtimes.Runner(lambda photos: np.array(photos, np.uint8).reshape(self.shape))

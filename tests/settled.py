"""Networks of random weights that give features of size 1, and photos for them."""

import keras
import numpy as np

from mlob.features import backbones


def photos(count, side, seed=0):
    """Photos of different colours and patterns, uint8 (count, side, side, 3)."""
    generator = np.random.default_rng(seed)
    colours = generator.integers(0, 256, (count, 1, 1, 3))
    noise = generator.integers(-100, 100, (count, side // 8, side // 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return (colours + noise).clip(0, 255).astype(np.uint8)


def settle(network, feature_set, photos):
    """Give batch normalisation the moments of photos: else what random weights give is as small as 1e-20."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0
    network(backbones.find(feature_set).preprocess(photos.astype(np.float32)), training=True)
    return network

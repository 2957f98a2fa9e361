"""The whole way from a photo to probabilities as one Keras model, of built-in layers and operations alone.

It loads where there is no mlob, in Keras's safe mode, and Keras converts it to other formats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mlob.ensemble import graphs
from mlob.ensemble.methods import Blend
from mlob.features import backbones, letterbox
from mlob.recipes import FeatureSet

PHOTO, PROBABILITIES = "photo", "probabilities"  # names of the model's input and of its last layer
SHAPE = (1, None, None, 3)  # of the input
HALF = float(np.finfo(np.float16).max)

Tensor = Any


@dataclasses.dataclass(frozen=True)
class Store:
    """What makes the features of a store from a photo.

    Attributes:
        feature_set: the recipe.
        extractor: from uint8 squares to features; None of pixels, which are the square itself.
    """

    feature_set: FeatureSet
    extractor: keras.Model | None


@dataclasses.dataclass(frozen=True)
class Member:
    """A trained head or network, and the names of the stores that it reads."""

    head: keras.Model
    stores: Sequence[str]


def build(members: Mapping[str, Member], stores: Mapping[str, Store], blend: Blend) -> keras.Model:
    """Build the model from uint8 photos (1, height, width, 3) to float32 probabilities (1, labels).

    Args:
        members: all that the blend knows, in its order; those that count nothing are left out.
        stores: that the others read, by name.
        blend: of their probabilities.
    """
    names = [*members]
    counted = {number: members[names[number]] for number in graphs.counting(blend, len(names))}
    photo = keras.Input(batch_shape=SHAPE, dtype="uint8", name=PHOTO)
    read = dict.fromkeys(store for member in counted.values() for store in member.stores)
    features = _features(photo, {name: stores[name] for name in read})
    each = {number: _predicted(number, member, features) for number, member in counted.items()}
    blended = graphs.GRAPHS[type(blend)](blend, each)
    return keras.Model(photo, keras.layers.Activation("linear", dtype="float32", name=PROBABILITIES)(blended))


def _features(photo: Tensor, stores: Mapping[str, Store]) -> dict[str, Tensor]:
    """Give the features of each store as it holds them; a square that several need is made once."""
    sides = {backbones.side(store.feature_set) for store in stores.values()}
    squares = {side: letterbox.letterboxed(photo, side) for side in sorted(sides)}
    features = {}
    for number, (name, store) in enumerate(stores.items()):
        seen = letterbox.view(squares[backbones.side(store.feature_set)], store.feature_set.view)
        features[name] = _stored(_named(store.extractor, f"extractor_{number}")(seen)) if store.extractor else seen
    return features


def _stored(features: Tensor) -> Tensor:
    """Give features as stores hold them: float16 within its range."""
    return ops.cast(ops.clip(features, -HALF, HALF), "float16")


def _predicted(number: int, member: Member, features: Mapping[str, Tensor]) -> Tensor:
    """Give the probabilities of one member: of several views the mean over them."""
    read = [features[store] for store in member.stores]
    joined = ops.concatenate(read, axis=-1) if len(read) > 1 else read[0]
    head = _named(member.head, f"member_{number}")
    views = joined.shape[-1] // head.input_shape[-1]
    parts = [head(part) for part in ops.split(joined, views, axis=-1)] if views > 1 else [head(joined)]
    return sum(parts[1:], parts[0]) / views


def _named(model: keras.Model, name: str) -> keras.Model:
    """Give the same model under a name that no other part has."""
    return keras.Model(model.input, model.output, name=name)

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
from mlob.feature_sets import FeatureSet
from mlob.features import backbones, letterbox

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


def build(
    names: Sequence[str], members: Mapping[str, Member], stores: Mapping[str, Store], blend: Blend
) -> keras.Model:
    """Build the model from uint8 photos (1, height, width, 3) to float32 probabilities (1, labels).

    Args:
        names: of all members that the blend knows, in its order.
        members: those that count anything.
        stores: that these read, by name.
        blend: of their probabilities.
    """
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
    """Round features as stores hold them, to float16 within its range, without that type.

    Converters and runtimes leave out a cast to float16 and back, and where features hardly differ from each other, as
    those of random weights, the digits matter. So 13 of the 24 bits are split off (Dekker 1971); numbers below
    float16's smallest normal one are multiples of 2^-24.
    """
    features = ops.clip(features, -HALF, HALF)
    enlarged = features * (2.0**13 + 1)
    normal, small = enlarged - (enlarged - features), ops.round(features * 2.0**24) * 2.0**-24
    return ops.where(ops.abs(features) < 2.0**-14, small, normal)


def _predicted(number: int, member: Member, features: Mapping[str, Tensor]) -> Tensor:
    """Give the probabilities of one member: of several views the mean over them."""
    read = [features[store] for store in member.stores]
    joined = ops.concatenate(read, axis=-1) if len(read) > 1 else read[0]
    head = _named(member.head, f"member_{number}")
    views = joined.shape[-1] // head.input_shape[-1]
    seen = ops.split(joined, views, axis=-1) if views > 1 else [joined]
    parts = [head(ops.cast(part, head.input.dtype)) for part in seen]
    return sum(parts[1:], parts[0]) / views


def _named(model: keras.Model, name: str) -> keras.Model:
    """Give the same layers as a model under a name that no other part has; some operations are replaced."""
    same = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=_called, recursive=True)
    return keras.Model(same.input, same.output, name=name)


def _called(operation: Any, *arguments: Any, **options: Any) -> Any:
    """Call what a model consists of. Tensors that it holds become arrays: tf2onnx would ask the caller for them."""
    if instead := INSTEAD.get(type(operation).__name__):
        (x,) = arguments
        inputs = keras.Input(
            x.shape[1:], dtype=x.dtype
        )  # a model by itself: Keras may count its names as the head's own
        return keras.Model(inputs, instead(operation, inputs), name=f"{operation.name}_instead")(x)
    return operation(*keras.tree.map_structure(_as_array, arguments), **keras.tree.map_structure(_as_array, options))


def _as_array(argument: Any) -> Any:
    return ops.convert_to_numpy(argument) if keras.ops.is_tensor(argument) else argument


def _standardised(layer: Any, x: Tensor) -> Tensor:
    mean, variance = (ops.convert_to_numpy(each) for each in (layer.mean, layer.variance))
    return (x - mean) / np.maximum(np.sqrt(variance), np.float32(keras.config.epsilon()))


INSTEAD = {  # of operations and layers that a converter does not take as they are
    "Expm1": lambda _, x: ops.exp(x) - 1,  # what becomes of it needs no more digits
    "Normalization": _standardised,
}

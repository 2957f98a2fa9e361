"""Whether a model that leaves answers as mlob does: on the same pixels, and on the same files as `predict`."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlob.data import images
from mlob.data.places import Place
from mlob.ensemble import methods
from mlob.errors import InputError, Unreadable, counted
from mlob.exports.parts import Whole
from mlob.features import backbones, pipeline
from mlob.runs import answering
from mlob.training.predicting import predict

if TYPE_CHECKING:
    from mlob.exports import graph

COUNT = 32  # photos that it is tried on
TOLERANCE = 1e-4  # of probabilities
NUDGE = 2.0**-18  # of a feature: by so much it depends on the order in which a runtime adds up
NUDGES, TIMES = 4, 4  # times that they are moved; and what is allowed, of the most that this does to a probability
MOST_TALL = 2  # times as tall as wide: from Pillow 13 on, taller photos are scaled in another order
NAMED = 3  # photos that a refusal names


class Answers(NamedTuple):
    """Probabilities float32 (n, labels) and decisions uint8 (n, labels)."""

    probabilities: np.ndarray
    decided: np.ndarray


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far two answers on the same photos are apart.

    Attributes:
        photos: their number.
        largest: difference of two probabilities.
        decisions: that differ.
        of: how many decisions there are.
    """

    photos: int
    largest: float
    decisions: int
    of: int


def chosen(places: Sequence[Place], side: int) -> dict[Place, np.ndarray]:
    """Decode up to `COUNT` photos, evenly spread, of those that can be read: {place: uint8 (h, w, 3)}.

    Args:
        places: of photos.
        side: of the largest square that the model makes of them, to which a large JPEG may be scaled while decoded.

    Raises:
        InputError: none can be read.
    """
    found: dict[Place, np.ndarray] = {}
    spread = np.argsort(np.arange(len(places)) * 0.6180339887498949 % 1, kind="stable")
    for place in (places[number] for number in spread):
        if len(found) == COUNT:
            break
        try:
            pixels = images.whole(images.content(place), side)
            images.letterboxed(pixels, side)  # a blank photo is refused
        except Unreadable:
            continue
        if len(pixels) <= MOST_TALL * pixels.shape[1]:
            found[place] = pixels
    if not found:
        raise InputError(
            f"None of {counted(len(places), 'photo')} can be read, or all are more than twice as tall as wide: name "
            f"others with --photos, {COUNT} of which the model is tried on."
        )
    return found


def in_float32(
    whole: Whole, members: Mapping[str, graph.Member], stores: Mapping[str, graph.Store], photos: Iterable[np.ndarray]
) -> tuple[Answers, float]:
    """Answer as mlob does, on photos that are decoded, with Keras in float32: letterboxed by Pillow, blended by NumPy.

    Stores hold float16, so that the last bits of a feature, by which runtimes differ, may round it up or down. Where
    features hardly differ from photo to photo, as those of random weights, a head enlarges that beyond the tolerance.
    How far is measured: each feature is moved by four millionths of it.

    Args:
        whole: what leaves.
        members, stores: of it, loaded.
        photos: uint8 (h, w, 3) each.

    Returns:
        (the answers, how far a probability may be from them).
    """
    photos = list(photos)
    features = {name: _features(each, photos) for name, each in stores.items()}
    moved = [{name: _nudged(each, seed) for name, each in features.items()} for seed in range(NUDGES)]
    answers, *others = (
        _decided(whole, members, {name: pipeline.stored(each) for name, each in way.items()})
        for way in (features, *moved)
    )
    return answers, max(TOLERANCE, TIMES * max(difference(answers, other).largest for other in others))


def _nudged(features: np.ndarray, seed: int) -> np.ndarray:
    """Move each feature (n, ...) a little, half of them up; pixels stay."""
    if features.dtype == np.uint8:
        return features
    moves = np.random.default_rng(seed).choice([1 - NUDGE, 1 + NUDGE], features.shape)
    return features * moves.astype(np.float32)


def as_predicted(
    whole: Whole, members: Mapping[str, graph.Member], places: Iterable[Place], folder: pathlib.Path
) -> Answers:
    """Answer as `predict` does on this machine: each store's own runtime and precision, and each decodes the files.

    Args:
        whole: what leaves.
        members: of it, loaded.
        places: of the photos.
        folder: of all feature stores.
    """
    digests, _ = answering.digests_of(places)  # all can be read
    rows, _ = answering.on_disk(whole.read, folder)({digest: place for place, digest in digests.items()})
    features = {name: np.stack([of[digest] for digest in digests.values()]) for name, of in rows.items()}
    return _decided(whole, members, features)


def run(model: Callable[[np.ndarray], np.ndarray], photos: Iterable[np.ndarray], decision: methods.Decision) -> Answers:
    """Ask a model that has left about photos, one at a time."""
    probabilities = np.concatenate([model(pixels[np.newaxis]) for pixels in photos])
    return Answers(probabilities, decision.decide(probabilities))


def difference(one: Answers, other: Answers) -> Difference:
    """Say how far answers on the same photos are apart."""
    largest = float(np.abs(one.probabilities - other.probabilities).max())
    return Difference(len(one.decided), largest, int((one.decided != other.decided).sum()), one.decided.size)


def refuse(
    places: Sequence[Place], wanted: Answers, found: Answers, labels: Sequence[str], tolerance: float = TOLERANCE
) -> None:
    """Refuse a model that answers otherwise than mlob.

    Args:
        places: of the photos.
        wanted, found: mlob's answers, and the model's.
        labels: their names.
        tolerance: how far a probability may be from mlob's; the decisions have to be equal.

    Raises:
        InputError: which photos differ, by how much, and at which label.
    """
    if found.probabilities.shape != wanted.probabilities.shape:
        raise InputError(
            f"The model gives {found.probabilities.shape[1]} probabilities, and there are {len(labels)} labels: no "
            "file stays."
        )
    apart = np.nan_to_num(np.abs(found.probabilities - wanted.probabilities), nan=1.0)
    is_other = (apart > tolerance) | (found.decided != wanted.decided)
    rows = sorted(np.flatnonzero(is_other.any(axis=1)).tolist(), key=lambda row: -apart[row].max())
    if rows:
        named = ", ".join(
            f"{places[row].name} by {apart[row].max():.2g} ({labels[int(apart[row].argmax())]})" for row in rows[:NAMED]
        )
        more = ", …" if len(rows) > NAMED else ""
        raise InputError(
            f"The model answers otherwise than mlob on {len(rows)} of {counted(len(places), 'photo')}: {named}{more}. "
            f"Up to {tolerance:.2g} and equal decisions are expected. No file stays; take another format, or tell us."
        )


def _features(made: graph.Store, photos: Sequence[np.ndarray]) -> np.ndarray:
    side = backbones.side(made.feature_set)
    squares = [images.view(images.letterboxed(pixels, side), made.feature_set.view) for pixels in photos]
    if made.extractor is None:
        return np.stack(squares)
    return np.concatenate([_row(made.extractor, square) for square in squares])


def _row(extractor: graph.keras.Model, square: np.ndarray) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(extractor(square[np.newaxis], training=False))


def _decided(whole: Whole, members: Mapping[str, graph.Member], features: Mapping[str, np.ndarray]) -> Answers:
    """Blend and decide; members that count nothing are 0."""
    each = {
        name: predict(member.head, np.concatenate([features[store] for store in member.stores], axis=-1))
        for name, member in members.items()
    }
    nothing = np.zeros_like(next(iter(each.values())))
    probabilities = whole.decision.probabilities(np.stack([each.get(name, nothing) for name in whole.runs]))
    return Answers(probabilities, whole.decision.decide(probabilities))

"""Pictures of what a network looks like inside, for the page."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mlob.data import images
from mlob.reports.photos import Photo
from mlob.runs.inside import Inside

TILE = 24  # pixels of a filter, at least
ACROSS = 16  # filters in a row
GAP = 2  # white pixels between tiles
HEAT = np.array([0xD5, 0x5E, 0x00], np.float32)  # Okabe and Ito's vermilion, which nobody takes for grey
STRONGEST = 0.75  # share of that colour where a label is seen most
WHITE: Any = {"constant_values": 255}  # of numpy.pad
PALE = 0.6  # share of a grey photo below it; the rest is white


@dataclasses.dataclass(frozen=True)
class Seen:
    """Where a label (a column) is seen in a photo: JPEG bytes of both side by side."""

    photo: Photo
    picture: bytes
    label: int
    probability: float


@dataclasses.dataclass(frozen=True)
class Liked:
    """A photo (JPEG bytes) made up for a label (a column), whose probability was `before` on noise and is `after`."""

    picture: bytes
    label: int
    before: float
    after: float


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What a network looks like inside, as JPEG bytes.

    Attributes:
        network: its name.
        right, wrong: where it sees labels that it gave rightly, and wrongly.
        liked: photos made up; none where it begins with maps.
        stages: {layer: its strongest channels on the first photo of `right`, or `wrong`, in a row}.
        filters: of the first layer, row by row; None where it begins with maps.
    """

    network: str
    right: list[Seen]
    wrong: list[Seen]
    liked: list[Liked]
    stages: dict[str, bytes]
    filters: bytes | None


def pictures(network: str, inside: Inside, photo_of: Callable[[str], Photo]) -> Pictures:
    """Make the pictures of a network.

    Args:
        network: its name.
        inside: what it looks like.
        photo_of: gives the photo of an id.
    """
    seen = [
        Seen(photo_of(str(id_)), beside(photo, places), int(label), float(probability))
        for id_, photo, places, label, probability in zip(
            inside.ids, inside.photos, inside.places, inside.labels, inside.probabilities, strict=True
        )
    ]
    liked = [
        Liked(images.picture(photo), int(label), *map(float, _probabilities(odds)))
        for photo, label, odds in zip(inside.liked, inside.liked_labels, inside.log_odds, strict=True)
    ]
    return Pictures(
        network,
        [each for each, is_right in zip(seen, inside.is_right, strict=True) if is_right],
        [each for each, is_right in zip(seen, inside.is_right, strict=True) if not is_right],
        liked,
        {str(name): images.picture(sheet(maps)) for name, maps in zip(inside.stages, inside.maps, strict=True)},
        images.picture(sheet(inside.filters)) if len(inside.filters) else None,
    )


def beside(photo: np.ndarray, places: np.ndarray) -> bytes:
    """Give a photo, and beside it a grey one that is coloured where a label is seen, as a JPEG.

    Args:
        photo: uint8 (side, side, 3).
        places: uint8 (side, side).
    """
    strength = STRONGEST * places[..., np.newaxis] / np.float32(255)
    grey = 255 - PALE * (255 - photo.mean(axis=-1, keepdims=True))
    coloured = np.round((1 - strength) * grey + strength * HEAT).astype(np.uint8)
    return images.picture(np.concatenate([photo, coloured], axis=1))


def sheet(tiles: np.ndarray) -> np.ndarray:
    """Lay tiles uint8 (n, h, w) or (n, h, w, 3) out in rows of up to 16, small ones enlarged: uint8 (h, w, 3)."""
    tiles = np.stack([tiles] * 3, axis=-1) if tiles.ndim == 3 else tiles
    times = -(-TILE // tiles.shape[1])
    large = np.pad(tiles.repeat(times, axis=1).repeat(times, axis=2), ((0, 0), (0, GAP), (0, GAP), (0, 0)), **WHITE)
    across = min(ACROSS, len(large))
    whole = np.pad(large, ((0, -len(large) % across), (0, 0), (0, 0), (0, 0)), **WHITE)
    rows = whole.reshape(-1, across, *large.shape[1:])
    return np.concatenate([np.concatenate([*row], axis=1) for row in rows])[:-GAP, :-GAP]


def _probabilities(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds.astype(np.float64)))

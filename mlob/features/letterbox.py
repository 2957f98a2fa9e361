"""What `data.images` does to a photo, as part of a Keras model: brought to a square, and the views of that.

Pillow scales one way and then the other, and rounds in between. It weighs neighbouring pixels by a triangle, as wide as
the step between two pixels that it gives, in fixed point of 22 bits. The same integers are made here, in float32, which
adds and multiplies them exactly as long as they are below 2^24: the square is Pillow's to the last bit, whatever runs
the model. Two parts of 11 bits of each weight keep the sums so small. Only built-in operations are used, since a model
has to be loaded where there is no mlob.
"""

from typing import Any

import numpy as np
from keras import ops

from mlob.data import images

HALF_BITS = 11  # of a weight's two parts; Pillow's PRECISION_BITS are 22
STEPS = (4, 4, 4, 4, 3, 3)  # bits of a quotient that are found at once: remainders stay below 2^24
WHITE = 255.0

Tensor = Any  # of Keras, whether symbolic or not


def letterboxed(photo: Tensor, side: int) -> Tensor:
    """Bring a photo of any size to a square, as `images.decode` does.

    In 115 of 18 million shapes of photos up to 6,000 pixels a side, the letterboxed photo is one pixel wider or
    narrower in a square of 224: those whose side times the scale is a half, which float64 misses.

    Args:
        photo: uint8 (1, h, w, 3).
        side: of the square, pixels.

    Returns:
        uint8 (1, side, side, 3).
    """
    pixels = ops.transpose(ops.cast(photo, "float32")[0], (2, 0, 1))
    across, down = _counted(pixels[0, 0]), _counted(pixels[0, :, 0])
    width, height = _length(across), _length(down)
    longest = ops.maximum(width, height)
    places = np.arange(side, dtype=np.float32)[:, np.newaxis]
    for positions, length in ((across, width), (down, height)):
        target = ops.maximum(_rounded(length * side, longest), 1.0)
        place = ops.subtract(places, ops.floor((side - target) / 2))
        weights = _weights(positions, length, place, target)
        is_inside = ops.logical_and(place >= 0, place < target)[:, 0]
        scaled = ops.where(is_inside, _weighed(pixels, weights), WHITE)
        pixels = ops.transpose(scaled, (0, 2, 1))  # the next one goes down
    return ops.cast(ops.expand_dims(ops.transpose(pixels, (1, 2, 0)), 0), "uint8")


def view(square: Tensor, name: str) -> Tensor:
    """Give a view of a square, as `images.view` does.

    Args:
        square: uint8 (1, side, side, 3).
        name: a name in `images.VIEWS`.
    """
    position, side = images.VIEWS[name], square.shape[1]
    if position is None:
        return ops.flip(square, axis=2) if name == "flip" else square
    left, top, crop = images.crop_box(side, position)
    pixels, places = ops.transpose(ops.cast(square, "float32")[0], (2, 0, 1)), np.arange(side, dtype=np.float32)
    for start in (left, top):
        weights = _weights(places, np.float32(crop), places[:, np.newaxis], np.float32(side), np.float32(start))
        pixels = ops.transpose(_weighed(pixels, ops.convert_to_numpy(weights)), (0, 2, 1))
    return ops.cast(ops.expand_dims(ops.transpose(pixels, (1, 2, 0)), 0), "uint8")


def _counted(pixels: Tensor) -> Tensor:
    """Number the pixels of a line from 0, float32; the number of pixels is only known when the model runs."""
    return ops.cumsum(ops.ones_like(pixels)) - 1


def _length(positions: Tensor) -> Tensor:
    return ops.max(positions) + 1


def _rounded(dividend: Tensor, divisor: Tensor) -> Tensor:
    """Divide whole numbers, and round as Python does: a half to the even one."""
    quotient, rest = _divided(dividend, divisor)
    is_odd = quotient - 2 * ops.floor(quotient / 2)
    return quotient + ops.cast(2 * rest + is_odd > divisor, "float32")


def _divided(dividend: Tensor, divisor: Tensor) -> tuple[Tensor, Tensor]:
    """Divide whole numbers below 2^24: quotient and rest, although the division itself is rounded."""
    quotient = ops.floor(dividend / divisor)
    rest = dividend - quotient * divisor
    quotient += ops.cast(rest >= divisor, "float32") - ops.cast(rest < 0, "float32")
    return quotient, dividend - quotient * divisor


def _weights(positions: Tensor, length: Tensor, places: Tensor, target: Tensor, start: Tensor = 0.0) -> Tensor:
    """Weigh the pixels of a line for each place of the line that is made of it, as Pillow's precompute_coeffs.

    Args:
        positions: of the pixels, (pixels,).
        length: of the part of the line that is scaled.
        places: that are made, (side, 1); those outside of 0 to `target` have weights of no meaning.
        target: number of places that the part is brought to.
        start: of the part.

    Returns:
        float32 (pixels, 2 * side), whole numbers: the upper 11 bits for each place, then the lower ones.
    """
    reach = 2 * ops.maximum(length, target)
    apart = ops.abs(ops.multiply(2 * positions + 1 - 2 * start, target) - ops.multiply(2 * places + 1, length))
    rest = ops.maximum(reach - apart, 0.0)
    total = ops.maximum(ops.sum(rest, axis=1, keepdims=True), 1.0)
    weight = ops.zeros_like(rest)
    for bits in STEPS:
        digit, rest = _divided(rest * 2**bits, total)
        weight = weight * 2**bits + digit
    weight += ops.cast(2 * rest >= total, "float32")
    upper = ops.floor(weight / 2**HALF_BITS)
    return ops.transpose(ops.concatenate([upper, weight - upper * 2**HALF_BITS], axis=0))


def _weighed(pixels: Tensor, weights: Tensor) -> Tensor:
    """Add weighed pixels up along their last axis, and round: (3, lines, side)."""
    upper, lower = ops.split(ops.matmul(pixels, weights), 2, axis=-1)
    carried = ops.floor(lower / 2**HALF_BITS) + 2 ** (HALF_BITS - 1)
    return ops.floor((upper + carried) / 2**HALF_BITS)

"""Photos changed at random while a network is trained, and their views, over which it predicts.

All moves of a photo are one affine transform of its places, and all changes of colour one of its colours: it is
resampled once, and rounded once. Photos of 224 pixels a second of processor time (AMD EPYC with AVX-512, TensorFlow,
batches of 32): 590 are moved, where Keras's layers for rotation, shift and zoom, one after another, move 190; 2,600 are
coloured, where its RandomColorJitter, which goes by way of HSV, does 150. XLA cannot compile TensorFlow's transform:
these models are called outside of what it compiles.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np

from mlob.data import images
from mlob.phases import Augmentation

DRAWS = (  # numbers in [0, 1) that each photo gets anew at each step, used or not: fields do not change each other's
    *("flip", "crop", "crop_across", "crop_down", "rotation", "across", "down", "zoom"),
    *("brightness", "contrast", "saturation", "hue", "cutout", "cutout_across", "cutout_down"),
)
WHITE = 255.0  # around photos, as where they are letterboxed
BLANK = 128  # in cutouts: white would look like the surroundings of a product
GREY = np.full((3, 3), 1 / 3, np.float32)  # from a colour to the grey that is as light
TURN = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]], np.float32) / math.sqrt(3)  # of hues, by 90 degrees; greys stay
LARGEST_TURN = math.pi / 2  # of hues, at strength 1

Tensor: TypeAlias = Any  # a backend's own
Draws: TypeAlias = dict[str, Tensor]  # each (n,)
Change: TypeAlias = Callable[[Tensor, Draws], Tensor]


def build(augmentation: Augmentation, shape: tuple[int, int, int], seed: int) -> keras.Model | None:
    """Build a model that changes photos at random, each by itself, where it is called with training=True.

    Called otherwise it gives back what it gets. The state of its random numbers is among its variables.

    Args:
        augmentation: of a phase.
        shape: of a photo, (h, w, 3).
        seed: the same one gives the same changes in the same sequence of calls.

    Returns:
        A model from uint8 photos (n, h, w, 3) to such photos; None where the recipe changes nothing.
    """
    changes = _changes(augmentation)
    if not changes:
        return None
    photos = keras.Input(shape, dtype="uint8", name="photos")
    return keras.Model(photos, RandomChanges(changes, seed)(photos), name="augmentation")


def over_views(model: keras.Model, views: tuple[str, ...]) -> keras.Model:
    """Give a model whose prediction is the mean of a model's over the whole photo and some views of it.

    A crop has the pixels of `images.view` to one grey level, but for the outermost row or column of pixels where it
    ends inside of the photo: `images.view` mixes up to a sixteenth of the pixels beyond into these.

    Args:
        model: from photos (n, side, side, 3) to probabilities (n, labels); its variables are shared.
        views: names in `images.VIEWS`; without any, the model itself is given back.
    """
    if not views:
        return model
    (given,) = model.inputs
    photos = keras.Input(given.shape[1:], dtype=given.dtype, name=given.name)
    each = [model(view) for view in (photos, *(_view(photos, name) for name in views))]
    return keras.Model(photos, keras.layers.Average(name="mean_over_views")(each))


class RandomChanges(keras.layers.Layer):
    """Changes of photos uint8 (n, h, w, 3), one after another, by numbers that are drawn here for each photo."""

    def __init__(self, changes: list[Change], seed: int) -> None:
        """Keep the changes; the layer is active in training only."""
        super().__init__(name="random_changes")
        self.changes = changes
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, photos: Tensor, training: bool = False) -> Tensor:
        """Give the photos as they are, or changed."""
        if not training:
            return photos
        numbers = keras.random.uniform((keras.ops.shape(photos)[0], len(DRAWS)), seed=self.seed_generator)
        draws = dict(zip(DRAWS, keras.ops.unstack(numbers, len(DRAWS), axis=1), strict=True))
        for change in self.changes:
            photos = change(photos, draws)
        return photos


def _changes(augmentation: Augmentation) -> list[Change]:
    """List the changes that a recipe needs, in order: one that does nothing would still cost time."""
    moves = bool(augmentation.crop < 1 or augmentation.rotation or augmentation.shift or augmentation.zoom)
    needed = {
        _flipped: augmentation.flip,
        _moved: moves,
        _coloured: augmentation.colour > 0,
        _rounded: moves or augmentation.colour > 0,
        _blanked: augmentation.cutout > 0,
    }
    return [functools.partial(change, augmentation) for change, is_needed in needed.items() if is_needed]


def _flipped(_: Augmentation, photos: Tensor, draws: Draws) -> Tensor:
    """Let left and right change places in half of the photos."""
    ways = keras.ops.stack([photos, keras.ops.flip(photos, axis=2)], axis=1)
    chosen = keras.ops.cast(draws["flip"] < 0.5, "int32")
    rows = 2 * keras.ops.arange(keras.ops.shape(photos)[0], dtype="int32") + chosen
    return keras.ops.take(keras.ops.reshape(ways, (-1, *photos.shape[1:])), rows, axis=0)  # faster than `where`


def _moved(augmentation: Augmentation, photos: Tensor, draws: Draws) -> Tensor:
    """Rotate about the centre, zoom and shift, and enlarge a window of what comes of it: one bilinear resampling.

    Of a pixel at p from the centre is asked what was at R (side * p + offset) / zoom, where R turns back.
    """
    height, width = photos.shape[1:3]
    x, y = (width - 1) / 2, (height - 1) / 2
    side, across, down = _window(1 - (1 - augmentation.crop) * draws["crop"], draws["crop_across"], draws["crop_down"])
    across = across * (width - 1) - _around(0, augmentation.shift * width, draws["across"]) - side * x
    down = down * (height - 1) - _around(0, augmentation.shift * height, draws["down"]) - side * y
    angle = _around(0, math.radians(augmentation.rotation), draws["rotation"])
    zoom = _around(1, augmentation.zoom, draws["zoom"])
    cosine, sine, zero = keras.ops.cos(angle) / zoom, keras.ops.sin(angle) / zoom, keras.ops.zeros_like(zoom)
    to_x = [cosine * side, sine * side, cosine * across + sine * down + x]
    to_y = [-sine * side, cosine * side, cosine * down - sine * across + y]
    matrices = keras.ops.stack([*to_x, *to_y, zero, zero], axis=1)
    return keras.ops.image.affine_transform(keras.ops.cast(photos, "float32"), matrices, fill_value=WHITE)


def _coloured(augmentation: Augmentation, photos: Tensor, draws: Draws) -> Tensor:
    """Turn the hues about the axis of greys, and scale saturation, contrast about the photo's mean, and brightness."""
    strength = augmentation.colour
    angle = _around(0, strength * LARGEST_TURN, draws["hue"])[:, None, None]
    saturation, contrast, brightness = (
        _around(1, strength, draws[name])[:, None, None] for name in ("saturation", "contrast", "brightness")
    )
    colours = keras.ops.cos(angle) * (np.eye(3, dtype=np.float32) - GREY) + keras.ops.sin(angle) * TURN
    pixels = keras.ops.cast(keras.ops.reshape(photos, (-1, math.prod(photos.shape[1:3]), 3)), "float32")
    mean = keras.ops.mean(pixels, axis=(1, 2), keepdims=True)
    scaled = keras.ops.matmul(pixels, brightness * contrast * (GREY + saturation * colours))
    return keras.ops.reshape(scaled + brightness * (1 - contrast) * mean, (-1, *photos.shape[1:]))


def _rounded(_: Augmentation, photos: Tensor, draws: Draws) -> Tensor:
    """Make whole numbers of 0 to 255 of what is moved or coloured."""
    return keras.ops.cast(keras.ops.round(keras.ops.clip(photos, 0, 255)), "uint8")


def _blanked(augmentation: Augmentation, photos: Tensor, draws: Draws) -> Tensor:
    """Make a window grey."""
    height, width = photos.shape[1:3]
    side, across, down = _window(augmentation.cutout * draws["cutout"], draws["cutout_across"], draws["cutout_down"])
    columns = keras.ops.repeat(_is_within(width, side, across), 3, axis=1)  # thrice as fast as an axis of channels
    inside = keras.ops.logical_and(_is_within(height, side, down)[:, :, None], columns[:, None])
    pixels = keras.ops.reshape(photos, (-1, height, width * 3))
    blanked = keras.ops.where(inside, keras.ops.cast(BLANK, "uint8"), pixels)
    return keras.ops.reshape(blanked, (-1, height, width, 3))


def _is_within(length: int, side: Tensor, middle: Tensor) -> Tensor:
    """Say which of `length` pixels are inside of a window (n, length), of which side and middle are shares."""
    pixels = (np.arange(length, dtype=np.float32) + 0.5) / length - 0.5
    return keras.ops.abs(pixels - middle[:, None]) < side[:, None] / 2


def _window(area: Tensor, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give side and middle of windows with a photo's proportions, as shares of its sides; the middle from the photo's.

    Args:
        area: shares of the photos' areas (n,).
        across, down: where they lie between the edges, in [0, 1).
    """
    side = keras.ops.sqrt(area)
    return side, (across - 0.5) * (1 - side), (down - 0.5) * (1 - side)


def _around(middle: float, most: float, draw: Tensor) -> Tensor:
    """Spread draws in [0, 1) over `middle` - `most` to `middle` + `most`."""
    return middle + most * (2 * draw - 1)


def _view(photos: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Give a view of photos (n, side, side, 3), of their dtype."""
    position = images.VIEWS[name]
    if position is None:
        return keras.ops.flip(photos, axis=2) if name == "flip" else photos
    side = photos.shape[1]
    left, top, crop = images.crop_box(side, position)
    x = keras.ops.cast(photos, "float32")
    x = keras.layers.Cropping2D(((top, side - crop - top), (left, side - crop - left)))(x)
    x = keras.layers.Resizing(side, side)(x)
    return keras.ops.cast(keras.ops.round(x), photos.dtype)

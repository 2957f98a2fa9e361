"""Looking inside a network: its first filters, maps of a photo, photos that labels like best, where labels are seen.

Slopes of a label's log-odds are taken by Keras's backend: TensorFlow, JAX or PyTorch.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from mlob.errors import InputError
from mlob.features import backbones
from mlob.models import heads, networks
from mlob.progress import Advance
from mlob.recipes import FeatureSet

STEPS = 48  # of gradient ascent
RATE = 8.0  # grey levels by which a step changes a photo, root mean square
BLUR = (4.0, 0.5)  # width of the Gaussian that smooths a step, pixels: the first one's, the last one's
JITTER = 1 / 28  # of the side, by which a photo is shifted at most before each step
GREY, NOISE = 128, 8  # that ascent begins with, grey levels: mean and deviation
CHANNELS = 8  # of a stage that are shown
MAP_SIDE = 112  # pixels of a map that is shown

Tensor: TypeAlias = Any  # a backend's own
Function: TypeAlias = Callable[[Tensor], Tensor]  # from rows (n, ...) to a number each (n,)
Slope: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # to the numbers, and their slopes (n, ...)


@dataclasses.dataclass(frozen=True)
class Parts:
    """A network taken apart, its variables shared. No part rounds or casts its input, so that slopes pass through.

    Attributes:
        extractor: from photos or maps of a store to features.
        to_maps: from what the extractor takes to the maps that features are made of, the last one last.
        to_features: from these maps to features.
        to_log_odds: from features to log-odds (n, labels), or (n, branches, labels).
    """

    extractor: keras.Model
    to_maps: keras.Function
    to_features: keras.Function
    to_log_odds: keras.Function

    @property
    def reads_photos(self) -> bool:
        """Whether it begins with photos; otherwise with maps of a layer that is not a part of it."""
        return self.extractor.input.dtype == "uint8"

    def seen(self, rows: np.ndarray) -> Tensor:
        """Give rows of a store at the size that the extractor takes."""
        side = self.extractor.input_shape[1]
        return rows if side in (None, rows.shape[1]) else networks.resized(rows, side)

    def log_odds(self, features: Tensor, columns: Sequence[int]) -> Tensor:
        """Give each row's log-odds of its own label (n,), of which several branches have a mean."""
        outputs = self.to_log_odds(features)
        outputs = keras.ops.mean(outputs, axis=1) if len(outputs.shape) == 3 else outputs
        chosen = np.eye(outputs.shape[-1], dtype=np.float32)[list(columns)]
        return keras.ops.sum(keras.ops.where(chosen > 0, keras.ops.cast(outputs, "float32"), 0.0), axis=-1)


def taken_apart(model: keras.Model) -> Parts:
    """Take a saved network apart, which may be the mean over views of one.

    Raises:
        InputError: it has no probability of its own for each label, as specialists have not.
    """
    network = _network_in(model)
    extractor = network.get_layer(backbones.EXTRACTOR)
    log_odds = heads.with_logits(network).output
    if log_odds.shape[-1] != model.output_shape[-1]:
        raise InputError("The network knows some of the labels alone: there are no pictures of its inside.")
    maps = _last_maps(network)
    return Parts(
        extractor,
        keras.Function(extractor.input, maps),
        keras.Function(maps, extractor.output),
        keras.Function(network.get_layer(networks.FEATURES).output, log_odds),
    )


def filters(model: keras.Model) -> np.ndarray:
    """Give what the first layer's filters look for, as colours (Zeiler and Fergus 2014), in the order of the layer.

    Args:
        model: a saved network that reads photos.

    Returns:
        float32 (filters, height, width, 3) in 0 to 1, red, green, blue; 0.5 is what a filter does not look at, and
        each is as strong as goes.
    """
    network = _network_in(model)
    extractor, entry = network.get_layer(backbones.EXTRACTOR), _entry(network)
    first = _convolutions(networks.backbone_of(network))[0]
    primaries = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]).astype(np.float32)
    seen = _array(entry(np.tile(primaries[:, None, None], (1, *extractor.input_shape[1:3], 1))))
    channels = seen[1:, 0, 0] - seen[0, 0, 0]  # of red, green and blue: what preprocessing makes of them
    of_colours = np.einsum("hwcf,rc->fhwr", _array(first.kernel), channels)
    most = np.abs(of_colours).max(axis=(1, 2, 3), keepdims=True)
    return 0.5 + 0.5 * of_colours / np.maximum(most, np.finfo(np.float32).tiny)


def maps(model: keras.Model, row: np.ndarray, feature_set: FeatureSet | None) -> dict[str, np.ndarray]:
    """Give the strongest channels of each stage on a photo (Zeiler and Fergus 2014).

    Args:
        model: a saved network.
        row: of its store, (h, w, c).
        feature_set: that the network begins with; None of convolutions, each of which is a stage.

    Returns:
        {layer: float32 (8, 112, 112) in 0 to 1}, of each channel from its least to its largest number; the lowest
        layer and the strongest channel come first.
    """
    network = _network_in(model)
    backbone = networks.backbone_of(network)
    wanted = backbones.stage_maps(backbone, feature_set) if feature_set else _convolved(backbone)
    given = backbone.inputs[0] if feature_set else _convolutions(backbone)[0].input
    below = _entry(network)(taken_apart(model).seen(row[np.newaxis]))
    found = keras.Function(given, [*wanted.values()])(below)
    return {name: _strongest(_array(each)[0]) for name, each in zip(wanted, found, strict=True)}


def maximised(
    parts: Parts, columns: Sequence[int], seed: int, advance: Advance
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make up photos for which labels are as likely as can be (Erhan et al. 2009; Simonyan et al. 2014).

    Gradient ascent from grey noise, of the log-odds. Steps are smoothed, at first by much, and the photo is shifted
    before each: otherwise what comes of it is a fine pattern that no photo has.

    Args:
        parts: of a network that reads photos.
        columns: the labels.
        seed: of noise and shifts.
        advance: called after each of the `STEPS`.

    Returns:
        uint8 (labels, h, w, 3), and the labels' log-odds float32 (labels,) on the noise and on what came of it.
    """
    from scipy.ndimage import gaussian_filter

    generator = np.random.default_rng(seed)
    noise = generator.normal(GREY, NOISE, (len(columns), *parts.extractor.input_shape[1:]))
    photos, most = np.clip(noise, 0, 255).astype(np.float32), round(JITTER * noise.shape[1])
    slope = slope_of(lambda seen: parts.log_odds(parts.to_features(parts.to_maps(seen)), columns))
    before, _ = slope(np.round(photos))
    for blur in np.geomspace(*BLUR, STEPS):
        shift = generator.integers(-most, most + 1, 2)
        _, slopes = slope(np.roll(photos, shift, axis=(1, 2)))
        step = gaussian_filter(np.roll(slopes, -shift, axis=(1, 2)), (0, blur, blur, 0))
        strength = np.sqrt(np.mean(step**2, axis=(1, 2, 3), keepdims=True))
        photos = np.clip(photos + RATE * step / np.maximum(strength, np.finfo(np.float32).tiny), 0, 255)
        advance()
    photos = np.round(photos)
    return photos.astype(np.uint8), before, slope(photos)[0]


def places(parts: Parts, rows: np.ndarray, columns: Sequence[int], side: int) -> np.ndarray:
    """Give where in photos labels are seen: Grad-CAM (Selvaraju et al. 2017).

    The numbers of the last map times the slopes there of the label's log-odds, summed over the channels; what speaks
    against the label is left out. Where features are means over the places, slopes are the same at each place, and this
    is the formula of the paper, which takes their mean; where a network weighs places apart, it shows which ones count
    (HiResCAM, Draelos and Carin 2020).

    Args:
        parts: of the network.
        rows: of its store (n, ...).
        columns: a label for each.
        side: of the photos, pixels.

    Returns:
        float32 (n, side, side) in 0 to 1, of each photo as a share of its highest number; 0 everywhere where nothing
        speaks for the label.
    """
    *others, last = parts.to_maps(parts.seen(rows))
    to_log_odds = lambda last: parts.log_odds(parts.to_features([*others, last]), columns)  # noqa: E731
    last = _array(last)
    _, slopes = slope_of(to_log_odds)(last)
    found = np.maximum(np.sum(last * slopes, axis=-1, keepdims=True), 0)
    large = _array(keras.ops.image.resize(found, (side, side)))[..., 0]
    most = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, most, out=np.zeros_like(large), where=most > 0).clip(0, 1)


def slope_of(function: Function) -> Slope:
    """Give a function from float32 rows (n, ...) to a function's numbers (n,), and the slope of each at its row."""
    by_backend = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    return by_backend[keras.backend.backend()](function)


def _tensorflow(function: Function) -> Slope:
    import tensorflow

    @tensorflow.function(reduce_retracing=True)
    def both(rows):
        with tensorflow.GradientTape() as tape:
            tape.watch(rows)
            values = function(rows)
        return values, tape.gradient(values, rows)

    return lambda rows: tuple(each.numpy() for each in both(tensorflow.constant(rows)))


def _jax(function: Function) -> Slope:
    import jax

    def total(rows):
        values = function(rows)
        return values.sum(), values

    both = jax.jit(jax.grad(total, has_aux=True))

    def run(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slopes, values = both(rows)
        return np.asarray(values), np.asarray(slopes)

    return run


def _torch(function: Function) -> Slope:
    import torch

    def run(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tensor = keras.ops.convert_to_tensor(rows).requires_grad_()
        values = function(tensor)
        (slopes,) = torch.autograd.grad(values.sum(), tensor)
        return _array(values), _array(slopes)

    return run


def _network_in(model: keras.Model) -> keras.Model:
    """Find the network in a saved model, which is it, or the mean over views of it."""
    if any(layer.name == networks.FEATURES for layer in model.layers):
        return model
    return next(layer for layer in model.layers if isinstance(layer, keras.Model))


def _entry(network: keras.Model) -> keras.Function:
    """Give what comes before a backbone, or before the first of convolutions: from what the extractor takes."""
    extractor, backbone = network.get_layer(backbones.EXTRACTOR), networks.backbone_of(network)
    first = _convolutions(backbone)[0] if backbone is extractor else backbone
    return keras.Function(extractor.input, extractor.operations[extractor.operations.index(first) - 1].output)


def _convolutions(backbone: keras.Model) -> list[keras.Layer]:
    """List the layers that convolve all channels, the lowest first."""
    return [layer for layer in backbone.layers if type(layer) is keras.layers.Conv2D]


def _convolved(backbone: keras.Model) -> dict[str, keras.KerasTensor]:
    return {layer.name: layer.output for layer in _convolutions(backbone)}


def _last_maps(network: keras.Model) -> list[keras.KerasTensor]:
    """Give the maps that features are pooled from, as the extractor's graph has them: those of the last stage last."""
    extractor, backbone = network.get_layer(backbones.EXTRACTOR), networks.backbone_of(network)
    if backbone is extractor:
        return [_convolutions(backbone)[-1].output]
    readers = extractor.layers[extractor.layers.index(backbone) + 1 :]
    read = [layer.input for layer in readers if isinstance(layer.input, keras.KerasTensor)]
    maps = [each for each in read if len(each.shape) == 4]
    return sorted(maps, key=lambda each: (-each.shape[1] * each.shape[2], each.shape[3]))


def _strongest(channels: np.ndarray) -> np.ndarray:
    """Take the channels (h, w, c) with the highest means, each spread over 0 to 1: (8, 112, 112)."""
    order = np.argsort(-channels.mean(axis=(0, 1)), kind="stable")[:CHANNELS]
    large = keras.ops.image.resize(channels[np.newaxis, :, :, order], (MAP_SIDE, MAP_SIDE), interpolation="nearest")
    shown = np.moveaxis(_array(large)[0], -1, 0)
    least, most = (edge(shown, axis=(1, 2), keepdims=True) for edge in (np.min, np.max))
    return np.divide(shown - least, most - least, out=np.zeros_like(shown), where=most > least)


def _array(values: Tensor) -> np.ndarray:
    """Give a backend's numbers as float32."""
    return keras.ops.convert_to_numpy(keras.ops.cast(values, "float32"))

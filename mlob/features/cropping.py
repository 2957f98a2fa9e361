"""Photos cropped to the thing in them: where a trained head sees its labels.

The head learned from averages over a network's last map. Each place of that map is tried: how likely would the labels
that the head finds in the photo be, were a quarter of it like this place? Of a linear head that is the class activation
map of these labels (Zhou et al. 2016). It is coarse, a place in 32 pixels, and its outlines are blurred. So it only
tells seeds, as in weakly supervised segmentation (Kolesnikov and Lampert 2016): the photo's own linear discriminant
(Fisher 1936) between its hot and its cold places, on a finer map of an early layer, tells the thing from what is around
it. Both maps are cut where Otsu (1979) cuts grey levels.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import images
from mlob.errors import InputError
from mlob.features import backbones
from mlob.features.runtimes import Runner
from mlob.files import ANEW, archive_fault, digest, read_json
from mlob.machine import load_keras
from mlob.recipes import Crop, FeatureSet

if TYPE_CHECKING:
    import keras

RESULT, RECIPE = "result.json", "recipe.json"  # beside a head that lies in its run
BATCH = 32  # photos whose maps are in memory at once, 80 MB
PART = 0.25  # of a photo that is made like one place: a head that is not linear knows no photo of one place alone
CERTAIN = 1e-7  # probabilities nearer than this to 0 or 1 have no more log-odds
RIDGE = 1.0  # times the features' mean variance is added to each: one photo has few places, which look alike
MARGIN = 1.2  # of a crop's side, over the longer side of the box
MOST_ENLARGED = 2  # times: a smaller crop would show what the photo does not have
WHOLE = (0.0, 0.0, 1.0, 1.0)  # the box where nothing stands out

Photos = Sequence[np.ndarray] | np.ndarray  # uint8 (side, side, 3) each
Look = Callable[[Photos], np.ndarray]  # from photos to boxes, as of `boxes`
Answer = Callable[[np.ndarray], np.ndarray]  # from features float32 (n, d) to log-odds (n, labels)


def view(feature_set: FeatureSet) -> str:
    """Say what of photos is seen, for a fingerprint: the head counts by its content, wherever it lies.

    Raises:
        InputError: its file is missing or damaged.
    """
    assert feature_set.crop
    if told := fault(feature_set.crop):
        raise InputError(told)
    head = digest(pathlib.Path(feature_set.crop.head).read_bytes())[:16]
    return f"cropped to {backbones.pixels(feature_set.size)} pixels by the head {head}"


def fault(crop: Crop) -> str:
    """Say what is wrong with the file of a head, and what mends it; empty where nothing is."""
    path = pathlib.Path(crop.head)
    found = archive_fault(path)
    if not found and _learned_from_validation(path):
        found = "learned from photos of validation (training.folds), and would tell of their labels by cropping them"
    return f"crop.head {path} {found}: {_mend(path)}." if found else ""


def _learned_from_validation(head: pathlib.Path) -> bool:
    recipe = head.with_name(RECIPE)
    return recipe.is_file() and "fold_seed" in read_json(recipe, ANEW)


def answer(feature_set: FeatureSet) -> Answer:
    """Give the function from features to the log-odds of the head that a crop names.

    Raises:
        InputError: as `view`; it does not read the averages of the feature set's backbone, at the crop's size.
    """
    view(feature_set)
    assert feature_set.crop
    _refuse_other_store(feature_set, pathlib.Path(feature_set.crop.head))
    head, length = _load(feature_set.crop), backbones.find(feature_set).length
    if (shape := head.input_shape[1:]) != (length,):
        raise InputError(
            f"crop.head {feature_set.crop.head} reads {shape}, which are not the {length:,} averages of one store of "
            f"{feature_set.backbone}: name a head on these."
        )
    import keras

    def log_odds(features: np.ndarray) -> np.ndarray:
        chances = np.clip(keras.ops.convert_to_numpy(head(features, training=False)), CERTAIN, 1 - CERTAIN)
        return np.log(chances) - np.log1p(-chances)

    return log_odds


def looker(feature_set: FeatureSet, finder: Runner, model: keras.Model) -> Look:
    """Give the function from photos to the boxes of the things in them.

    Args:
        feature_set: the recipe, which has a crop.
        finder: runs `backbones.finder`.
        model: what it runs, in any form, for the shapes of the maps.

    Raises:
        InputError: as `answer`.
    """
    log_odds = answer(feature_set)
    fine, last = (model.get_layer(name).output.shape[1:] for name in (backbones.FINE, backbones.LAST))
    length = int(np.prod(fine))

    def look(photos: Photos) -> np.ndarray:
        rows = finder(photos)
        return boxes(rows[:, :length].reshape(-1, *fine), rows[:, length:].reshape(-1, *last), log_odds)

    return look


def runner(feature_set: FeatureSet, look: Look, extractor: Runner) -> Runner:
    """Put cropping before an extractor: from photos of the crop's size to the features of what was found in them.

    Args:
        feature_set: the recipe.
        look: tells where things are.
        extractor: from photos of the feature set's size to features.
    """
    side = backbones.pixels(feature_set.size)

    def cropped(photos: Photos) -> list[np.ndarray]:
        return [crop(photo, box, side) for photo, box in zip(photos, look(photos), strict=True)]

    def forward(photos: Photos) -> np.ndarray:
        batches = (photos[start : start + BATCH] for start in range(0, len(photos), BATCH))
        return extractor([*itertools.chain.from_iterable(map(cropped, batches))])

    return dataclasses.replace(extractor, forward=forward)


def boxes(fine: np.ndarray, last: np.ndarray, log_odds: Answer) -> np.ndarray:
    """Put a box around the thing in each photo: float64 (n, 4), left, top, right, bottom, in shares of the side.

    Args:
        fine: maps of an early layer, float32 (n, s, s, c).
        last: maps of the last layer, float32 (n, h, w, d).
        log_odds: of the head.
    """
    pairs = zip(fine, heat(last, log_odds), strict=True)
    return np.array([_box(features, warmth) for features, warmth in pairs]).reshape(-1, 4)


def heat(last: np.ndarray, log_odds: Answer) -> np.ndarray:
    """Tell how much each place speaks for what the head sees in the photo: (n, h, w).

    What it sees are the labels that are likelier than not, and the likeliest one in any case.

    Args:
        last: float32 (n, h, w, d).
        log_odds: of the head.
    """
    n, length = len(last), last.shape[-1]
    average = last.mean(axis=(1, 2), keepdims=True)
    seen = log_odds(average.reshape(n, length))
    seen = (seen >= 0) | (seen == seen.max(axis=1, keepdims=True))
    places = log_odds(((1 - PART) * average + PART * last).reshape(-1, length))
    return np.einsum("nhwl,nl->nhw", places.reshape(*last.shape[:-1], -1), seen)


def crop(photo: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """Cut a square around a box out of a photo, inside of it: uint8 (side, side, 3).

    Args:
        photo: uint8 (s, s, 3).
        box: left, top, right, bottom, in shares of s.
        side: of the square that the cut is brought to, pixels.
    """
    size = len(photo)
    low, high = size * np.asarray(box).reshape(2, 2)
    wanted = min(size, max(MARGIN * (high - low).max(), side / MOST_ENLARGED))
    left, top = np.clip((low + high - wanted) / 2, 0, size - wanted)
    return images.resized(photo, side, (left, top, left + wanted, top + wanted))


def _box(fine: np.ndarray, warmth: np.ndarray) -> tuple[float, ...]:
    """Put a box around the largest part of one photo that its hot places, told by (h, w), tell on (s, s, c)."""
    from scipy import ndimage

    height, width = fine.shape[:2]
    factors = height / warmth.shape[0], width / warmth.shape[1]
    enlarged = ndimage.zoom(warmth, factors, order=1, mode="nearest", grid_mode=True)
    seeds = hot(enlarged, floor=enlarged.mean())
    if not seeds.any():
        return WHOLE
    parts, count = ndimage.label(hot(_discriminant(fine, seeds), floor=0))
    if not count:
        return WHOLE
    rows, columns = ndimage.find_objects(parts)[np.bincount(parts.ravel())[1:].argmax()]
    return columns.start / width, rows.start / height, columns.stop / width, rows.stop / height


def hot(warmth: np.ndarray, floor: float) -> np.ndarray:
    """Tell which places of a map are hot: bool, of its shape; none of a map that is flat.

    The cut leaves the least variance within the hot and the cold ones (Otsu 1979). Places colder than `floor` count as
    it: how cold they are tells nothing of what is hot.
    """
    values = np.sort(np.maximum(warmth, floor), axis=None, kind="stable").astype(np.float64)
    below, total = np.arange(1, len(values)), np.cumsum(values)
    rest = len(values) - below
    between = below * rest * ((total[-1] - total[:-1]) / rest - total[:-1] / below) ** 2
    return warmth > values[between.argmax()]


def _discriminant(fine: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Project a map (s, s, c) on what parts seeds (s, s) best: (s, s), on average 0 where seeds are false.

    Some of them have to be true, and some false.
    """
    hot, cold = (fine[chosen].astype(np.float64) for chosen in (seeds, ~seeds))
    apart = hot.mean(axis=0) - cold.mean(axis=0)
    centred = np.concatenate([hot - hot.mean(axis=0), cold - cold.mean(axis=0)])
    covariance = centred.T @ centred / len(centred)
    covariance += (RIDGE * np.trace(covariance) / len(apart) + np.finfo(np.float32).tiny) * np.eye(len(apart))
    return (fine - cold.mean(axis=0)) @ np.linalg.solve(covariance, apart)


def _refuse_other_store(feature_set: FeatureSet, head: pathlib.Path) -> None:
    """Refuse a head whose run tells that it learned from other features; where none is beside it, the shape tells."""
    if not (result := head.with_name(RESULT)).is_file():
        return
    size = backbones.side(feature_set)
    wanted = {"backbone": feature_set.backbone, "size": size, "layer": "last", "pool": "avg", "view": "whole"}
    for store, made in read_json(result, ANEW)["fingerprint"].items():
        for field, value in wanted.items():
            if (found := made[field]) != value:
                raise InputError(
                    f"crop.head {head} learned from the store {store}, whose {field} is {found!r}; expected {value!r}."
                )


def _load(crop: Crop) -> keras.Model:
    load_keras()
    import keras

    try:
        return keras.saving.load_model(crop.head)
    except Exception as error:  # a configuration of any shape fails in any way
        raise InputError(
            f"crop.head {crop.head} is damaged ({error!s:.80}): {_mend(pathlib.Path(crop.head))}."
        ) from error


def _mend(head: pathlib.Path) -> str:
    """Name the command that trains a head, whose file is runs/<suite>/<model>/head.keras."""
    suite, model = head.parent.parent.name.partition(".")[0], head.parent.name
    train = f"run `make train SUITE={suite} MODEL={model}`, or " if suite and model else ""
    return f"{train}name the file of a head that is there"

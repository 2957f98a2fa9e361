"""Predict rows with a model, and judge it on dev."""

import keras
import numpy as np

from mlob.errors import InputError
from mlob.labels import is_known, known_entries
from mlob.metrics import highest_micro_f1
from mlob.models import heads
from mlob.training import batches

BLOCK = 8192  # rows a prediction step
BLOCK_OF_MAPS = 64  # the same, where rows are maps or photos: a network holds a hundred times their numbers


def predict(model: keras.Model, features: heads.Features) -> np.ndarray:
    """Give probabilities float32 (n, labels) for features float16 (n, d), maps or photos, block by block.

    Of features that hold several views (n, views * d), the means over the views.
    """
    views = features.shape[-1] // model.input_shape[-1]
    probabilities = np.zeros((len(features), model.output_shape[1]), np.float32)
    block = BLOCK if len(features.shape) == 2 else BLOCK_OF_MAPS
    for start in range(0, len(features), block):
        parts = np.split(features[start : start + block], views, axis=-1)
        each = [keras.ops.convert_to_numpy(model(part, training=False)) for part in parts]
        probabilities[start : start + block] = np.mean(each, axis=0)
    return probabilities


def judge(model: keras.Model, dev: batches.Labelled, rate: str = "training.learning_rate") -> tuple[float, float]:
    """Give the mean binary cross entropy of what is known on dev, and micro-F1 there at its best threshold.

    Args:
        model: what is judged.
        dev: the rows.
        rate: the field of the recipe that is to blame for a loss that is not finite.

    Raises:
        InputError: the loss is not finite: what an epoch's last step spoils shows on dev alone.
    """
    probabilities = predict(model, dev.features)
    dev_loss = _cross_entropy(dev.targets, probabilities)
    if not np.isfinite(dev_loss):
        raise InputError(f"The loss is {dev_loss} on dev after the epoch's last step: lower {rate}.")
    return dev_loss, highest_micro_f1(dev.targets, probabilities)


def _cross_entropy(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Give the mean binary cross entropy of the targets that are known."""
    if is_known(targets) is not None:
        targets, probabilities = (each[:, np.newaxis] for each in known_entries(targets, probabilities))
    return float(np.mean(keras.ops.convert_to_numpy(keras.losses.binary_crossentropy(targets, probabilities))))

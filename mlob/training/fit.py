"""Fit a head on resident features; stopping and schedules look at dev, never at validation."""

import dataclasses
import math
import time

import keras
import numpy as np

from mlob.errors import InputError
from mlob.metrics import highest_micro_f1
from mlob.models import heads
from mlob.progress import bar
from mlob.recipes import epochs_for

BLOCK = 8192  # rows a prediction step


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A trained head.

    Attributes:
        model: the Keras model, at its best epoch where the recipe stops early.
        history: one dict an epoch: epoch, loss, dev_loss, dev_micro_f1, learning_rate.
        seconds: of training, compilation included.
    """

    model: keras.Model
    history: list[dict]
    seconds: float


def fit(experiment, train, dev, *, name):
    """Train the head of an experiment.

    Args:
        experiment: the recipe.
        train, dev: `batches.Rows`.
        name: of the model, for the progress bar.

    Raises:
        InputError: the loss is no longer finite.
    """
    started = time.monotonic()
    keras.utils.set_random_seed(experiment.seed)
    model = heads.build(experiment.head, train.features, train.targets)
    training = experiment.training
    epochs = training.epochs or epochs_for(len(train.ids))
    with bar(name, training.nadam_epochs + epochs, unit="epochs") as advance:
        watch = _Watch(dev, advance)
        if training.nadam_epochs:
            nadam = keras.optimizers.Nadam(2e-3)
            _run(model, nadam, train, training.nadam_epochs, batch=training.batch, callbacks=[watch])
        steps = epochs * math.ceil(len(train.ids) / training.batch)
        callbacks = [watch, *_stopping(training)]
        _run(model, _optimizer(training, steps), train, epochs, batch=training.batch, callbacks=callbacks)
    return Fitted(model, watch.rows, time.monotonic() - started)


def predict(model, features):
    """Give probabilities float32 (n, labels) for float16 features (n, d), block by block."""
    blocks = [model.predict_on_batch(features[start : start + BLOCK]) for start in range(0, len(features), BLOCK)]
    return np.concatenate(blocks) if blocks else np.zeros((0, model.output_shape[1]), np.float32)


def _run(model, optimizer, rows, epochs, *, batch, callbacks):
    model.compile(optimizer, loss="binary_crossentropy", jit_compile=False)
    options = {"batch_size": batch, "epochs": epochs, "callbacks": callbacks}
    model.fit(rows.features, rows.targets, shuffle=True, verbose=0, **options)


def _optimizer(training, steps):
    rate = training.learning_rate
    if training.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    if training.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=training.momentum, nesterov=training.nesterov)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=training.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])  # else the prior in the output's bias fades
    return optimizer


def _stopping(training):
    callbacks = []
    if training.schedule == "plateau":
        callbacks.append(keras.callbacks.ReduceLROnPlateau("dev_loss", mode="min", factor=0.2, patience=3))
    if training.patience:
        callbacks.append(
            keras.callbacks.EarlyStopping("dev_loss", mode="min", patience=training.patience, restore_best_weights=True)
        )
    return callbacks


class _Watch(keras.callbacks.Callback):
    """Judge dev after every epoch, for the callbacks that come after it, the history and the progress bar."""

    def __init__(self, dev, advance):
        super().__init__()
        self.dev, self.advance, self.rows = dev, advance, []

    def on_epoch_end(self, epoch, logs):
        probabilities = predict(self.model, self.dev.features)
        logs["dev_loss"] = float(np.mean(keras.losses.binary_crossentropy(self.dev.targets, probabilities)))
        for loss in (logs["loss"], logs["dev_loss"]):  # what an epoch's last step spoils shows on dev alone
            if not np.isfinite(loss):
                raise InputError(f"The loss is {loss} in epoch {len(self.rows) + 1}: lower training.learning_rate.")
        logs["dev_micro_f1"] = highest_micro_f1(self.dev.targets, probabilities)
        rate = float(self.model.optimizer.learning_rate)
        self.rows.append({"epoch": len(self.rows) + 1, **logs, "learning_rate": rate})
        self.advance(1, f"loss {logs['loss']:.4f}, dev micro-F1 {logs['dev_micro_f1']:.4f}")

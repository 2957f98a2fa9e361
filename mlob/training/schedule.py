"""For how long a recipe trains, with which optimizer, and how its learning rate changes."""

import math
from collections.abc import Sequence

import keras

from mlob.recipes import Training, epochs_for

PLATEAU_EPOCHS, PLATEAU_FACTOR, PLATEAU_GAIN = 3, 0.2, 1e-4  # the last is what Keras's ReduceLROnPlateau takes for gain


def epochs(training: Training, rows: int) -> int:
    """Count the epochs that a recipe's `Training` takes at most on a number of rows."""
    return training.nadam_epochs + (training.epochs or epochs_for(rows))


def optimizer(training: Training, steps: int, warmup_steps: int = 0) -> keras.Optimizer:
    """Build the recipe's optimizer for a number of steps, the first of which, the warm-up, raise the rate from zero."""
    rate = training.learning_rate
    if training.schedule == "cosine":
        first, target = (0.0, rate) if warmup_steps else (rate, None)
        rate = keras.optimizers.schedules.CosineDecay(
            first, steps - warmup_steps, warmup_target=target, warmup_steps=warmup_steps
        )
    if training.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=training.momentum, nesterov=training.nesterov)
    adamw = keras.optimizers.AdamW(rate, weight_decay=training.weight_decay)
    adamw.exclude_from_weight_decay(var_names=["bias"])  # else the prior in the output's bias fades
    return adamw


def plateau_rate(rate: float, dev_losses: Sequence[float]) -> float:
    """Give the learning rate after these dev losses: a fifth of it whenever three epochs in a row brought no gain."""
    best, waited = math.inf, 0
    for dev_loss in dev_losses:
        best, waited = (dev_loss, 0) if dev_loss < best - PLATEAU_GAIN else (best, waited + 1)
        if waited == PLATEAU_EPOCHS:
            rate, waited = rate * PLATEAU_FACTOR, 0
    return rate

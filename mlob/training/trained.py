"""What training gives, whatever kind of head it is of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

if TYPE_CHECKING:
    import keras

    from mlob.models.heads import Features


class Epoch(TypedDict):
    """A row of history.csv: `loss` is the recipe's, `dev_loss` cross entropy, the rate that after the last step."""

    phase: int
    epoch: int
    loss: float
    dev_loss: float
    dev_micro_f1: float
    learning_rate: float


COLUMNS = tuple(Epoch.__annotations__)


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained head or network.

    Attributes:
        model: the Keras model, from float16 features or uint8 photos to float32 probabilities (n, labels); at its best
            epoch where the recipe stops early.
        predict: function from all rows of float16 features, in memory or on disk, to float32 probabilities (n, labels).
        history: a row an epoch; empty for a head without epochs.
        parameters: their number.
        seconds: of training, compilation included, and what a killed run took up to its checkpoint.
        note: what the table of results says about it.
        warm_up_seconds: of `seconds`, until the first chunk of rows was trained on: compilation and the first read.
        steps_seconds: of `seconds`, the steps after the warm-up; judging dev is not in them.
        waiting_seconds: of `steps_seconds`, in which the device had no rows to work on.
        setting: what was chosen of a head without epochs, such as its C, for it to be fitted with again (JSON).
    """

    model: keras.Model
    predict: Callable[[Features], np.ndarray]
    history: list[Epoch]
    parameters: int
    seconds: float
    note: str = ""
    warm_up_seconds: float = 0.0
    steps_seconds: float = 0.0
    waiting_seconds: float = 0.0
    setting: Any = None

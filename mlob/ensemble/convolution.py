"""A convolutional stacker: a small network over members x labels, after iMaterialist Fashion 2018's second place."""

import dataclasses
import typing
from collections.abc import Hashable, Sequence

import numpy as np

from mlob.ensemble import simplex
from mlob.ensemble.blend import arithmetic
from mlob.ensemble.stacking import inner_folds, logits
from mlob.labels import is_known
from mlob.machine import load_keras

if typing.TYPE_CHECKING:
    import keras

FILTERS = (8, 16, 32, 64)  # of the convolutions, each three members high while there are members left
UNITS = 256
EPOCHS, PATIENCE, BATCH = 60, 5, 64
ROWS = 1024  # photos in hand when a network predicts


@dataclasses.dataclass(frozen=True)
class Convolution:
    """The mean of one network for each inner fold.

    Attributes:
        base_weights: float64 (members,), of the blend.
        networks: float32 (networks, parameters), each network's weight arrays end to end.
        out_of_fold: float32 (n, labels), for the photos of the fit.
    """

    base_weights: np.ndarray
    networks: np.ndarray
    out_of_fold: np.ndarray | None = None
    weights = None  # all members count, none by a weight

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        inputs = _inputs(members, self.base_weights)
        network = _network(members.shape[0], members.shape[2])
        total = np.zeros(members.shape[1:], np.float32)
        for parameters in self.networks:
            network.set_weights(_apart(parameters, network))
            total += _run(network, inputs)
        return np.minimum(total / len(self.networks), 1)


def fit(members: np.ndarray, targets: np.ndarray, *, seed: int, keys: Sequence[Hashable] | None = None) -> Convolution:
    """Fit a network on the other photos of each inner fold, which stops it early.

    8, 16, 32 and 64 filters over three members at a time, while there are members left, then dense layers over all
    labels. Unlike theirs, the dense layer is smaller, for a tenth of their photos, and the output is a correction of
    the blend's logits that starts at 0.

    Args:
        members: float32 (members, n, labels) in [0, 1].
        targets: 0/1 (n, labels); what is unknown takes no part.
        keys: as of `stacking.inner_folds`.

    Raises:
        InputError: as of `stacking.inner_folds`.
    """
    folds, targets = inner_folds(members, targets, seed, keys), np.asarray(targets, np.float32)
    weights = simplex.search(members, targets).weights
    inputs, networks, out_of_fold = _inputs(members, weights), [], np.zeros(targets.shape, np.float32)
    for number, (inside, outside) in enumerate(folds):
        network = _network(members.shape[0], members.shape[2], seed=seed + number)
        rows, others = ([array[mask] for array in inputs] for mask in (inside, outside))
        _train(network, rows, targets[inside], others, targets[outside])
        out_of_fold[outside] = _run(network, others)
        networks.append(np.concatenate([array.ravel() for array in network.get_weights()]))
    return Convolution(weights, np.array(networks), out_of_fold)


def _inputs(members: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Inputs of the network: logits float32 (n, members, labels, 1), and the blend's logits (n, labels)."""
    return [np.moveaxis(logits(members), 0, 1)[..., np.newaxis], logits(arithmetic(members, weights))]


def _network(members: int, labels: int, *, seed: int | None = None) -> "keras.Model":
    """An untrained network that gives the blend; without a seed, one whose weights are about to be set."""
    load_keras()
    import keras

    if seed is not None:
        keras.utils.set_random_seed(seed)
    picture, blend = keras.Input((members, labels, 1)), keras.Input((labels,))
    x = keras.layers.Rescaling(0.1)(picture)
    for filters in FILTERS:
        x = keras.layers.Conv2D(filters, (min(3, x.shape[1]), 1), activation="relu")(x)
    x = keras.layers.Dense(UNITS, activation="relu")(keras.layers.Dropout(0.5)(keras.layers.Flatten()(x)))
    correction = keras.layers.Dense(labels, kernel_initializer="zeros")(keras.layers.Dropout(0.5)(x))
    return keras.Model([picture, blend], keras.activations.sigmoid(blend + correction))


def _apart(parameters: np.ndarray, network: "keras.Model") -> list[np.ndarray]:
    """A network's weight arrays, from all of them end to end."""
    shapes = [array.shape for array in network.get_weights()]
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
    if parameters.shape != (ends[-1],):
        raise ValueError(f"{parameters.shape} parameters for a network of {ends[-1]}")
    return [part.reshape(shape) for part, shape in zip(np.split(parameters, ends[:-1]), shapes, strict=True)]


def _train(
    network: "keras.Model",
    inputs: list[np.ndarray],
    targets: np.ndarray,
    others: list[np.ndarray],
    others_targets: np.ndarray,
) -> None:
    import keras

    options = {"batch_size": BATCH, "epochs": EPOCHS, "verbose": 0, "validation_batch_size": ROWS}
    stop = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    is_whole = is_known(targets) is None and is_known(others_targets) is None
    loss = "binary_crossentropy" if is_whole else _known_cross_entropy
    network.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-2), loss=loss, jit_compile=False)
    network.fit(inputs, targets, validation_data=(others, others_targets), callbacks=[stop], **options)


def _known_cross_entropy(targets: "keras.KerasTensor", probabilities: "keras.KerasTensor") -> "keras.KerasTensor":
    """Binary cross entropy, a mean over all labels to which an unknown one adds nothing: (batch,)."""
    from keras import ops

    known = targets <= 1
    each = ops.binary_crossentropy(ops.where(known, targets, 0.0), probabilities)
    return ops.mean(ops.where(known, each, 0.0), axis=-1)


def _run(network: "keras.Model", inputs: list[np.ndarray]) -> np.ndarray:
    starts = range(0, len(inputs[0]), ROWS)
    parts = [network([array[start : start + ROWS] for array in inputs], training=False) for start in starts]
    return np.concatenate([np.zeros((0, inputs[1].shape[1]), np.float32), *map(np.asarray, parts)])

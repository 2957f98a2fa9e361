"""Heads: dense networks from bottleneck features to one probability a label."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import keras
import numpy as np

from mlob.errors import InputError
from mlob.files import archive_fault
from mlob.labels import Exclusive, prevalence
from mlob.models.losses import with_none
from mlob.phases import Phase
from mlob.recipes import Head

SMALLEST_PREVALENCE = 1e-4  # a label that no training row has starts at these odds, not at minus infinity
SMALLEST_LOG = -1e-6  # of a softmax's probability: at 1 the odds are infinite
LEAST_VARIANCE = 1e-10  # of a feature that counts as moving: divided by less, later photos are thrown far off
EPSILON = np.finfo(np.float64).eps
SMALLEST = np.finfo(np.float32).tiny  # that roots are drawn of: at 0 slopes are infinite, times 0 no number
BLOCK_NUMBERS = 2**24  # float16 numbers that moments are added up from at once: 8,192 rows of 2,048

Columns: TypeAlias = Sequence[int]  # of the labels of a group
Moments: TypeAlias = tuple[np.ndarray, np.ndarray]  # mean and variance, float32 (d,)


class Features(Protocol):
    """Features float16 (n, d) or (n, h, w, c): an array, or `batches.Stored`, which reads the rows it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all rows."""

    def __len__(self) -> int:
        """Count the rows."""

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        """Give some of the rows as an array."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that a head is built from, and how it is trained; `networks.Plan` says the same of networks.

    Attributes:
        head, features, targets, precision, exclusive, tasks, views: as of `build`.
        start: file of a trained head of the same form, whose shared layers it begins with.
    """

    head: Head
    features: Features
    targets: np.ndarray
    precision: str = "float32"
    exclusive: Sequence[Exclusive] = ()
    tasks: Sequence[Columns] = ()
    views: int = 1
    start: pathlib.Path | None = None

    def build(self, pixels: int = 0) -> keras.Model:
        """Build the head that training begins with; features have no pixels."""
        start = load(self.start) if self.start else None
        args = self.features, self.targets, self.precision, self.exclusive, self.tasks, self.views
        model = build(self.head, *args, standard=moments_in(start) if start else None)
        if start:
            for layer, trained in zip(_shared(self.head, model), _shared(self.head, start), strict=True):
                layer.set_weights(trained.get_weights())
        return model

    def unfreeze(self, model: keras.Model, phase: Phase) -> None:
        """Leave all of it to learn."""

    def shares(self, model: keras.Model, phase: Phase) -> dict[str, float]:
        """Give no variable a learning rate of its own."""
        return {}

    def in_training(self, model: keras.Model, phase: Phase, seed: int) -> keras.Model:
        """Give it as it is."""
        return model

    def predictor(self, model: keras.Model) -> keras.Model:
        """Give it as it is."""
        return model


def build(
    head: Head,
    features: Features,
    targets: np.ndarray,
    precision: str = "float32",
    exclusive: Sequence[Exclusive] = (),
    tasks: Sequence[Columns] = (),
    views: int = 1,
    standard: Moments | None = None,
) -> keras.Model:
    """Build an untrained head for a feature matrix.

    Args:
        head: the recipe's `Head`.
        features: float16 (n, d) or (n, h, w, c) of the training rows; their mean and variance standardise.
        targets: uint8 (n, labels) of the same rows; the labels' prevalences start the output's bias.
        precision: "float32", or "bfloat16" in which the hidden layers compute; weights and probabilities are float32.
        exclusive: the groups that share a softmax each.
        tasks: the columns of each group of labels; only a head with `task_units` looks at them.
        views: number of views of the same photos, side by side on the last axis; the head takes one of them.
        standard: moments that standardise in place of the rows' own.

    Returns:
        A Keras model from float16 features (n, d / views) to float32 probabilities (n, labels).

    Raises:
        InputError: the stores are not views of the same photos through the same network.
    """
    if features.shape[-1] % views:
        raise InputError(
            f"Views have equal lengths: expected {views} equal parts, found {features.shape[-1]} features in all. "
            "Stores of several networks stand side by side with views=false."
        )
    width = features.shape[-1] // views
    inputs = keras.Input((*features.shape[1:-1], width), dtype="float16", name="features")
    standard = standard or standard_of(head, features, width)
    return keras.Model(inputs, grow(head, inputs, targets, standard, precision, exclusive, tasks))


def grow(
    head: Head,
    x: keras.KerasTensor,
    targets: np.ndarray,
    standard: Moments | None,
    precision: str = "float32",
    exclusive: Sequence[Exclusive] = (),
    tasks: Sequence[Columns] = (),
) -> keras.KerasTensor:
    """Grow an untrained head on features (n, d) or (n, h, w, c), an input or what a network gives.

    Args:
        head, targets, precision, exclusive, tasks: as of `build`.
        x: the features.
        standard: as of `standard_of`.

    Returns:
        Probabilities float32 (n, labels).
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    x = standardised(head, x, standard)
    if len(x.shape) == 4:
        x = _attended(x, head.queries)
    branches = [_hidden(head, _dropped(x, head.feature_dropout), head.units, policy) for _ in range(head.branches)]
    bias = prior(targets, exclusive) if head.prior_bias else None
    if head.task_units:
        outputs = _outputs_by_task(head, branches[0], tasks, bias, policy)
    else:
        outputs = _outputs(branches, targets.shape[1], _starting_at(bias))
    probabilities = keras.layers.Activation("sigmoid", name="probabilities")(log_odds(outputs, exclusive))
    return probabilities if len(branches) == 1 else keras.ops.mean(probabilities, axis=1)


def standard_of(head: Head, features: Features, width: int | None = None) -> Moments | None:
    """Give the moments that standardise a head's features, as it transforms them; None where the recipe does not.

    Args:
        head: the recipe's `Head`.
        features: of the training rows, (n, d) or (n, h, w, c).
        width: as of `moments`.
    """
    return moments(features, signed_sqrt if head.signed_sqrt else as_float32, width) if head.standardise else None


def _shared(head: Head, model: keras.Model) -> list[keras.layers.Layer]:
    """List the layers with weights that all labels share, from the features on."""
    of_hidden = len(head.units) * head.branches * (1 + head.batch_norm)
    return [layer for layer in model.layers if layer.weights][: of_hidden + (len(model.input_shape) == 4)]


def moments_in(head: keras.Model) -> Moments | None:
    """Give the moments that a trained head standardises with."""
    for layer in head.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance = (keras.ops.convert_to_numpy(each) for each in (layer.mean, layer.variance))
            return mean.reshape(-1), variance.reshape(-1)
    return None


def linear(
    shape: tuple[int, ...],
    standard: Moments | None,
    coefficients: np.ndarray,
    intercepts: np.ndarray,
    exclusive: Sequence[Exclusive] = (),
) -> keras.Model:
    """Build a head without hidden layers, from what was fitted elsewhere.

    Args:
        shape: of a photo's features, (d,), or (h, w, d), of which the average over the places is taken.
        standard: the moments that standardise, if any do.
        coefficients: (d, labels).
        intercepts: (labels,).
        exclusive: the groups that share a softmax each.
    """
    inputs = keras.Input(shape, dtype="float16", name="features")
    x = keras.ops.cast(inputs, "float32")
    if len(shape) > 1:
        x = keras.layers.GlobalAveragePooling2D()(x)
    x = _by_moments(x, standard)
    labels = keras.layers.Dense(len(intercepts), name="labels")
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(log_odds(labels(x), exclusive)))
    labels.set_weights([coefficients, intercepts])
    return model


def load(path: pathlib.Path) -> keras.Model:
    """Load the head of a run: runs/<suite>/<model>/head.keras. Nothing in the file is run but layers of Keras.

    Raises:
        InputError: the file is missing, damaged, or no head.
    """
    fault = archive_fault(path)
    if not fault:
        try:
            model = keras.saving.load_model(path)
            if len(model.input_shape) < 2 or len(model.output_shape) != 2:
                raise ValueError(f"it goes from {model.input_shape} to {model.output_shape}")
            return model
        except Exception as error:  # a configuration of any shape fails in any way
            fault = f"is damaged ({next(iter(str(error).splitlines()), '')!s:.80})"
    raise InputError(f"{path} {fault}: remove {path.parent} and run `make train MODEL={path.parent.name}`.")


def with_logits(model: keras.Model) -> keras.Model:
    """Give the same head, its variables shared, up to the log-odds of its probabilities, which losses take.

    They are (n, labels), or with several branches (n, branches, labels).
    """
    return keras.Model(model.input, model.get_layer("probabilities").input)


def with_outputs(model: keras.Model) -> keras.Model:
    """Give the same head, its variables shared, up to what its softmaxes take, for losses of softmaxes.

    They are (n, labels), or with several branches (n, branches, labels).
    """
    return keras.Model(model.input, model.get_layer("labels").output)


def spread(model: keras.Model, columns: Sequence[int] | np.ndarray, labels: int) -> keras.Model:
    """Give the same head with a column for each of `labels` labels: its own at `columns`, probability 0 elsewhere."""
    places = np.full(labels, len(columns))
    places[columns] = np.arange(len(columns))
    padded = keras.ops.pad(model.output, ((0, 0), (0, 1)))
    return keras.Model(model.input, keras.ops.take(padded, places.tolist(), axis=1))


def added(models: Mapping[str, keras.Model]) -> keras.Model:
    """Give one head whose probabilities are the sums of those of several heads, by name, on the same features."""
    inputs = keras.Input(next(iter(models.values())).input_shape[1:], dtype="float16", name="features")
    named = [keras.Model(model.input, model.output, name=name)(inputs) for name, model in models.items()]
    return keras.Model(inputs, keras.ops.minimum(keras.layers.Add()(named), 1))


def mean_of(models: Sequence[keras.Model]) -> keras.Model:
    """Give one model whose probabilities are the mean of those of several on the same features, or photos."""
    first = models[0]
    inputs = keras.Input(first.input_shape[1:], dtype=first.inputs[0].dtype, name="features")
    fits = [keras.Model(own.input, own.output, name=f"fit_{number}")(inputs) for number, own in enumerate(models, 1)]
    return keras.Model(inputs, keras.layers.Average()(fits))


def standardised(head: Head, x: keras.KerasTensor, standard: Moments | None) -> keras.KerasTensor:
    """Cast features to float32, and transform them as the recipe says."""
    x = keras.ops.cast(x, "float32")
    if head.signed_sqrt:
        x = keras.ops.sign(x) * keras.ops.sqrt(keras.ops.maximum(keras.ops.abs(x), SMALLEST))
    return _by_moments(x, standard)


def _by_moments(x: keras.KerasTensor, standard: Moments | None) -> keras.KerasTensor:
    if standard is None:
        return x
    mean, variance = standard
    return keras.layers.Normalization(mean=mean, variance=variance, name="standardise")(x)


def _attended(x: keras.KerasTensor, queries: int) -> keras.KerasTensor:
    """Pool a map (n, h, w, c) by attention: each query's weighted mean over the places, side by side (n, queries * c).

    A query scores each place by a product with its features, and a softmax over the places turns scores into weights
    (Girdhar and Ramanan 2017; several queries as in Lin et al. 2017). Queries start at zero: at the average.
    """
    x = keras.layers.Reshape((-1, x.shape[-1]))(x)
    scores = keras.layers.Dense(queries, use_bias=False, kernel_initializer="zeros", name="queries")(x)
    weights = keras.ops.softmax(scores, axis=1)
    return keras.layers.Flatten()(keras.ops.einsum("npq,npc->nqc", weights, x))


def _starting_at(bias: np.ndarray | None) -> keras.Initializer | str:
    return "zeros" if bias is None else keras.initializers.Constant(bias)


def _dropped(x: keras.KerasTensor, share: float) -> keras.KerasTensor:
    return keras.layers.Dropout(share)(x) if share else x


def _hidden(head: Head, x: keras.KerasTensor, units: Sequence[int], policy: str) -> keras.KerasTensor:
    """Add hidden layers of these widths; `policy` is the dtype policy in which they compute."""
    for width in units:
        x = keras.layers.Dense(width, activation="relu", dtype=policy)(x)
        if head.batch_norm:
            x = keras.layers.BatchNormalization(dtype=policy)(x)
        if head.dropout:
            x = keras.layers.Dropout(head.dropout, dtype=policy)(x)
    return x


def _outputs(branches: Sequence[keras.KerasTensor], labels: int, bias: keras.Initializer | str) -> keras.KerasTensor:
    """Give the outputs (n, labels) of the last hidden layer, or (n, branches, labels) of several branches'."""
    if len(branches) == 1:
        return keras.layers.Dense(labels, bias_initializer=bias, name="labels")(branches[0])
    shape = (len(branches), labels)
    layer = keras.layers.EinsumDense("nbi,bil->nbl", shape, bias_axes="bl", bias_initializer=bias, name="labels")
    return layer(keras.ops.stack(branches, axis=1))


def _outputs_by_task(
    head: Head, x: keras.KerasTensor, tasks: Sequence[Columns], bias: np.ndarray | None, policy: str
) -> keras.KerasTensor:
    """Give the outputs (n, labels) of hidden layers of each task by itself [iMaterialist 2017].

    Args:
        head: the recipe's `Head`.
        x: what the last shared layer gives.
        tasks: the columns of each.
        bias: float32 (labels,), that the outputs start with; None is 0.
        policy: in which the hidden layers compute.
    """
    parts = []
    for columns in tasks:
        hidden = _hidden(head, x, [len(columns) * width for width in head.task_units], policy)
        start = _starting_at(None if bias is None else bias[list(columns)])
        parts.append(keras.layers.Dense(len(columns), bias_initializer=start)(hidden))
    order = np.argsort([column for columns in tasks for column in columns])
    outputs = keras.ops.take(keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0], order.tolist(), axis=-1)
    return keras.layers.Identity(name="labels")(outputs)


def log_odds(x: keras.KerasTensor, exclusive: Sequence[Exclusive]) -> keras.KerasTensor:
    """Turn outputs (n, ..., labels) into log-odds: of a softmax over each exclusive group, unchanged elsewhere.

    The class "none" has output 0: only differences between a softmax's outputs count.
    """
    if not exclusive:
        return x
    rest = sorted(set(range(x.shape[-1])).difference(*(group.columns for group in exclusive)))
    parts = [keras.ops.take(x, rest, axis=-1)] if rest else []
    for columns, has_none in exclusive:
        outputs = keras.ops.take(x, list(columns), axis=-1)
        total = keras.ops.logsumexp(with_none(outputs) if has_none else outputs, axis=-1, keepdims=True)
        log_probability = keras.ops.minimum(outputs - total, SMALLEST_LOG)
        parts.append(log_probability - keras.ops.log(-keras.ops.expm1(log_probability)))
    order = np.argsort([*rest, *(column for group in exclusive for column in group.columns)])
    return keras.ops.take(keras.ops.concatenate(parts, axis=-1), order.tolist(), axis=-1)


def moments(
    features: Features,
    transform: Callable[[np.ndarray], np.ndarray],
    width: int | None = None,
    block: int | None = None,
) -> Moments:
    """Give mean and variance float32 (d,) of transformed float16 rows, block by block (float16 sums overflow).

    A feature that no training row moves has variance 1, so that it keeps its scale where a later photo moves it.

    Args:
        features: (n, d), or (n, h, w, c) whose every place counts as a row.
        transform: function from float16 rows to float32 ones.
        width: of a row, where the last axis holds several side by side; the whole axis where it is None.
        block: rows of `features` at once; as many as `BLOCK_NUMBERS` allows where it is None.
    """
    width = width or features.shape[-1]
    block = block or max(1, BLOCK_NUMBERS // int(np.prod(features.shape[1:])))
    first = transform(features[:1]).reshape(-1, width)[0]  # sums of differences from it lose no digits
    count, total, squares = 0, np.zeros(width), np.zeros(width)
    for start in range(0, len(features), block):
        rows = transform(features[start : start + block]).reshape(-1, width) - first
        count += len(rows)
        total += rows.sum(axis=0, dtype=np.float64)
        squares += np.einsum("nd,nd->d", rows, rows, dtype=np.float64)
    mean = total / count
    variance = squares / count - mean**2
    mean += first
    return mean.astype(np.float32), np.where(_is_still(variance, mean, count), 1, variance).astype(np.float32)


def _is_still(variance: np.ndarray, mean: np.ndarray, count: int) -> np.ndarray:
    """Say which features have no variance but what sums of `count` rows round off, as scikit-learn's StandardScaler."""
    rounded = count * EPSILON * variance + (count * EPSILON * mean) ** 2
    return variance <= np.maximum(rounded, LEAST_VARIANCE)


def as_float32(features: np.ndarray) -> np.ndarray:
    """Cast features to float32."""
    return features.astype(np.float32)


def averages(features: Features) -> np.ndarray:
    """Read features as float32 (n, d); of maps (n, h, w, c) the averages over the places."""
    return as_float32(features[:]).mean(axis=tuple(range(1, len(features.shape) - 1)))


def signed_sqrt(features: np.ndarray) -> np.ndarray:
    """Give sign(x) * sqrt(|x|), float32."""
    rows = as_float32(features)
    return np.sign(rows) * np.sqrt(np.abs(rows))


def prior(targets: np.ndarray, exclusive: Sequence[Exclusive] = ()) -> np.ndarray:
    """Give the outputs float32 (labels,) at which each label's probability is its prevalence.

    Args:
        targets: uint8 (n, labels).
        exclusive: the groups that share a softmax each.
    """
    shares = prevalence(targets)
    likely = np.clip(shares, SMALLEST_PREVALENCE, 1 - SMALLEST_PREVALENCE)
    others = 1 - likely
    for columns, has_none in exclusive:
        none = 1 - shares[list(columns)].sum()
        others[list(columns)] = max(none, SMALLEST_PREVALENCE) if has_none else 1
    return np.log(likely / others).astype(np.float32)

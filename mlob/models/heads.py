"""Heads: dense networks from bottleneck features to one probability a label."""

import keras
import numpy as np

from mlob.errors import InputError
from mlob.files import archive_fault
from mlob.models.groups import with_none

SMALLEST_SHARE = 1e-4  # a label that no training row bears starts at these odds, not at minus infinity
SMALLEST_LOG = -1e-6  # of a softmax's probability: at 1 the odds are infinite
LEAST_VARIANCE = 1e-10  # of a feature that counts as moving: divided by less, later photos are thrown far off
EPSILON = np.finfo(np.float64).eps
BLOCK_NUMBERS = 2**24  # float16 numbers that moments are added up from at once: 8,192 rows of 2,048


def build(head, features, targets, precision="float32", exclusive=(), views=1):
    """Build an untrained head for a feature matrix.

    Args:
        head: the recipe's `Head`.
        features: float16 (n, d) or (n, h, w, c), the training rows, an array or `batches.Stored`; their mean and
            variance standardise.
        targets: uint8 (n, labels) of the same rows; their shares start the output's bias.
        precision: "float32", or "bfloat16" in which the hidden layers compute; weights and probabilities are float32.
        exclusive: the `Exclusive` groups that share a softmax each.
        views: of the same photos, side by side on the last axis; the head takes one of them.

    Returns:
        A Keras model from float16 features (n, d / views) to float32 probabilities (n, labels).

    Raises:
        InputError: stores that are no views of the same photos through the same network.
    """
    if features.shape[-1] % views:
        raise InputError(
            f"Views are of one length: expected {views} equal parts, found {features.shape[-1]} features in all. "
            "Stores of several networks stand side by side with views=false."
        )
    inputs = keras.Input((*features.shape[1:-1], features.shape[-1] // views), dtype="float16", name="features")
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    x = _standardised(head, features, inputs)
    if len(inputs.shape) == 4:
        x = _attended(x, head.queries)
    branches = [_hidden(head, x, policy) for _ in range(head.branches)]
    bias = keras.initializers.Constant(prior(targets, exclusive)) if head.prior_bias else "zeros"
    outputs = _outputs(branches, targets.shape[1], bias)
    probabilities = keras.layers.Activation("sigmoid", name="probabilities")(_log_odds(outputs, exclusive))
    return keras.Model(inputs, probabilities if len(branches) == 1 else keras.ops.mean(probabilities, axis=1))


def regression(shape, moments, fitted):
    """Build a head of one logistic regression a label, from what was fitted elsewhere.

    Args:
        shape: of a photo's features, (d,), or (h, w, d), whose average over the places counts.
        moments: mean and variance float32 (d,) that standardise.
        fitted: coefficients (d, labels) and intercepts (labels,).
    """
    mean, variance = moments
    inputs = keras.Input(shape, dtype="float16", name="features")
    x = keras.ops.cast(inputs, "float32")
    if len(shape) > 1:
        x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Normalization(mean=mean, variance=variance, name="standardise")(x)
    labels = keras.layers.Dense(len(fitted[1]), activation="sigmoid", name="labels")
    model = keras.Model(inputs, labels(x))
    labels.set_weights(fitted)
    return model


def load(path):
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


def with_logits(model):
    """Give the same head, its variables shared, up to the log-odds of its probabilities, which losses take.

    They are (n, labels), or with several branches (n, branches, labels).
    """
    return keras.Model(model.input, model.get_layer("probabilities").input)


def with_outputs(model):
    """Give the same head, its variables shared, up to what its softmaxes take, for the categorical loss.

    They are (n, labels), or with several branches (n, branches, labels).
    """
    return keras.Model(model.input, model.get_layer("labels").output)


def spread(model, columns, labels):
    """Give the same head with a column for each of `labels` labels: its own at `columns`, probability 0 elsewhere."""
    places = np.full(labels, len(columns))
    places[columns] = np.arange(len(columns))
    padded = keras.ops.pad(model.output, ((0, 0), (0, 1)))
    return keras.Model(model.input, keras.ops.take(padded, places.tolist(), axis=1))


def added(models):
    """Give one head whose probabilities are the sums of those of heads {name: model} on the same features."""
    inputs = keras.Input(next(iter(models.values())).input_shape[1:], dtype="float16", name="features")
    named = [keras.Model(model.input, model.output, name=name)(inputs) for name, model in models.items()]
    return keras.Model(inputs, keras.ops.minimum(keras.layers.Add()(named), 1))


def _standardised(head, features, x):
    """Cast to float32, and transform as the recipe says."""
    x = keras.ops.cast(x, "float32")
    if head.signed_sqrt:
        x = keras.ops.sign(x) * keras.ops.sqrt(keras.ops.abs(x))
    if head.standardise:
        mean, variance = moments(features, signed_sqrt if head.signed_sqrt else as_float32, x.shape[-1])
        x = keras.layers.Normalization(mean=mean, variance=variance, name="standardise")(x)
    return x


def _attended(x, queries):
    """Pool a map (n, h, w, c) by attention: each query's weighted mean over the places, side by side (n, queries * c).

    A query scores each place by a product with its features, and a softmax over the places turns scores into weights
    (Girdhar and Ramanan 2017; several queries as in Lin et al. 2017). Queries start at zero: at the average.
    """
    x = keras.layers.Reshape((-1, x.shape[-1]))(x)
    scores = keras.layers.Dense(queries, use_bias=False, kernel_initializer="zeros", name="queries")(x)
    weights = keras.ops.softmax(scores, axis=1)
    return keras.layers.Flatten()(keras.ops.einsum("npq,npc->nqc", weights, x))


def _hidden(head, x, policy):
    if head.feature_dropout:
        x = keras.layers.Dropout(head.feature_dropout)(x)
    for units in head.units:
        x = keras.layers.Dense(units, activation="relu", dtype=policy)(x)
        if head.batch_norm:
            x = keras.layers.BatchNormalization(dtype=policy)(x)
        if head.dropout:
            x = keras.layers.Dropout(head.dropout, dtype=policy)(x)
    return x


def _outputs(branches, labels, bias):
    """Give the outputs (n, labels) of the last hidden layer, of several branches (n, branches, labels)."""
    if len(branches) == 1:
        return keras.layers.Dense(labels, bias_initializer=bias, name="labels")(branches[0])
    shape = (len(branches), labels)
    layer = keras.layers.EinsumDense("nbi,bil->nbl", shape, bias_axes="bl", bias_initializer=bias, name="labels")
    return layer(keras.ops.stack(branches, axis=1))


def _log_odds(x, exclusive):
    """Turn outputs (n, ..., labels) into log-odds: of a softmax over each exclusive group, as they are elsewhere.

    The class "none" has output 0, which takes nothing from what a softmax can say.
    """
    if not exclusive:
        return x
    rest = sorted(set(range(x.shape[-1])).difference(*(group.columns for group in exclusive)))
    parts = [keras.ops.take(x, rest, axis=-1)] if rest else []
    for columns, has_none in exclusive:
        outputs = keras.ops.take(x, list(columns), axis=-1)
        total = keras.ops.logsumexp(with_none(outputs) if has_none else outputs, axis=-1, keepdims=True)
        log_share = keras.ops.minimum(outputs - total, SMALLEST_LOG)
        parts.append(log_share - keras.ops.log(-keras.ops.expm1(log_share)))
    order = np.argsort([*rest, *(column for group in exclusive for column in group.columns)])
    return keras.ops.take(keras.ops.concatenate(parts, axis=-1), order.tolist(), axis=-1)


def moments(features, transform, width=None, block=None):
    """Mean and variance float32 (d,) of transformed float16 rows, block by block (float16 sums overflow).

    A feature without variance has variance 1: one that no training row moves is left as it is where it moves later.

    Args:
        features: (n, d), or (n, h, w, c) whose every place counts as a row.
        transform: function from float16 rows to float32 ones.
        width: of a row, where the last axis holds several side by side; all of it where it is None.
        block: rows of `features` at once.
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


def _is_still(variance, mean, count):
    """Say which features have no variance: as scikit-learn's StandardScaler by what sums of `count` rows round off."""
    rounded = count * EPSILON * variance + (count * EPSILON * mean) ** 2
    return variance <= np.maximum(rounded, LEAST_VARIANCE)


def as_float32(features):
    """Features as they are, float32."""
    return features.astype(np.float32)


def signed_sqrt(features):
    """Give sign(x) * sqrt(|x|), float32."""
    rows = as_float32(features)
    return np.sign(rows) * np.sqrt(np.abs(rows))


def prior(targets, exclusive=()):
    """Give the outputs float32 (labels,) at which each label has its share of the rows as probability.

    Args:
        targets: uint8 (n, labels).
        exclusive: the `Exclusive` groups that share a softmax.
    """
    shares = np.clip(targets.mean(axis=0), SMALLEST_SHARE, 1 - SMALLEST_SHARE)
    others = 1 - shares
    for columns, has_none in exclusive:
        left = 1 - targets[:, list(columns)].mean(axis=0).sum()
        others[list(columns)] = max(left, SMALLEST_SHARE) if has_none else 1
    return np.log(shares / others).astype(np.float32)

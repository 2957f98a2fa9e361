"""Heads: dense networks from bottleneck features to one probability a label."""

import keras
import numpy as np

SMALLEST_SHARE = 1e-4  # a label that no training row bears starts at these odds, not at minus infinity


def build(head, features, targets):
    """Build an untrained head for a feature matrix.

    Args:
        head: the recipe's `Head`.
        features: float16 (n, d), the training rows; their mean and variance standardise.
        targets: uint8 (n, labels) of the same rows; their shares start the output's bias.

    Returns:
        A Keras model from float16 features (n, d) to float32 probabilities (n, labels).
    """
    inputs = keras.Input((features.shape[1],), dtype="float16", name="features")
    x = keras.ops.cast(inputs, "float32")
    if head.signed_sqrt:
        x = keras.ops.sign(x) * keras.ops.sqrt(keras.ops.abs(x))
    if head.standardise:
        mean, variance = moments(features, signed_sqrt if head.signed_sqrt else as_float32)
        x = keras.layers.Normalization(mean=mean, variance=variance, name="standardise")(x)
    if head.feature_dropout:
        x = keras.layers.Dropout(head.feature_dropout)(x)
    for units in head.units:
        x = keras.layers.Dense(units, activation="relu")(x)
        if head.batch_norm:
            x = keras.layers.BatchNormalization()(x)
        if head.dropout:
            x = keras.layers.Dropout(head.dropout)(x)
    bias = keras.initializers.Constant(log_odds(targets)) if head.prior_bias else "zeros"
    outputs = keras.layers.Dense(targets.shape[1], activation="sigmoid", bias_initializer=bias, name="labels")(x)
    return keras.Model(inputs, outputs)


def moments(features, transform, block=65536):
    """Mean and variance float32 (d,) of transformed float16 rows, block by block (float16 sums overflow)."""
    total, squares = (np.zeros(features.shape[1]) for _ in range(2))
    for start in range(0, len(features), block):
        rows = transform(features[start : start + block])
        total += rows.sum(axis=0, dtype=np.float64)
        squares += np.einsum("nd,nd->d", rows, rows, dtype=np.float64)
    mean = total / len(features)
    return mean.astype(np.float32), np.maximum(squares / len(features) - mean**2, 1e-10).astype(np.float32)


def as_float32(features):
    """Features as they are, float32."""
    return features.astype(np.float32)


def signed_sqrt(features):
    """Give sign(x) * sqrt(|x|), float32."""
    rows = as_float32(features)
    return np.sign(rows) * np.sqrt(np.abs(rows))


def log_odds(targets):
    """Log-odds float32 (labels,) of each label's share of the rows."""
    share = np.clip(targets.mean(axis=0), SMALLEST_SHARE, 1 - SMALLEST_SHARE)
    return np.log(share / (1 - share)).astype(np.float32)

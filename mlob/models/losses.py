"""Losses of a head: plain functions of targets and logits (batch, labels), float32, to one loss a row (batch,).

Logits may be of several branches, (batch, branches, labels) beside targets (batch, 1, labels), and so are the losses.

A probability is p = sigmoid(z) of its logit z, so log p = -softplus(-z) and log(1 - p) = -softplus(z), which no logit
turns into an infinity; only `categorical` takes what a softmax takes. All are means over the labels (team MLoB's own,
seed 001, were sums: steps 228 times as long). Targets y are 0 or 1, or between them where they were smoothed or mixed.
Weights move a head's probabilities, often more than they move its ranking: compare losses after the best threshold,
never at 0.5.
"""

import functools

import keras
import numpy as np

from mlob.models.heads import with_none

MARGIN = 0.05  # of the asymmetric loss, as in its paper
BETA = 0.999  # of the class-balanced loss, the mildest of its paper's: rows beyond the first thousand hardly count
LEAST_WEIGHT, WEIGHT_SCALE = 0.025, 10  # of team MLoB's class weights


def binary(targets, logits):
    """Binary cross entropy: -y log p - (1 - y) log(1 - p)."""
    return keras.ops.mean(keras.ops.softplus(logits) - targets * logits, axis=-1)


def weighted(targets, logits, positive=1.0, label=1.0):
    """Weighted binary cross entropy: v (-w y log p - (1 - y) log(1 - p)).

    One number w for all labels is the loss of the Stanford poster (seed 000: 1, 4, 6). It is lowest at
    p = q w / (1 - q + q w) where q is the true probability: deciding at 0.5 is what the unweighted loss gives at a
    threshold of 1 / (1 + w).

    Args:
        targets, logits: (batch, labels).
        positive: w, a number or one a label (labels,).
        label: v, a number or one a label (labels,).
    """
    borne = positive * targets * keras.ops.softplus(-logits)
    return keras.ops.mean(label * (borne + (1 - targets) * keras.ops.softplus(logits)), axis=-1)


def squared_error(targets, logits, label=1.0):
    """Weighted squared error: v (p - y)^2, team MLoB's default loss (seed 001)."""
    return keras.ops.mean(label * keras.ops.square(keras.ops.sigmoid(logits) - targets), axis=-1)


def focal(targets, logits, gamma=2.0, positive=1.0):
    """Focal loss: -w y (1 - p)^gamma log p - (1 - y) p^gamma log(1 - p) (Lin, Goyal, Girshick, He and Dollar 2017).

    Their alpha is w / (1 + w), up to the loss's scale: 0.25 is w = 1/3.
    """
    borne, absent = keras.ops.softplus(-logits), keras.ops.softplus(logits)
    borne_loss = positive * targets * keras.ops.exp(-gamma * absent) * borne
    return keras.ops.mean(borne_loss + (1 - targets) * keras.ops.exp(-gamma * borne) * absent, axis=-1)


def asymmetric(targets, logits, gamma=4.0, margin=MARGIN):
    """Asymmetric loss: -y log p - (1 - y) s^gamma log(1 - s), s = max(p - margin, 0) (Ridnik, Ben-Baruch et al. 2021).

    A label that is absent, and known to be with p below the margin, no longer counts; their gamma of borne labels is 0.
    """
    shifted = keras.ops.maximum(keras.ops.sigmoid(logits) - margin, 1e-7)  # a power of 0 has no finite gradient
    absent = -keras.ops.power(shifted, gamma) * keras.ops.log1p(-shifted)
    return keras.ops.mean(targets * keras.ops.softplus(-logits) + (1 - targets) * absent, axis=-1)


def complement(targets, logits):
    """Binary cross entropy less the entropy of the complement, by its number of labels (Chen et al. 2019; seed 003).

    The paper has one true class, divides the other classes' probabilities by their sum, and takes steps that raise
    their entropy by turns with steps of the cross entropy. Carried over to many labels: the complement are the labels
    that a photo does not bear (y below 1/2), and both are one loss.
    """
    absent = keras.ops.cast(targets < 0.5, "float32")
    masked = keras.ops.log_sigmoid(logits) - 1e9 * (1 - absent)
    log_shares = keras.ops.log_softmax(masked, axis=-1)
    entropy = -keras.ops.sum(absent * keras.ops.exp(log_shares) * log_shares, axis=-1)
    return binary(targets, logits) - entropy / keras.ops.maximum(keras.ops.sum(absent, axis=-1), 1)


def categorical(targets, outputs, exclusive=()):
    """Cross entropy of a softmax: -sum y log p over each exclusive group; binary cross entropy of each other label.

    Binary cross entropy of a softmax's probabilities counts the labels that a photo does not bear once more.

    Args:
        targets: (batch, labels).
        outputs: (batch, labels), what the softmax takes; the class "none" has output 0.
        exclusive: the `heads.Exclusive` groups.
    """
    inside = {column for group in exclusive for column in group.columns}
    rest = [column for column in range(outputs.shape[-1]) if column not in inside]
    parts = [(keras.ops.softplus(_at(outputs, rest)) - _at(targets, rest) * _at(outputs, rest))] if rest else []
    for columns, has_none in exclusive:
        y, taken = _at(targets, columns), _at(outputs, columns)
        total = keras.ops.logsumexp(with_none(taken) if has_none else taken, axis=-1)
        borne = 1 if has_none else keras.ops.sum(y, axis=-1)
        parts.append((borne * total - keras.ops.sum(y * taken, axis=-1))[..., None])
    return keras.ops.sum(keras.ops.concatenate(parts, axis=-1), axis=-1) / outputs.shape[-1]


def _at(values, columns):
    return keras.ops.take(values, list(columns), axis=-1)


def frequency_weights(counts):
    """Give team MLoB's class weights float32 (labels,): 10 max((u + min u) / max u, 0.025), u = 1 / count (seed 001).

    A label that no row bears counts as on one. Theirs set one label's weight, Female's, to half the least by hand: left
    out.
    """
    inverse = 1 / np.maximum(counts, 1)
    return np.float32(WEIGHT_SCALE * np.maximum((inverse + inverse.min()) / inverse.max(), LEAST_WEIGHT))


def balanced_weights(counts, beta=BETA):
    """Give the class-balanced weights float32 (labels,): (1 - beta) / (1 - beta^count), mean 1 (Cui et al. 2019).

    They are the inverse of an effective number of rows, which levels off at 1 / (1 - beta). The paper weights a row by
    its one class; carried over to many labels, a label's weight stands before its borne rows.
    """
    weights = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    return np.float32(weights / weights.mean())


def smoothed(targets, share, towards=0.5):
    """Draw targets towards equal chances by a share: (1 - share) y + share / classes (Szegedy et al. 2016).

    Args:
        targets: (batch, labels).
        share: from 0 to 1.
        towards: 1 / classes, a number or one a label (labels,); a label on its own has two classes.
    """
    return (1 - share) * targets + share * towards


def chances(labels, exclusive):
    """Give 1 / classes of each label float32 (labels,): of its exclusive group's classes, of two where it has none."""
    found = np.full(labels, 0.5, np.float32)
    for columns, has_none in exclusive:
        found[list(columns)] = 1 / (len(columns) + has_none)
    return found


# From the recipe's `Training`, the labels' counts in the training rows and the exclusive groups to a function of
# targets and logits; the last one's logits are the outputs that softmaxes take
LOSSES = {
    "binary": lambda training, counts, exclusive: binary,
    "weighted": lambda training, counts, exclusive: functools.partial(weighted, positive=training.positive_weight),
    "frequency": lambda training, counts, exclusive: functools.partial(weighted, label=frequency_weights(counts)),
    "squared_error": lambda training, counts, exclusive: functools.partial(
        squared_error, label=frequency_weights(counts)
    ),
    "focal": lambda training, counts, exclusive: functools.partial(
        focal, gamma=training.gamma, positive=training.positive_weight
    ),
    "asymmetric": lambda training, counts, exclusive: functools.partial(asymmetric, gamma=training.gamma),
    "class_balanced": lambda training, counts, exclusive: functools.partial(
        weighted, positive=balanced_weights(counts)
    ),
    "complement": lambda training, counts, exclusive: complement,
    "categorical": lambda training, counts, exclusive: functools.partial(categorical, exclusive=exclusive),
}


def of(training, targets, exclusive=()):
    """Give the recipe's loss, a function from targets and logits (batch, labels) to losses (batch,).

    Args:
        training: the recipe's `Training`.
        targets: uint8 (n, labels) of the rows to train on.
        exclusive: the `heads.Exclusive` groups, which the categorical loss alone looks at.
    """
    loss = LOSSES[training.loss](training, targets.sum(axis=0, dtype=np.int64), exclusive)
    if not training.label_smoothing:
        return loss
    towards = chances(targets.shape[1], exclusive if training.loss == "categorical" else ())
    return lambda targets, logits: loss(smoothed(targets, training.label_smoothing, towards), logits)

"""Losses of a head, one table of them: to add a loss, write its function and its line in LOSSES.

A loss is a function from targets and logits (batch, labels), float32, to one number a row (batch,). A head with
branches has logits (batch, branches, labels); its targets are then (batch, 1, labels), and its losses
(batch, branches). `weights` of the targets' shape says what each weighs, 0 where it is unknown; it is None where
all weigh 1.

A probability is p = sigmoid(z) of its logit z, so log p = -softplus(-z) and log(1 - p) = -softplus(z), which are finite
for every logit. All losses are sums over the labels, divided by their number (team MLoB's own were not, so their
steps were 228 times as long [MLoB]): an unknown one adds 0, so that a known one weighs the same in every row, and
weights are multiplied in as they are. Targets y are 0 or 1, or between them
where they were smoothed or mixed. Weights move a head's probabilities, often more than they move its ranking: compare
losses at their best thresholds, never at 0.5.

Keras is imported where it is used: a recipe's names are checked against LOSSES without it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mlob.errors import InputError
from mlob.fields import check_choice
from mlob.labels import Exclusive, is_known, positives
from mlob.recipes import Experiment, Training

if TYPE_CHECKING:
    from keras import KerasTensor

Function: TypeAlias = "Callable[[KerasTensor, KerasTensor], KerasTensor]"
Weights: TypeAlias = "KerasTensor | None"

MARGIN = 0.05  # of the asymmetric loss, as in its paper
HILL_MARGIN, HILL_LAMBDA = 1.0, 1.5  # of the Hill loss, as in its paper
BETA = 0.999  # of the class-balanced loss, the mildest in its paper: rows beyond the first thousand hardly count
UNKNOWN_FROM = 1.5  # targets that were mixed lie between 0 and 1, but for rounding; unknown ones at 2 or above
LEAST_WEIGHT, WEIGHT_SCALE = 0.025, 10  # of team MLoB's class weights


def binary(targets: KerasTensor, logits: KerasTensor, weights: Weights = None) -> KerasTensor:
    """Binary cross entropy: -y log p - (1 - y) log(1 - p)."""
    from keras import ops

    return _mean(ops.softplus(logits) - targets * logits, weights)


def weighted(
    targets: KerasTensor,
    logits: KerasTensor,
    positive: float | np.ndarray = 1.0,
    label: float | np.ndarray = 1.0,
    weights: Weights = None,
) -> KerasTensor:
    """Weighted binary cross entropy: v (-w y log p - (1 - y) log(1 - p)).

    One number w for all labels is the loss of the [Stanford poster] (1, 4, 6). It is lowest at p = q w / (1 - q + q w)
    where q is the true probability: deciding at 0.5 gives what the unweighted loss gives at a threshold of 1 / (1 + w).

    Args:
        targets, logits: (batch, labels).
        positive: w, a number or one a label (labels,).
        label: v, a number or one a label (labels,).
        weights: (batch, labels).
    """
    from keras import ops

    of_positives = positive * targets * ops.softplus(-logits)
    return _mean(label * (of_positives + (1 - targets) * ops.softplus(logits)), weights)


def squared_error(
    targets: KerasTensor, logits: KerasTensor, label: float | np.ndarray = 1.0, weights: Weights = None
) -> KerasTensor:
    """Weighted squared error: v (p - y)^2, the default loss of [MLoB]."""
    from keras import ops

    return _mean(label * ops.square(ops.sigmoid(logits) - targets), weights)


def focal(
    targets: KerasTensor, logits: KerasTensor, gamma: float = 2.0, positive: float = 1.0, weights: Weights = None
) -> KerasTensor:
    """Focal loss: -w y (1 - p)^gamma log p - (1 - y) p^gamma log(1 - p) (Lin, Goyal, Girshick, He and Dollar 2017).

    Their alpha is w / (1 + w), up to the loss's scale: 0.25 is w = 1/3.
    """
    from keras import ops

    minus_log_p, minus_log_rest = ops.softplus(-logits), ops.softplus(logits)
    of_positives = positive * targets * ops.exp(-gamma * minus_log_rest) * minus_log_p
    return _mean(of_positives + (1 - targets) * ops.exp(-gamma * minus_log_p) * minus_log_rest, weights)


def asymmetric(
    targets: KerasTensor, logits: KerasTensor, gamma: float = 4.0, margin: float = MARGIN, weights: Weights = None
) -> KerasTensor:
    """Asymmetric loss: -y log p - (1 - y) s^gamma log(1 - s), s = max(p - margin, 0) (Ridnik, Ben-Baruch et al. 2021).

    A negative label whose p is below the margin no longer counts; their gamma of positive labels is 0 here.
    """
    from keras import ops

    shifted = ops.maximum(ops.sigmoid(logits) - margin, 1e-7)  # a power of 0 has no finite gradient
    of_negatives = -ops.power(shifted, gamma) * ops.log1p(-shifted)
    return _mean(targets * ops.softplus(-logits) + (1 - targets) * of_negatives, weights)


def hill(targets: KerasTensor, logits: KerasTensor, gamma: float = 2.0, weights: Weights = None) -> KerasTensor:
    """Hill loss: -y (1 - m)^gamma log m + (1 - y) (1.5 - p) p^2, m = sigmoid(z - 1) (Zhang, Cheng et al. 2021).

    For sets whose annotators missed labels: a negative label of which the head is nearly sure may well be there, and
    hardly pulls (the slope is 3 p^2 (1 - p)^2), where in cross entropy it pulls hardest.
    """
    from keras import ops

    p, shifted = ops.sigmoid(logits), logits - HILL_MARGIN
    of_positives = ops.exp(-gamma * ops.softplus(shifted)) * ops.softplus(-shifted)
    return _mean(targets * of_positives + (1 - targets) * (HILL_LAMBDA - p) * ops.square(p), weights)


def complement(targets: KerasTensor, logits: KerasTensor, weights: Weights = None) -> KerasTensor:
    """Binary cross entropy minus the entropy of the complement, divided by its number of labels (Chen et al. 2019).

    The paper, which [iNaturalist 2019] used, has one true class: it divides the other classes' probabilities by their
    sum, and alternates steps that raise their entropy with steps on the cross entropy. Here the complement is a photo's
    negative labels (y below 1/2), and both terms are one loss.
    """
    from keras import ops

    negative = ops.cast(targets < 0.5, "float32") * (1 if weights is None else ops.cast(weights > 0, "float32"))
    masked = ops.log_sigmoid(logits) - 1e9 * (1 - negative)
    log_shares = ops.log_softmax(masked, axis=-1)
    entropy = -ops.sum(negative * ops.exp(log_shares) * log_shares, axis=-1)
    return binary(targets, logits, weights=weights) - entropy / ops.maximum(ops.sum(negative, axis=-1), 1)


def categorical(
    targets: KerasTensor,
    outputs: KerasTensor,
    exclusive: Sequence[Exclusive] = (),
    label: np.ndarray | None = None,
    weights: Weights = None,
) -> KerasTensor:
    """Cross entropy of a softmax: -sum v y log p over each exclusive group; binary cross entropy of each other label.

    Binary cross entropy of a softmax's probabilities would count a photo's negative labels a second time. A group of
    which a row does not know every label counts 0 there: where it knows one that is true, it knows the others
    (`labels.completed`).

    Args:
        targets: (batch, labels).
        outputs: (batch, labels), what the softmax takes; the class "none" has output 0.
        exclusive: the groups that share a softmax each.
        label: v of each label of these groups (labels,); 1 where it is None, and of the class "none".
        weights: (batch, labels).
    """
    from keras import ops

    inside = {column for group in exclusive for column in group.columns}
    rest = [column for column in range(outputs.shape[-1]) if column not in inside]
    parts = []
    if rest:
        terms = ops.softplus(_at(outputs, rest)) - _at(targets, rest) * _at(outputs, rest)
        parts.append(terms if weights is None else terms * _at(weights, rest))
    for columns, has_none in exclusive:
        y, z = _at(targets, columns), _at(outputs, columns)
        total = ops.logsumexp(with_none(z) if has_none else z, axis=-1)
        weighed = y if label is None else y * _at(label, columns)
        none = 1 - ops.sum(y, axis=-1) if has_none else 0
        term = ((ops.sum(weighed, axis=-1) + none) * total - ops.sum(weighed * z, axis=-1))[..., None]
        parts.append(term if weights is None else term * ops.min(_at(weights, columns), axis=-1, keepdims=True))
    return ops.sum(ops.concatenate(parts, axis=-1), axis=-1) / outputs.shape[-1]


def with_none(outputs: KerasTensor) -> KerasTensor:
    """Append the output of the class "none", which is 0, to a group's outputs (..., labels)."""
    from keras import ops

    return ops.pad(outputs, [*[(0, 0)] * (len(outputs.shape) - 1), (0, 1)])


def _mean(terms: KerasTensor, weights: Weights) -> KerasTensor:
    """The mean over the labels of what each adds to the loss; what is unknown adds nothing."""
    from keras import ops

    return ops.mean(terms if weights is None else terms * weights, axis=-1)


def _at(values: KerasTensor, columns: Sequence[int]) -> KerasTensor:
    from keras import ops

    return ops.take(values, list(columns), axis=-1)


def frequency_weights(counts: np.ndarray) -> np.ndarray:
    """Give team MLoB's class weights float32 (labels,): 10 max((u + min u) / max u, 0.025), u = 1 / count [MLoB].

    A label that no row has counts as if one had it. Theirs set one label's weight, Female's, to half the least by hand:
    left out.
    """
    inverse = 1 / np.maximum(counts, 1)
    weights = WEIGHT_SCALE * np.maximum((inverse + inverse.min()) / inverse.max(), LEAST_WEIGHT)
    return weights.astype(np.float32)


def class_weights(counts: np.ndarray, exclusive: Sequence[Exclusive]) -> np.ndarray:
    """Give the class weights float32 (labels,) of [Fashion products]: rows / (classes (count + 1)) in each group.

    A class with its share of the rows weighs 1, one with half of that nearly 2. Labels outside of the groups weigh 1.

    Args:
        counts: of each label's training rows, int64 (labels,).
        exclusive: the groups.
    """
    weights = np.ones(len(counts), np.float32)
    for columns, _ in exclusive:
        own = list(columns)
        weights[own] = counts[own].sum() / (len(own) * (counts[own] + 1))
    return weights


def balanced_weights(counts: np.ndarray, beta: float = BETA) -> np.ndarray:
    """Give the class-balanced weights float32 (labels,): (1 - beta) / (1 - beta^count), mean 1 (Cui et al. 2019).

    They are the inverse of an effective number of rows, which levels off at 1 / (1 - beta). The paper weights a row by
    its one class; here, with many labels, a label's weight multiplies the loss of its positive rows.
    """
    weights = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    return (weights / weights.mean()).astype(np.float32)


def smoothed(targets: KerasTensor, share: float, towards: float | np.ndarray = 0.5) -> KerasTensor:
    """Draw targets towards equal chances by a share: (1 - share) y + share / classes (Szegedy et al. 2016).

    Args:
        targets: (batch, labels).
        share: from 0 to 1.
        towards: 1 / classes, a number or one a label (labels,); a label on its own has two classes.
    """
    return (1 - share) * targets + share * towards


def chances(labels: int, exclusive: Sequence[Exclusive]) -> np.ndarray:
    """Give 1 / classes of each label float32 (labels,): the classes of its exclusive group, or two without one."""
    equal = np.full(labels, 0.5, np.float32)
    for columns, has_none in exclusive:
        equal[list(columns)] = 1 / (len(columns) + has_none)
    return equal


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss that a recipe can name.

    Attributes:
        build: from the recipe's `Training`, each label's number of training rows int64 (labels,), and the exclusive
            groups, to the function of targets, logits, and weights.
        of_softmaxes: its second argument is what the softmaxes take (`heads.with_outputs`) instead of logits, so that
            it needs a head with `groups`.
    """

    build: Callable[[Training, np.ndarray, Sequence[Exclusive]], Callable[..., KerasTensor]]
    of_softmaxes: bool = False


LOSSES = {
    "binary": Loss(lambda training, counts, exclusive: binary),
    "weighted": Loss(
        lambda training, counts, exclusive: functools.partial(weighted, positive=training.positive_weight)
    ),
    "frequency": Loss(lambda training, counts, exclusive: functools.partial(weighted, label=frequency_weights(counts))),
    "squared_error": Loss(
        lambda training, counts, exclusive: functools.partial(squared_error, label=frequency_weights(counts))
    ),
    "focal": Loss(
        lambda training, counts, exclusive: functools.partial(
            focal, gamma=training.gamma, positive=training.positive_weight
        )
    ),
    "asymmetric": Loss(lambda training, counts, exclusive: functools.partial(asymmetric, gamma=training.gamma)),
    "hill": Loss(lambda training, counts, exclusive: functools.partial(hill, gamma=training.gamma)),
    "class_balanced": Loss(
        lambda training, counts, exclusive: functools.partial(weighted, positive=balanced_weights(counts))
    ),
    "complement": Loss(lambda training, counts, exclusive: complement),
    "categorical": Loss(
        lambda training, counts, exclusive: functools.partial(categorical, exclusive=exclusive), of_softmaxes=True
    ),
    "class_weighted": Loss(
        lambda training, counts, exclusive: functools.partial(
            categorical, exclusive=exclusive, label=class_weights(counts, exclusive)
        ),
        of_softmaxes=True,
    ),
}


def check(experiment: Experiment) -> None:
    """Refuse a recipe whose loss is unknown, or does not fit its head.

    Raises:
        InputError: with the nearest names, or with the field to change.
    """
    name = experiment.training.loss
    check_choice("training.loss", name, LOSSES)
    if LOSSES[name].of_softmaxes and not experiment.head.groups:
        raise InputError(f"training.loss={name} is a loss of softmaxes: it needs head.groups=true.")


def of(
    training: Training,
    targets: np.ndarray,
    exclusive: Sequence[Exclusive] = (),
    label_weights: np.ndarray | None = None,
) -> Function:
    """Give the recipe's loss, a function from targets and logits (batch, labels) to losses (batch,).

    Args:
        training: the recipe's `Training`.
        targets: uint8 (n, labels) of the rows to train on; where all are known, no step looks for unknown ones.
        exclusive: the groups that share a softmax each; only losses `of_softmaxes` look at them.
        label_weights: what each label weighs, float32 (labels,), equal in an exclusive group; None where all weigh 1.
    """
    loss = LOSSES[training.loss]
    function = loss.build(training, positives(targets).sum(axis=0, dtype=np.int64), exclusive)
    share, towards = training.label_smoothing, chances(targets.shape[1], exclusive if loss.of_softmaxes else ())
    whole = is_known(targets) is None

    def of_rows(targets: KerasTensor, logits: KerasTensor) -> KerasTensor:
        targets, weights = (targets, label_weights) if whole else known_apart(targets, label_weights)
        return function(smoothed(targets, share, towards) if share else targets, logits, weights=weights)

    return of_rows


def known_apart(targets: KerasTensor, label_weights: np.ndarray | None = None) -> tuple[KerasTensor, KerasTensor]:
    """Give targets that are 0 where they are unknown, and their weights, 0 there too: float32, both (batch, labels)."""
    from keras import ops

    known = targets < UNKNOWN_FROM
    weights = ops.cast(known, "float32")
    return ops.where(known, targets, 0.0), weights if label_weights is None else weights * label_weights

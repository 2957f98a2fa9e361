"""How an epoch may be other than each row once: rows drawn by their labels, mixed, or seen in one of several views."""

from collections.abc import Sequence

import numpy as np

from mlob.fields import check_choice
from mlob.labels import UNKNOWN, is_known, positives, prevalence
from mlob.recipes import Experiment


def own_columns(experiment: Experiment, targets: np.ndarray, groups: Sequence[str] | None) -> np.ndarray:
    """Find the labels that a model learns: of its tasks, and on shares within its own of the rows that know them.

    Two recipes that share a cut, one's least and the other's most share, have each label once between them. Team MLoB
    cut at 100,000 of 1,014,544 rows, and left out the labels on 500 rows and fewer [MLoB].

    Args:
        experiment: the recipe; with a most share of 1 there is no upper end.
        targets: uint8 (n, labels).
        groups: the group of each label (labels,).

    Returns:
        Columns, int (labels,), rising.

    Raises:
        InputError: there is no group of a task's name.
    """
    least, most, shares = experiment.least_share, experiment.most_share, prevalence(targets)
    is_own = (shares >= least) & ((shares < most) | (most >= 1))
    if experiment.tasks and groups:
        check_tasks(experiment, groups)
        is_own &= np.isin(groups, [task.group for task in experiment.tasks])
    return np.flatnonzero(is_own)


def check_tasks(experiment: Experiment, groups: Sequence[str]) -> None:
    """Refuse tasks of groups that the labels (labels,) do not have.

    Raises:
        InputError: with the nearest names.
    """
    for number, task in enumerate(experiment.tasks):
        check_choice(f"tasks[{number}].group", task.group, sorted({*groups}))


def label_weights(experiment: Experiment, groups: Sequence[str] | None) -> np.ndarray | None:
    """Give what each label weighs in the loss, float32 (labels,), by its task; None where all weigh 1."""
    weight_of = {task.group: task.weight for task in experiment.tasks}
    if not groups or {*weight_of.values()} <= {1.0}:
        return None
    return np.array([weight_of[group] for group in groups], np.float32)


def chances(targets: np.ndarray, balance: float) -> np.ndarray:
    """Give the chance of each row to be the next one drawn, float64 (n,), sum 1, where labels are balanced.

    A share `balance` of the draws picks a label, each that occurs as often as another, then one of its rows; the other
    draws pick any row. So in N draws a label of prevalence s is expected at least
    N (balance / labels + (1 - balance) s) times, and N sum(chances y) times exactly: frequent labels ride along on the
    rows of rare ones (class-aware sampling, Shen, Lin and Huang 2016, for one label a row). Rows without a label are
    left to the other draws.

    Args:
        targets: uint8 (n, labels), at least one of them 1.
        balance: from 0, all rows alike, to 1.
    """
    true = positives(targets)
    counts = true.sum(axis=0, dtype=np.int64)
    by_label = np.einsum("nl,l->n", true, 1 / np.maximum(counts, 1)) / np.count_nonzero(counts)
    return balance * by_label + (1 - balance) / len(targets)


def times(chances: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw how often each row comes in an epoch of as many rows as there are: int64 (n,), sum n.

    Row i comes n chances[i] times on average, and never more than one time off (systematic sampling, Madow 1949).
    """
    ends = np.cumsum(chances)
    passed = np.floor(ends / ends[-1] * len(chances) + generator.random()).astype(np.int64)
    return np.diff(passed, prepend=0)


def mixed(
    features: np.ndarray, targets: np.ndarray, alpha: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each row with another of its batch: a x + (1 - a) x', a y + (1 - a) y', a ~ Beta(alpha, alpha).

    Zhang, Cisse, Dauphin and Lopez-Paz 2018, on features as they come from the store, with one a for each row.

    Args:
        features: float16, or uint8 of photos, (batches, batch, ...).
        targets: (batches, batch, labels).

    Returns:
        Features of the same dtype, photos rounded, and targets float32, of the same shapes; a target is unknown if it
        is in either row.
    """
    shape = targets.shape[:2]
    others = generator.permuted(np.tile(np.arange(shape[1]), (shape[0], 1)), axis=1)
    share = generator.beta(alpha, alpha, shape).astype(np.float32)
    mixture, known = _between(targets, others, share), is_known(targets)
    if known is not None:
        mixture[~(known & _others(known, others))] = UNKNOWN
    between = _between(features, others, share)
    rounded = np.rint(between) if features.dtype == np.uint8 else between  # a cast alone would darken photos
    return rounded.astype(features.dtype), mixture


def _between(rows: np.ndarray, others: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Mix rows (batches, batch, ...) with others of their batch, int (batches, batch), in shares (batches, batch)."""
    rows = rows.astype(np.float32)
    share = share.reshape(*share.shape, *[1] * (rows.ndim - 2))
    return share * rows + (1 - share) * _others(rows, others)


def _others(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Take for each row of (batches, batch, ...) another of its batch, int (batches, batch)."""
    return rows[np.arange(len(rows))[:, None], others]


def one_view(features: np.ndarray, views: int, generator: np.random.Generator) -> np.ndarray:
    """Take one of the views of each row at random.

    Args:
        features: (batches, batch, ..., views * d), views side by side on the last axis.
        views: their number.

    Returns:
        (batches, batch, ..., d).
    """
    apart = features.reshape(*features.shape[:-1], views, -1)
    chosen = generator.integers(views, size=features.shape[:2]).reshape(*features.shape[:2], *[1] * (apart.ndim - 2))
    return np.take_along_axis(apart, chosen, axis=-2).squeeze(-2)

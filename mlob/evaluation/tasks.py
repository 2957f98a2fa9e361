"""How well tasks are solved: groups of labels of which a photo has one, so that its likeliest label is the answer."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from mlob.evaluation import bootstrap, diagnosis
from mlob.evaluation.bootstrap import Interval, Keys
from mlob.labels import columns_of, positives
from mlob.metrics import f1, macro_f1
from mlob.recipes import Judging

FIRST = 5  # of the likeliest labels, among which the true one is looked for
FIGURES = ("top_1", "top_5", "weighted_f1")


@dataclasses.dataclass(frozen=True)
class TaskScores:
    """How well a task is solved on photos that have exactly one of its labels.

    Attributes:
        group: of the labels.
        photos: how many have one.
        occurring: how many of the labels they have.
        scores: "top_1" and "top_5" are shares of the photos whose label is the likeliest one, and among the five
            likeliest; "macro_f1" is the mean over the occurring labels, "weighted_f1" the mean over the photos of F1.
        ceiling: the highest top-1 that was to be had: the share of the photos whose label train has.
        untrained: columns of occurring labels that no photo of train has.
        failed: columns of the other occurring labels that were never given rightly.
    """

    group: str
    photos: int
    occurring: int
    scores: dict[str, Interval]
    ceiling: float
    untrained: list[int]
    failed: list[int]


def judge(
    targets: np.ndarray,
    probabilities: np.ndarray,
    groups: Sequence[str],
    train_positives: np.ndarray,
    judging: Judging,
    keys: Keys = None,
) -> list[TaskScores]:
    """Judge every group whose labels exclude each other (`diagnosis.exclusive`), where anything is said about them.

    A model that does not learn a group gives its labels the probability 0.

    Args:
        targets: uint8 (n, labels).
        probabilities: float32 (n, labels), by fits that did not see the photo.
        groups: of each label (labels,).
        train_positives: integers (labels,), photos of train with each label.
        judging: draws and seed of the bootstrap.
        keys: one a photo, equal for photos of equal content, which are drawn together.
    """
    of_group, found = columns_of(groups), []
    for group in diagnosis.exclusive(targets, groups):
        columns = np.array(of_group[group])
        if not probabilities[:, columns].any():
            continue
        has_one = rows_of(targets, columns)
        own = None if keys is None else list(itertools.compress(keys, has_one))
        truth = positives(targets[np.ix_(has_one, columns)]).astype(np.uint8)
        chances = probabilities[np.ix_(has_one, columns)]
        found.append(_judged(group, columns, truth, chances, train_positives[columns], judging, own))
    return found


def _judged(group, columns, truth, chances, trained, judging, keys):
    """Judge a task: truth and chances (photos, classes), each photo with one class; `trained` counts these in train."""
    given = np.zeros_like(truth)
    given[np.arange(len(truth)), chances.argmax(axis=1)] = 1
    occurs, right = truth.any(axis=0), (truth & given).any(axis=0)
    return TaskScores(
        group,
        len(truth),
        int(occurs.sum()),
        _scores(truth[:, occurs], given[:, occurs], ranks(truth, chances), judging, keys),
        float(truth[:, trained > 0].sum() / len(truth)),
        columns[occurs & (trained == 0)].tolist(),
        columns[occurs & (trained > 0) & ~right].tolist(),
    )


def rows_of(targets: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Say which rows have exactly one of the labels in these columns: bool (n,)."""
    return positives(targets[:, columns]).sum(axis=1) == 1


def ranks(truth: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Give how many classes are likelier than the true one, int (n,); of equal ones the first counts as likelier.

    Args:
        truth: 0/1 (n, classes), one 1 in each row.
        chances: (n, classes).
    """
    true = truth.argmax(axis=1)[:, np.newaxis]
    own = np.take_along_axis(chances, true, axis=1)
    before = (chances == own) & (np.arange(truth.shape[1]) < true)
    return ((chances > own) | before).sum(axis=1)


def _scores(truth, given, rank, judging, keys):
    """Give every metric with its interval; truth and given are 0/1 (n, occurring classes)."""
    cells = np.column_stack([rank == 0, rank < FIRST, truth & given, given, truth]).astype(np.float32)
    resamples = bootstrap.resamples(len(truth), judging.draws, judging.seed, keys)
    drawn = np.concatenate([times @ cells for times in resamples])
    figures, draws = (dict(zip(FIGURES, _pooled(counted), strict=True)) for counted in (cells.sum(axis=0)[None], drawn))
    figures["macro_f1"] = [macro_f1(truth, given)]
    draws["macro_f1"] = bootstrap.macro_f1_draws(truth, given, keys=keys, draws=judging.draws, seed=judging.seed)
    return {name: bootstrap.interval(value, draws[name]) for name, (value,) in figures.items()}


def _pooled(counted):
    """Give top-1, top-5 and the weighted F1, each (draws,), of counts (draws, 2 + 3 classes) as `_scores` lays them."""
    first, among, (both, given, true) = counted[:, 0], counted[:, 1], np.split(counted[:, 2:], 3, axis=1)
    photos = true.sum(axis=1)
    return first / photos, among / photos, (true * f1(both, given, true)).sum(axis=1) / photos

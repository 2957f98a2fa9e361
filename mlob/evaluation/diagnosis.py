"""What is wrong where: calibration, labels taken for one another, worst mistakes, doubtful annotations, alike members.

NumPy only. Targets and decisions are 0/1 (n, labels), probabilities float (n, labels) in [0, 1]. A target that is
unknown is neither a mistake nor in doubt.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mlob.labels import known_entries, positives

BINS = 10
TOLERANCE = 0.1  # by which a probability may miss the observed frequency and still be believed
CHANCE = 2  # standard errors by which it may miss besides
ALONE = 0.9  # of a group's photos with exactly one of its labels, from which on the labels exclude each other
SHOWN = 12  # mistakes of a kind

Cell = tuple[int, int]  # row (a photo), column (a label)


@dataclasses.dataclass(frozen=True)
class Bin:
    """Decisions of about one probability.

    Attributes:
        count: of decisions.
        predicted: mean of their probabilities.
        observed: how often their labels are true.
    """

    count: int
    predicted: float
    observed: float

    @property
    def gap(self) -> float:
        """The distance between the two."""
        return abs(self.predicted - self.observed)

    @property
    def is_off(self) -> bool:
        """Whether the gap is larger than is tolerable, and than chance allows."""
        standard_error = (self.predicted * (1 - self.predicted) / self.count) ** 0.5
        return self.gap > max(TOLERANCE, CHANCE * standard_error)


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Whether labels are true as often as their probabilities say.

    Attributes:
        bins: that hold a decision, by rising probability.
        error: the expected calibration error: the mean gap over all decisions.
        off: the bin with the largest gap of those that are off; None where none is.
    """

    bins: list[Bin]
    error: float
    off: Bin | None


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Which label of a group was given for which, over the photos with exactly one of them.

    Attributes:
        columns: of the group's labels (k,).
        counts: of photos (k, k + 1): true label by given label; the last column counts those that were given none.
    """

    columns: list[int]
    counts: list[list[int]]

    @property
    def photos(self) -> int:
        """All that are counted."""
        return sum(map(sum, self.counts))

    @property
    def right(self) -> float:
        """The share of photos that were given their true label."""
        return sum(row[label] for label, row in enumerate(self.counts)) / max(self.photos, 1)


@dataclasses.dataclass(frozen=True)
class Confused:
    """Photos of the label `true` that were given another label of its group; `share` of all of `true`."""

    group: str
    true: int
    given: int
    photos: int
    share: float


def reliability(targets: np.ndarray, probabilities: np.ndarray) -> Reliability:
    """Compare probabilities with how often the labels are true, in ten bins of equal width (Guo et al. 2017)."""
    truth, chances = known_entries(targets, probabilities)
    bins = np.minimum((chances * BINS).astype(np.int64), BINS - 1)
    count, predicted, observed = (
        np.bincount(bins, weights=values, minlength=BINS) for values in (None, chances.astype(np.float64), truth)
    )
    filled = [
        Bin(int(count[number]), float(predicted[number] / count[number]), float(observed[number] / count[number]))
        for number in np.flatnonzero(count)
    ]
    off = max((each for each in filled if each.is_off), key=lambda each: each.gap, default=None)
    return Reliability(filled, float(np.abs(predicted - observed).sum() / max(count.sum(), 1)), off)


def exclusive(targets: np.ndarray, groups: Sequence[str]) -> dict[str, np.ndarray]:
    """Find the groups whose labels exclude each other: {group: columns of the labels that occur}.

    Of the photos with any label of the group, at least nine tenths have exactly one. A group with a single label has
    none to confuse it with.
    """
    true, group_of = positives(targets), np.asarray(groups)
    columns_of = {}
    for group in dict.fromkeys(groups):
        columns = np.flatnonzero((group_of == group) & true.any(axis=0))
        count = true[:, columns].sum(axis=1)
        if len(columns) > 1 and np.mean(count[count > 0] == 1) >= ALONE:
            columns_of[group] = columns
    return columns_of


def confusion(
    targets: np.ndarray, decided: np.ndarray, probabilities: np.ndarray, columns: Sequence[int] | np.ndarray
) -> Confusion:
    """Count which label of a group was given for which, over the photos with exactly one of them.

    Given is the likeliest label among those decided for.

    Args:
        columns: of the group's labels (k,).
    """
    true, known = positives(targets[:, columns]), targets[:, columns] <= 1
    scores = np.where(np.asarray(decided, bool)[:, columns] & known, probabilities[:, columns], -1)
    alone = true.sum(axis=1) == 1
    given = np.where(scores.max(axis=1) < 0, len(columns), scores.argmax(axis=1))
    counts = np.zeros((len(columns), len(columns) + 1), np.int64)
    np.add.at(counts, (true.argmax(axis=1)[alone], given[alone]), 1)
    return Confusion(np.asarray(columns).tolist(), counts.tolist())


def confused(confusions: Mapping[str, Confusion]) -> list[Confused]:
    """List which label is taken for which, the commonest first.

    Args:
        confusions: {group: its confusion}.
    """
    pairs = [
        Confused(group, true, given, photos, photos / sum(row))
        for group, counted in confusions.items()
        for true, row in zip(counted.columns, counted.counts, strict=True)
        for given, photos in zip(counted.columns, row, strict=False)  # without the last: none given
        if photos and given != true
    ]
    return sorted(pairs, key=lambda pair: -pair.photos)


def worst_false_positives(targets: np.ndarray, decided: np.ndarray, probabilities: np.ndarray) -> list[Cell]:
    """Find the labels that are not true and were given with the highest probability.

    Returns:
        Up to 12 cells, the worst first, each of another label and another photo.
    """
    return _foremost(np.asarray(decided, bool) & (np.asarray(targets) == 0), probabilities)


def worst_false_negatives(targets: np.ndarray, decided: np.ndarray, probabilities: np.ndarray) -> list[Cell]:
    """Find the true labels that were missed with the lowest probability; the rest as `worst_false_positives`."""
    return _foremost(positives(np.asarray(targets)) & ~np.asarray(decided, bool), -probabilities)


def surest_true_positives(targets: np.ndarray, decided: np.ndarray, probabilities: np.ndarray) -> list[Cell]:
    """Find the true labels that were given with the highest probability; the rest as `worst_false_positives`."""
    return _foremost(positives(np.asarray(targets)) & np.asarray(decided, bool), probabilities)


def suspects(targets: np.ndarray, probabilities: np.ndarray) -> list[Cell]:
    """Find the annotations that confident learning doubts (Northcutt, Jiang and Chuang 2021), each label by itself.

    A label that a photo is annotated with is doubted where its absence is likelier, and at least as likely as on
    average over the photos without it. A label that a photo is not annotated with is doubted where its presence is
    likelier, and at least as likely as on average over the photos with it. The probabilities must come from models
    that did not see the annotations. Of errors planted on 300 photos of fashion-products, cleanlab 2.9 finds no more
    among its first 50, 100, 200 or 400 doubts than are found here.

    Returns:
        Cells, the annotation with the lowest probability first.
    """
    targets, probabilities = np.asarray(targets), np.asarray(probabilities, np.float64)
    true, false = positives(targets), targets == 0
    given = np.where(true, probabilities, 1 - probabilities)  # probability of what is annotated
    likely = 1 - given >= np.where(true, _mean(given, false), _mean(given, true))
    rows, columns = np.nonzero((given < 0.5) & likely & (true | false))
    order = np.argsort(given[rows, columns], kind="stable")
    return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def alike(members: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Correlate the members' errors, probability less target, over all cells: float (members, members).

    Near 1, a member adds nothing to another; the lower, the more a blend of the two can gain.
    """
    truth, cells = known_entries(targets, members)
    return np.atleast_2d(np.corrcoef(cells - truth.astype(np.float32), dtype=np.float32))


def _foremost(marked: np.ndarray, rank: np.ndarray) -> list[Cell]:
    """Take the highest marked cell of each label, the highest first; of a photo only its first."""
    rank = np.where(marked, rank, -np.inf)
    rows = rank.argmax(axis=0)
    columns = np.flatnonzero(marked.any(axis=0))
    order = np.argsort(-rank[rows[columns], columns], kind="stable")
    column_of_row: dict[int, int] = {}
    for column in columns[order].tolist():
        column_of_row.setdefault(int(rows[column]), column)
    return list(column_of_row.items())[:SHOWN]


def _mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The mean of each column over the cells that are marked; infinity where none is."""
    count = where.sum(axis=0)
    total = np.sum(values, axis=0, where=where)
    return np.divide(total, count, out=np.full(len(count), np.inf), where=count > 0)

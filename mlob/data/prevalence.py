"""How many photos have each label, and which labels are commoner or rarer in validation than in train."""

import dataclasses
import statistics
from collections.abc import Mapping

import numpy as np

from mlob.labels import Labels

SIGNIFICANCE = 0.01  # of all labels tested together
STRONGEST = 20  # labels whose prevalence differs most
FEW = 5  # photos; a z-test of a smaller number does not hold


@dataclasses.dataclass(frozen=True)
class LabelFacts:
    """A label, with the number of photos that have it in each split."""

    id: int
    name: str
    group: str
    counts: dict[str, int]


@dataclasses.dataclass(frozen=True)
class ShiftedLabel(LabelFacts):
    """A label whose prevalence differs between train and validation; the ratio is None where train has none."""

    train: float
    validation: float
    ratio: float | None
    z: float


@dataclasses.dataclass(frozen=True)
class Shifted:
    """How many labels were tested, how many differ, and those that differ most, by falling |z|."""

    significance: float
    tested: int
    labels: int
    strongest: list[ShiftedLabel]


def label_facts(labels: Labels, column: int, counts: Mapping[str, np.ndarray]) -> LabelFacts:
    """Describe one label; counts are {split: int (labels,)}."""
    of_splits = {split: int(of_split[column]) for split, of_split in counts.items()}
    return LabelFacts(labels.ids[column], labels.names[column], labels.groups[column], of_splits)


def shifted(labels: Labels, photos: Mapping[str, np.ndarray], counts: Mapping[str, np.ndarray]) -> Shifted | None:
    """Test each label's prevalence in validation against that in train; None unless both have labels.

    The pooled z-test of two proportions, with Bonferroni's correction for all labels that occur and are known in both.
    Where fewer than 5 photos are expected the z-test takes chance for a shift, and Fisher's exact test has to agree.

    Args:
        photos: {split with labels: photos that know each label, int (labels,)}.
        counts: {split with labels: photos that have each label, int (labels,)}.
    """
    if not {"train", "validation"} <= counts.keys():
        return None
    train, validation = counts["train"], counts["validation"]
    sizes = np.stack([photos["train"], photos["validation"]])
    z = z_scores(train, sizes[0], validation, sizes[1])
    tested = int(np.count_nonzero((train + validation > 0) & (sizes.min(axis=0) > 0)))
    level = SIGNIFICANCE / max(tested, 1)
    critical = statistics.NormalDist().inv_cdf(1 - level / 2)
    order = [int(column) for column in np.argsort(-np.abs(z), kind="stable") if abs(z[column]) > critical]
    differ = [column for column in order if _fisher_agrees(train[column], validation[column], sizes[:, column], level)]
    strongest = [
        _shifted_label(
            label_facts(labels, column, counts),
            train[column] / sizes[0, column],
            validation[column] / sizes[1, column],
            z[column],
        )
        for column in differ[:STRONGEST]
    ]
    return Shifted(SIGNIFICANCE, tested, len(differ), strongest)


def z_scores(
    train: np.ndarray, train_photos: np.ndarray | int, validation: np.ndarray, validation_photos: np.ndarray | int
) -> np.ndarray:
    """Give z (labels,) of the prevalence in validation minus that in train.

    It is 0 for a label on no photo, or on all, or of which a split knows nothing.

    Args:
        train, validation: photos that have each label, (labels,).
        train_photos, validation_photos: numbers of photos, one for all labels or for each.
    """
    is_known = np.minimum(train_photos, validation_photos) > 0
    train_photos, validation_photos = np.maximum(train_photos, 1), np.maximum(validation_photos, 1)
    pooled = (train + validation) / (train_photos + validation_photos)
    error = np.sqrt(pooled * (1 - pooled) * (1 / train_photos + 1 / validation_photos))
    gap = validation / validation_photos - train / train_photos
    return np.divide(gap, error, out=np.zeros(len(gap)), where=(error > 0) & is_known)


def _fisher_agrees(train: int, validation: int, sizes: np.ndarray, level: float) -> bool:
    """Tell whether Fisher's exact test finds a shift, too; it is not asked where at least 5 photos are expected."""
    from scipy.stats import contingency, fisher_exact

    table = np.array([[train, validation], [sizes[0] - train, sizes[1] - validation]])
    return contingency.expected_freq(table).min() >= FEW or fisher_exact(table).pvalue < level


def _shifted_label(label: LabelFacts, train: float, validation: float, z: float) -> ShiftedLabel:
    return ShiftedLabel(
        **vars(label),
        train=round(float(train), 5),
        validation=round(float(validation), 5),
        ratio=round(float(validation / train), 2) if train else None,
        z=round(float(z), 2),
    )

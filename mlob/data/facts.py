"""Facts about a data set, to be read before any figure is believed: sizes, failures, equal photos, shifts."""

import collections
import dataclasses
from collections.abc import Mapping

import numpy as np

from mlob.data import duplicates, prevalence
from mlob.data.dataset import DataSet
from mlob.data.duplicates import EXAMPLES, Seen
from mlob.data.prevalence import LabelFacts, label_facts
from mlob.labels import count_known, positives

ENDS = 10  # rarest labels, and commonest


@dataclasses.dataclass(frozen=True)
class Reason:
    """A reason why photos could not be read, their number, and some of their ids."""

    reason: str
    photos: int
    ids: list[str]


@dataclasses.dataclass(frozen=True)
class Failures:
    """The number of photos that could not be read, and why, the commonest reason first."""

    photos: int
    reasons: list[Reason]


@dataclasses.dataclass(frozen=True)
class Spread:
    """The number of labels of a photo."""

    mean: float
    min: int
    max: int


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """Numbers of a split.

    Attributes:
        photos: in all.
        labelled: photos with a label.
        unlabelled: photos without one; of the others nothing is known.
        labels_used: that are on some photo.
        labels_a_photo: None without labels.
        failed: None if nothing is known of the photos' files.
        unknown: entries, each a photo and a label, of which nobody knows whether it is there.
    """

    photos: int
    labelled: int
    unlabelled: int
    labels_used: int
    labels_a_photo: Spread | None
    failed: Failures | None
    unknown: int = 0


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about a data set, ready for JSON.

    Attributes:
        photos, labels, labels_used: numbers; a label is used if it is on some photo.
        splits: by name.
        counts: {split with labels: photos that have each label, by column}.
        commonest, rarest: labels that occur.
        unseen: labels that never occur in train; empty if train has no labels.
        compared: whether the photos' bytes were compared (in a bucket, not before there are features).
        equal_between, equal_within: photos that are in two splits, or in one twice.
        shifted: labels whose prevalence differs between train and validation; None unless both have labels.
        differing: photos of equal bytes that have different labels; None if all agree.
    """

    photos: int
    labels: int
    labels_used: int
    splits: dict[str, SplitFacts]
    counts: dict[str, list[int]]
    commonest: list[LabelFacts]
    rarest: list[LabelFacts]
    unseen: list[LabelFacts]
    compared: bool
    equal_between: list[duplicates.Between]
    equal_within: list[duplicates.Within]
    shifted: prevalence.Shifted | None
    differing: duplicates.Differing | None = None


def describe(dataset: DataSet, known: Mapping[str, Seen]) -> Facts:
    """Describe a data set from its annotations and from what is known of its photos.

    Args:
        known: {split: `duplicates.Seen`}. For a split that is missing here `failed` is None, and its photos' bytes are
            not compared.
    """
    targets = {name: split.labelled_targets for name, split in dataset.splits.items() if split.annotations is not None}
    counts = {name: positives(of_split).sum(axis=0, dtype=np.int64) for name, of_split in targets.items()}
    total = sum(counts.values(), np.zeros(len(dataset.labels), np.int64))
    used = [int(column) for column in np.argsort(-total, kind="stable") if total[column]]
    listed = [label_facts(dataset.labels, column, counts) for column in used]
    unseen = np.flatnonzero(counts["train"] == 0) if "train" in counts else ()
    photos = {name: len(split.ids) for name, split in dataset.splits.items()}
    return Facts(
        photos=sum(photos.values()),
        labels=len(dataset.labels),
        labels_used=len(used),
        splits={
            name: _split_facts(len(split.ids), targets.get(name), known.get(name))
            for name, split in dataset.splits.items()
        },
        counts={name: of_split.tolist() for name, of_split in counts.items()},
        commonest=listed[:ENDS],
        rarest=listed[::-1][:ENDS],
        unseen=[label_facts(dataset.labels, int(column), counts) for column in unseen],
        compared=any(duplicates.is_compared(dataset, name, of_split) for name, of_split in known.items()),
        equal_between=duplicates.between(dataset, known),
        equal_within=duplicates.within(known),
        differing=duplicates.differing(dataset, known, targets),
        shifted=prevalence.shifted(
            dataset.labels, {name: count_known(of_split, axis=0) for name, of_split in targets.items()}, counts
        ),
    )


def failures(reasons: Mapping[str, str]) -> Failures:
    """Count the photos that could not be read, {id: reason}, by reason."""
    ids = collections.defaultdict(list)
    for name, reason in reasons.items():
        kind, _, _ = reason.partition(" (")  # brackets hold details of one photo: "(7 bytes left)"
        ids[kind].append(name)
    commonest = sorted(ids.items(), key=lambda item: (-len(item[1]), item[0]))
    listed = [Reason(kind, len(names), names[:EXAMPLES]) for kind, names in commonest]
    return Failures(len(reasons), listed)


def _split_facts(photos: int, targets: np.ndarray | None, known: Seen | None) -> SplitFacts:
    failed = failures(known.failures) if known else None
    if targets is None:
        return SplitFacts(photos, 0, photos, 0, None, failed)
    true, known_labels = positives(targets), count_known(targets, axis=1)
    a_photo = true.sum(axis=1, dtype=np.int64)
    labelled = int(np.count_nonzero(a_photo))
    return SplitFacts(
        photos=photos,
        labelled=labelled,
        unlabelled=int(np.count_nonzero(known_labels)) - labelled,
        labels_used=int(np.count_nonzero(true.any(axis=0))),
        labels_a_photo=_spread(a_photo) if labelled else None,
        failed=failed,
        unknown=targets.size - int(known_labels.sum()),
    )


def _spread(values: np.ndarray) -> Spread:
    return Spread(round(float(values.mean()), 4), int(values.min()), int(values.max()))

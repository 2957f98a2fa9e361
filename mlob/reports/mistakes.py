"""What an ensemble gets wrong on validation: single mistakes, confusions, annotations in doubt, with their photos."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mlob import predictions
from mlob.data.dataset import DataSet
from mlob.evaluation import diagnosis
from mlob.evaluation.diagnosis import Cell, Confused, Confusion, Reliability
from mlob.labels import positives
from mlob.predictions import Table
from mlob.reports.photos import Camera, Photo

DOUBTED = 24  # photos with annotations in doubt that are shown
CONFUSED = 20  # pairs of labels that are listed


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A label (a column) that was wrong or missed on a photo, and its probability there."""

    photo: Photo
    label: int
    probability: float


@dataclasses.dataclass(frozen=True)
class Doubt:
    """A label (a column) whose annotation is in doubt, and its probability."""

    label: int
    probability: float


@dataclasses.dataclass(frozen=True)
class Doubtful:
    """A photo and what is in doubt of its annotations, the most doubtful first."""

    photo: Photo
    doubts: list[Doubt]


@dataclasses.dataclass(frozen=True)
class Suspects:
    """How many annotations are in doubt, on how many photos; the first photos of these, the most doubtful first."""

    annotations: int
    photos: int
    first: list[Doubtful]


@dataclasses.dataclass(frozen=True)
class Alike:
    """How alike the members' errors are: their correlation (members, members)."""

    members: list[str]
    correlation: list[list[float]]


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What an ensemble gets wrong on validation; labels are columns.

    Attributes:
        unseen: photos without features, which no model saw; they take no part.
        unlearned: labels that are on no photo of train, which no model can know: none counts as a mistake or a doubt.
        confusions: by group of labels that exclude each other.
        confused: the commonest confusions.
        false_positives, false_negatives: the worst mistakes, the worst first.
    """

    unseen: int
    unlearned: int
    reliability: Reliability
    confusions: dict[str, Confusion]
    confused: list[Confused]
    false_positives: list[Mistake]
    false_negatives: list[Mistake]
    suspects: Suspects
    alike: Alike


def diagnose(
    dataset: DataSet, ensemble: Table, members: Mapping[str, Table], take: Camera, seen: np.ndarray
) -> Diagnosis:
    """Find what an ensemble gets wrong on validation.

    Args:
        ensemble: its predictions and decisions on validation.
        members: {name: its predictions on validation}.
        take: gives the photo of a row, as `photos.camera` does.
        seen: rows of the photos that have features.
    """
    split = dataset["validation"]
    learned = np.any(positives(dataset["train"].labelled_targets), axis=0)
    targets = split.labelled_targets[seen]
    decided, probabilities = ensemble.decisions[seen], ensemble.probabilities[seen]
    confusions = {
        group: diagnosis.confusion(targets, decided, probabilities, columns)
        for group, columns in diagnosis.exclusive(targets, dataset.labels.groups).items()
    }
    judged = targets, np.where(learned, decided, targets), probabilities
    doubts = [cell for cell in diagnosis.suspects(targets, probabilities) if learned[cell[1]]]
    evidence = _Evidence(ensemble.probabilities, take, seen)
    stack = predictions.align(members, split.ids)[:, seen]
    return Diagnosis(
        unseen=len(split.ids) - len(seen),
        unlearned=int(np.count_nonzero(~learned)),
        reliability=diagnosis.reliability(targets, probabilities),
        confusions=confusions,
        confused=diagnosis.confused(confusions)[:CONFUSED],
        false_positives=evidence.mistakes(diagnosis.worst_false_positives(*judged)),
        false_negatives=evidence.mistakes(diagnosis.worst_false_negatives(*judged)),
        suspects=evidence.suspects(doubts),
        alike=Alike(list(members), diagnosis.alike(stack, targets).tolist()),
    )


@dataclasses.dataclass(frozen=True)
class _Evidence:
    """The photos and probabilities (n, labels) of validation, for cells whose rows count the photos `seen` alone."""

    probabilities: np.ndarray
    take: Camera
    seen: np.ndarray

    def mistakes(self, cells: Iterable[Cell]) -> list[Mistake]:
        return [Mistake(self.photo(row), column, self.probability(row, column)) for row, column in cells]

    def suspects(self, cells: Sequence[Cell]) -> Suspects:
        """Gather the annotations in doubt by photo, the most doubtful photo first."""
        doubts: dict[int, list[Doubt]] = {}
        for row, column in cells:
            doubts.setdefault(row, []).append(Doubt(column, self.probability(row, column)))
        first = [Doubtful(self.photo(row), doubts[row]) for row in list(doubts)[:DOUBTED]]
        return Suspects(len(cells), len(doubts), first)

    def photo(self, row: int) -> Photo:
        return self.take(int(self.seen[row]))

    def probability(self, row: int, column: int) -> float:
        return float(self.probabilities[self.seen[row], column])

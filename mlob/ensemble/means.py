"""Blends without parameters of their own but weights: means of the members, and the constant answer.

They are kinds of `methods.Blend`.
"""

import dataclasses

import numpy as np

from mlob.ensemble.blend import arithmetic, arithmetic_by_label, harmonic
from mlob.ensemble.calibration import logits, sigmoid


@dataclasses.dataclass(frozen=True)
class Mean:
    """The weighted mean.

    Attributes:
        weights: float64 (members,), sum 1.
        history: best fitness after each step, where a search has one to show.
    """

    weights: np.ndarray
    history: tuple[float, ...] = ()
    out_of_fold = None

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        return arithmetic(members, self.weights)


@dataclasses.dataclass(frozen=True)
class MeanByLabel:
    """The weighted mean, each label with its own weights: float64 (members, labels), whose columns sum to 1."""

    weights: np.ndarray
    out_of_fold = None

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        return arithmetic_by_label(members, self.weights)


@dataclasses.dataclass(frozen=True)
class HarmonicMean:
    """The harmonic mean, which is near 0 as soon as one member is."""

    weights = None
    out_of_fold = None

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        return harmonic(members)


@dataclasses.dataclass(frozen=True)
class MeanOfLogits:
    """The mean of the members' logits: a member that is sure counts for more than one that is not."""

    weights = None
    out_of_fold = None

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        total = np.zeros(members.shape[1:])
        for member in members:
            total += logits(member)
        return sigmoid(total / len(members)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Constant:
    """The same answer, 0/1 (labels,), for every photo. It asks no member, so that their weights (members,) are 0."""

    answer: np.ndarray
    weights: np.ndarray
    out_of_fold = None

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Probabilities float32 (n, labels), 0 or 1, for members (members, n, labels)."""
        return np.tile(np.float32(self.answer), (members.shape[1], 1))

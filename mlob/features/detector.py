"""Detectors: files that other programs wrote and OpenVINO runs; what they give becomes boxes and features of photos."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.errors import InputError
from mlob.features import backbones, boxes, foreign, runtimes, weights
from mlob.features.foreign import Feeding
from mlob.files import digest
from mlob.recipes import Detector, FeatureSet

if TYPE_CHECKING:
    import openvino

    from mlob.data.images import Inset

SLACK = 1e-3  # by which a score in half precision may miss 0 to 1


def check(feature_set: FeatureSet) -> None:
    """Refuse a recipe that has no detector, or other fields beside it.

    Raises:
        InputError: with what was expected.
    """
    if feature_set.detector is None:
        raise InputError('The backbone "detector" needs detector=Detector(file=..., size=..., classes=...).')
    if feature_set != (plain := FeatureSet(backbones.DETECTOR, detector=feature_set.detector)):
        raise InputError(
            f'A feature set with a detector has the backbone "detector", and no other field: expected {plain}, found '
            f"{feature_set}."
        )


def source(feature_set: FeatureSet) -> weights.Source:
    """Give the weights of a detector: its file, which the recipe names.

    Raises:
        InputError: as `foreign.files`.
    """
    paths = _files(_of(feature_set))
    return weights.Source(paths[0].name, paths[0], digest(*(path.read_bytes() for path in paths)))


class Finder:
    """The one form of a detector: OpenVINO's, in float32. It is read, checked and tried on a white photo at once.

    Args:
        feature_set: the recipe.

    Raises:
        InputError: OpenVINO is not installed; the file is missing or damaged, or takes or gives other arrays than the
            recipe says.
    """

    choice = runtimes.Choice("openvino", "float32")

    def __init__(self, feature_set: FeatureSet) -> None:
        self.detector = detector = _of(feature_set)
        model = foreign.read(_files(detector)[0], "A detector")
        places = foreign.outputs_named(model, detector.outputs, detector.file, "detector.outputs")
        read = functools.partial(_boxes_of, detector, places)
        self._parameters = foreign.parameters(model)
        runner = runtimes.openvino_runner(
            foreign.fed(model, _feeding(detector)), self.choice.precision, read, (detector.most, 6)
        )
        self._runner = dataclasses.replace(runner, finish=self._finish)
        self._runner([np.full((detector.size, detector.size, 3), 255, np.uint8)])

    def parameters(self) -> int:
        """Count those of the network."""
        return self._parameters

    def settle(self, choice: runtimes.Choice) -> runtimes.Runner:
        """Give what finds boxes (n, most, 6) in uint8 photos, in shares of the square."""
        return self._runner

    def _finish(self, found: np.ndarray, insets: Sequence[Inset]) -> tuple[np.ndarray, np.ndarray]:
        placed = boxes.in_photos(found, insets, self.detector.size)
        return placed, boxes.features(placed, self.detector.classes, self.detector.threshold)


def _of(feature_set: FeatureSet) -> Detector:
    check(feature_set)
    assert feature_set.detector  # was seen to
    return feature_set.detector


def _files(detector: Detector) -> list[pathlib.Path]:
    return foreign.files(pathlib.Path(detector.file), "detector.file")


def _feeding(detector: Detector) -> Feeding:
    return Feeding(
        detector.file, detector.size, "auto", detector.channels, detector.mean, detector.scale,
        "detector.size", "detector.scale",
    )  # fmt: skip


# What comes out


def _boxes_of(detector: Detector, places: list[int], request: openvino.InferRequest) -> np.ndarray:
    """Read the boxes of one photo: float32 (most, 6), in shares of the square, the best first."""
    corners, scores, numbers = _parts(detector, [request.get_output_tensor(place).data for place in places])
    if detector.corners == "yxyx":
        corners = corners[:, [1, 0, 3, 2]]
    rows = np.column_stack([numbers, scores, corners / (detector.size if detector.units == "pixels" else 1)])
    rows = rows[~(rows[:, 0] < 0)]
    _check_values(detector, rows)
    best = rows[np.lexsort([*rows[:, 2:].T, rows[:, 0], -rows[:, 1]])][: detector.most]
    return np.pad(best, [(0, detector.most - len(best)), (0, 0)])


def _parts(detector: Detector, given: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give corners (n, 4), scores (n,) and class numbers (n,) of one photo."""
    first, shapes = given[0], [list(each.shape) for each in given]
    if len(given) == 1 and first.ndim and first.shape[-1] >= 6:
        rows = first.reshape(-1, first.shape[-1])
        return rows[:, -6:-2], rows[:, -2], rows[:, -1]
    if len(given) == 3 and shapes[0][-1:] == [4] and _sides(shapes[0][:-1]) == _sides(shapes[1]) == _sides(shapes[2]):
        return first.reshape(-1, 4), given[1].ravel(), given[2].ravel()
    found = foreign.list_of(f"{name} {shape}" for name, shape in zip(detector.outputs, shapes, strict=True))
    raise InputError(
        f"{detector.file} gives {found}; expected, in detector.outputs, n boxes of 4 numbers, n scores and n class "
        "numbers, or one output of n rows that end in these 6 numbers."
    )


def _sides(shape: list[int]) -> list[int]:
    return [side for side in shape if side != 1]


def _check_values(detector: Detector, rows: np.ndarray) -> None:
    """Refuse values that no box, score or class number has: rows are (n, 6)."""
    if not len(rows):
        return
    numbers, scores = rows[:, 0], rows[:, 1]
    if not np.isfinite(rows).all():
        raise InputError(f"{detector.file} gives boxes that are no numbers (NaN or infinite): see that it is sound.")
    if scores.min() < -SLACK or scores.max() > 1 + SLACK:
        raise InputError(
            f"{detector.file} gives scores from {scores.min():.3g} to {scores.max():.3g}; expected 0 to 1: see that "
            "detector.outputs names boxes, scores and class numbers, in this order."
        )
    if numbers.max() >= detector.classes:
        raise InputError(
            f"{detector.file} gives the class number {numbers.max():g}, but detector.classes is {detector.classes}; "
            "expected its highest class number and one."
        )

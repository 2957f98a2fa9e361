"""Detectors: files that other programs wrote and OpenVINO runs; what they give becomes boxes and features of photos."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.errors import InputError
from mlob.features import backbones, boxes, runtimes, weights
from mlob.files import digest
from mlob.machine import silent_stderr
from mlob.recipes import Detector, FeatureSet

if TYPE_CHECKING:
    import openvino

    from mlob.data.images import Inset

ENDINGS = (".onnx", ".tflite", ".xml")
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
        InputError: as `files`.
    """
    paths = files(_of(feature_set))
    return weights.Source(paths[0].name, paths[0], digest(*(path.read_bytes() for path in paths)))


def files(detector: Detector) -> list[pathlib.Path]:
    """List the files of a detector: one, or OpenVINO's two.

    Raises:
        InputError: one is not there, or its ending is unknown.
    """
    path = pathlib.Path(detector.file)
    if path.suffix not in ENDINGS:
        raise InputError(f"detector.file is {str(path)!r}; expected a file that ends in {', '.join(ENDINGS)}.")
    paths = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    for each in paths:
        if not each.is_file():
            raise InputError(f"detector.file is {str(path)!r}, but there is no file {each}: copy it there.")
    return paths


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
        model = _read(detector)
        read = functools.partial(_boxes_of, detector, _outputs(model, detector))
        self._parameters = sum(_count(node) for node in model.get_ops())
        runner = runtimes.openvino_runner(_fed(model, detector), self.choice.precision, read, (detector.most, 6))
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


def _read(detector: Detector) -> openvino.Model:
    if not importlib.util.find_spec("openvino"):
        raise InputError("A detector runs on OpenVINO, which is not installed: `pip install openvino`.")
    path = files(detector)[0]
    try:
        with silent_stderr():
            return runtimes.core().read_model(path)
    except RuntimeError as error:
        raise InputError(
            f"{path} is no network that OpenVINO can read: copy or export it again. ({_last_line(error):.200})"
        ) from error


def _last_line(error: Exception) -> str:
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), "no reason given")


# What goes in


def _fed(model: openvino.Model, detector: Detector) -> openvino.Model:
    """Put before a network what makes its input of one uint8 photo (1, size, size, 3)."""
    openvino = runtimes.load_openvino()
    layout = _layout(model, detector)
    size, wanted = detector.size, model.input().get_element_type()
    if wanted.is_integral() and {*detector.scale} != {1}:
        raise InputError(f"{detector.file} takes whole numbers ({wanted.to_string()}): leave out detector.scale.")
    _reshape(model, [1, 3, size, size] if layout == "NCHW" else [1, size, size, 3], detector)
    made = openvino.preprocess.PrePostProcessor(model)
    photo, colours = made.input(), openvino.preprocess.ColorFormat
    photo.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC")).set_color_format(colours.RGB)
    photo.model().set_layout(openvino.Layout(layout))
    if detector.channels == "bgr":
        photo.preprocess().convert_color(colours.BGR)
    if any(detector.mean) or {*detector.scale} != {1}:
        mean, scale = (np.broadcast_to(values, 3).tolist() for values in (detector.mean, detector.scale))
        photo.preprocess().convert_element_type(openvino.Type.f32).mean(mean).scale(scale)
    return made.build()


def _layout(model: openvino.Model, detector: Detector) -> str:
    """Tell where the channels of the only input stand, "NCHW" or "NHWC"; its other sides have to be the recipe's."""
    found = [_shape(each) for each in model.inputs]
    if len(found) != 1 or len(found[0]) != 4 or 3 not in (found[0][1], found[0][3]):
        raise InputError(
            f"{detector.file} takes {_list(map(_written, model.inputs))}; expected one input, of photos: "
            "[1, 3, height, width] or [1, height, width, 3]."
        )
    layout = "NCHW" if found[0][1] == 3 else "NHWC"
    sides = found[0][2:] if layout == "NCHW" else found[0][1:3]
    if any(side not in (-1, detector.size) for side in sides):
        raise InputError(
            f"{detector.file} takes photos of {sides[0]} x {sides[1]} pixels, but detector.size is {detector.size}; "
            "expected the side of a square that it takes."
        )
    return layout


def _reshape(model: openvino.Model, shape: list[int], detector: Detector) -> None:
    if _shape(model.input()) == tuple(shape):
        return
    try:
        model.reshape(shape)
    except RuntimeError as error:
        raise InputError(
            f"{detector.file} takes {_written(model.input())}, and cannot take {shape}: export it for one photo at a "
            f"time. ({_last_line(error):.200})"
        ) from error


# What comes out


def _outputs(model: openvino.Model, detector: Detector) -> list[int]:
    """Find the outputs that the recipe names: their places among all."""
    names = [each.get_names() for each in model.outputs]
    places = [next((place for place, each in enumerate(names) if name in each), -1) for name in detector.outputs]
    if -1 in places:
        there = _list(f"{min(each.get_names(), default='?')} {_written(each)}" for each in model.outputs)
        missing = detector.outputs[places.index(-1)]
        raise InputError(f"detector.outputs names {missing!r}, which {detector.file} does not give; it gives {there}.")
    return places


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
    found = _list(f"{name} {shape}" for name, shape in zip(detector.outputs, shapes, strict=True))
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


# Of its graph


def _shape(each: openvino.Output) -> tuple[int, ...]:
    """Give a shape, -1 for a side that is open."""
    shape = each.get_partial_shape()
    return tuple(side.get_length() if side.is_static else -1 for side in shape) if shape.rank.is_static else ()


def _written(each: openvino.Output) -> str:
    return each.get_partial_shape().to_string()


def _count(node: openvino.Node) -> int:
    """Count the parameters in a node: the numbers of a constant that are no whole numbers."""
    is_weight = node.get_type_name() == "Constant" and node.get_element_type().is_real()
    return math.prod(node.get_output_shape(0)) if is_weight else 0


def _list(parts: Iterable[str]) -> str:
    return ", ".join(parts) or "nothing"

"""Networks in files of other programs, which OpenVINO reads: how they are found, fed with photos, and asked.

Detectors and encoders are such files: ONNX, TFLite, or OpenVINO's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import math
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.errors import InputError
from mlob.features import runtimes
from mlob.machine import silent_stderr

if TYPE_CHECKING:
    import openvino

ENDINGS = (".onnx", ".tflite", ".xml")
# Whole numbers that hold 0 to 255, as OpenVINO and Keras call them.
WHOLE = ("u8", "i16", "u16", "i32", "u32", "i64", "u64", "uint8", "int16", "uint16", "int32", "uint32", "int64")
# The beginning of such an entry: Protocol Buffers' key "location", and the length of its value, below 128.
LOCATION = re.compile(rb"\n\x08location\x12([\x01-\x7f])")


@dataclasses.dataclass(frozen=True)
class Feeding:
    """How a file is fed.

    Attributes:
        file: its path.
        size: side of the photos, pixels.
        layout: "nchw" or "nhwc" where the recipe says where the channels stand; "auto" where the file has to tell.
        channels, mean, scale: as of `recipes.Detector`.
        field: the recipe's field that names the size, for messages.
        scale_field: the recipe's field of the scale.
        layout_field: the recipe's field of the layout; empty where it has none.
    """

    file: str
    size: int
    layout: str
    channels: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    field: str
    scale_field: str
    layout_field: str = ""

    @property
    def open_hint(self) -> str:
        """What ends a sentence about a shape that does not tell where the channels stand."""
        return f"; say {self.layout_field} where sides are open" if self.layout_field else ""

    @property
    def is_plain(self) -> bool:
        """Whether pixels stay as they are, 0 to 255."""
        return not any(self.mean) and {*self.scale} == {1}


def files(path: pathlib.Path, named: str, endings: Sequence[str] = ENDINGS) -> list[pathlib.Path]:
    """List the files of a network: one, or OpenVINO's two, or ONNX and those that hold its arrays.

    Args:
        path: that the recipe names.
        named: the recipe's field that names it, for messages.
        endings: that are known.

    Raises:
        InputError: one is not there, or its ending is unknown.
    """
    check_ending(path, named, endings)
    paths = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    if path.suffix == ".onnx" and path.is_file():
        paths += [path.with_name(name) for name in _beside(path.read_bytes())]
    for each in paths:
        if not each.is_file():
            raise InputError(f"{named} is {str(path)!r}, but there is no file {each}: copy it there.")
    return paths


def _beside(content: bytes) -> list[str]:
    """List the files that hold arrays of an ONNX file, by what it says of them: "location", and a name in UTF-8."""
    names = set()
    for found in LOCATION.finditer(content):
        length, *_ = found[1]
        name = content[found.end() : found.end() + length]
        with contextlib.suppress(UnicodeDecodeError):
            names.add(name.decode("utf-8"))
    return sorted(name for name in names if name.isprintable() and name)


def check_ending(path: pathlib.Path, named: str, endings: Sequence[str]) -> None:
    """Refuse a path that does not end as such files do."""
    if path.suffix not in endings:
        raise InputError(f"{named} is {str(path)!r}; expected a file that ends in {', '.join(endings)}.")


def read(path: pathlib.Path, what: str) -> openvino.Model:
    """Read a file.

    Args:
        path: of the file.
        what: it is, for the message: "A detector".

    Raises:
        InputError: OpenVINO is not installed, or cannot read it.
    """
    if not importlib.util.find_spec("openvino"):
        raise InputError(f"{what} runs on OpenVINO, which is not installed: `pip install openvino`.")
    try:
        with silent_stderr():
            return runtimes.core().read_model(path)
    except (RuntimeError, UnicodeDecodeError) as error:  # the second where the reason quotes the file's bytes
        raise InputError(
            f"{path} is no network that OpenVINO can read: copy or export it again. ({last_line(error):.200})"
        ) from error


def last_line(error: Exception) -> str:
    """Give the last line of what an error says."""
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), "no reason given")


def fed(model: openvino.Model, feeding: Feeding) -> openvino.Model:
    """Put before a network what makes its input of one uint8 photo (1, size, size, 3).

    Raises:
        InputError: it takes something else than one photo of this size, in numbers that hold its pixels.
    """
    openvino = runtimes.load_openvino()
    layout = layout_of(model, feeding)
    kind = model.input().get_element_type()
    check_numbers(kind.to_string(), kind.is_real() and kind.size > 1, feeding)
    _reshape(model, photo_shape(layout, feeding.size), feeding)
    made = openvino.preprocess.PrePostProcessor(model)
    photo, colours = made.input(), openvino.preprocess.ColorFormat
    photo.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC")).set_color_format(colours.RGB)
    photo.model().set_layout(openvino.Layout(layout))
    if feeding.channels == "bgr":
        photo.preprocess().convert_color(colours.BGR)
    if not feeding.is_plain:
        mean, scale = (np.broadcast_to(values, 3).tolist() for values in (feeding.mean, feeding.scale))
        photo.preprocess().convert_element_type(openvino.Type.f32).mean(mean).scale(scale)
    return made.build()


def photo_shape(layout: str, size: int) -> list[int]:
    """Give the shape of one photo, "NCHW" or "NHWC"."""
    return [1, 3, size, size] if layout == "NCHW" else [1, size, size, 3]


def layout_of(model: openvino.Model, feeding: Feeding) -> str:
    """Tell where the channels of the only input stand, "NCHW" or "NHWC"; its other sides have to be the recipe's.

    Raises:
        InputError: it takes no photo, or one of another size.
    """
    return layout_in([_shape(each) for each in model.inputs], feeding)


def layout_in(found: Sequence[tuple[int, ...]], feeding: Feeding) -> str:
    """Tell where channels stand, as `layout_of`, by the shapes of all inputs, -1 for a side that is open."""
    layout = next((each for each in ("NCHW", "NHWC") if len(found) == 1 and _fits(found[0], each, feeding.layout)), "")
    if not layout:
        said = "" if feeding.layout == "auto" else f", and the recipe says {feeding.layout!r}"
        raise InputError(
            f"{feeding.file} takes {list_of(map(_list, found))}{said}; expected one input, of photos: "
            f"[1, 3, height, width] or [1, height, width, 3]{feeding.open_hint}."
        )
    sides = found[0][2:] if layout == "NCHW" else found[0][1:3]
    if any(side not in (-1, feeding.size) for side in sides):
        raise InputError(
            f"{feeding.file} takes photos of {sides[0]} x {sides[1]} pixels, but {feeding.field} is {feeding.size}; "
            "expected the side of a square that it takes."
        )
    return layout


def _fits(shape: tuple[int, ...], layout: str, said: str) -> bool:
    """Whether a shape is one of photos; their channels may be an open side where the recipe says where they stand."""
    if len(shape) != 4 or said not in ("auto", layout.lower()):
        return False
    here, there = (shape[1], shape[3]) if layout == "NCHW" else (shape[3], shape[1])
    return here == 3 or (here == -1 and said != "auto" and there != 3)


def check_numbers(kind: str, is_real: bool, feeding: Feeding) -> None:
    """Refuse a network whose input does not hold pixels, or holds whole numbers where the recipe makes shares.

    Args:
        kind: name of its type.
        is_real: they are floating-point numbers.
        feeding: the recipe's.

    Raises:
        InputError: with what mends it.
    """
    if not is_real and kind not in WHOLE:
        raise InputError(
            f"{feeding.file} takes numbers of the type {kind}, which do not hold pixels from 0 to 255: export it with "
            "inputs of float32 (or uint8)."
        )
    if not is_real and not feeding.is_plain:
        raise InputError(f"{feeding.file} takes whole numbers ({kind}): leave out {feeding.scale_field}.")


def _reshape(model: openvino.Model, shape: list[int], feeding: Feeding) -> None:
    if _shape(model.input()) == tuple(shape):
        return
    try:
        model.reshape(shape)
    except RuntimeError as error:
        raise InputError(
            f"{feeding.file} takes {written(model.input())}, and cannot take {shape}: export it for one photo at a "
            f"time. ({last_line(error):.200})"
        ) from error


# Of its graph


def outputs_named(model: openvino.Model, names: Sequence[str], file: str, field: str) -> list[int]:
    """Find the outputs that a recipe names: their places among all.

    Raises:
        InputError: there is no such output; with those there are.
    """
    known = [each.get_names() for each in model.outputs]
    places = [next((place for place, each in enumerate(known) if name in each), -1) for name in names]
    if -1 in places:
        raise InputError(
            f"{field} names {names[places.index(-1)]!r}, which {file} does not give; it gives {given(model)}."
        )
    return places


def given(model: openvino.Model) -> str:
    """List the outputs of a network with their shapes."""
    return list_of(f"{min(each.get_names(), default='?')} {written(each)}" for each in model.outputs)


def parameters(model: openvino.Model) -> int:
    """Count the parameters of a network: the numbers of its constants that are no whole numbers."""
    return sum(_count(node) for node in model.get_ops())


def _list(shape: tuple[int, ...]) -> str:
    return f"[{','.join('?' if side < 0 else str(side) for side in shape)}]"


def _count(node: openvino.Node) -> int:
    is_weight = node.get_type_name() == "Constant" and node.get_element_type().is_real()
    return math.prod(node.get_output_shape(0)) if is_weight else 0


def _shape(each: openvino.Output) -> tuple[int, ...]:
    """Give a shape, -1 for a side that is open."""
    shape = each.get_partial_shape()
    return tuple(side.get_length() if side.is_static else -1 for side in shape) if shape.rank.is_static else ()


def written(each: openvino.Output) -> str:
    """Write a shape."""
    return each.get_partial_shape().to_string()


def list_of(parts: Iterable[str]) -> str:
    """List what there is."""
    return ", ".join(parts) or "nothing"

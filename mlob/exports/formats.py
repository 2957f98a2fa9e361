"""The formats that a model leaves in, a literal table: how each is written, and run by its own runtime.

To add a format, add an entry to FORMATS: all that it needs stands there; and the code that calls it, for its README, in
`examples`. Importing this module loads no runtime.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mlob.errors import InputError
from mlob.machine import silent_stderr

if TYPE_CHECKING:
    import keras
    import numpy as np

Run = Callable[["np.ndarray"], "np.ndarray"]  # from a photo uint8 (1, h, w, 3) to probabilities float32 (1, labels)


@dataclasses.dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        files: of a model; the first one is named where it is loaded.
        packages: that have to be there to write and to run it, as Python names them.
        extra: of mlob, which brings them.
        write: writes a Keras model to the path of the first file.
        load: gives the function that runs the model in that file, by the format's own runtime.
        runtime: the package that runs it, as pip names it.
    """

    files: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str
    write: Callable[[keras.Model, pathlib.Path], None]
    load: Callable[[pathlib.Path], Run]
    runtime: str


def _save(model: keras.Model, path: pathlib.Path) -> None:
    """Save a model of Keras's own layers: those of other packages would not load where these are missing.

    Raises:
        InputError: it has another one.
    """
    if foreign := next((layer for layer in _layers(model) if _package(layer) != "keras"), None):
        raise InputError(
            f"The model has a layer {type(foreign).__name__} of {_package(foreign)}, which no .keras file holds: "
            "take another format."
        )
    model.save(path)


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        yield layer
        yield from _layers(layer) if hasattr(layer, "layers") else ()


def _package(layer: keras.Layer) -> str:
    return type(layer).__module__.partition(".")[0]


def _convert(name: str) -> Callable[[keras.Model, pathlib.Path], None]:
    """Give the function that has Keras convert a model, whose sizes of photos stay free.

    The converters write of themselves to both streams, and OpenVINO's reads our command line.
    """

    def write(model: keras.Model, path: pathlib.Path) -> None:
        import keras

        photo = keras.InputSpec(shape=model.input_shape, dtype=model.input.dtype, name=model.input.name)
        silence = contextlib.redirect_stdout(io.StringIO())
        with silence, silent_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.export(str(path), format=name, input_signature=[photo], verbose=False)

    return write


def _keras(path: pathlib.Path) -> Run:
    import keras

    model = keras.saving.load_model(path)
    return lambda photo: keras.ops.convert_to_numpy(model(photo, training=False))


def _onnx(path: pathlib.Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (photo,) = session.get_inputs()
    return lambda pixels: session.run(None, {photo.name: pixels})[0]


def _openvino(path: pathlib.Path) -> Run:
    from mlob.features import runtimes

    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # else a processor that has bfloat16 computes in it
    compiled = runtimes.core().compile_model(path, "CPU", exact)
    return lambda photo: compiled({0: photo})[0]


def _litert(path: pathlib.Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    ((photo,), (answer,)) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(pixels: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(photo["index"], pixels.shape)
        with silent_stderr():  # that it runs on XNNPACK
            interpreter.allocate_tensors()
        interpreter.set_tensor(photo["index"], pixels)
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return run


FORMATS = {
    "keras": Format(("model.keras",), (), "", _save, _keras, "keras"),
    "onnx": Format(("model.onnx",), ("tf2onnx", "onnx", "onnxruntime"), "onnx", _convert("onnx"), _onnx, "onnxruntime"),
    "openvino": Format(
        ("model.xml", "model.bin"), ("openvino",), "openvino", _convert("openvino"), _openvino, "openvino"
    ),
    "litert": Format(("model.tflite",), ("ai_edge_litert",), "litert", _convert("litert"), _litert, "ai-edge-litert"),
}


def check(name: str) -> Format:
    """Give a format whose packages are there.

    Raises:
        InputError: one is not, or Keras does not run on TensorFlow, from which formats are converted.
    """
    found = FORMATS[name]
    if missing := [package for package in found.packages if not importlib.util.find_spec(package)]:
        raise InputError(
            f'The format {name} needs {" and ".join(missing)}, not installed: `pip install "mlob[{found.extra}]"`.'
        )
    import keras

    if found.packages and (backend := keras.backend.backend()) != "tensorflow":
        raise InputError(f"The format {name} is converted from TensorFlow: unset KERAS_BACKEND, which is {backend}.")
    return found

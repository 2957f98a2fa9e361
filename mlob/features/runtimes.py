"""Runtimes: what executes an extractor. OpenVINO on x86 processors, Keras elsewhere.

Each runtime is a function from an iterable of uint8 photos (size, size, 3) to float32 features (n, d).
"""

import collections
import dataclasses
import importlib.util
import pathlib
import platform
import sys
import tempfile

import numpy as np

from mlob.errors import InputError
from mlob.machine import silent_stderr
from mlob.progress import say

KERAS_BATCH = 32
LEAST_COSINE = 0.999


@dataclasses.dataclass(frozen=True)
class Choice:
    """A runtime and its precision, as the fingerprint holds them."""

    runtime: str
    precision: str


def choose(features, model, sample):
    """Choose runtime and precision for an extractor.

    "auto" takes OpenVINO on an x86 processor without a GPU, and bfloat16 where the processor has it and the features of
    the sample keep a cosine of at least 0.999 to their float32 selves; a precision that the recipe names is taken as it
    is, after the same measurement is printed.

    Args:
        features: the feature set.
        model: the Keras extractor.
        sample: uint8 photos (n, size, size, 3), up to 32 of train.
    """
    runtime = _runtime(features)
    if runtime == "keras":
        return Choice("keras", "float32")
    if features.precision == "float32" or (features.precision == "auto" and not _has_bfloat16()):
        return Choice(runtime, "float32")
    cosine = least_cosine(open_vino(model, "float32")(sample), open_vino(model, "bfloat16")(sample))
    proved = cosine >= LEAST_COSINE
    precision = "bfloat16" if proved or features.precision == "bfloat16" else "float32"
    say(f"  bfloat16 against float32 on {len(sample)} photos: smallest cosine {cosine:.5f}, "
        f"{'enough' if proved else 'less than'} for {LEAST_COSINE}: {precision}.".replace("less than for", "less than"))
    return Choice(runtime, precision)


def run(choice, model):
    """Give the function that runs an extractor under a choice of runtime and precision."""
    return keras(model) if choice.runtime == "keras" else open_vino(model, choice.precision)


def least_cosine(expected, found):
    """Give the smallest cosine between the rows of two feature matrices."""
    products = (expected * found).sum(axis=1)
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    return float(np.min(products / np.maximum(norms, 1e-30)))


def keras(model):
    """Run in batches of one static size with `predict_on_batch`; the last batch is filled up with zeros."""

    def forward(photos):
        rows = []
        for batch in _batches(photos, KERAS_BATCH):
            filled = np.zeros((KERAS_BATCH, *batch[0].shape), np.uint8)
            filled[: len(batch)] = batch
            rows.append(np.asarray(model.predict_on_batch(filled), np.float32)[: len(batch)])
        return np.concatenate(rows) if rows else np.zeros((0, model.output_shape[1]), np.float32)

    return forward


def open_vino(model, precision):
    """Compile for OpenVINO: batch 1, throughput hint, asynchronous queue, the precision named and read back."""
    openvino = _openvino()
    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder, silent_stderr():
        path = pathlib.Path(folder) / "extractor.xml"
        model.export(str(path), format="openvino", verbose=False)
        converted = core.read_model(path)
        converted.reshape([1, *model.input_shape[1:]])
        kind = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16}[precision]
        compiled = core.compile_model(converted, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": kind})
    if compiled.get_property("INFERENCE_PRECISION_HINT") != kind:
        raise InputError(f"This processor does not run {precision}: leave out features.precision.")

    # Twice the requests that run at once, so that one is always ready to start. OpenVINO's own queue with a callback
    # stood still for ever when it was destroyed with Python's lock held (2026.4).
    count = 2 * compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    idle, busy = collections.deque(compiled.create_infer_request() for _ in range(count)), collections.deque()

    def forward(photos):
        rows = []

        def collect():
            request = busy.popleft()
            request.wait()
            rows.append(request.get_output_tensor(0).data[0].copy())
            idle.append(request)

        for photo in photos:
            if not idle:
                collect()
            busy.append(idle.popleft())
            busy[-1].start_async({0: photo[None]})
        while busy:
            collect()
        return np.stack(rows) if rows else np.zeros((0, model.output_shape[1]), np.float32)

    return forward


def _runtime(features):
    if features.runtime != "auto":
        if features.runtime == "openvino" and not importlib.util.find_spec("openvino"):
            raise InputError("The feature set asks for OpenVINO, which is not installed: `pip install openvino`.")
        return features.runtime
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "openvino" if is_x86 and importlib.util.find_spec("openvino") and not _has_gpu() else "keras"


def _has_gpu():
    import tensorflow

    return bool(tensorflow.config.list_physical_devices("GPU"))


def _has_bfloat16():
    return "BF16" in _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _openvino():
    """Import OpenVINO without its usage statistics: where its telemetry package is missing it uses a stub."""
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    return openvino


def _batches(photos, size):
    batch = []
    for photo in photos:
        batch.append(photo)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

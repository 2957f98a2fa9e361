"""Runtimes: what executes an extractor. OpenVINO on x86 processors, Keras elsewhere.

Each runtime is a function from an iterable of uint8 photos (size, size, 3) to float32 features (n, d).
"""

import collections
import dataclasses
import functools
import importlib.util
import pathlib
import platform
import sys
import tempfile
import time

import numpy as np

from mlob.errors import InputError
from mlob.machine import silent_stderr
from mlob.progress import say

KERAS_BATCH = 32
LEAST_COSINE = 0.999
TIMED = 8  # photos of the sample that the two precisions are timed on
LEAST_SPEEDUP = 1.2  # below it the gain is not worth the digits, and noise could turn the choice


@dataclasses.dataclass(frozen=True)
class Choice:
    """A runtime and its precision, as the fingerprint holds them."""

    runtime: str
    precision: str


def choose(features, model, sample):
    """Choose runtime and precision for an extractor.

    "auto" takes OpenVINO on an x86 processor without a GPU, and bfloat16 where the features of the sample keep a cosine
    of at least 0.999 to their float32 selves and come clearly faster: processors that name bfloat16 among their
    abilities may still be slower at it (Sapphire Rapids without AMX: 0.56 of float32's rate on Xception; Zen 5: 1.9).
    A precision that the recipe names is taken as it is.

    Args:
        features: the feature set.
        model: the Keras extractor.
        sample: uint8 photos (n, size, size, 3), up to 32 of train.
    """
    runtime = _runtime(features)
    if runtime == "keras" and features.precision == "bfloat16":
        raise InputError("The Keras runtime computes in float32: leave out features.precision, or take OpenVINO.")
    if runtime == "keras" or features.precision != "auto":
        return Choice(runtime, "float32" if features.precision == "auto" else features.precision)
    if not _has_bfloat16():
        return Choice(runtime, "float32")
    exact, fast = open_vino(model, "float32"), open_vino(model, "bfloat16")
    few = sample[:TIMED]
    speedup = _seconds(exact, few) / _seconds(fast, few)
    if speedup < LEAST_SPEEDUP:
        say(f"  float32: bfloat16 has {speedup:.2f} of its rate on this processor (at least {LEAST_SPEEDUP} wanted)")
        return Choice(runtime, "float32")
    cosine = least_cosine(exact(sample), fast(sample))
    precision = "bfloat16" if cosine >= LEAST_COSINE else "float32"
    say(
        f"  {precision}: bfloat16 has {speedup:.2f} of float32's rate, and a smallest cosine to its features of "
        f"{cosine:.5f} on {len(sample)} photos (at least {LEAST_COSINE} wanted)"
    )
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


@functools.lru_cache(maxsize=2)  # both precisions of one extractor: what was compiled to be proved is then used
def open_vino(model, precision):
    """Compile for OpenVINO: batch 1, throughput hint, requests under way at once, the precision named and read back."""
    openvino = _openvino()
    kind = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16}[precision]
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": kind}
    compiled = openvino.Core().compile_model(_converted(model), "CPU", hints)
    if compiled.get_property("INFERENCE_PRECISION_HINT") != kind:
        raise InputError(f"This processor does not run {precision}: leave out features.precision.")

    # Twice the requests that run at once, so that one is always ready to start. OpenVINO's own queue with a callback
    # stood still for ever when it was destroyed with Python's lock held (2026.4).
    count = 2 * compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")

    def forward(photos):
        idle, busy = collections.deque(compiled.create_infer_request() for _ in range(count)), collections.deque()
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


@functools.lru_cache(maxsize=1)
def _converted(model):
    """Export a Keras model to OpenVINO's own form, with a batch of 1."""
    with tempfile.TemporaryDirectory() as folder, silent_stderr():
        path = pathlib.Path(folder) / "extractor.xml"
        model.export(str(path), format="openvino", verbose=False)
        converted = _openvino().Core().read_model(path)
    converted.reshape([1, *model.input_shape[1:]])
    return converted


def _seconds(forward, sample):
    """Time a pass over the sample: the shorter of two, since other work only ever adds."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        forward(sample)
        times.append(time.perf_counter() - started)
    return min(times)


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

"""Runtimes: what executes an extractor. OpenVINO on x86 processors, Keras (TensorFlow, JAX, PyTorch) elsewhere."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import importlib.util
import io
import os
import pathlib
import platform
import queue
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from mlob.errors import InputError
from mlob.files import make_folder
from mlob.machine import has_gpu, silent_stderr, threads
from mlob.progress import detail
from mlob.recipes import FeatureSet

if TYPE_CHECKING:
    import keras
    import openvino

    from mlob.data.images import Inset

    OpenVINOModel: TypeAlias = openvino.Model

LEAST_COSINE = 0.999
TIMED = 8  # photos of the sample that the two precisions are timed on
LEAST_SPEEDUP = 1.2  # below it the gain is not worth the digits, and noise could turn the choice
CPU_BATCH = 32
SMALLEST_BATCH = 8  # on a GPU
LARGEST_BATCH = 128  # on a GPU: on an H100 256 photos at once gain less than compiling for them costs
UNDER_WAY = 2  # batches at once on a GPU: one is stacked and copied while the other is in the network
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclasses.dataclass(frozen=True)
class Choice:
    """A runtime and its precision, as the fingerprint holds them."""

    runtime: str
    precision: str


@dataclasses.dataclass(frozen=True)
class Runner:
    """An extractor that is ready to run.

    Attributes:
        forward: function from uint8 photos, a sequence of (size, size, 3), best many batches of them, to float32
            features, one row a photo.
        batch: photos that it runs at once.
        is_on_gpu: it leaves the processor to decoding.
        finish: function from what a detector's `forward` gives, and where the photos lie in their squares, to boxes in
            shares of the photos and features; None where `forward` gives features.
    """

    forward: Callable[[Sequence[np.ndarray] | np.ndarray], np.ndarray]
    batch: int = 1
    is_on_gpu: bool = False
    finish: Callable[[np.ndarray, Sequence[Inset]], tuple[np.ndarray, np.ndarray]] | None = None

    def __call__(self, photos: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Give float32 features, one row a photo."""
        return self.forward(photos)


def choose(feature_set: FeatureSet, runner_of: Callable[[Choice], Runner], sample: np.ndarray) -> Choice:
    """Choose runtime and precision for an extractor.

    "auto" takes OpenVINO on an x86 processor without a GPU, and half precision where the features of the sample keep a
    cosine of at least 0.999 to those in float32 and come clearly faster: a processor may say that it runs bfloat16 and
    be slower at it (Sapphire Rapids without AMX has 0.56 of its float32 rate on Xception, Zen 5 has 1.9 times it).
    A precision that the recipe names is taken as it is.

    Args:
        feature_set: the recipe.
        runner_of: function of a choice that gives its `Runner`.
        sample: uint8 photos (n, size, size, 3), up to 32 of train.

    Raises:
        InputError: what the recipe asks for does not go together, or is not installed.
    """
    runtime = runtime_of(feature_set)
    if runtime == "keras" and feature_set.precision == "int8":
        raise InputError("int8 runs on OpenVINO alone: leave out features.precision, or features.runtime.")
    if feature_set.precision != "auto":
        return Choice(runtime, feature_set.precision)
    fast = _half_precision(runtime)
    if fast is None:
        return Choice(runtime, "float32")
    return _better(Choice(runtime, "float32"), Choice(runtime, fast), runner_of, sample)


def _better(exact: Choice, fast: Choice, runner_of: Callable[[Choice], Runner], sample: np.ndarray) -> Choice:
    """Give the fast choice where it is clearly faster and as good as the exact one, and say why in detail."""
    run_exact, run_fast = runner_of(exact), runner_of(fast)
    few = sample[:TIMED]
    speedup = _seconds(run_exact, few) / _seconds(run_fast, few)
    if speedup < LEAST_SPEEDUP:
        detail(
            f"  {exact.precision}: {fast.precision} has {speedup:.2f} times its rate on this machine, and less than "
            f"{LEAST_SPEEDUP} is not worth it"
        )
        return exact
    cosine = least_cosine(run_exact(sample), run_fast(sample))
    chosen = fast if cosine >= LEAST_COSINE else exact
    detail(
        f"  {chosen.precision}: {fast.precision} has {speedup:.2f} times {exact.precision}'s rate, and a smallest "
        f"cosine to its features of {cosine:.5f} on {len(sample)} photos (at least {LEAST_COSINE} is required)"
    )
    return chosen


def least_cosine(features: np.ndarray, others: np.ndarray) -> float:
    """Give the smallest cosine between the rows of two arrays of features (n, d) or (n, h, w, c)."""
    one, other = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (features, others))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(np.min((one * other).sum(axis=1) / np.maximum(norms, 1e-300)))


# Keras


def keras_runner(model: keras.Model) -> Runner:
    """Run a Keras model in batches of one fixed size; the last one is filled up with other photos where it is not full.

    On a GPU the network is compiled (but not PyTorch's, which would take minutes), and runs in the largest batch of up
    to 128 that memory holds.
    """
    if not has_gpu():
        return _in_batches(_predict(model), model, CPU_BATCH, under_way=1)
    import keras

    model.jit_compile = keras.backend.backend() != "torch"
    predict = _predict(model)
    batch = largest_batch(lambda batch: predict(np.zeros((batch, *model.input_shape[1:]), np.uint8)))
    detail(f"  batches of {batch} photos")
    return dataclasses.replace(_in_batches(predict, model, batch, UNDER_WAY), is_on_gpu=True)


def largest_batch(run: Callable[[int], object]) -> int:
    """Halve the batch until memory holds it.

    Args:
        run: function of the batch's size. Whatever it raises, except for the smallest batch, is taken to mean that the
            device has no room for it: each backend has an error of its own for that.
    """
    batch = LARGEST_BATCH
    while batch > SMALLEST_BATCH:
        try:
            run(batch)
            return batch
        except Exception:
            batch //= 2
    run(batch)
    return batch


def _predict(model: keras.Model) -> Callable[[np.ndarray], Any]:
    """Give a function from one batch of photos to its features (of the backend), which threads may call at once."""
    import keras

    if keras.backend.backend() != "jax":
        return model.predict_on_batch
    import jax  # its predict_on_batch writes every variable back after each batch

    run = jax.jit(lambda variables, photos: model.stateless_call(*variables, photos, training=False)[0])
    groups = model.trainable_variables, model.non_trainable_variables
    return functools.partial(run, [[variable.value for variable in group] for group in groups])


def _in_batches(predict: Callable[[np.ndarray], Any], model: keras.Model, batch: int, under_way: int) -> Runner:
    idle: queue.SimpleQueue[np.ndarray] = (
        queue.SimpleQueue()
    )  # of batches to fill: fresh memory for each would take as long as the copy
    for _ in range(under_way):
        idle.put(np.zeros((batch, *model.input_shape[1:]), np.uint8))

    def rows_of(photos):
        filled = idle.get()
        try:
            np.stack(photos, out=filled[: len(photos)])
            return np.array(predict(filled), np.float32)[: len(photos)]
        finally:
            idle.put(filled)

    def forward(photos):
        starts = range(0, len(photos), batch)
        with concurrent.futures.ThreadPoolExecutor(under_way) as threads:
            rows = list(threads.map(rows_of, (photos[start : start + batch] for start in starts)))
        return np.concatenate(rows) if rows else np.zeros((0, *model.output_shape[1:]), np.float32)

    return Runner(forward, batch)


# OpenVINO


def _first_output(request: openvino.InferRequest) -> np.ndarray:
    return request.get_output_tensor(0).data[0]


def openvino_runner(
    model: OpenVINOModel,
    precision: str,
    read: Callable[[openvino.InferRequest], np.ndarray] = _first_output,
    shape: tuple[int, ...] | None = None,
) -> Runner:
    """Compile for OpenVINO: photos one at a time, several requests under way at once.

    Args:
        model: from one uint8 photo (1, size, size, 3).
        precision: in which it computes.
        read: function of a request that is done, which gives the row of its photo.
        shape: of that row; that of the model's first output where it is left out.

    Raises:
        InputError: this processor does not run the precision.
    """
    compiled = _compiled(model, precision)
    # Twice the requests that run at once, so that one is always ready to start. OpenVINO's own queue with a callback
    # hung when it was destroyed while Python's lock was held (2026.4).
    count = 2 * compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    requests = [compiled.create_infer_request() for _ in range(count)]
    return Runner(functools.partial(_run_requests, requests, read, shape or tuple(compiled.output(0).shape)[1:]))


def _compiled(model: OpenVINOModel, precision: str) -> openvino.CompiledModel:
    """Compile a model for throughput in a precision; OMP_NUM_THREADS, or a container's quota, bounds the threads."""
    kind = _openvino_type(precision)
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": kind}
    if allowed := threads():
        hints["INFERENCE_NUM_THREADS"] = allowed
    compiled = core().compile_model(model, "CPU", hints)
    if compiled.get_property("INFERENCE_PRECISION_HINT") != kind:
        raise InputError(f"This processor does not run {precision}: leave out features.precision.")
    return compiled


def _run_requests(
    requests: list[openvino.InferRequest],
    read: Callable[[openvino.InferRequest], np.ndarray],
    shape: tuple[int, ...],
    photos: Sequence[np.ndarray] | np.ndarray,
) -> np.ndarray:
    """Run each photo through the next idle request: float32 rows (photos, *shape)."""
    rows = np.empty((len(photos), *shape), np.float32)
    idle = collections.deque(requests)
    busy: collections.deque[tuple[int, openvino.InferRequest]] = collections.deque()  # in the order of their start
    try:
        for row, photo in enumerate(photos):
            if not idle:
                idle.append(_collect(busy, read, rows))
            request = idle.popleft()
            busy.append((row, request))
            request.start_async({0: photo[np.newaxis]})
        while busy:
            _collect(busy, read, rows)
    finally:
        for _, request in busy:  # after Ctrl-C: a process that ends under a running request crashes
            request.wait()
    return rows


def _collect(
    busy: collections.deque[tuple[int, openvino.InferRequest]],
    read: Callable[[openvino.InferRequest], np.ndarray],
    rows: np.ndarray,
) -> openvino.InferRequest:
    """Wait for the request that was started first, and put what it gives into its row."""
    row, request = busy[0]
    request.wait()
    rows[row] = read(request)
    busy.popleft()
    return request


def convert(model: keras.Model) -> OpenVINOModel:
    """Export a Keras model to OpenVINO's own form, with a batch of 1.

    OpenVINO takes a --verbose of our command line as its own, and would print among the results.
    """
    silence = contextlib.redirect_stdout(io.StringIO())
    with tempfile.TemporaryDirectory() as folder, silent_stderr(), silence:
        path = pathlib.Path(folder) / "extractor.xml"
        model.export(str(path), format="openvino", verbose=False)
        converted = core().read_model(path)
    converted.reshape([1, *model.input_shape[1:]])
    return converted


def write_int8(model: OpenVINOModel, photos: np.ndarray, path: pathlib.Path) -> None:
    """Quantise an extractor on uint8 photos (n, size, size, 3), and write it: `path` (.xml) and the .bin beside it."""
    from mlob.features import quantise

    int8 = quantise.int8(model, photos)
    make_folder(path.parent)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".int8-") as folder:
        load_openvino().save_model(int8, pathlib.Path(folder) / path.name, False)
        for suffix in (".bin", ".xml"):  # the .xml comes last: where it is, all is
            os.replace(pathlib.Path(folder) / path.with_suffix(suffix).name, path.with_suffix(suffix))


def read_int8(path: pathlib.Path) -> OpenVINOModel:
    """Read an extractor that `write_int8` wrote.

    Raises:
        InputError: the file is gone.
    """
    if not path.is_file():
        raise InputError(
            f"{path} is missing, the int8 model that this store was made with: copy it there, or remove "
            f"{path.parent} and run `make features` again."
        )
    return core().read_model(path)


def _seconds(run: Runner, sample: np.ndarray) -> float:
    """Time a pass over the sample: the shorter of two, since other work on the machine can only add to it."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        run(sample)
        times.append(time.perf_counter() - started)
    return min(times)


def runtime_of(feature_set: FeatureSet) -> Literal["keras", "openvino"]:
    """Give the runtime that a recipe asks for, or that this machine takes.

    Raises:
        InputError: it asks for OpenVINO, which is not installed.
    """
    if feature_set.runtime != "auto":
        if feature_set.runtime == "openvino" and not importlib.util.find_spec("openvino"):
            raise InputError("The feature set asks for OpenVINO, which is not installed: `pip install openvino`.")
        return feature_set.runtime
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "openvino" if is_x86 and importlib.util.find_spec("openvino") and not has_gpu() else "keras"


def _half_precision(runtime: str) -> str | None:
    """Name the half precision in which this machine may be faster; None where it has none."""
    if runtime == "keras":
        return "float16" if has_gpu() else None
    return "bfloat16" if "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else None


def _openvino_type(precision: str) -> openvino.Type:
    openvino = load_openvino()
    return {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16, "float16": openvino.Type.f16}[precision]


@functools.lru_cache(maxsize=1)
def core() -> openvino.Core:
    """Give OpenVINO's core, one for the process: once none is left its CPU plugin is unloaded, and Ctrl-C crashes."""
    return load_openvino().Core()


def load_openvino() -> ModuleType:
    """Import OpenVINO without its usage statistics: where its telemetry package is missing it uses a stub."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes its import fail
    import openvino

    return openvino

"""INT8 for OpenVINO: NNCF quantises the dense convolutions; what is here keeps the features close to float32's.

Eight bits a tensor are too few where channels differ much in range, as they do behind depthwise convolutions: left to
itself the quantiser brings Xception's features (cut at add_11) to a cosine of 0.94. Three steps mend that for any
graph, from photos alone. Ranges are evened out between neighbouring convolutions, which changes no feature. The
convolutions whose inputs suffer most from rounding stay in float32. The mean error that is left is taken off the
features. Depthwise convolutions stay in float32 too: Xception's smallest cosine is 0.9991, and was 0.9983 with the
largest in INT8.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mlob.errors import InputError

if TYPE_CHECKING:
    import openvino

PROBED = 8  # photos on which the harm of each rounding is measured
MOST_HARM = 0.0003  # loss of cosine, summed over all roundings that are kept
STEPS = 255  # of an unsigned byte
LEAST_SHARE = (
    1e-3  # of the widest range: what a channel counts at least, since one that was silent here may speak elsewhere
)


def int8(converted: openvino.Model, photos: np.ndarray) -> openvino.Model:
    """Quantise an extractor to INT8 where that does its features little harm. Equal photos give an equal model.

    Args:
        converted: OpenVINO model from (1, size, size, 3) uint8 to (1, d) float32; it is not changed.
        photos: uint8 photos (n, size, size, 3) of train; 64 are enough.

    Raises:
        InputError: NNCF is not installed, or there is no photo.
    """
    nncf = _nncf()
    if not len(photos):
        raise InputError("INT8 is calibrated on photos of train, and there are none.")
    model = folded(converted)
    expected = features_of(model, photos)
    equalise(model, photos)
    quantised = _quantise(nncf, model, photos, _harmful(model, photos))
    return _shifted(quantised, (expected - features_of(quantised, photos)).mean(axis=0))


def equalise(model: openvino.Model, photos: np.ndarray) -> None:
    """Even out, in place, the channels' ranges on the way from one convolution to the next; no feature changes.

    Dividing a channel by s > 0 behind the first convolution (its weights and bias) and multiplying by s in the second's
    weights is exact, since ReLU and pooling let a positive factor through. With s = sqrt(range of the channel / range
    of the weights that read it) both become equal. The first range is measured. This is cross-layer equalisation, Nagel
    et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction".
    """
    convolutions = _convolutions(model)
    for convolution, (lowest, highest) in zip(convolutions, _ranges(convolutions, model, photos), strict=True):
        before = _before(convolution)
        if before:
            weights = _constant(convolution)
            scale = np.sqrt(_floored(np.maximum(highest, -lowest)) / _floored(np.abs(weights).max(axis=(0, 2, 3))))
            _set_constant(convolution, weights * scale[:, None, None])
            for node in before:
                shape = (1, -1, 1, 1) if node.get_type_name() == "Add" else _by_output_channel(node)
                _set_constant(node, _constant(node) / scale.reshape(shape))


def _harmful(model: openvino.Model, photos: np.ndarray) -> list[str]:
    """Name the convolutions whose inputs are best left unrounded: rounding all others costs at most MOST_HARM."""
    names = [node.get_friendly_name() for node in _convolutions(model)]
    harms = _harms(model, photos)
    order = np.argsort(harms, kind="stable")
    return [names[place] for place in order[np.cumsum(harms[order]) > MOST_HARM]]


def _harms(model: openvino.Model, photos: np.ndarray) -> np.ndarray:
    """Measure by how much rounding each convolution's input to 8 bits lowers the cosine, its mean error left out.

    Returns:
        float (convolutions,).
    """
    from openvino import opset13 as ops

    convolutions = _convolutions(model)
    ranges = _ranges(convolutions, model, photos)
    probe = model.clone()
    gates = ops.parameter([len(ranges)], np.float32)
    each = ops.split(gates, np.int64(0), len(ranges)).outputs()
    for convolution, gate, (lowest, highest) in zip(_convolutions(probe), each, ranges, strict=True):
        x, step = convolution.input_value(0), np.float32((highest.max(initial=0) - lowest.min(initial=0)) / STEPS)
        error = ops.subtract(ops.multiply(ops.round(ops.divide(x, step)), step), x)
        convolution.input(0).replace_source_output(ops.add(x, ops.multiply(error, gate)).output(0))
    probe.add_parameters([gates])
    run = _compiled(probe)

    few = photos[:PROBED]
    exact, *rounded = (
        np.stack([run([photo[None], gate])[0][0].copy() for photo in few])
        for gate in np.eye(len(ranges) + 1, len(ranges), k=-1, dtype=np.float32)
    )
    errors = np.stack(rounded) - exact
    errors -= errors.mean(axis=1, keepdims=True)
    return np.square(errors).sum(axis=(1, 2)) / (2 * np.square(exact).sum())  # 1 - cos(a) is about a**2 / 2


def _ranges(
    convolutions: list[openvino.Node], model: openvino.Model, photos: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Measure the lowest and the highest value of each channel that each convolution reads, over all photos."""
    import openvino
    from openvino import opset13 as ops

    axes = np.array([0, 2, 3])
    reduced = [f(node.input_value(0), axes) for node in convolutions for f in (ops.reduce_min, ops.reduce_max)]
    run = _compiled(openvino.Model([ops.result(node) for node in reduced], model.get_parameters()))
    extremes: list[np.ndarray] = []
    for photo in photos:
        values = [value.copy() for value in run(photo[None]).values()]
        extremes = extremes or values
        for place, value in enumerate(values):
            extremes[place] = (np.maximum if place % 2 else np.minimum)(extremes[place], value)
    return list(zip(extremes[::2], extremes[1::2], strict=True))


def _quantise(nncf: ModuleType, model: openvino.Model, photos: np.ndarray, in_float32: list[str]) -> openvino.Model:
    """Let NNCF quantise the dense convolutions, but for those named."""
    kinds = {node.get_type_name() for node in model.get_ops()} - {"Convolution"}
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        return nncf.quantize(
            model,
            nncf.Dataset([photo[None] for photo in photos]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(photos),
            ignored_scope=nncf.IgnoredScope(names=in_float32, types=sorted(kinds), validate=False),
            # Its own correction judges a layer by its mean input, rounded, which makes averages over a map worse.
            advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
        )


def _shifted(model: openvino.Model, shift: np.ndarray) -> openvino.Model:
    """Add a constant to the features."""
    from openvino import opset13 as ops

    result = model.get_results()[0].input(0)
    result.replace_source_output(ops.add(result.get_source_output(), shift.astype(np.float32)[None]).output(0))
    return model


def _before(convolution: openvino.Node) -> list[openvino.Node]:
    """Give the convolution before this one and the biases between, or [] where its output has other readers too."""
    nodes: list[openvino.Node] = []
    node = convolution
    while True:
        output = node.input_value(0)
        node = output.get_node()
        kind = node.get_type_name()
        if len(output.get_target_inputs()) > 1:
            return []
        if kind in ("Convolution", "GroupConvolution"):
            return [*nodes, node]
        if kind == "Add" and node.input_value(1).get_node().get_type_name() == "Constant":
            nodes.append(node)
        elif kind not in ("Relu", "MaxPool", "AvgPool"):
            return []


def _convolutions(model: openvino.Model) -> list[openvino.Node]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"]


def _constant(node: openvino.Node) -> np.ndarray:
    return node.input_value(1).get_node().data


def _set_constant(node: openvino.Node, value: np.ndarray) -> None:
    from openvino import opset13 as ops

    node.input(1).replace_source_output(ops.constant(value.astype(np.float32)).output(0))


def _by_output_channel(convolution: openvino.Node) -> tuple[int, ...]:
    """Shape a scale of the output channels to fit weights, (groups, out, in, h, w) or (out, in, h, w)."""
    shape = _constant(convolution).shape
    return (*shape[:-3], 1, 1, 1)


def _floored(ranges: np.ndarray) -> np.ndarray:
    return np.maximum(ranges, max(LEAST_SHARE * ranges.max(), 1e-12))


def folded(converted: openvino.Model) -> openvino.Model:
    """Copy a model, with all arithmetic on its constants done."""
    from openvino import passes

    model, manager = converted.clone(), passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)
    return model


def features_of(model: openvino.Model, photos: np.ndarray) -> np.ndarray:
    """Run photos through a model, each alone and in float32: features (n, d)."""
    run = _compiled(model)
    return np.stack([run(photo[None])[0][0].copy() for photo in photos])


def _compiled(model: openvino.Model) -> Callable[..., Any]:
    import openvino

    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": openvino.Type.f32}
    return openvino.Core().compile_model(model, "CPU", hints)


def _nncf() -> ModuleType:
    """Import NNCF without its log lines and, as its telemetry package is kept out, without its usage statistics."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes its import fail
    try:
        import nncf
    except ImportError as error:
        raise InputError('INT8 needs NNCF, which is not installed: `pip install "mlob[int8]"`.') from error
    nncf.set_log_level(logging.ERROR)
    return nncf

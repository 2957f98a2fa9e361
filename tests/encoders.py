"""Networks in files whose features are known, for tests: means of a photo's channels in squares of 32 pixels."""

import numpy as np
import onnx
from onnx import TensorProto, helper

SIDE, STEP = 96, 32
RANKS = {"map": 4, "tokens": 3, "row": 2, "classes": 1}


def write(
    path, *, layout="nchw", sides=(SIDE, SIDE), batch=1, kind=TensorProto.FLOAT, outputs=("map",), squares=1, channels=3
):
    """Write ONNX that gives a map (1, 3, 3, 3), tokens (1, 9, 3), a row (1, 3) or classes, whole numbers.

    Args:
        squares: of a constant that is added to the map: where it is not 1, photos of another size do not fit.
    """
    photo = helper.make_tensor_value_info(
        "photo", kind, [batch, channels, *sides] if layout == "nchw" else [batch, *sides, channels]
    )
    constants = {
        "zeros": np.zeros((1, 3, squares, squares), np.float32), "flat": np.array([0, 3, -1]), "axis": np.array([1]),
    }  # fmt: skip
    last = layout == "nhwc"
    nodes = [
        helper.make_node("Cast", ["photo"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["first"], perm=[0, 3, 1, 2] if last else [0, 1, 2, 3]),
        helper.make_node("AveragePool", ["first"], ["pooled"], kernel_shape=[STEP] * 2, strides=[STEP] * 2),
        helper.make_node("Add", ["pooled", "zeros"], ["added"]),
        helper.make_node("Transpose", ["added"], ["map"], perm=[0, 2, 3, 1] if last else [0, 1, 2, 3]),
        helper.make_node("Reshape", ["added", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["tokens", "axis"], ["row"], keepdims=0),
        helper.make_node("ArgMax", ["row"], ["classes"], axis=1, keepdims=0),
    ]
    kinds = {name: TensorProto.INT64 if name == "classes" else TensorProto.FLOAT for name in outputs}
    given = [helper.make_tensor_value_info(name, kinds[name], [None] * RANKS[name]) for name in outputs]
    held = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [photo], given, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def means(photo):
    """Give the map that such a file makes of a uint8 photo (96, 96, 3): float64 (3, 3, 3), channels last."""
    count = len(photo) // STEP
    return photo.reshape(count, STEP, count, STEP, 3).mean(axis=(1, 3))

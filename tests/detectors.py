"""A detector whose boxes are known, for tests: it is written as OpenVINO's files."""

import numpy as np

from mlob.features import runtimes

NAMES = ("boxes", "scores", "classes")


def write(path, *, side=64, layout="NCHW", kind=np.float32, open_sides=False, in_one=False, names=NAMES):
    """Write a detector whose boxes are known: of each channel one around its dark pixels, none where there are none.

    It takes a photo with channels from 0 to 1, or from 0 to 255 of whole numbers. Boxes are in pixels, class numbers
    those of the channels, scores how dark the darkest pixel is.
    """
    openvino = runtimes.load_openvino()
    ops, sides = openvino.opset13, [-1, -1] if open_sides else [side, side]
    photo = ops.parameter([1, 3, *sides] if layout == "NCHW" else [1, *sides, 3], kind, name="photo")
    channels = photo if layout == "NCHW" else ops.transpose(photo, np.int64([0, 3, 1, 2]))
    shares = ops.convert(channels, "f32")
    if kind == np.uint8:
        shares = ops.divide(shares, np.float32(255))
    is_dark, starts = ops.less(shares, np.float32(0.5)), np.arange(side, dtype=np.float32)

    def ends(across):
        seen = ops.reduce_logical_or(is_dark, np.int64(across), False)
        first = ops.reduce_min(ops.select(seen, starts, np.float32(side)), np.int64(2), True)
        return first, ops.reduce_max(ops.select(seen, starts + 1, np.float32(0)), np.int64(2), True)

    (left, right), (top, bottom) = ends(2), ends(3)
    corners = ops.concat([left, top, right, bottom], 2)
    scores = ops.subtract(np.float32(1), ops.reduce_min(shares, np.int64([2, 3]), False))
    numbers = ops.constant(np.arange(3, dtype=np.float32)[None])
    given = [corners, scores, numbers]
    if in_one:
        given = [ops.concat([corners, *(ops.unsqueeze(each, np.int64(2)) for each in (scores, numbers))], 2)]
    for each, name in zip(given, names, strict=False):
        each.output(0).get_tensor().set_names({name})
    openvino.save_model(openvino.Model(given, [photo]), path, compress_to_fp16=False)
    return path

"""Recipes of feature sets: how photos, and what stands beside them, become features."""

import dataclasses
from typing import Literal

from mlob.errors import InputError
from mlob.fields import Recipe

Size = int | Literal["tiny", "small", "large", "huge"]  # of photos: pixels, or a name in `features.backbones.SIZES`


@dataclasses.dataclass(frozen=True)
class Detector(Recipe):
    """What finds objects in photos: a file that another program wrote, how it is fed and how its answers are read.

    Attributes:
        file: path of an ONNX file (.onnx), a TFLite file (.tflite) or one of OpenVINO (.xml, with its .bin beside it).
        size: side of its input, pixels.
        classes: how many it tells apart: its highest class number and one.
        outputs: names of its outputs of boxes (4 numbers each), scores (0 to 1) and class numbers, in this order; or of
            its only output, each of whose rows ends in the 4 numbers of a box, its score and its class number.
        corners: "xyxy" where a box is left, top, right, bottom; "yxyx" where it is top, left, bottom, right.
        units: of boxes: "shares" of the input's side (0 to 1), or "pixels" of the input.
        channels: their order, "rgb" or "bgr".
        mean, scale: it takes (pixel - mean) / scale of pixels from 0 to 255: one number, or one for each channel in the
            order of `channels`.
        threshold: score from which on a box counts as an object.
        most: boxes of a photo that are kept, those of the highest scores.
    """

    file: str
    size: int
    classes: int
    outputs: tuple[str, ...] = ("boxes", "scores", "classes")
    corners: Literal["xyxy", "yxyx"] = "xyxy"
    units: Literal["shares", "pixels"] = "shares"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    threshold: float = 0.5
    most: int = 100

    def __post_init__(self) -> None:
        """Refuse outputs that are neither one nor three, and numbers that are neither one nor one a channel."""
        super().__post_init__()
        if len(self.outputs) not in (1, 3):
            wanted = "the names of three outputs (boxes, scores, class numbers), or of the only one"
            raise InputError(f"detector.outputs is {self.outputs}; expected {wanted}.")
        _check_channels("detector", self.mean, self.scale)


@dataclasses.dataclass(frozen=True)
class Encoder(Recipe):
    """How a network in a file, the backbone "file:…", is fed, and which of its outputs is taken.

    Attributes:
        layout: "nchw" where channels come before the sides, "nhwc" where they come last; "auto" where the file tells.
        channels: their order, "rgb" or "bgr".
        mean, scale: it takes (pixel - mean) / scale of pixels from 0 to 255: one number, or one for each channel in the
            order of `channels`.
        output: name of the output that is taken; empty where there is one alone.
    """

    layout: Literal["auto", "nchw", "nhwc"] = "auto"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    output: str = ""

    def __post_init__(self) -> None:
        """Refuse numbers that are neither one nor one a channel."""
        super().__post_init__()
        _check_channels("encoder", self.mean, self.scale)


def _check_channels(prefix: str, mean: tuple[float, ...], scale: tuple[float, ...]) -> None:
    """Refuse what pixels cannot be brought to a network's range with."""
    for name, values, wanted in (
        ("mean", mean, "one number, or three"),
        ("scale", scale, "one number above 0, or three"),
    ):
        if len(values) not in (1, 3) or (name == "scale" and 0 in values):
            raise InputError(f"{prefix}.{name} is {values}; expected {wanted}.")


@dataclasses.dataclass(frozen=True)
class Text(Recipe):
    """How the text beside a photo becomes numbers: scikit-learn's vectorisers, fitted on the texts of train.

    Attributes:
        weighting: "tfidf" (a term counts the more, the fewer texts have it; rows of length 1), or "counts".
        terms: at most, the most frequent ones.
        words: that stand side by side in a term, at most.
    """

    weighting: Literal["tfidf", "counts"] = "tfidf"
    terms: int = 4096
    words: int = 2


@dataclasses.dataclass(frozen=True)
class Crop(Recipe):
    """What finds the thing in photos, which are then cropped to it: a trained head that says where it sees its labels.

    Attributes:
        head: its file, runs/<suite>/<model>/head.keras; it reads one store of averages, of the same backbone.
        size: of that store's photos. Crops are cut from photos of this size.
    """

    head: str
    size: Size = "huge"


@dataclasses.dataclass(frozen=True)
class FeatureSet(Recipe):
    """How photos become features: a backbone, cut somewhere, pooled, on some weights.

    Attributes:
        backbone: a name in `mlob.features.backbones.BACKBONES`; or "pixels", with the pool "grid": photos as they are
            decoded; or "detector": what `detector` finds in them; or "text": what stands beside them in the column
            that `Annotations.text` names; or "imported": what `mlob import` brought; or "file:" and the path of a
            network (.keras, .onnx, .tflite, .xml); or "hub:" and the name of a preset of KerasHub.
        size: side of the input in pixels, or "tiny" (96), "small" (224), "large" (299) or "huge" (560), where the
            network allows it.
        layer: the last, or the name of an earlier layer, where the network is cut.
        pool: "avg" or "max" of the last map; "blocks", the averages of the main stages side by side; "grid", the last
            map as it is, h x w x c. Presets that give tokens have "cls", the summary, "mean" of the patches,
            "cls_mean", both side by side, and "grid", the patches as they lie; files that give tokens have "cls", the
            first.
        view: "whole", "flip" (left and right change places), or a crop of seven eighths of each side.
        weights: "imagenet", "random" (seeded; tests and speed only), or the path of a weights file, or of a preset's
            folder.
        runtime: "auto" is OpenVINO on an x86 processor without a GPU, Keras elsewhere.
        precision: "auto" is half precision where it is proved harmless and faster; "int8" (OpenVINO alone) is
            calibrated on train photos. Of pixels it is "auto", as they are, or "jpeg95", a fifth of
            the bytes.
        detector: of the backbone "detector", which takes no other field.
        text: of the backbone "text", which takes no other field.
        crop: photos are cropped to the thing in them first.
        encoder: of a backbone in a file: how it is fed.
    """

    backbone: str
    size: Size = "small"
    layer: str = "last"
    pool: Literal["avg", "max", "blocks", "grid", "cls", "mean", "cls_mean"] = "avg"
    view: Literal["whole", "flip", "centre", "top_left", "top_right", "bottom_left", "bottom_right"] = "whole"
    weights: str = "imagenet"
    runtime: Literal["auto", "keras", "openvino"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8", "jpeg95"] = "auto"
    detector: Detector | None = None
    text: Text | None = None
    crop: Crop | None = None
    encoder: Encoder | None = None

"""A network in a file as a backbone, "file:…": Keras's own, or one of another program that OpenVINO reads."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import warnings
from typing import TYPE_CHECKING

import numpy as np

from mlob.errors import InputError
from mlob.features import backbones, foreign, forms, runtimes, weights
from mlob.features.foreign import Feeding
from mlob.files import archive_fault, digest
from mlob.machine import load_keras
from mlob.recipes import Encoder, FeatureSet

if TYPE_CHECKING:
    import keras
    import openvino

KERAS = ".keras"
ENDINGS = (*foreign.ENDINGS, KERAS)
POOLS = ("avg", "max", "grid", "cls")
PLAIN = ("layer", "weights", "detector", "text", "crop")  # fields that say nothing of a file
RANKS = {2: "[1, d]", 3: "[1, tokens, d]", 4: "a map"}  # of outputs that become features


def check(feature_set: FeatureSet) -> None:
    """Refuse a recipe of a file that asks for what only networks of the table have.

    Raises:
        InputError: with what was expected.
    """
    if not feature_set.backbone.startswith(backbones.FILE):
        raise InputError(
            f"A feature set with an encoder has its file as backbone: expected 'file:' and a path, found "
            f"{feature_set.backbone!r}."
        )
    foreign.check_ending(path_of(feature_set), "features.backbone", ENDINGS)
    plain = FeatureSet(feature_set.backbone)
    for name in PLAIN:
        if (found := getattr(feature_set, name)) != (wanted := getattr(plain, name)):
            raise InputError(f"features.{name} is {found!r} beside a backbone in a file; expected {wanted!r}.")
    if feature_set.pool not in POOLS:
        raise InputError(
            f"features.pool is {feature_set.pool!r} beside a backbone in a file; expected {' or '.join(POOLS)}."
        )
    _check_precision(feature_set)


def _check_precision(feature_set: FeatureSet) -> None:
    if feature_set.precision in ("int8", backbones.JPEG):
        raise InputError(
            f"features.precision is {feature_set.precision!r} beside a backbone in a file; expected another one."
        )
    if feature_set.runtime == "keras" and path_of(feature_set).suffix != KERAS:
        raise InputError(
            f"features.runtime is 'keras', and {path_of(feature_set)} runs on OpenVINO: leave it out, or name a file "
            "that ends in .keras."
        )


def path_of(feature_set: FeatureSet) -> pathlib.Path:
    """Give the path of the file."""
    return pathlib.Path(feature_set.backbone.removeprefix(backbones.FILE))


def source(feature_set: FeatureSet) -> weights.Source:
    """Give the weights: the file, which counts by its content.

    Raises:
        InputError: as `foreign.files`.
    """
    paths = _files(feature_set)
    return weights.Source(paths[0].name, paths[0], digest(*(path.read_bytes() for path in paths)))


def _files(feature_set: FeatureSet) -> list[pathlib.Path]:
    check(feature_set)
    return foreign.files(path_of(feature_set), "features.backbone", ENDINGS)


class Encoded(forms.Forms):
    """The forms of a network in a file. It is read, checked and tried on a white photo at once.

    Keras's own file runs on Keras in float32, and on OpenVINO in any precision; all others on OpenVINO alone.

    Args:
        feature_set: the recipe.

    Raises:
        InputError: a runtime is not installed; the file is missing or damaged, or takes or gives other arrays than the
            recipe says.
    """

    def __init__(self, feature_set: FeatureSet) -> None:
        self.path, self.encoder = _files(feature_set)[0], feature_set.encoder or Encoder()
        super().__init__(self._as_run(feature_set), source(feature_set), pathlib.Path())
        self._parameters = 0
        self._tried(self.runner(runtimes.Choice(self.feature_set.runtime, "float32")))

    def parameters(self) -> int:
        """Count those of the network."""
        return self._parameters

    def model(self, precision: str) -> keras.Model:
        """Give the Keras model from uint8 photos to features."""
        if precision not in self._models:
            network = _load(self.path)
            self._parameters = network.count_params()
            self._models[precision] = _keras_model(network, self._feeding(), self.encoder.output, self.feature_set.pool)
        return self._models[precision]

    def converted(self) -> runtimes.OpenVINOModel:
        """Give the network in OpenVINO's form, from a uint8 photo (1, size, size, 3) to float32 features."""
        if self._converted is None and self.path.suffix != KERAS:
            model = foreign.read(self.path, "Such a file")
            self._parameters = foreign.parameters(model)
            self._converted = _openvino_model(model, self._feeding(), self.encoder.output, self.feature_set.pool)
        return super().converted()

    def _as_run(self, feature_set: FeatureSet) -> FeatureSet:
        """Settle the runtime, and float32 where that is the only precision."""
        if self.path.suffix != KERAS:
            return dataclasses.replace(feature_set, runtime="openvino")
        load_keras()
        if (runtime := runtimes.runtime_of(feature_set)) == "openvino":
            return dataclasses.replace(feature_set, runtime=runtime)
        if feature_set.precision not in ("auto", "float32"):
            raise InputError(
                f"{self.path} runs on Keras in float32 alone: leave out features.precision, or set "
                "features.runtime=openvino."
            )
        return dataclasses.replace(feature_set, runtime=runtime, precision="float32")

    def _feeding(self) -> Feeding:
        made, size = self.encoder, backbones.side(self.feature_set)
        named = "features.size", "encoder.scale", "encoder.layout"
        return Feeding(str(self.path), size, made.layout, made.channels, made.mean, made.scale, *named)

    def _tried(self, runner: runtimes.Runner) -> None:
        size = backbones.side(self.feature_set)
        if not np.isfinite(runner([np.full((size, size, 3), 255, np.uint8)])).all():
            raise InputError(
                f"{self.path} gives features of a white photo that are no numbers (NaN or infinite): see that it is "
                "sound, and that encoder.mean and encoder.scale are its own."
            )


def _check_output(file: str, shape: tuple[int, ...], is_real: bool, pool: str) -> None:
    """Refuse an output that is no row, no tokens and no map of one photo, or has no such pool."""
    if len(shape) not in RANKS or shape[0] != 1 or min(shape) < 1 or not is_real:
        kind = "" if is_real else " of whole numbers"
        raise InputError(
            f"{file} gives {list(shape)}{kind} for one photo; expected {', '.join(RANKS.values())}, in floating-point "
            "numbers: name another output, encoder.output, or export it for one photo at a time."
        )
    if len(shape) == 2 and pool != "avg":
        raise InputError(f"{file} gives a row of {shape[1]:,} numbers, which features.pool={pool!r} cannot pool.")
    if len(shape) == 4 and pool == "cls":
        raise InputError(f"{file} gives a map, and features.pool='cls' takes the first of tokens: expected avg.")
    if len(shape) == 3 and pool == "grid":
        raise InputError(f"{file} gives {shape[1]:,} tokens, and features.pool='grid' keeps maps alone: expected avg.")


# OpenVINO


def _openvino_model(model: openvino.Model, feeding: Feeding, name: str, pool: str) -> openvino.Model:
    """Put preprocessing before a network, and pooling behind the output that is taken."""
    openvino = runtimes.load_openvino()
    place = _place(model, name, feeding.file)
    channels_first = foreign.layout_of(model, feeding) == "NCHW"
    model = foreign.fed(model, feeding)
    output = model.get_results()[place].input_value(0)
    shape = output.get_partial_shape()
    sizes = tuple(shape.to_shape()) if shape.is_static else ()
    _check_output(feeding.file, sizes, output.get_element_type().is_real(), pool)
    pooled = _openvino_pooled(output, len(sizes), pool, channels_first)
    return openvino.Model([openvino.opset13.result(pooled)], model.get_parameters())


def _place(model: openvino.Model, name: str, file: str) -> int:
    """Find the output that is taken."""
    if name:
        return foreign.outputs_named(model, [name], file, "encoder.output")[0]
    if len(model.outputs) != 1:
        raise _several(file, foreign.given(model))
    return 0


def _several(file: str, given: str) -> InputError:
    return InputError(f"{file} gives several outputs, {given}: name the one that is taken, encoder.output.")


def _openvino_pooled(output: openvino.Output, rank: int, pool: str, channels_first: bool) -> openvino.Node:
    ops = runtimes.load_openvino().opset13
    values = ops.convert(output, "f32")
    if rank == 2:
        return values
    if pool == "grid":
        return ops.transpose(values, np.array([0, 2, 3, 1])) if channels_first else values
    if pool == "cls":
        return ops.gather(values, np.array(0), np.array(1))
    axes = [1] if rank == 3 else [2, 3] if channels_first else [1, 2]
    reduce = ops.reduce_max if pool == "max" else ops.reduce_mean
    return reduce(values, np.array(axes), False)


# Keras


def _load(path: pathlib.Path) -> keras.Model:
    """Load a network. Nothing in the file is run but layers of Keras."""
    import keras

    fault = archive_fault(path)
    if not fault:
        try:
            with warnings.catch_warnings(action="error", category=UserWarning):  # Keras warns of layers left random
                model = keras.saving.load_model(path, compile=False, safe_mode=True)
            if not isinstance(model, keras.Model):
                raise ValueError(f"it holds a {type(model).__name__}")
            return model
        except Exception as error:  # a configuration of any shape fails in any way
            fault = f"is no model that Keras loads in safe mode ({next(iter(str(error).splitlines()), '')!s:.200})"
    raise InputError(f"{path} {fault}: copy it again, or export it to ONNX.")


def _keras_model(network: keras.Model, feeding: Feeding, name: str, pool: str) -> keras.Model:
    """Put preprocessing before a network, and pooling behind the output that is taken."""
    import keras

    layout, kind = _taken(network, feeding)
    photos = keras.Input((feeding.size, feeding.size, 3), dtype="uint8", name="photos")
    pixels = _prepared(photos, feeding, layout, kind)
    given = network(keras.tree.map_structure(lambda _: pixels, network.input))  # which may have a name
    output = _output_of(given, network, name, feeding.file)
    _check_output(feeding.file, (1, *_sides(output.shape[1:])), "float" in str(output.dtype), pool)
    pooled = _keras_pooled(output, pool, layout == "NCHW")
    as_float32 = keras.layers.Activation("linear", dtype="float32")
    return keras.Model(photos, as_float32(pooled), name=backbones.EXTRACTOR)


def _sides(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(-1 if side is None else side for side in shape)


def _taken(network: keras.Model, feeding: Feeding) -> tuple[str, str]:
    """Tell where the channels of a network's only input stand, and of which type it is."""
    inputs = network.inputs or []
    layout = foreign.layout_in([_sides(each.shape) for each in inputs], feeding)
    kind = str(inputs[0].dtype)
    foreign.check_numbers(kind, "float" in kind, feeding)
    return layout, kind


def _prepared(photos: keras.KerasTensor, feeding: Feeding, layout: str, kind: str) -> keras.KerasTensor:
    from keras import ops

    pixels = photos[..., ::-1] if feeding.channels == "bgr" else photos
    if not feeding.is_plain:
        mean, scale = (np.broadcast_to(np.array(values, np.float32), 3) for values in (feeding.mean, feeding.scale))
        pixels = (ops.cast(pixels, "float32") - mean) / scale
    return ops.cast(ops.transpose(pixels, (0, 3, 1, 2)) if layout == "NCHW" else pixels, kind)


def _output_of(given: object, network: keras.Model, name: str, file: str) -> keras.KerasTensor:
    """Give the output that is taken."""
    import keras

    outputs = [*given.values()] if isinstance(given, dict) else keras.tree.flatten(given)
    names = [*given] if isinstance(given, dict) else network.output_names
    there = ", ".join(f"{each} {list(output.shape)}" for each, output in zip(names, outputs, strict=True))
    if name and name not in names:
        raise InputError(f"encoder.output names {name!r}, which {file} does not give; it gives {there}.")
    if not name and len(outputs) > 1:
        raise _several(file, there)
    return outputs[names.index(name) if name else 0]


def _keras_pooled(output: keras.KerasTensor, pool: str, channels_first: bool) -> keras.KerasTensor:
    from keras import ops

    rank = len(output.shape)
    if rank == 2:
        return output
    if pool == "grid":
        return ops.transpose(output, (0, 2, 3, 1)) if channels_first else output
    if pool == "cls":
        return output[:, 0]
    axes = 1 if rank == 3 else (2, 3) if channels_first else (1, 2)
    reduce = functools.partial(ops.max if pool == "max" else ops.mean, axis=axes)
    return reduce(ops.cast(output, "float32"))

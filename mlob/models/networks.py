"""Networks: a backbone with a head on it, from photos, or from maps of its lower layers, to one probability a label."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from mlob.errors import InputError, nearest
from mlob.features import backbones, weights
from mlob.labels import Exclusive
from mlob.models import augmentation, heads
from mlob.models.beginning import Beginning
from mlob.phases import EVERYTHING, NOTHING, Convolutions, Network, Phase
from mlob.recipes import Experiment, FeatureSet, Head

FEATURES = "features"  # the layer in which a network's head begins
SAMPLE = 1024  # rows whose features standardise a head that starts at random
BATCH = 32  # rows through a network at once, where only its answers count


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that a network is built from, at whatever size of photos.

    Attributes:
        head: the recipe's `Head`.
        network: the recipe's `Network`.
        begin: what it begins with.
        shape: of a row of the store.
        targets: uint8 (n, labels) of the training rows, whose prevalences start the output's bias.
        exclusive: the groups that share a softmax each.
        tasks: the columns of each group of labels.
        precision: "float32", or "bfloat16" in which the layers compute; weights and probabilities are float32.
        standard: as of `heads.standard_of`.
        seed: of what starts at random.
    """

    head: Head
    network: Network
    begin: Beginning
    shape: tuple[int, int, int]
    targets: np.ndarray
    exclusive: Sequence[Exclusive] = ()
    tasks: Sequence[heads.Columns] = ()
    precision: str = "float32"
    standard: heads.Moments | None = None
    seed: int = 0

    @property
    def stages(self) -> tuple[str, ...]:
        """The layers in which the backbone's blocks end, from the lowest on; none of convolutions."""
        return backbones.find(self.begin.extractor).stages if self.begin.extractor else ()

    @property
    def aliases(self) -> dict[str, str]:
        """{name of a layer that Keras may count otherwise: the layer that comes after it}."""
        return backbones.find(self.begin.extractor).cut_before if self.begin.extractor else {}

    def build(self, pixels: int = 0) -> keras.Model:
        """Build the network with the weights that it begins with.

        Args:
            pixels: side to which photos are enlarged or reduced first; 0 leaves them as they are.

        Returns:
            A Keras model from uint8 photos (n, h, w, 3), or float16 maps (n, h, w, c), to float32 probabilities
            (n, labels).

        Raises:
            InputError: the weights, or the head that it takes over, are of another network.
        """
        inputs, features = self._features(pixels)
        path = self.begin.head
        start = heads.load(path) if path else None
        standard = heads.moments_in(start) if start else self.standard
        keras.utils.set_random_seed(self.seed)  # a backbone has had one of its own
        probabilities = heads.grow(
            self.head, features, self.targets, standard, self.precision, self.exclusive, self.tasks
        )
        if start:
            _take_over(keras.Model(features, probabilities), start, path)
        return keras.Model(inputs, probabilities)

    def sample_features(self, rows: heads.Features) -> np.ndarray:
        """Give the features float32 of up to 1,024 rows, evenly spread, before anything is trained."""
        inputs, features = self._features(self.network.phases[0].size)
        model = keras.Model(inputs, features)
        chosen = rows[:: max(1, len(rows) // SAMPLE)]
        parts = [answers(model, chosen[start : start + BATCH]) for start in range(0, len(chosen), BATCH)]
        return np.concatenate(parts)

    def unfreeze(self, model: keras.Model, phase: Phase) -> None:
        """Let the layers of a network's backbone learn that a phase unfreezes, and freeze all others.

        Raises:
            InputError: there are fewer layers, or none of this name (with the nearest).
        """
        layers = backbone_of(model).layers
        first = _first_unfrozen([layer.name for layer in layers], phase.unfreeze, self.aliases)
        for number, layer in enumerate(layers):
            layer.trainable = number >= first

    def shares(self, model: keras.Model, phase: Phase) -> dict[str, float]:
        """Give the share of a phase's learning rate of each variable of a network's backbone, {its path: share}.

        The backbone's main stages end the blocks, and each has `block_decay` of the rate of the block above it.
        """
        if phase.block_decay == 1:
            return {}
        layers, found = backbone_of(model).layers, dict[str, float]()
        ends = {self.aliases.get(stage, stage) for stage in self.stages[:-1]}
        above = 1 + sum(layer.name in ends for layer in layers)
        for layer in layers:
            found |= {variable.path: phase.block_decay**above for variable in layer.variables}
            above -= layer.name in ends
        return found

    def in_training(self, model: keras.Model, phase: Phase, seed: int) -> keras.Model:
        """Give a network, its variables shared, as it is trained in a phase.

        Photos are changed first, and its backbone computes as it does in prediction: batch normalisation keeps to its
        moments, nothing is dropped. Layers that start from nothing have neither, and their dropout is on.

        Args:
            model: from photos or maps to whatever its head gives.
            phase: of the recipe.
            seed: of the changes.
        """
        inputs = keras.Input(model.input_shape[1:], dtype=model.input.dtype)
        features = model.get_layer(FEATURES).output
        below, above = keras.Model(model.input, features), keras.Model(features, model.output)
        augment = augmentation.build(phase.augmentation, self.shape, seed)
        seen = augment(inputs) if augment else inputs
        return keras.Model(inputs, above(_AsPredicted(below)(seen) if self.begin.extractor else below(seen)))

    def predictor(self, model: keras.Model) -> keras.Model:
        """Give the network that averages its predictions over the recipe's views."""
        return augmentation.over_views(model, self.network.views)

    def _features(self, pixels: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Give the input and the features that the head is grown on."""
        is_pixels = backbones.is_pixels(self.begin.reads)
        inputs = keras.Input(
            self.shape, dtype="uint8" if is_pixels else "float16", name="photos" if is_pixels else "maps"
        )
        seen = resized(inputs, pixels) if pixels and pixels != self.shape[0] else inputs
        with _policy(self.precision):
            extractor = self._extractor(seen.shape[1:])
        return inputs, keras.layers.Identity(name=FEATURES, dtype="float32")(extractor(seen))

    def _extractor(self, shape: tuple[int, ...]) -> keras.Model:
        """Give the model from photos or maps of a shape to features."""
        if self.network.convolutions:
            keras.utils.set_random_seed(self.seed)  # each time the same layers: the head has moments of what they give
            return _convolutions(self.network.convolutions, shape)
        feature_set, source = self.begin.backbone
        network = weights.network(feature_set, source)
        if not backbones.is_pixels(self.begin.reads):
            upper = backbones.above(network, self.begin.reads.layer, feature_set)
            return backbones.extractor_of_maps(upper, feature_set)
        if shape != network.input_shape[1:]:
            found = network
            network = backbones.cut(backbones.build(feature_set, shape[0]), feature_set)
            backbones.take_over(network, found)
        return backbones.extractor(network, feature_set)


def plan(
    experiment: Experiment,
    begin: Beginning,
    rows: heads.Features,
    targets: np.ndarray,
    exclusive: Sequence[Exclusive] = (),
    tasks: Sequence[heads.Columns] = (),
    precision: str = "float32",
) -> Plan:
    """Plan the network of a recipe for the rows that it is trained on.

    Args:
        experiment: the recipe, which has a `network`.
        begin: what it begins with.
        rows: photos or maps of the training rows.
        targets: uint8 (n, labels) of the same rows.
        exclusive, tasks, precision: as of `Plan`.

    Raises:
        InputError: what is to be unfrozen is not there.
    """
    assert experiment.network
    _, height, width, channels = rows.shape
    shape = height, width, channels
    made = Plan(
        experiment.head, experiment.network, begin, shape, targets, exclusive, tasks, precision, seed=experiment.seed
    )
    if made.head.standardise and not begin.head:
        made = dataclasses.replace(made, standard=heads.standard_of(made.head, made.sample_features(rows)))
    return made


def check_unfreezing(network: Network, reads: FeatureSet, extractor: FeatureSet) -> None:
    """Refuse phases that unfreeze what a backbone lacks, before anything is read: it is built without its weights.

    Args:
        network: the recipe.
        reads, extractor: as of `Beginning`.

    Raises:
        InputError: as of `Plan.unfreeze`.
    """
    named = [phase.unfreeze for phase in network.phases if phase.unfreeze not in (EVERYTHING, NOTHING)]
    if not named:
        return
    backbone = backbones.cut(backbones.build(extractor), extractor)
    if not backbones.is_pixels(reads):
        backbone = backbones.above(backbone, reads.layer, extractor)
    for wanted in named:
        _first_unfrozen([layer.name for layer in backbone.layers], wanted, backbones.find(extractor).cut_before)


def backbone_of(model: keras.Model) -> keras.Model:
    """Give the backbone inside a network: the part of it that phases freeze and unfreeze."""
    extractor = model.get_layer(backbones.EXTRACTOR)
    return next((layer for layer in extractor.layers if isinstance(layer, keras.Model)), extractor)


def resized(photos: keras.KerasTensor, pixels: int) -> keras.KerasTensor:
    """Enlarge or reduce photos (n, h, w, 3) to a side of so many pixels, uint8 again."""
    photos = keras.ops.image.resize(keras.ops.cast(photos, "float32"), (pixels, pixels), antialias=True)
    return keras.ops.cast(keras.ops.round(photos), "uint8")


def answers(model: keras.Model, rows: np.ndarray) -> np.ndarray:
    """Give what a model answers for an array of rows."""
    return keras.ops.convert_to_numpy(model(rows, training=False))


class _AsPredicted(keras.layers.Layer):
    """Runs a model as it predicts while other layers are in training; its variables may learn all the same."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.model = model

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Give the model's outputs."""
        return self.model(inputs, training=False)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Give their shape."""
        return keras.KerasTensor(self.model.compute_output_shape(inputs.shape), "float32")


def _first_unfrozen(names: Sequence[str], wanted: str, aliases: Mapping[str, str]) -> int:
    """Give the number of the first layer that learns."""
    if wanted in (EVERYTHING, NOTHING):
        return 0 if wanted == EVERYTHING else len(names)
    if wanted.isdecimal():
        if int(wanted) > len(names):
            raise InputError(f"unfreeze is {wanted!r}, but the backbone has {len(names)} layers.")
        return len(names) - int(wanted)
    name = aliases.get(wanted, wanted)
    if name not in names:
        raise InputError(f"unfreeze is {wanted!r}: the backbone has no such layer{nearest(wanted, [*names, *aliases])}")
    return names.index(name)


def _take_over(head: keras.Model, start: keras.Model, path: pathlib.Path | None) -> None:
    """Put a trained head's weights into an untrained one."""
    shapes, found = ([tuple(weight.shape) for weight in model.weights] for model in (head, start))
    if shapes != found:
        raise InputError(f"The head {path} is not of this network's form: expected {shapes}, found {found}.")
    head.set_weights(start.get_weights())


def _convolutions(recipe: Convolutions, shape: tuple[int, ...]) -> keras.Model:
    """Build layers that start from nothing: convolutions on pixels from 0 to 1."""
    photos = keras.Input(shape, dtype="uint8", name="photos")
    x = keras.ops.cast(photos, "float32") / 255
    for number, filters in enumerate(recipe.filters):
        x = keras.layers.Conv2D(filters, recipe.kernel, padding="same", activation="relu")(x)
        if number < recipe.pooled:
            x = keras.layers.MaxPooling2D(recipe.pool)(x)
            x = keras.layers.Dropout(recipe.dropout)(x) if recipe.dropout else x
    x = keras.layers.Flatten()(x) if recipe.flatten else keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(photos, x, name=backbones.EXTRACTOR)


@contextlib.contextmanager
def _policy(precision: str) -> Iterator[None]:
    """Build layers that compute in a precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

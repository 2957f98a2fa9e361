"""Recipes of whole networks: what is trained, in which phases, and how photos are changed meanwhile."""

import dataclasses
from typing import Literal

from mlob.errors import InputError
from mlob.fields import Recipe

EVERYTHING, NOTHING = "everything", "nothing"


@dataclasses.dataclass(frozen=True)
class Augmentation(Recipe):
    """How each photo is changed at random while a network is trained; never when it predicts.

    Attributes:
        flip: left and right change places in half of the photos.
        crop: least share of a photo's area that is cut out and enlarged to the whole (1: none is cut).
        rotation: degrees, either way.
        shift: share of the side, either way.
        zoom: share of the side, in and out.
        colour: strength of changes of brightness, contrast, saturation and hue.
        cutout: largest share of a photo's area in a rectangle that is blanked.
    """

    flip: bool = False
    crop: float = 1.0
    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    colour: float = 0.0
    cutout: float = 0.0


@dataclasses.dataclass(frozen=True)
class Phase(Recipe):
    """A stretch of training with one optimizer, of a head or of a whole network.

    Attributes:
        unfreeze: which of the backbone's layers learn: "nothing", "everything", a number of last layers ("17"), or the
            name of a layer, from which on. The head always learns.
        epochs: at most.
        steps: of an epoch (0: all rows once).
        optimizer: with Keras's other defaults.
        learning_rate, weight_decay, momentum, nesterov: of that optimizer; the second is AdamW's, the last two are
            SGD's.
        schedule: of the learning rate: "constant", "cosine" to zero over the phase, or "plateau" (a fifth after three
            epochs without gain of the dev loss).
        warmup_epochs: during which the learning rate rises from zero.
        patience: epochs without gain of the dev loss after which the phase ends with its best weights; 0 runs it to
            its end.
        block_decay: learning rate of each block of the backbone as a share of that of the block above it (1: all
            alike; Howard and Ruder 2018 took 1 / 2.6). Blocks end with the backbone's main stages.
        size: side to which photos are enlarged or reduced on the device, pixels (0: the extractor's).
        augmentation: of the photos.
        clip: largest norm of each variable's gradient (0: any).
        accumulate: batches whose gradients make one step together.
        average: momentum of the moving average of the weights that the phase ends with (0: no average).
    """

    unfreeze: str = EVERYTHING
    epochs: int = 1
    steps: int = 0
    optimizer: Literal["adamw", "adam", "nadam", "sgd", "rmsprop"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    warmup_epochs: int = 0
    patience: int = 0
    block_decay: float = 1.0
    size: int = 0
    augmentation: Augmentation = Augmentation()
    clip: float = 0.0
    accumulate: int = 1
    average: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a warm-up that does not end."""
        super().__post_init__()
        if self.warmup_epochs and self.warmup_epochs >= self.epochs:
            raise InputError(
                f"warmup_epochs of a phase is {self.warmup_epochs}; expected fewer than its epochs, {self.epochs}."
            )


@dataclasses.dataclass(frozen=True)
class Convolutions(Recipe):
    """Layers that are trained from scratch in place of a backbone: convolutions with ReLU, each with max pooling.

    Attributes:
        filters: of each convolution.
        kernel: side of their kernels.
        pooled: the first so many are followed by max pooling.
        pool: side of that pooling.
        dropout: after each pooling.
        flatten: the last map's numbers side by side are the features; otherwise their averages over the places.
    """

    filters: tuple[int, ...] = (8, 16, 32)
    kernel: int = 4
    pooled: int = 3
    pool: int = 4
    dropout: float = 0.0
    flatten: bool = True


@dataclasses.dataclass(frozen=True)
class Network(Recipe):
    """What stands between the stores of a model and its head, and how both are trained.

    The stores hold pixels, or the map (pool "grid") of an earlier layer of the same backbone: then only what lies above
    that layer is a part of the network.

    Attributes:
        extractor: name of the feature set whose backbone, size, layer, pool and weights the network begins with; empty
            where there are convolutions.
        convolutions: the network begins with these instead.
        phases: one after another.
        views: of photos, beside the whole, over which a prediction is the mean (names as of `FeatureSet.view`).
    """

    extractor: str = ""
    convolutions: Convolutions | None = None
    phases: tuple[Phase, ...] = (Phase(),)
    views: tuple[Literal["flip", "centre", "top_left", "top_right", "bottom_left", "bottom_right"], ...] = ()

    def __post_init__(self) -> None:
        """Refuse two beginnings or none, no phases, sizes that flattened layers lack."""
        super().__post_init__()
        if bool(self.extractor) == bool(self.convolutions):
            raise InputError("A network begins with an extractor or with convolutions: expected one of these fields.")
        if not self.phases:
            raise InputError("network.phases is empty; expected at least one Phase(...).")
        if self.convolutions and self.convolutions.flatten and len(sizes := {phase.size for phase in self.phases}) > 1:
            raise InputError(
                f"Phases have the sizes {sorted(sizes)}, but flattened convolutions take one: expected "
                "convolutions.flatten=False, or one size."
            )

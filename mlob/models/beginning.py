"""What a model begins with, found without loading Keras: a part of its identity."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from mlob.errors import InputError
from mlob.features import backbones, weights
from mlob.phases import Network, Phase
from mlob.recipes import FeatureSet

UNSHAPED = ("runtime", "precision", "text", "crop", "encoder")  # fields of a feature set that say nothing of a backbone


@dataclasses.dataclass(frozen=True)
class Beginning:
    """What a model begins with, and what it reads.

    Attributes:
        reads: the feature set of the (first) store; a network's is of pixels, or of an earlier layer's map.
        extractor: the feature set that the recipe names; None where the network begins with convolutions.
        source: its weights.
        head: a trained head, runs/<suite>/<start>/head.keras. A network takes it over, another head its shared layers;
            None starts at random.
        start: the identity of that run.
    """

    reads: FeatureSet
    extractor: FeatureSet | None = None
    source: weights.Source | None = None
    head: pathlib.Path | None = None
    start: dict[str, Any] | None = None

    @property
    def backbone(self) -> tuple[FeatureSet, weights.Source]:
        """The extractor and its weights, of a network that begins with one."""
        assert self.extractor and self.source
        return self.extractor, self.source

    @property
    def identity(self) -> dict[str, Any]:
        """All that shapes the network beside its recipe and its store, as JSON holds it."""
        fields = dataclasses.asdict(self.extractor) if self.extractor else {}
        return {
            "extractor": {name: value for name, value in fields.items() if name not in UNSHAPED},
            "weights": self.source.digest if self.source else "",
            "start": self.start,
        }


def check(reads: FeatureSet, extractor: FeatureSet | None) -> None:
    """Refuse a store that a network cannot read.

    Raises:
        InputError: photos of another size; features of another backbone, other weights, or no maps; a view.
    """
    if extractor is None:
        return _refuse(backbones.is_pixels(reads), "A network of convolutions reads a store of pixels", reads)
    _refuse(extractor.backbone in backbones.BACKBONES, "A network begins with a backbone", extractor)
    _refuse(extractor.view == reads.view == "whole", 'A network sees photos as wholes (view="whole")', reads)
    for each in (extractor, reads):
        _refuse(not each.crop, "A network sees photos as wholes (no crop)", each)
    alike_sides = backbones.pixels(reads.size) == backbones.pixels(extractor.size)
    _refuse(alike_sides, f"The network takes photos of the size {extractor.size!r}", reads)
    if not backbones.is_pixels(reads):
        alike = (reads.backbone, reads.weights) == (extractor.backbone, extractor.weights)
        is_map = reads.pool == "grid" and reads.layer not in ("last", extractor.layer)
        wanted = f'The network reads pixels, or maps (pool="grid") of an earlier layer of {extractor.backbone}'
        _refuse(alike and is_map, wanted, reads)
        _refuse(extractor.pool != "blocks", 'Over maps a network cannot have the pool "blocks"', extractor)


def refuse_changes_of_maps(reads: FeatureSet, network: Network) -> None:
    """Refuse phases that change photos, and views of them, where a network reads maps.

    Raises:
        InputError: with the fields.
    """
    plain, phases = Phase(), enumerate(network.phases)
    changes = [
        (f"phases[{number}].{name}", phase, name) for number, phase in phases for name in ("size", "augmentation")
    ]
    said = [field for field, phase, name in changes if getattr(phase, name) != getattr(plain, name)]
    said += ["views"] if network.views else []
    if said and not backbones.is_pixels(reads):
        raise InputError(
            f"network.{', network.'.join(said)}: maps stay as they are stored; expected a store of pixels."
        )


def refuse_pixels(read: Mapping[str, FeatureSet]) -> None:
    """Refuse stores of pixels, {name: feature set}, for a head without a network.

    Raises:
        InputError: with the store's name.
    """
    for name, feature_set in read.items():
        if backbones.is_pixels(feature_set):
            raise InputError(f"The store {name} holds pixels, which a head cannot read: expected a network before it.")


def _refuse(is_fine: bool, wanted: str, found: FeatureSet) -> None:
    if not is_fine:
        raise InputError(f"{wanted}: found {found}.")

"""What a feature store lacks: recipe, weights and annotations against the shards there. Loads no network."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

from mlob.data import images
from mlob.data.dataset import DataSet
from mlob.errors import InputError
from mlob.features import backbones, changes, log, runtimes, store, weights
from mlob.features.changes import Changes
from mlob.features.fingerprint import Fingerprint
from mlob.features.pipeline import Slice
from mlob.files import remove_stale_parts
from mlob.recipes import FeatureSet


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a feature store lacks.

    Attributes:
        slices: those whose shard is missing, or of photos that have come or changed since.
        source: the weights, None where they must be downloaded first.
        fingerprint: of the store, None where nothing is there.
        rate: photos a second of all that was ever extracted with this feature set; None where nothing was.
        changes: {path of a shard that is there: `Changes`}, of those whose photos are not as noted.
    """

    slices: tuple[Slice, ...]
    source: weights.Source | None
    fingerprint: Fingerprint | None
    rate: float | None
    changes: dict[pathlib.Path, Changes] = dataclasses.field(default_factory=dict)

    @property
    def photos(self) -> int:
        """The number of photos still to be extracted."""
        return sum(len(lacking.ids) for lacking in self.slices)

    def summary(self, feature_set: FeatureSet) -> str:
        """Tell what would be done, from what, and how long it takes at the measured rate."""
        return " ".join([*changes.summary(self.changes), self._work(feature_set)])

    def _work(self, feature_set: FeatureSet) -> str:
        if not self.slices:
            return "complete"
        origin = self.source.kind if self.source else "imagenet, to be downloaded"
        time_left = (
            f"about {self.photos / self.rate:,.0f} s at the measured {self.rate:.1f} photos/s"
            if self.rate
            else "no rate measured yet"
        )
        return f"{self.photos:,} photos through {feature_set.backbone} (weights: {origin}), {time_left}"


def plan(
    name: str,
    feature_set: FeatureSet,
    dataset: DataSet,
    store_folder: pathlib.Path,
    given: pathlib.Path | str | None = None,
) -> Plan:
    """Compare a store with its recipe, weights and annotations, without loading a network.

    Args:
        name: of the feature set.
        feature_set: its recipe.
        dataset: whose photos the features are made of.
        store_folder: features/<set>/<data set>.
        given: WEIGHTS=, a file or a folder.

    Raises:
        InputError: a shard of another fingerprint or of other photos; weights that are not there.
    """
    remove_stale_parts(store_folder)
    fingerprint = store.fingerprint(store_folder)
    source = weights.at_hand(feature_set, given)
    if source is None and fingerprint and fingerprint.weights == weights.random().digest:
        source = weights.random()
    if fingerprint:
        store.check_fingerprint(store_folder, asked_for(feature_set, source), fingerprint)
    slices = dict(pair for split in dataset.splits for pair in _slices(name, dataset, split, store_folder / split))
    there = {path: photos for path, photos in slices.items() if path.is_file()}
    suspects = _suspects(there, fingerprint)
    size = backbones.SIZES[feature_set.size]
    changed = changes.compare(name, suspects, size, is_remote=dataset.is_remote)
    whole = {path for path in there if not (path in changed and changed[path].changed)}
    lacking = tuple(photos for path, photos in slices.items() if path not in whole)
    return Plan(lacking, source, fingerprint, log.rate(store_folder.parent.glob("*/")), changed)


def fingerprint(
    feature_set: FeatureSet, source: weights.Source, choice: runtimes.Choice, calibration: str | None = None
) -> Fingerprint:
    """Give the fingerprint of the features that a recipe makes on some weights.

    Args:
        feature_set: the recipe.
        source: the weights.
        choice: runtime and precision.
        calibration: digest of the photos that int8 is calibrated on.
    """
    return Fingerprint(
        **_of_recipe(feature_set),
        weights=source.digest,
        runtime=choice.runtime,
        precision=choice.precision,
        calibration=calibration,
    )


def asked_for(feature_set: FeatureSet, source: weights.Source | None) -> dict[str, str | int | None]:
    """Give those fields of the fingerprint that recipe and weights settle, whatever the machine: {field: value}."""
    machine = {"runtime": feature_set.runtime, "precision": feature_set.precision}
    settled = {field: choice for field, choice in machine.items() if choice != "auto"}
    return {**_of_recipe(feature_set), **({"weights": source.digest} if source else {}), **settled}


def _of_recipe(feature_set: FeatureSet) -> dict[str, Any]:
    return {
        "backbone": feature_set.backbone,
        "size": backbones.SIZES[feature_set.size],
        "layer": feature_set.layer,
        "pool": feature_set.pool,
        "view": feature_set.view,
        "preprocessing": backbones.PREPROCESSING_VERSION,
        "decoder": images.DECODER,
    }


def _slices(
    name: str, dataset: DataSet, split: str, split_folder: pathlib.Path
) -> Iterator[tuple[pathlib.Path, Slice]]:
    """Give (path of the shard, its photos) of each slice of a split."""
    remove_stale_parts(split_folder)
    ids, places, versions = dataset[split].ids, dataset.photos(split), dataset.versions[split]
    if not any(places):
        raise InputError(
            f"None of the {len(ids):,} {split} photos lies in {dataset.folder} (looked for "
            f"{dataset.looked_for(split)}): put them there."
        )
    start = 0
    for number, slice_ids in enumerate(store.slices(ids)):
        rows = slice(start, start := start + len(slice_ids))
        photos = Slice(split, number, slice_ids, places[rows], (name,), versions[rows])
        yield store.shard_path(split_folder, number), photos


def _suspects(slices: dict[pathlib.Path, Slice], declared: Fingerprint | None) -> dict[pathlib.Path, changes.Suspect]:
    """Check the shards that are there, {path: its photos}; give those whose photos are not as noted."""
    suspects = {}
    for path, photos in slices.items():
        header = store.header(path)
        expected = declared or header.fingerprint
        store.check_fingerprint(path.parent.parent, expected.fields(), header.fingerprint)
        store.check_ids(path, photos.ids, header.ids)
        if suspect := changes.suspect(path, header, photos):
            suspects[path] = suspect
    return suspects

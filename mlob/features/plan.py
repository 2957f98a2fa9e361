"""What feature stores lack: recipe, weights and annotations against the rows there. Loads no network."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlob.data import images
from mlob.data.dataset import DataSet
from mlob.errors import InputError, counted
from mlob.features import (
    backbones,
    changes,
    contents,
    cropping,
    decoding,
    deliveries,
    log,
    runtimes,
    store,
    table,
    weights,
)
from mlob.features.changes import Changes
from mlob.features.contents import Photos
from mlob.features.fingerprint import Fingerprint, settings
from mlob.features.pipeline import Slice
from mlob.features.table import Index, Table
from mlob.files import remove_stale_parts
from mlob.recipes import Encoder, FeatureSet


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a feature store lacks.

    Attributes:
        slices: those of deliveries that were begun, whose shard is missing.
        lacking: {split: files of no delivery yet, digests of their paths, uint64 (n,)}, in annotation order.
        delivery: number of the one that they would be.
        indices: {split: `Index`}, of the annotations as they are.
        source: the weights, None where they must be downloaded first.
        fingerprint: of the store, None where nothing is there.
        rate: photos a second of all that was ever extracted with this feature set; None where nothing was.
        annotated: {split: `Photos`}, as they were when the first plan was made.
        changes: what has become of them since the store saw them.
    """

    slices: tuple[Slice, ...]
    lacking: dict[str, np.ndarray]
    delivery: int
    indices: dict[str, Index]
    source: weights.Source | None
    fingerprint: Fingerprint | None
    rate: float | None
    annotated: dict[str, Photos]
    changes: Changes

    @property
    def photos(self) -> int:
        """The number of photos still to be extracted."""
        return sum(len(photos.ids) for photos in self.slices) + sum(map(len, self.lacking.values()))

    @property
    def lacks_delivery(self) -> bool:
        """Whether some photos are in no delivery yet."""
        return any(map(len, self.lacking.values()))

    def summary(self, feature_set: FeatureSet) -> str:
        """Tell what would be done, from what, and how long it takes at the measured rate."""
        return " ".join([*self.changes.summary(), self._work(feature_set)])

    def _work(self, feature_set: FeatureSet) -> str:
        if not self.photos:
            return "complete"
        origin = self.source.kind if self.source else f"{feature_set.weights}, to be downloaded"
        time_left = (
            f"about {self.photos / self.rate:,.0f} s at the measured {self.rate:.1f} photos/s"
            if self.rate
            else "no rate measured yet"
        )
        photos = counted(self.photos, "photo")
        if backbones.is_pixels(feature_set):
            return f"{photos} to be decoded, whose pixels are kept, {time_left}"
        lacking = cropping.fault(feature_set.crop) if feature_set.crop else ""
        return f"{photos} through {feature_set.backbone} (weights: {origin}), {time_left} {lacking}".rstrip()


def plan(
    sets: Mapping[str, tuple[FeatureSet, pathlib.Path]], dataset: DataSet, given: pathlib.Path | str | None = None
) -> dict[str, Plan]:
    """Compare stores with their recipes, weights and annotations, without loading a network.

    Photos are read where the path, size or time of their file is new to a store that holds features: they may be there
    under another name.

    Args:
        sets: {name: (feature set, folder of its store: features/<set>/<data set>)}.
        dataset: whose photos the features are made of.
        given: WEIGHTS=, a file or a folder.

    Raises:
        InputError: a store of another fingerprint; weights that are not there; a split without photos.
    """
    photos = contents.look(dataset)
    sources = {name: weights.at_hand(recipe, given) for name, (recipe, _) in sets.items()}
    return _plans(sets, sources, photos, dataset)


def again(
    sets: Mapping[str, tuple[FeatureSet, pathlib.Path]], plans: Mapping[str, Plan], dataset: DataSet
) -> dict[str, Plan]:
    """Compare stores once more, with the photos and the weights of their plans.

    Args:
        sets: as of `plan`.
        plans: {name: `Plan`}, those of `sets` and maybe more.
        dataset: as of `plan`.
    """
    photos = next(iter(plans.values())).annotated
    return _plans(sets, {name: plans[name].source for name in sets}, photos, dataset)


def _plans(
    sets: Mapping[str, tuple[FeatureSet, pathlib.Path]],
    sources: Mapping[str, weights.Source | None],
    photos: dict[str, Photos],
    dataset: DataSet,
) -> dict[str, Plan]:
    begun = {name: _begun(recipe, folder, sources[name], [*photos]) for name, (recipe, folder) in sets.items()}
    for name, (_, folder) in sets.items():
        contents.recognise(photos, folder, begun[name].indices)
    for split, found in photos.items():
        _check_some_there(dataset, split, found)
    _read(begun, photos, dataset.is_remote)
    return {name: _plan(name, *sets[name], begun[name], photos) for name in sets}


@dataclasses.dataclass(frozen=True)
class _Begun:
    """What is there of a store: its rows, the slices of its deliveries that are not made yet, source and fingerprint.

    Attributes:
        delivery: number of the next one.
        indices: {split: `Index`}, as it was written last.
    """

    source: weights.Source | None
    fingerprint: Fingerprint | None
    delivery: int
    unmade: dict[pathlib.Path, np.ndarray]
    table: Table
    indices: dict[str, Index]

    def in_slices(self, found: Photos) -> np.ndarray:
        """Tell which photos go into these slices: bool (n,)."""
        files = np.concatenate([np.empty(0, np.uint64), *self.unmade.values()])
        return (found.files != 0) & np.isin(found.files, files)


def _begun(
    feature_set: FeatureSet, store_folder: pathlib.Path, source: weights.Source | None, splits: Sequence[str]
) -> _Begun:
    for folder in (store_folder, *store_folder.glob("*/")):
        remove_stale_parts(folder)
    fingerprint = store.fingerprint(store_folder)
    if source is None and fingerprint and fingerprint.weights == weights.random().digest:
        source = weights.random()
    if fingerprint:
        store.check_fingerprint(store_folder, asked_for(feature_set, source), fingerprint)
    # In this order: a delivery that is begun meanwhile is found when this one is to be, a shard that is made is read.
    delivery = deliveries.next_number(store_folder)
    unmade = deliveries.unmade(store_folder)
    rows = table.read(store_folder)
    indices = {split: table.read_index(store_folder, split) for split in splits}
    return _Begun(source, fingerprint, delivery, unmade, rows, indices)


def _check_some_there(dataset: DataSet, split: str, found: Photos) -> None:
    if not found.files.any() and not found.digests.any():
        raise InputError(
            f"None of the {len(found.ids):,} {split} photos lies in {dataset.folder} (looked for "
            f"{dataset.looked_for(split)}): put them there."
        )


def _read(begun: Mapping[str, _Begun], photos: Mapping[str, Photos], is_remote: bool) -> None:
    """Read the photos that a store which holds features may know by their content."""
    asking = {name: there for name, there in begun.items() if not there.table.is_empty}
    chosen = []
    for found in photos.values():
        asked = [~there.in_slices(found) for there in asking.values()]
        unknown = (found.files != 0) & ~found.known
        chosen.append((found, unknown & np.any(asked, axis=0) if asked else np.zeros(len(found.ids), bool)))
    contents.read(" + ".join(asking), chosen, is_remote=is_remote)


def _plan(
    name: str, feature_set: FeatureSet, store_folder: pathlib.Path, there: _Begun, photos: dict[str, Photos]
) -> Plan:
    wanted = {split: _wanted(found, there, backbones.side(feature_set)) for split, found in photos.items()}
    _drop_repeats(photos, wanted, there)
    return Plan(
        tuple(_slices(name, there, photos)),
        {split: found.files[wanted[split]] for split, found in photos.items()},
        there.delivery,
        {split: _index(found, there.table) for split, found in photos.items()},
        there.source,
        there.fingerprint,
        log.rate(store_folder.parent.glob("*/")),
        photos,
        changes.count(there.indices, photos, wanted),
    )


def _wanted(found: Photos, there: _Begun, size: int) -> np.ndarray:
    """Choose the photos that have no row and are in no slice: bool (n,)."""
    is_free = (found.files != 0) & ~there.in_slices(found)
    if there.table.is_empty:
        return is_free & ~(found.known & (found.digests == 0))
    lacking = is_free & (found.digests != 0) & ~there.table.has(found.digests)
    for row in np.flatnonzero(lacking & there.table.has_failed(found.digests)).tolist():
        reason = there.table.failures[int(found.digests[row])]
        lacking[row] = contents.is_unread(reason) and decoding.photo(found.places[row], size).reason != reason
    return lacking


def _drop_repeats(photos: Mapping[str, Photos], wanted: dict[str, np.ndarray], there: _Begun) -> None:
    """Leave one of several photos of one content, none where one is in a slice; of those never read one of each file.

    Args:
        photos: {split: `Photos`}.
        wanted: {split: bool (n,)}, where the rest is taken out.
        there: what the store has.
    """
    columns = {split: found.files if there.table.is_empty else found.digests for split, found in photos.items()}
    taken = np.concatenate([columns[split][there.in_slices(found)] for split, found in photos.items()])
    for split, column in columns.items():
        rows = np.flatnonzero(wanted[split])
        keys = column[rows]
        _, first = np.unique(keys, return_index=True)
        first = np.sort(first[~np.isin(keys[first], taken)])
        wanted[split] = np.isin(np.arange(len(column)), rows[first])
        taken = np.concatenate([taken, keys[first]])


def _slices(name: str, there: _Begun, photos: Mapping[str, Photos]) -> list[Slice]:
    """Find the photos of the slices that are not made yet; what is gone, or has a row meanwhile, is passed over."""
    at = {
        int(found.files[row]): (found, row)
        for found in photos.values()
        for row in np.flatnonzero(there.in_slices(found) & ~there.table.has(found.digests)).tolist()
    }
    slices = []
    for path, files in there.unmade.items():
        kept = [at[file] for file in files.tolist() if file in at]
        if kept:
            seen = np.array([found.seen[row] for found, row in kept], np.uint64)
            ids, places = (tuple(found.ids[row] for found, row in kept), [found.places[row] for found, row in kept])
            slices.append(Slice(ids, places, {name: path}, seen))
    return slices


def _index(found: Photos, rows: Table) -> Index:
    """List a split's photos with their digests, and why some have no row."""
    failures = {}
    for row in np.flatnonzero(~rows.has(found.digests)).tolist():
        name = found.ids[row]
        if reason := rows.failures.get(int(found.digests[row])) or found.failures.get(name):
            failures[name] = reason
    seen = np.where(found.known | (found.files == 0), found.seen, np.uint64(0))
    return Index(found.ids, found.digests, seen, failures)


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
        "backbone": backbones.FILE if backbones.is_file(feature_set) else feature_set.backbone,
        "size": backbones.side(feature_set),
        "layer": feature_set.layer,
        "pool": feature_set.pool,
        "view": cropping.view(feature_set) if feature_set.crop else feature_set.view,
        "preprocessing": backbones.PREPROCESSING_VERSION,
        "decoder": images.DECODER,
        "detector": settings(feature_set.detector) if feature_set.detector else "",
        "encoder": settings(feature_set.encoder or Encoder()) if backbones.is_file(feature_set) else "",
    }

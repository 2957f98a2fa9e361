"""What a feature store lacks: recipe, weights and annotations against the shards there. Loads no network."""

import dataclasses

from mlob.data import images
from mlob.errors import InputError
from mlob.features import backbones, changes, log, runtimes, store, weights
from mlob.features.pipeline import Slice
from mlob.files import remove_stale_parts

OPEN = ("auto", None)  # values of a fingerprint that a recipe leaves to the machine


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a feature store lacks.

    Attributes:
        slices: those whose shard is missing, or of photos that have come or changed since.
        source: the weights, None where they must be downloaded first.
        found: fingerprint of the store, None where nothing is there.
        rate: photos a second of all that was ever extracted with this feature set; None where nothing was.
        changes: {path of a shard that is there: `changes.Changes`}, of those whose photos are not as noted.
    """

    slices: tuple[Slice, ...]
    source: weights.Source | None
    found: dict | None
    rate: float | None
    changes: dict = dataclasses.field(default_factory=dict)

    @property
    def photos(self):
        """The number of photos still to be extracted."""
        return sum(len(one.ids) for one in self.slices)

    def text(self, features):
        """Tell what would be done, from what, and how long it takes at the measured rate."""
        return " ".join([*changes.told(self.changes), self._work(features)])

    def _work(self, features):
        if not self.slices:
            return "complete"
        origin = self.source.kind if self.source else "imagenet, to be downloaded"
        time_left = (
            f"about {self.photos / self.rate:,.0f} s at the measured {self.rate:.1f} photos/s"
            if self.rate
            else "no rate measured yet"
        )
        return f"{self.photos:,} photos through {features.backbone} (weights: {origin}), {time_left}"


def plan(name, features, dataset, folder, given=None):
    """Compare a store with its recipe, weights and annotations, without loading a network.

    Args:
        name: of the feature set.
        features: its recipe.
        dataset: the `DataSet`.
        folder: features/<set>/<data set>.
        given: WEIGHTS=, a file or a folder.

    Raises:
        InputError: a shard of another fingerprint or of other photos; weights that are not there.
    """
    remove_stale_parts(folder)
    found = store.fingerprint(folder)
    source = weights.at_hand(features, given)
    if source is None and found and found["weights"] == weights.random().digest:
        source = weights.random()
    if found:
        store.check(folder, asked_for(features, source), found)
    slices = {path: one for split in dataset.splits for path, one in _slices(name, dataset, split, folder / split)}
    suspects = _suspects({path: one for path, one in slices.items() if path.is_file()}, found)
    changed = changes.compare(name, suspects, backbones.SIZES[features.size], dataset.is_remote)
    kept = {path for path in slices if path.is_file() and not (path in changed and changed[path].changed)}
    lacking = [one for path, one in slices.items() if path not in kept]
    return Plan(tuple(lacking), source, found, log.rate(folder.parent.glob("*/")), changed)


def fingerprint(features, source, choice, calibration=None):
    """Give all that shapes a feature: two stores of equal fingerprint hold equal features of equal photos."""
    return {
        "backbone": features.backbone,
        "size": backbones.SIZES[features.size],
        "layer": features.layer,
        "pool": features.pool,
        "view": features.view,
        "preprocessing": backbones.PREPROCESSING_VERSION,
        "decoder": images.DECODER,
        "weights": source.digest if source else None,
        "runtime": choice.runtime,
        "precision": choice.precision,
        "calibration": calibration,
    }


def asked_for(features, source):
    """Give those fields of the fingerprint that recipe and weights settle, whatever the machine."""
    declared = fingerprint(features, source, runtimes.Choice(features.runtime, features.precision))
    return {field: value for field, value in declared.items() if value not in OPEN}


def _slices(name, dataset, split, folder):
    """Give (path of the shard, `pipeline.Slice`) of each slice of a split."""
    remove_stale_parts(folder)
    ids, places, versions = dataset[split].ids, dataset.photos(split), dataset.versions[split]
    if not any(places):
        raise InputError(
            f"None of the {len(ids):,} {split} photos lies in {dataset.folder} (looked for "
            f"{dataset.looked_for(split)}): put them there."
        )
    start = 0
    for number, slice_ids in enumerate(store.slices(ids)):
        rows = slice(start, start := start + len(slice_ids))
        yield store.shard_path(folder, number), Slice(split, number, slice_ids, places[rows], (name,), versions[rows])


def _suspects(slices, found):
    """Check the shards that are there, {path: slice}; give {path: `changes.Suspect`} of those not as noted."""
    suspects = {}
    for path, one in slices.items():
        header = store.header(path)
        store.check(path.parent.parent, found, header.fingerprint)
        store.check_ids(path, one.ids, header.ids)
        suspects[path] = changes.suspect(path, header, one)
    return {path: one for path, one in suspects.items() if one}

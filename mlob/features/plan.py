"""What a feature store lacks: recipe, weights and annotations against the shards there. Loads no network."""

import dataclasses

from mlob.data import images
from mlob.errors import InputError
from mlob.features import backbones, log, runtimes, store, weights
from mlob.features.pipeline import Slice
from mlob.files import remove_stale_parts

NO_FILE = "no file"
OPEN = ("auto", None)  # values of a fingerprint that a recipe leaves to the machine


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a feature store lacks.

    Attributes:
        slices: those whose shard is missing.
        source: the weights, None where they must be downloaded first.
        found: fingerprint of the store, None where nothing is there.
        rate: photos a second of all that was ever extracted with this feature set; None where nothing was.
    """

    slices: tuple[Slice, ...]
    source: weights.Source | None
    found: dict | None
    rate: float | None

    @property
    def photos(self):
        """The number of photos still to be extracted."""
        return sum(len(one.ids) for one in self.slices)

    def text(self, features):
        """Tell what would be done, from what, and how long it takes at the measured rate."""
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
    slices = [one for split in dataset.splits for one in _missing(name, dataset, split, folder / split, found)]
    return Plan(tuple(slices), source, found, log.rate(folder.parent.glob("*/")))


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


def _missing(name, dataset, split, folder, found):
    """List the slices whose shard is not there, or holds a photo as missing whose file has come since."""
    remove_stale_parts(folder)
    ids, places = dataset[split].ids, dataset.photos(split)
    if not any(places):
        raise InputError(
            f"None of the {len(ids):,} {split} photos lies in {dataset.folder} (looked for "
            f"images/{split}/{ids[0]}.jpg, images/{ids[0]}.jpg and the relative url): put them there."
        )
    start = 0
    for number, slice_ids in enumerate(store.slices(ids)):
        path, there = store.shard_path(folder, number), places[start : start + len(slice_ids)]
        start += len(slice_ids)
        if not path.is_file() or _has_come(path, slice_ids, there, found):
            yield Slice(split, number, slice_ids, there, (name,))


def _has_come(path, ids, places, found):
    header = store.header(path)
    store.check(path.parent.parent, found, header.fingerprint)
    store.check_ids(path, ids, header.ids)
    missing = {name for name, reason in header.failures.items() if reason == NO_FILE}
    return any(place and name in missing for name, place in zip(ids, places, strict=True))

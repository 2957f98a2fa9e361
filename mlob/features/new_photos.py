"""Features of photos outside of any data set: extracted once, and known again by their bytes."""

import pathlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from mlob.data.places import Place
from mlob.errors import InputError
from mlob.features import backbones, contents, pipeline, store, weights
from mlob.features.extents import Extent
from mlob.features.extract import Extraction
from mlob.features.fingerprint import Fingerprint
from mlob.files import digest
from mlob.machine import load_keras
from mlob.progress import bar
from mlob.recipes import FeatureSet


class Rows(Mapping[str, np.ndarray]):
    """The features of photos by their digest, float16, or uint8 pixels; each is read when it is asked for.

    Args:
        located: {digest text: (shard, row in it)}.
    """

    def __init__(self, located: dict[str, tuple[Extent, int]]) -> None:
        self._located = located

    def __getitem__(self, photo: str, /) -> np.ndarray:
        """Read a photo's features."""
        extent, row = self._located[photo]
        return extent.take(np.array([row]))[0]

    def __iter__(self) -> Iterator[str]:
        """Go through the digests."""
        return iter(self._located)

    def __len__(self) -> int:
        """Count the photos."""
        return len(self._located)


def extract(
    feature_set: FeatureSet,
    store_folder: pathlib.Path,
    photos: Mapping[str, Place],
    folder: pathlib.Path,
    given: pathlib.Path | str | None = None,
    name: str = "",
) -> tuple[Rows, dict[str, str]]:
    """Give the features of photos outside of any data set, extracting those that were never seen before.

    Photos go by the digest of their bytes, so that one that was renamed or moved is known again.

    Args:
        feature_set: the recipe.
        store_folder: of the store that the models were trained on; these photos are extracted alike.
        photos: {digest text: place}.
        folder: where the features of such photos are kept, a folder of this feature set.
        given: WEIGHTS=.
        name: of the feature set, for the terminal.

    Returns:
        (features of the photos, {digest text: why it cannot be read}).

    Raises:
        InputError: the weights are not at hand, or are others than the store's; the store is not there.
    """
    folder = folder / digest(_fingerprint(store_folder).to_json())[:16]
    paths = sorted(folder.glob("[0-9]*.h5"))
    located, failures = _locate(paths, photos)
    known = {*located, *(photo for photo, reason in failures.items() if not contents.is_unread(reason))}
    if new := {photo: place for photo, place in photos.items() if photo not in known}:
        load_keras()
        work = alike(feature_set, store_folder, given)
        more, failed = _locate(_extract_photos(name, work, new, folder, first=len(paths)), photos)
        located, failures = located | more, failures | failed
    return Rows(located), {photo: reason for photo, reason in failures.items() if photo not in located}


def alike(feature_set: FeatureSet, store_folder: pathlib.Path, given: pathlib.Path | str | None) -> Extraction:
    """Give what extracts photos as a store's own were.

    Args:
        feature_set, store_folder, given: as of `extract`.

    Raises:
        InputError: as `extract`.
    """
    made_with = _fingerprint(store_folder)
    return Extraction(feature_set, _source_of(feature_set, made_with, given), store_folder, made_with)


def _fingerprint(store_folder: pathlib.Path) -> Fingerprint:
    found = store.fingerprint(store_folder)
    if found is None:
        raise InputError(f"{store_folder} holds no features: run `make features`.")
    return found


def _locate(
    paths: Iterable[pathlib.Path], photos: Mapping[str, Place]
) -> tuple[dict[str, tuple[Extent, int]], dict[str, str]]:
    """Find photos in shards, all of whose bytes are checked: (where they lie, why others cannot be read)."""
    located: dict[str, tuple[Extent, int]] = {}
    failures: dict[str, str] = {}
    for path in paths:
        shard, extent = store.read(path), store.extent(path)
        located |= {photo: (extent, row) for row, photo in enumerate(shard.ids) if photo in photos}
        failures |= {photo: reason for photo, reason in shard.failures.items() if photo in photos}
    return located, failures


def _source_of(feature_set: FeatureSet, made_with: Fingerprint, given: pathlib.Path | str | None) -> weights.Source:
    """Find again the weights that a store was made with."""
    is_random = made_with.weights == weights.random().digest
    source = weights.random() if is_random else weights.at_hand(feature_set, given) or weights.download(feature_set)
    if source.digest != made_with.weights and backbones.kind(feature_set):
        raise InputError(f"The models were trained on features of another {source.path} than lies there: copy it back.")
    if source.digest != made_with.weights:
        raise InputError(
            f"The models were trained on features of other weights of {feature_set.backbone} than {source.kind}: "
            "name theirs with WEIGHTS=."
        )
    return source


def _extract_photos(
    name: str, work: Extraction, photos: dict[str, Place], folder: pathlib.Path, first: int
) -> Iterator[pathlib.Path]:
    """Make shards of photos in a folder, numbered from the first, and give their paths."""
    slices = [
        pipeline.Slice(tuple(ids), [photos[photo] for photo in ids], {name: store.shard_path(folder, number)})
        for number, ids in enumerate(store.slices(list(photos)), first)
    ]
    extractors, known = {name: work.extractor()}, {name: pipeline.Known()}
    with bar(name, len(photos)) as advance:
        for made in pipeline.make_shards(slices, extractors, work.fingerprint.size, known=known, advance=advance):
            store.write(made.photos.shards[name], made.shards[name], work.fingerprint)
            yield made.photos.shards[name]

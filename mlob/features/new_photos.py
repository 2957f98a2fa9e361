"""Features of photos outside of any data set: extracted once, and known again by their bytes."""

import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from mlob.data.places import Place
from mlob.errors import InputError
from mlob.features import contents, jpegs, pipeline, store, weights
from mlob.features.extract import Extraction
from mlob.features.fingerprint import Fingerprint
from mlob.files import digest
from mlob.machine import load_keras
from mlob.progress import bar
from mlob.recipes import FeatureSet


def extract(
    feature_set: FeatureSet,
    store_folder: pathlib.Path,
    photos: Mapping[str, Place],
    folder: pathlib.Path,
    given: pathlib.Path | str | None = None,
    name: str = "",
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
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
        ({digest text: float16 features, or uint8 pixels}, {digest text: why it cannot be read}).

    Raises:
        InputError: the weights are not at hand, or are others than the store's; the store is not there.
    """
    alike = store.fingerprint(store_folder)
    if alike is None:
        raise InputError(f"{store_folder} holds no features: run `make features`.")
    folder = folder / digest(alike.to_json())[:16]
    shards = [store.read(path) for path in sorted(folder.glob("[0-9]*.h5"))]
    new = _never_seen(photos, shards)
    if new:
        load_keras()
        work = Extraction(feature_set, _source_of(feature_set, alike, given), store_folder, alike)
        shards += _extract_photos(name, work, new, folder, first=len(shards))
    decoded = ((shard.ids, jpegs.decode(shard.features, alike.size)) for shard in shards)
    rows = {photo: row for ids, features in decoded for photo, row in zip(ids, features, strict=True)}
    failures = {photo: reason for shard in shards for photo, reason in shard.failures.items()}
    return rows, {photo: reason for photo, reason in failures.items() if photo not in rows}


def _source_of(feature_set: FeatureSet, made_with: Fingerprint, given: pathlib.Path | str | None) -> weights.Source:
    """Find again the weights that a store was made with."""
    is_random = made_with.weights == weights.random().digest
    source = weights.random() if is_random else weights.at_hand(feature_set, given) or weights.download(feature_set)
    if source.digest != made_with.weights:
        raise InputError(
            f"The models were trained on features of other weights of {feature_set.backbone} than {source.kind}: "
            "name theirs with WEIGHTS=."
        )
    return source


def _never_seen(photos: Mapping[str, Place], shards: list[store.Shard]) -> dict[str, Place]:
    """Give the photos that no shard has features of, nor a failure that is a fault of their bytes."""
    known = {photo for shard in shards for photo in shard.ids}
    for shard in shards:
        known |= {photo for photo, reason in shard.failures.items() if not contents.is_unread(reason)}
    return {photo: place for photo, place in photos.items() if photo not in known}


def _extract_photos(
    name: str, work: Extraction, photos: dict[str, Place], folder: pathlib.Path, first: int
) -> Iterator[store.Shard]:
    """Make shards of photos in a folder, numbered from the first."""
    slices = [
        pipeline.Slice(tuple(ids), [photos[photo] for photo in ids], {name: store.shard_path(folder, number)})
        for number, ids in enumerate(store.slices(list(photos)), first)
    ]
    extractors, known = {name: work.extractor()}, {name: pipeline.Known()}
    with bar(name, len(photos)) as advance:
        for made in pipeline.make_shards(slices, extractors, work.fingerprint.size, known=known, advance=advance):
            store.write(made.photos.shards[name], made.shards[name], work.fingerprint)
            yield made.shards[name]

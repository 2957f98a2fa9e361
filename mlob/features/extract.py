"""Extraction: what is missing from feature stores is decoded, run through the backbones and written, shard by shard."""

import collections
import concurrent.futures
import dataclasses
import functools
import itertools
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mlob import engine
from mlob.data import factsheet, owners, splits
from mlob.data.dataset import DataSet
from mlob.errors import InputError, counted
from mlob.features import (
    backbones,
    contents,
    cropping,
    decoding,
    deliveries,
    forms,
    log,
    pipeline,
    runtimes,
    store,
    table,
    weights,
)
from mlob.features.fingerprint import Fingerprint
from mlob.features.pipeline import Slice
from mlob.features.plan import Plan, again, asked_for, fingerprint, plan
from mlob.files import digest
from mlob.machine import load_keras, processor
from mlob.progress import bar, say
from mlob.recipes import FeatureSet

SAMPLE = 32  # train photos on which a precision is proved
CALIBRATION = 64  # train photos that int8 is calibrated on


@dataclasses.dataclass(frozen=True)
class Extraction:
    """A store that is being made: all that a worker needs, wherever it runs.

    Attributes:
        feature_set: the recipe.
        source: the weights.
        store_folder: features/<set>/<data set>.
        fingerprint: of the store.
        parameters: of the backbone.
    """

    feature_set: FeatureSet
    source: weights.Source
    store_folder: pathlib.Path
    fingerprint: Fingerprint
    parameters: int = 0

    @property
    def choice(self) -> runtimes.Choice:
        """The runtime and the precision that the fingerprint names."""
        return runtimes.Choice(self.fingerprint.runtime, self.fingerprint.precision)

    def extractor(self) -> pipeline.Extractor:
        """Give the extractor that does the work."""
        extractor = forms.of(self.feature_set, self.source, self.store_folder)
        return pipeline.Extractor(self.feature_set.view, extractor.settle(self.choice))


def extract(
    sets: Mapping[str, tuple[FeatureSet, pathlib.Path]],
    dataset: DataSet,
    *,
    given: pathlib.Path | str | None = None,
    random_fallback: bool = False,
    part: tuple[int, int] = (1, 1),
    run: Callable[..., None] = engine.here,
) -> None:
    """Make what feature stores lack; stores of one size share the decoding.

    Args:
        sets: {name: (feature set, folder of its store: features/<set>/<data set>)}.
        dataset: whose photos the features are made of.
        given: WEIGHTS=, a file or a folder.
        random_fallback: take random weights where the ImageNet ones cannot be had.
        part: (i, n) makes the i-th of n parts of the missing slices, i from 1; other parts are made elsewhere.
        run: an engine.

    Raises:
        InputError: as `plan`; no readable photo in a split; a full disk.
    """
    plans = plan(sets, dataset, given)
    for name, (_, folder) in sets.items():
        for sentence in plans[name].changes.summary():
            say(f"{name}: {sentence}")
        _write_indices(folder, plans[name], dataset)
    lacking = {name: sets[name] for name in sets if plans[name].photos}
    for name, (recipe, folder) in lacking.items():
        if backbones.kind(recipe):  # what is wrong with a file is told before other sets take hours
            forms.of(recipe, plans[name].source, folder)
        if recipe.crop:
            cropping.answer(recipe)
    for side in dict.fromkeys(backbones.side(recipe) for recipe, _ in lacking.values()):
        load_keras()
        of_size = {
            name: (recipe, folder) for name, (recipe, folder) in lacking.items() if backbones.side(recipe) == side
        }
        work = {name: _settle(name, *of_size[name], plans[name], dataset, random_fallback) for name in of_size}
        if slices := _part(_begin(of_size, plans, dataset), *part):
            with bar(" + ".join(work), sum(len(photos.ids) for photos in slices)) as advance:
                run(functools.partial(make_slices, work, dataset.is_remote), slices, advance)
            _tell_seconds(work, slices)
        forms.of.cache_clear()  # the memory is for training now
    made = again(lacking, plans, dataset) if lacking else {}
    for name, store_plan in made.items():
        _write_indices(sets[name][1], store_plan, dataset)
    _tell(plans | made, dataset)


# Which slices, and with what


def _begin(
    sets: Mapping[str, tuple[FeatureSet, pathlib.Path]], plans: Mapping[str, Plan], dataset: DataSet
) -> list[Slice]:
    """Cut what stores lack into deliveries, and give the slices of all that are begun: of other workers', too."""
    while any(plans[name].lacks_delivery for name in sets):
        for name, (recipe, folder) in sets.items():
            if plans[name].lacks_delivery:
                lacking = [*plans[name].lacking.values()]
                deliveries.begin(folder, plans[name].delivery, lacking, of_pixels=backbones.is_pixels(recipe))
        plans = again(sets, plans, dataset)
    return [photos for name in sets for photos in plans[name].slices]


def _write_indices(store_folder: pathlib.Path, store_plan: Plan, dataset: DataSet) -> None:
    """Write what is known of each split's photos, where that is news."""
    if not (store_plan.fingerprint or store_folder.is_dir()):
        return  # nothing is settled yet
    try:
        owners.claim(store_folder, dataset.folder)
        for split, index in store_plan.indices.items():
            table.write_index(store_folder, split, index)
    except InputError as error:  # a store that one may only read
        say(f"{error} Until then photos are compared by content each time.")


def _part(slices: Sequence[Slice], part: int, parts: int) -> list[Slice]:
    """Take every n-th slice of each delivery, and merge those of several stores that are of the same photos."""
    merged: dict[tuple, Slice] = {}
    for photos in slices:
        ((name, path),) = photos.shards.items()
        if deliveries.is_of_part(path, part, parts):
            key = photos.ids, tuple(photos.places)
            shards = {**(merged[key].shards if key in merged else {}), name: path}
            merged[key] = dataclasses.replace(photos, shards=shards)
    return list(merged.values())


def _settle(
    name: str,
    feature_set: FeatureSet,
    store_folder: pathlib.Path,
    lacking: Plan,
    dataset: DataSet,
    random_fallback: bool,
) -> Extraction:
    """Settle weights, runtime and precision of a store, and say them."""
    source = lacking.source or weights.downloaded(feature_set, random_fallback)
    if lacking.fingerprint:
        store.check_fingerprint(store_folder, {"weights": source.digest}, lacking.fingerprint)
    settled = lacking.fingerprint or _chosen(feature_set, source, store_folder, dataset)
    owners.claim(store_folder, dataset.folder)
    settled = lacking.fingerprint or store.declare(store_folder, settled)
    store.check_fingerprint(store_folder, asked_for(feature_set, source), settled)
    parameters = forms.of(feature_set, source, store_folder).parameters()
    work = Extraction(feature_set, source, store_folder, settled, parameters)
    say(f"{name}: {counted(lacking.photos, 'photo')} {_how(work)}")
    return work


def _how(work: Extraction) -> str:
    """Say what becomes of a store's photos."""
    if backbones.is_pixels(work.feature_set):
        kept = "JPEGs of quality 95" if work.choice.precision == backbones.JPEG else "they are"
        return f"decoded to {work.fingerprint.size} pixels a side, which are kept as {kept}."
    kind = work.source.kind
    network = f"{work.feature_set.backbone} on {kind} weights"
    if work.feature_set.detector or backbones.is_file(work.feature_set):
        network = f"the {'detector' if work.feature_set.detector else 'encoder'} {kind}"
    return f"through {network}, {work.choice.runtime} {work.choice.precision}."


def _chosen(
    feature_set: FeatureSet, source: weights.Source, store_folder: pathlib.Path, dataset: DataSet
) -> Fingerprint:
    """Choose runtime and precision on train photos, and give the fingerprint that they make."""
    extractor = forms.of(feature_set, source, store_folder)
    if not isinstance(extractor, forms.Forms):
        return fingerprint(feature_set, source, extractor.choice)
    sample = _sample(feature_set, dataset, CALIBRATION if feature_set.precision == "int8" else SAMPLE)
    choice = runtimes.choose(extractor.feature_set, extractor.runner, sample)
    if choice.precision != "int8":
        return fingerprint(feature_set, source, choice)
    extractor.write_int8(sample)
    return fingerprint(feature_set, source, choice, digest(sample))


def _sample(feature_set: FeatureSet, dataset: DataSet, count: int) -> np.ndarray:
    """Decode some photos of train, chosen by a hash of the id, so that every machine takes the same."""
    split = "train" if "train" in dataset.splits else next(iter(dataset.splits))
    places, size, view = dataset.photos(split), backbones.side(feature_set), feature_set.view
    order = np.argsort(~splits.limit_rows(dataset[split].ids, 4 * count), kind="stable")
    decoded = (decoding.photo(places[row], size, {view}) for row in order)
    pixels = list(itertools.islice((photo.views[view] for photo in decoded if not photo.reason), count))
    if not pixels:
        raise InputError(f"No photo of {dataset.folder} can be read: see that the files are whole images.")
    return np.stack(pixels)


# The work


def _tell_seconds(work: Mapping[str, Extraction], slices: list[Slice]) -> None:
    """Tell of each store how long its photos waited, went through the network and were written."""
    for name in work:
        paths = [photos.shards[name] for photos in slices if name in photos.shards]
        if paths:
            say(f"{name}: {log.summary(log.stages(paths))}")


def make_slices(
    work: Mapping[str, Extraction], is_remote: bool, slices: Sequence[Slice], advance: Callable[[int], object]
) -> None:
    """Make the shards of slices: what every worker does, wherever it runs.

    The shards of one slice are written while the next one is computed. What another worker has made meanwhile is not
    made again: neither a shard nor, in another one, the features of photos of equal bytes.

    Args:
        work: {name of the feature set: `Extraction`}, stores of one size.
        is_remote: the photos lie in a bucket.
        slices: of photos.
        advance: called with the number of photos just done.
    """
    slices = [photos for photos in map(_unmade, slices) if photos.shards]
    load_keras()
    extractors = {name: extraction.extractor() for name, extraction in work.items()}
    size = next(iter(work.values())).fingerprint.size
    known = {name: pipeline.Known(table.read(extraction.store_folder).digests) for name, extraction in work.items()}
    with concurrent.futures.ThreadPoolExecutor(1) as disk:
        writing: list[concurrent.futures.Future[None]] = []
        shards = pipeline.make_shards(slices, extractors, size, known=known, is_remote=is_remote, advance=advance)
        for made in shards:
            started = time.monotonic()
            _wait_for(writing)
            waited = (time.monotonic() - started) / len(made.shards)
            for seconds in made.seconds.values():
                seconds["write"] = waited
            writing = [disk.submit(_write, work[name], name, made) for name in made.shards]
        _wait_for(writing)


def _unmade(photos: Slice) -> Slice:
    """Give a slice with those of its shards that are not there."""
    return dataclasses.replace(
        photos, shards={name: path for name, path in photos.shards.items() if not path.is_file()}
    )


def _wait_for(writing: list[concurrent.futures.Future[None]]) -> None:
    """Wait until shards are written; what the writer met, a full disk for instance, is raised here."""
    for shard in writing:
        shard.result()


def _write(extraction: Extraction, name: str, made: pipeline.Made) -> None:
    path = made.photos.shards[name]
    store.write(path, made.shards[name], extraction.fingerprint)
    if made.photos.seen is not None:
        contents.write_note(path, made.photos.seen, made.digests)
    log.write(
        path,
        photos=len(made.photos.ids),
        seconds=made.seconds[name],
        weights=extraction.source.kind,
        parameters=extraction.parameters,
        processor=processor(),
    )


def _tell(plans: Mapping[str, Plan], dataset: DataSet) -> None:
    """Tell what is still to be made, and photos without features."""
    for name, store_plan in plans.items():
        _tell_unmade(name, store_plan)
    for line in dict.fromkeys(line for one in plans.values() for line in _losses(one, dataset)):
        say(line)


def _tell_unmade(name: str, store_plan: Plan) -> None:
    """Say what other workers still have to make; refuse a split none of whose photos can be read."""
    if store_plan.photos:
        say(
            f"{name}: {store_plan.photos:,} photos in {len(store_plan.slices):,} shards are still to be made; the same "
            "command makes them."
        )
        return
    for split, index in store_plan.indices.items():
        if len(index.failures) == len(index.ids):
            reason, _ = collections.Counter(index.failures.values()).most_common(1)[0]
            raise InputError(
                f"No photo of the {split} split can be read ({reason}): see that the files are whole images."
            )


def _losses(store_plan: Plan, dataset: DataSet) -> list[str]:
    """Tell the photos that have no features, where nothing is left to be made."""
    if store_plan.photos:
        return []
    indices = store_plan.indices.items()
    return [
        line for split, index in indices for line in factsheet.losses(split, len(dataset[split].ids), index.failures)
    ]

"""Extraction: what is missing from feature stores is decoded, run through the backbones and written, shard by shard."""

import collections
import concurrent.futures
import dataclasses
import functools
import itertools
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from mlob import engine
from mlob.data import factsheet, owners, splits
from mlob.data.dataset import DataSet
from mlob.errors import InputError
from mlob.features import backbones, changes, decoding, forms, log, pipeline, runtimes, store, weights
from mlob.features.fingerprint import Fingerprint
from mlob.features.pipeline import Slice
from mlob.features.plan import Plan, asked_for, fingerprint, plan
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
    plans = {name: plan(name, recipe, dataset, folder, given) for name, (recipe, folder) in sets.items()}
    for name, store_plan in plans.items():
        _note_changes(name, sets[name][1], store_plan.changes, dataset)
    lacking = {name: store_plan for name, store_plan in plans.items() if store_plan.slices}
    for size in dict.fromkeys(sets[name][0].size for name in lacking):
        names = [name for name in lacking if sets[name][0].size == size]
        slices = _part([photos for name in names for photos in lacking[name].slices], dataset, *part)
        if slices:
            load_keras()
            work = {name: _settle(name, *sets[name], lacking[name], dataset, random_fallback) for name in names}
            with bar(" + ".join(work), sum(len(photos.ids) for photos in slices)) as advance:
                run(functools.partial(make_slices, work, dataset.is_remote), slices, advance)
            forms.of.cache_clear()  # the memory is for training now
            _tell_seconds(work, slices)
    for name, (_, folder) in sets.items():
        _finish(name, folder, dataset, anew=name in lacking)
    for line in dict.fromkeys(line for _, folder in sets.values() for line in _losses(folder, dataset)):
        say(line)


# Which slices, and with what


def _note_changes(
    name: str, store_folder: pathlib.Path, changed: Mapping[pathlib.Path, changes.Changes], dataset: DataSet
) -> None:
    """Tell what has become of a store's photos, and note the sizes and times of those that are the same."""
    for sentence in changes.summary(changed):
        say(f"{name}: {sentence}")
    news = {path: shard.note for path, shard in changed.items() if shard.note}
    if not news:
        return
    try:
        owners.claim(store_folder, dataset.folder)
        for path, note in news.items():
            changes.write_note(path, note)
    except InputError as error:  # a store that one may only read
        say(f"{error} Until then these photos are compared by content each time.")


def _part(slices: Sequence[Slice], dataset: DataSet, part: int, parts: int) -> list[Slice]:
    """Merge the slices that several stores lack, and take every n-th of the data set's, whichever are lacking."""
    merged: dict[tuple[str, int], Slice] = {}
    for photos in slices:
        key = photos.split, photos.number
        sets = (*(merged[key].feature_sets if key in merged else ()), *photos.feature_sets)
        merged[key] = dataclasses.replace(photos, feature_sets=sets)
    counts = [len(store.slices(split.ids)) for split in dataset.splits.values()]
    first = dict(zip(dataset.splits, itertools.accumulate(counts, initial=0), strict=False))
    return [photos for (split, number), photos in merged.items() if (first[split] + number) % parts == part - 1]


def _settle(
    name: str,
    feature_set: FeatureSet,
    store_folder: pathlib.Path,
    lacking: Plan,
    dataset: DataSet,
    random_fallback: bool,
) -> Extraction:
    """Settle weights, runtime and precision of a store, and say them."""
    source = lacking.source or _downloaded(feature_set, random_fallback)
    if lacking.fingerprint:
        store.check_fingerprint(store_folder, {"weights": source.digest}, lacking.fingerprint)
    settled = lacking.fingerprint or _chosen(feature_set, source, store_folder, dataset)
    owners.claim(store_folder, dataset.folder)
    settled = lacking.fingerprint or store.declare(store_folder, settled)
    store.check_fingerprint(store_folder, asked_for(feature_set, source), settled)
    parameters = forms.of(feature_set, source, store_folder).model("float32").count_params()
    work = Extraction(feature_set, source, store_folder, settled, parameters)
    say(
        f"{name}: {lacking.photos:,} photos through {feature_set.backbone} on {source.kind} weights, "
        f"{work.choice.runtime} {work.choice.precision}."
    )
    return work


def _chosen(
    feature_set: FeatureSet, source: weights.Source, store_folder: pathlib.Path, dataset: DataSet
) -> Fingerprint:
    """Choose runtime and precision on train photos, and give the fingerprint that they make."""
    sample = _sample(feature_set, dataset, CALIBRATION if feature_set.precision == "int8" else SAMPLE)
    extractor = forms.of(feature_set, source, store_folder)
    choice = runtimes.choose(feature_set, extractor.runner, sample)
    if choice.precision != "int8":
        return fingerprint(feature_set, source, choice)
    extractor.write_int8(sample)
    return fingerprint(feature_set, source, choice, digest(sample))


def _sample(feature_set: FeatureSet, dataset: DataSet, count: int) -> np.ndarray:
    """Decode some photos of train, chosen by a hash of the id, so that every machine takes the same."""
    split = "train" if "train" in dataset.splits else next(iter(dataset.splits))
    places, size, view = dataset.photos(split), backbones.SIZES[feature_set.size], feature_set.view
    order = np.argsort(~splits.limit_rows(dataset[split].ids, 4 * count), kind="stable")
    decoded = (decoding.photo(places[row], size, {view}) for row in order)
    pixels = list(itertools.islice((photo.views[view] for photo in decoded if not photo.reason), count))
    if not pixels:
        raise InputError(f"No photo of {dataset.folder} can be read: see that the files are whole images.")
    return np.stack(pixels)


def _downloaded(feature_set: FeatureSet, random_fallback: bool) -> weights.Source:
    try:
        return weights.download(feature_set)
    except weights.Unreachable as error:
        if not random_fallback:
            raise
        say(f"{error}\n  The demo goes on with RANDOM weights for {feature_set.backbone}: its figures mean little.")
        return weights.random()


# The work


def _tell_seconds(work: Mapping[str, Extraction], slices: list[Slice]) -> None:
    """Tell of each store how long its photos waited, went through the network and were written."""
    for name, extraction in work.items():
        folder = extraction.store_folder
        mine = [photos for photos in slices if name in photos.feature_sets]
        paths = [store.shard_path(folder / photos.split, photos.number) for photos in mine]
        say(f"{name}: {log.summary(log.stages(paths))}")


def make_slices(
    work: Mapping[str, Extraction], is_remote: bool, slices: Sequence[Slice], advance: Callable[[int], object]
) -> None:
    """Make the shards of slices: what every worker does, wherever it runs.

    The shards of one slice are written while the next one is computed.

    Args:
        work: {name of the feature set: `Extraction`}, stores of one size.
        is_remote: the photos lie in a bucket.
        slices: of photos.
        advance: called with the number of photos just done.
    """
    load_keras()
    extractors = {name: extraction.extractor() for name, extraction in work.items()}
    size = next(iter(work.values())).fingerprint.size
    with concurrent.futures.ThreadPoolExecutor(1) as disk:
        writing: list[concurrent.futures.Future[None]] = []
        for made in pipeline.make_shards(slices, extractors, size, is_remote=is_remote, advance=advance):
            started = time.monotonic()
            _wait_for(writing)
            waited = (time.monotonic() - started) / len(made.shards)
            for seconds in made.seconds.values():
                seconds["write"] = waited
            writing = [disk.submit(_write, work[name], name, made) for name in made.shards]
        _wait_for(writing)


def _wait_for(writing: list[concurrent.futures.Future[None]]) -> None:
    """Wait until shards are written; what the writer met, a full disk for instance, is raised here."""
    for shard in writing:
        shard.result()


def _write(extraction: Extraction, name: str, made: pipeline.Made) -> None:
    photos, shard = made.photos, made.shards[name]
    path = store.shard_path(extraction.store_folder / photos.split, photos.number)
    store.write(path, shard, extraction.fingerprint)
    changes.write_note(path, changes.versions(photos, shard.failures))
    log.write(
        path,
        photos=len(photos.ids),
        seconds=made.seconds[name],
        weights=extraction.source.kind,
        parameters=extraction.parameters,
        processor=processor(),
    )


def _finish(name: str, store_folder: pathlib.Path, dataset: DataSet, *, anew: bool) -> None:
    """Lay the virtual data sets over splits that are whole; say what other workers still have to make."""
    for split in dataset.splits:
        count = len(store.slices(dataset[split].ids))
        there = sum(store.shard_path(store_folder / split, number).is_file() for number in range(count))
        if there < count:
            say(f"{name}: {there} of {count} {split} shards are there; the same command makes the rest.")
        elif anew or not (store_folder / f"{split}.h5").is_file():
            _check_some_read(store_folder / split)
            store.write_virtual(store_folder / split)


def _losses(store_folder: pathlib.Path, dataset: DataSet) -> Iterator[str]:
    """Tell the photos of a store that have no features, where all shards of their split are there."""
    for name, split in dataset.splits.items():
        paths = [store.shard_path(store_folder / name, number) for number, _ in enumerate(store.slices(split.ids))]
        if all(path.is_file() for path in paths):
            failures = {photo: reason for path in paths for photo, reason in store.header(path).failures.items()}
            yield from factsheet.losses(name, len(split.ids), failures)


def _check_some_read(split_folder: pathlib.Path) -> None:
    paths = sorted(split_folder.glob("[0-9]*.h5"))
    headers = [store.header(path) for path in paths]
    if any(len(header.failures) < len(header.ids) for header in headers):
        return
    reasons = collections.Counter(reason for header in headers for reason in header.failures.values())
    for path in paths:  # so that the next run tries these photos again
        path.unlink()
    raise InputError(
        f"No photo of the {split_folder.name} split can be read ({reasons.most_common(1)[0][0]}): see that the "
        "files are whole images."
    )

"""Extraction: what is missing from feature stores is decoded, run through the backbones and written, shard by shard."""

import collections
import concurrent.futures
import dataclasses
import functools
import itertools
import json
import pathlib
import time

import numpy as np

from mlob import engine, recipes
from mlob.data import factsheet, splits
from mlob.errors import InputError
from mlob.features import backbones, changes, decoding, forms, log, pipeline, runtimes, store, store_folders, weights
from mlob.features.plan import asked_for, fingerprint, plan
from mlob.files import digest
from mlob.machine import load_keras, processor
from mlob.progress import bar, say

SAMPLE = 32  # train photos on which a precision is proved
CALIBRATION = 64  # train photos that int8 is calibrated on


@dataclasses.dataclass(frozen=True)
class Made:
    """A store that is being made: all that a worker needs, wherever it runs.

    Attributes:
        features: the recipe.
        source: the weights.
        folder: features/<set>/<data set>.
        mark: the fingerprint, JSON.
        parameters: of the backbone.
    """

    features: recipes.FeatureSet
    source: weights.Source
    folder: pathlib.Path
    mark: str
    parameters: int = 0

    @property
    def choice(self):
        """The runtime and the precision that the fingerprint names."""
        found = json.loads(self.mark)
        return runtimes.Choice(found["runtime"], found["precision"])

    def forms(self):
        """Give the extractor's forms in this process."""
        return forms.of(self.features, self.source, self.folder)

    def extractor(self):
        """Give the `pipeline.Extractor` that does the work."""
        return pipeline.Extractor(self.features.view, self.forms().settle(self.choice))


def extract(sets, dataset, *, given=None, random_fallback=False, part=(1, 1), run=engine.here):
    """Make what feature stores lack; stores of one size share the decoding.

    Args:
        sets: {name: (feature set, folder of its store: features/<set>/<data set>)}.
        dataset: the `DataSet`.
        given: WEIGHTS=, a file or a folder.
        random_fallback: take random weights where the ImageNet ones cannot be had.
        part: (i, n) makes the i-th of n parts of the missing slices, i from 1; other parts are made elsewhere.
        run: an engine.

    Raises:
        InputError: as `plan`; no readable photo in a split; a full disk.
    """
    plans = {name: plan(name, features, dataset, folder, given) for name, (features, folder) in sets.items()}
    for name, one in plans.items():
        _note(name, sets[name][1], one.changes, dataset)
    lacking = {name: one for name, one in plans.items() if one.slices}
    for size in dict.fromkeys(sets[name][0].size for name in lacking):
        alike = [name for name in lacking if sets[name][0].size == size]
        slices = _part([one for name in alike for one in lacking[name].slices], dataset, *part)
        if slices:
            load_keras()
            made = {name: _declared(name, *sets[name], lacking[name], dataset, random_fallback) for name in alike}
            _run(made, slices, dataset.is_remote, run)
    for name, (_, folder) in sets.items():
        _finish(name, folder, dataset, anew=name in lacking)
    for line in dict.fromkeys(line for _, folder in sets.values() for line in _losses(folder, dataset)):
        say(line)


def extract_new(features, made, photos, folder, given=None, name=""):
    """Give the features of photos outside of any data set, extracting those that were never seen before.

    Photos go by the digest of their bytes, so that one that was renamed or moved is known again.

    Args:
        features: the feature set.
        made: folder of the store that the models were trained on; these photos are extracted alike.
        photos: {digest text: path}.
        folder: where the features of such photos are kept, a folder of this feature set.
        given: WEIGHTS=.
        name: of the feature set, for the terminal.

    Returns:
        ({digest text: float16 features}, {digest text: why it cannot be read}).

    Raises:
        InputError: the weights are not at hand, or are others than the store's.
    """
    mark = store.fingerprint(made)
    folder = folder / digest(json.dumps(mark, sort_keys=True))[:16]
    shards = [store.read(path) for path in sorted(folder.glob("[0-9]*.h5"))]
    failed = {photo for shard in shards for photo, reason in shard.failures.items() if not changes.is_unread(reason)}
    known = failed.union(*(shard.ids for shard in shards))
    new = {photo: path for photo, path in photos.items() if photo not in known}
    if new:
        load_keras()
        extractor = Made(features, _source_of(features, mark, given), made, json.dumps(mark)).extractor()
        slices = [
            pipeline.Slice("", number, ids, tuple(new[photo] for photo in ids), (name,))
            for number, ids in enumerate(store.slices(list(new)), len(shards))
        ]
        with bar(name, len(new)) as advance:
            for one, new_shards, _ in pipeline.shards(slices, {name: extractor}, mark["size"], advance=advance):
                store.write(store.shard_path(folder, one.number), new_shards[name], mark)
                shards.append(new_shards[name])
    rows = {photo: row for shard in shards for photo, row in zip(shard.ids, shard.features, strict=True)}
    failed = {photo: reason for shard in shards for photo, reason in shard.failures.items()}
    return rows, {photo: reason for photo, reason in failed.items() if photo not in rows}


# Which slices, and with what


def _note(name, folder, found, dataset):
    """Tell what has become of a store's photos, and note the sizes and times of those that are the same."""
    for sentence in changes.told(found):
        say(f"{name}: {sentence}")
    news = {path: one.note for path, one in found.items() if one.note}
    if not news:
        return
    try:
        store_folders.claim(folder, dataset.folder)
        for path, note in news.items():
            changes.write_note(path, note)
    except InputError as error:  # a store that one may only read
        say(f"{error} Until then these photos are compared by content each time.")


def _part(slices, dataset, part, parts):
    """Merge the slices that several stores lack, and take every n-th of the data set's, whichever are lacking."""
    merged = {}
    for one in slices:
        other = merged.get((one.split, one.number))
        merged[one.split, one.number] = dataclasses.replace(one, wanted=other.wanted + one.wanted) if other else one
    counts = [len(store.slices(split.ids)) for split in dataset.splits.values()]
    first = dict(zip(dataset.splits, itertools.accumulate(counts, initial=0), strict=False))
    return [one for one in merged.values() if (first[one.split] + one.number) % parts == part - 1]


def _declared(name, features, folder, lacking, dataset, random_fallback):
    """Settle weights, runtime and precision of a store, and say them: `Made`."""
    source = lacking.source or _downloaded(features, random_fallback)
    if lacking.found:
        store.check(folder, {"weights": source.digest}, lacking.found)
    mark = lacking.found or _mark(features, source, folder, dataset)
    store_folders.claim(folder, dataset.folder)
    mark = lacking.found or store.declare(folder, mark)
    store.check(folder, asked_for(features, source), mark)
    parameters = forms.of(features, source, folder).model("float32").count_params()
    made = Made(features, source, folder, json.dumps(mark, sort_keys=True), parameters)
    say(
        f"{name}: {lacking.photos:,} photos through {features.backbone} on {source.kind} weights, "
        f"{made.choice.runtime} {made.choice.precision}."
    )
    return made


def _mark(features, source, folder, dataset):
    """Choose runtime and precision on train photos, and give the fingerprint that they make."""
    sample = _sample(features, dataset, CALIBRATION if features.precision == "int8" else SAMPLE)
    extractor = forms.of(features, source, folder)
    choice = runtimes.choose(features, extractor.runner, sample)
    if choice.precision != "int8":
        return fingerprint(features, source, choice)
    extractor.write_int8(sample)
    return fingerprint(features, source, choice, digest(sample))


def _sample(features, dataset, count):
    """Decode some photos of train, chosen by a hash of the id, so that every machine takes the same."""
    split = "train" if "train" in dataset.splits else next(iter(dataset.splits))
    places, size, view = dataset.photos(split), backbones.SIZES[features.size], features.view
    order = np.argsort(~splits.limit_rows(dataset[split].ids, 4 * count), kind="stable")
    candidates = (decoding.photo(places[row], size, {view}) for row in order)
    found = [one.views[view] for one in itertools.islice((one for one in candidates if not one.reason), count)]
    if not found:
        raise InputError(f"No photo of {dataset.folder} can be read: see that the files are whole images.")
    return np.stack(found)


def _source_of(features, mark, given):
    """Find again the weights that a store was made with."""
    is_random = mark["weights"] == weights.random().digest
    source = weights.random() if is_random else weights.at_hand(features, given) or weights.download(features)
    if source.digest != mark["weights"]:
        raise InputError(
            f"The models were trained on features of other weights of {features.backbone} than {source.kind}: "
            "name theirs with WEIGHTS=."
        )
    return source


def _downloaded(features, random_fallback):
    try:
        return weights.download(features)
    except weights.Unreachable as error:
        if not random_fallback:
            raise
        say(f"{error}\n  The demo goes on with RANDOM weights for {features.backbone}: its figures mean little.")
        return weights.random()


# The work


def _run(made, slices, is_remote, run):
    """Run the work on an engine; tell the three times at the end."""
    with bar(" + ".join(made), sum(len(one.ids) for one in slices)) as advance:
        run(functools.partial(make_slices, made, is_remote), slices, advance)
    forms.of.cache_clear()  # the memory is for training now
    for name, one in made.items():
        paths = [store.shard_path(one.folder / done.split, done.number) for done in slices if name in done.wanted]
        say(f"{name}: {log.text(log.stages(paths))}")


def make_slices(made, is_remote, slices, advance):
    """Make the shards of slices: what every worker does, wherever it runs.

    The shards of one slice are written while the next one is computed.

    Args:
        made: {name: `Made`}, stores of one size.
        is_remote: the photos lie in a bucket.
        slices: `pipeline.Slice`s.
        advance: called with the number of photos just done.
    """
    load_keras()
    extractors = {name: one.extractor() for name, one in made.items()}
    size = backbones.SIZES[next(iter(made.values())).features.size]
    with concurrent.futures.ThreadPoolExecutor(1) as disk:
        writing = []
        for one, shards, seconds in pipeline.shards(slices, extractors, size, is_remote=is_remote, advance=advance):
            started = time.monotonic()
            _finished(writing)
            waited = (time.monotonic() - started) / len(shards)
            for name in shards:
                seconds[name]["write"] += waited
            writing = [disk.submit(_write, made[name], one, shards[name], seconds[name]) for name in shards]
        _finished(writing)


def _finished(writing):
    """Wait until shards are written; what the writer met, a full disk for instance, is raised here."""
    for one in writing:
        one.result()


def _write(made, one, shard, seconds):
    path = store.shard_path(made.folder / one.split, one.number)
    store.write(path, shard, json.loads(made.mark))
    changes.write_note(path, changes.versions(one, shard.failures))
    facts = {"weights": made.source.kind, "parameters": made.parameters, "processor": processor()}
    log.write(path, photos=len(one.ids), seconds=seconds, **facts)


def _finish(name, folder, dataset, anew):
    """Lay the virtual data sets over splits that are whole; say what other workers still have to make."""
    for split in dataset.splits:
        count = len(store.slices(dataset[split].ids))
        there = sum(store.shard_path(folder / split, number).is_file() for number in range(count))
        if there < count:
            say(f"{name}: {there} of {count} {split} shards are there; the same command makes the rest.")
        elif anew or not (folder / f"{split}.h5").is_file():
            _check_some_read(folder / split)
            store.write_virtual(folder / split)


def _losses(folder, dataset):
    """Tell the photos of a store that have no features, where all shards of their split are there."""
    for name, split in dataset.splits.items():
        paths = [store.shard_path(folder / name, number) for number, _ in enumerate(store.slices(split.ids))]
        if all(path.is_file() for path in paths):
            failures = {photo: reason for path in paths for photo, reason in store.header(path).failures.items()}
            yield from factsheet.losses(name, len(split.ids), failures)


def _check_some_read(folder):
    paths = sorted(folder.glob("[0-9]*.h5"))
    headers = [store.header(path) for path in paths]
    if any(len(header.failures) < len(header.ids) for header in headers):
        return
    reasons = collections.Counter(reason for header in headers for reason in header.failures.values())
    for path in paths:  # so that the next run tries these photos again
        path.unlink()
    raise InputError(
        f"No photo of the {folder.name} split can be read ({reasons.most_common(1)[0][0]}): see that the "
        "files are whole images."
    )

"""Extraction: what is missing from a feature store is decoded, run through the backbone and written, shard by shard."""

import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import time

import numpy as np

from mlob.data import images
from mlob.errors import InputError
from mlob.features import backbones, runtimes, store, weights
from mlob.files import digest, read_json, remove_stale_parts, write_json
from mlob.machine import load_keras, processor
from mlob.progress import bar, say

SAMPLE = 32  # train photos on which a precision is proved
AHEAD = 64  # decoded photos that wait at most: bounds the memory, whatever the number of photos
NO_FILE = "no file"


@dataclasses.dataclass(frozen=True)
class Job:
    """One shard to be made: the photos of a slice and where the shard goes."""

    path: pathlib.Path
    ids: tuple[str, ...]
    photos: tuple[pathlib.Path | None, ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a feature store lacks.

    Attributes:
        jobs: the missing shards.
        source: the weights, None where they must be downloaded first.
        found: fingerprint of the shards that are there, None where there are none.
        rate: photos a second of all that was ever extracted with this feature set; None where nothing was.
    """

    jobs: tuple[Job, ...]
    source: weights.Source | None
    found: dict | None
    rate: float | None

    @property
    def photos(self):
        """The number of photos still to be extracted."""
        return sum(len(job.ids) for job in self.jobs)

    def text(self, features):
        """Tell what would be done, from what, and how long it takes at the measured rate."""
        if not self.jobs:
            return "complete"
        origin = self.source.kind if self.source else "imagenet, to be downloaded"
        time_left = (
            f"about {self.photos / self.rate:,.0f} s at the measured {self.rate:.1f} photos/s"
            if self.rate
            else "no rate measured yet"
        )
        return f"{self.photos:,} photos through {features.backbone} (weights: {origin}), {time_left}"


def plan(features, dataset, folder, given=None):
    """Compare a store with its recipe, weights and annotations, without loading a network.

    Args:
        features: the feature set.
        dataset: the `DataSet`.
        folder: features/<set>/<data set>.
        given: WEIGHTS=, a file or a folder.

    Raises:
        InputError: a shard of another fingerprint or of other photos; weights that are not there.
    """
    remove_stale_parts(folder)
    found = store.any_fingerprint(folder)
    source = weights.at_hand(features, given)
    if source is None and found and found["weights"] == weights.random().digest:
        source = weights.random()
    jobs = [job for split in dataset.splits for job in _missing(dataset, split, folder / split)]
    if found:
        declared = fingerprint(features, source, runtimes.Choice(features.runtime, features.precision))
        known = {name: value for name, value in declared.items() if value not in ("auto", None)}
        for path in sorted(folder.glob("*/[0-9]*.h5")):
            store.check(path, known, store.header(path)[0])
    return Plan(tuple(jobs), source, found, _rate(folder.parent))


def fingerprint(features, source, choice):
    """Give all that shapes a feature: two stores of equal fingerprint hold equal features of equal photos."""
    return {
        "backbone": features.backbone,
        "size": backbones.SIZES[features.size],
        "layer": features.layer,
        "pool": features.pool,
        "view": "whole",
        "preprocessing": backbones.PREPROCESSING_VERSION,
        "decoder": images.DECODER,
        "weights": source.digest if source else None,
        "runtime": choice.runtime,
        "precision": choice.precision,
    }


def extract(features, dataset, folder, *, given=None, random_fallback=False, name=""):
    """Make what a feature store lacks.

    Args:
        features, dataset, folder, given: as `plan` takes them.
        random_fallback: take random weights where the ImageNet ones cannot be had.
        name: of the feature set, for the terminal.

    Raises:
        InputError: as `plan`; no readable photo in a split; a full disk.
    """
    missing = plan(features, dataset, folder, given)
    if missing.jobs:
        load_keras()
        source = missing.source or _downloaded(features, random_fallback)
        if missing.found:
            store.check(next(folder.glob("*/[0-9]*.h5")), {"weights": source.digest}, missing.found)
        model = backbones.extractor(weights.network(features, source), features)
        choice = _choice(features, model, missing, dataset)
        say(
            f"{name}: {missing.photos:,} photos through {features.backbone} on {source.kind} weights, "
            f"{choice.runtime} {choice.precision}."
        )
        _write_log(folder, source, model)
        run = runtimes.run(choice, model)
        mark = fingerprint(features, source, choice)
        with bar(name, missing.photos) as advance:
            for job in missing.jobs:
                _make_shard(job, run, mark, backbones.SIZES[features.size], advance)
    for split in dataset.splits:
        if missing.jobs or not (folder / f"{split}.h5").is_file():
            _check_some_read(folder / split)
            store.write_virtual(folder / split)


def extract_new(features, found, photos, folder, given=None, name=""):
    """Give the features of photos outside of any data set, extracting those that were never seen before.

    Photos go by the digest of their bytes, so that one that was renamed or moved is known again.

    Args:
        features: the feature set.
        found: fingerprint of the store that the models were trained on; these photos are extracted alike.
        photos: {digest text: path}.
        folder: where the features of such photos are kept, a folder of this feature set.
        given: WEIGHTS=.
        name: of the feature set, for the terminal.

    Returns:
        ({digest text: float16 (d,)}, {digest text: why it cannot be read}).

    Raises:
        InputError: the weights are not at hand, or are others than the store's.
    """
    folder = folder / digest(json.dumps(found, sort_keys=True))[:16]
    shards = [store.read(path) for path in sorted(folder.glob("[0-9]*.h5"))]
    known = {photo for shard in shards for photo in (*shard.ids, *shard.failures)}
    new = {photo: path for photo, path in photos.items() if photo not in known}
    if new:
        load_keras()
        run = _extractor_like(features, found, given)
        with bar(name, len(new)) as advance:
            for ids in store.slices(list(new)):
                shard = slice_features(ids, [new[photo] for photo in ids], run, found["size"], advance)
                store.write(store.shard_path(folder, len(shards)), shard, found)
                shards.append(shard)
    rows = {photo: row for shard in shards for photo, row in zip(shard.ids, shard.features, strict=True)}
    return rows, {photo: reason for shard in shards for photo, reason in shard.failures.items()}


def _extractor_like(features, found, given):
    """Build again the extractor that made a store."""
    is_random = found["weights"] == weights.random().digest
    source = weights.random() if is_random else weights.at_hand(features, given) or weights.download(features)
    choice = runtimes.Choice(found["runtime"], found["precision"])
    if source.digest != found["weights"]:
        raise InputError(
            f"The models were trained on features of other weights of {features.backbone} than {source.kind}: "
            "name theirs with WEIGHTS=."
        )
    return runtimes.run(choice, backbones.extractor(weights.network(features, source), features))


def slice_features(ids, photos, run, size, advance=lambda count: None):
    """Decode photos and run them through an extractor, decoding ahead in threads.

    Args:
        ids, photos: one id and one path (or None) a photo.
        run: from `runtimes.run`.
        size: side of the input, pixels.

    Returns:
        A `store.Shard`.
    """
    kept, digests, failures = [], [], {}

    def readable():
        for name, (number, pixels) in zip(ids, _ahead(lambda path: _photo(path, size), photos), strict=True):
            advance(1)
            if isinstance(pixels, str):
                failures[name] = pixels
            else:
                kept.append(name)
                digests.append(number)
                yield pixels

    features = run(readable())
    limit = np.finfo(np.float16).max
    return store.Shard(
        tuple(kept), features.clip(-limit, limit).astype(np.float16), np.array(digests, np.uint64), failures
    )


def log(folder):
    """Tell how a store was made.

    Returns:
        {"weights": kind, "parameters": of the backbone, "processor": its name, "photos": extracted here, "seconds": for
        them}; zeros and "unknown" where shards were copied in without their extraction.json.
    """
    found = {"weights": "unknown", "parameters": 0, "processor": "unknown", "photos": {}, "seconds": {}, **_log(folder)}
    return {**found, "photos": sum(found["photos"].values()), "seconds": sum(found["seconds"].values())}


def _missing(dataset, split, folder):
    """List the shards that are not there, or hold a photo as missing whose file has come since."""
    remove_stale_parts(folder)
    ids, photos = dataset[split].ids, dataset.photos(split)
    if not any(photos):
        raise InputError(
            f"None of the {len(ids):,} {split} photos lies in {dataset.folder} (looked for "
            f"images/{split}/{ids[0]}.jpg, images/{ids[0]}.jpg and the relative url): put them there."
        )
    start = 0
    for number, slice_ids in enumerate(store.slices(ids)):
        path, there = store.shard_path(folder, number), photos[start : start + len(slice_ids)]
        start += len(slice_ids)
        if not path.is_file() or _has_come(path, slice_ids, there):
            yield Job(path, slice_ids, tuple(there))


def _has_come(path, ids, photos):
    store.check_ids(path, ids, store.header(path)[1])
    missing = {name for name, reason in store.failures(path).items() if reason == NO_FILE}
    return any(photo and name in missing for name, photo in zip(ids, photos, strict=True))


def _downloaded(features, random_fallback):
    try:
        return weights.download(features)
    except weights.Unreachable as error:
        if not random_fallback:
            raise
        say(f"{error}\n  The demo goes on with RANDOM weights for {features.backbone}: its figures mean little.")
        return weights.random()


def _choice(features, model, missing, dataset):
    """The runtime and precision of the shards that are there, or those that the machine at hand is best at."""
    if missing.found:
        return runtimes.Choice(missing.found["runtime"], missing.found["precision"])
    sample = []
    photos = [photo for job in missing.jobs if job.path.parent.name == "train" for photo in job.photos]
    for path in photos or dataset.photos(next(iter(dataset.splits))):
        _, pixels = _photo(path, backbones.SIZES[features.size])
        if not isinstance(pixels, str):
            sample.append(pixels)
        if len(sample) == SAMPLE:
            break
    if not sample:
        raise InputError(f"No photo of {dataset.folder} can be read: see that the files are whole images.")
    return runtimes.choose(features, model, np.stack(sample))


def _make_shard(job, run, mark, size, advance):
    started = time.monotonic()
    shard = slice_features(job.ids, job.photos, run, size, advance)
    store.write(job.path, shard, mark)
    _write_seconds(job, time.monotonic() - started)


def _photo(path, size):
    """Give a photo's digest and its pixels, or the reason why it has none."""
    try:
        data = images.content(path)
        return images.content_digest(data), images.decode(data, size)
    except images.Unreadable as reason:
        return None, str(reason)


def _ahead(function, items):
    """Map in threads, in order, at most `AHEAD` results waiting (Pillow decodes without Python's lock)."""
    waiting = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _check_some_read(folder):
    paths = sorted(folder.glob("[0-9]*.h5"))
    if any(store.readable(path) for path in paths):
        return
    reasons = collections.Counter(reason for path in paths for reason in store.failures(path).values())
    for path in paths:  # so that the next run tries these photos again
        path.unlink()
    raise InputError(
        f"No photo of the {folder.name} split can be read ({reasons.most_common(1)[0][0]}): see that the "
        "files are whole images."
    )


# How fast it went: beside the shards, never in them, so that a rerun writes the same bytes


def _log(folder):
    path = folder / "extraction.json"
    return read_json(path) if path.is_file() else {}


def _rate(folder):
    logs = [log(path.parent) for path in folder.glob("*/extraction.json")]
    seconds = sum(one["seconds"] for one in logs)
    return sum(one["photos"] for one in logs) / seconds if seconds else None


def _write_seconds(job, seconds):
    folder, shard = job.path.parent.parent, f"{job.path.parent.name}/{job.path.stem}"
    log = _log(folder)
    measured = {
        "photos": {**log.get("photos", {}), shard: len(job.ids)},
        "seconds": {**log.get("seconds", {}), shard: round(seconds, 2)},
    }
    write_json(folder / "extraction.json", {**log, **measured})


def _write_log(folder, source, model):
    log = {"weights": source.kind, "parameters": model.count_params(), "processor": processor()}
    write_json(folder / "extraction.json", {**_log(folder), **log})

"""Facts of a data set, to read before any figure is believed: sizes, failures, equal photos, shifts."""

import collections
import concurrent.futures
import dataclasses
import itertools
import statistics

import numpy as np

from mlob.data import images, places
from mlob.machine import cores
from mlob.progress import bar

EXAMPLES = 10  # ids shown of a longer list
ENDS = 10  # rarest labels, and commonest
STRONGEST = 20  # labels whose share differs most
SIGNIFICANCE = 0.01  # of all labels tested together
FEW = 5  # photos: below, a z-test of their number does not hold


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the files of a split tell of its photos.

    Attributes:
        ids: texts, of the photos that were read.
        digests: uint64 (n,), equal for photos of equal bytes.
        failures: {id: reason} of those that are not there or could not be read.
    """

    ids: tuple[str, ...]
    digests: np.ndarray
    failures: dict[str, str]


def look(dataset):
    """Look for files that are missing, and read those of equal size, which alone may be equal: {split: `Seen`}.

    In a bucket no photo is read.
    """
    found = {
        (name, photo): place
        for name, split in dataset.splits.items()
        for photo, place in zip(split.ids, dataset.photos(name), strict=True)
    }
    sizes = {key: _size(place) for key, place in found.items()}
    shared = collections.Counter() if dataset.is_remote else collections.Counter(sizes.values())
    read = {key: found[key] for key, size in sizes.items() if size and (shared[size] > 1 or size == "0")}
    outcomes = dict(zip(read, _digests(read.values()), strict=True))
    outcomes |= {key: "no file" for key, size in sizes.items() if not size}
    return {name: _seen(name, outcomes) for name in dataset.splits}


def describe(dataset, shards):
    """Describe a data set from its annotations and from what is known of its photos.

    Args:
        dataset: an `DataSet`.
        shards: {split: `Seen`, or `store.Shard` over the whole split}, for digests and failures. A split that is
            missing here has `failed` None and takes no part in the comparison of contents.

    Returns:
        A dict that JSON can hold:
        - photos, labels (in the label map), labels_used (on any photo);
        - splits: {split: photos, labelled, unlabelled, labels_used, labels_a_photo {mean, min, max} over all
          photos of the split (None without annotations), failed {photos, reasons: [{reason, photos, ids}]}};
        - counts: {split with annotations: photos on which each label occurs, by column};
        - commonest, rarest: labels that occur, {id, name, group, counts {split: photos}};
        - unseen: labels that never occur in train (none, where train has no annotations);
        - equal_between: [{split, other, by "content" or "address", photos of split that are in other, ids}];
        - compared: whether photos' contents were (in a bucket, not before there are features);
        - equal_within: [{split, photos that repeat an earlier one, ids [[earlier, repeated]]}];
        - shifted: labels whose share differs between train and validation (`_shifted`), None without both.
    """
    counts = {
        name: split.targets.sum(axis=0, dtype=np.int64) for name, split in dataset.splits.items() if _annotated(split)
    }
    total = sum(counts.values(), np.zeros(len(dataset.labels), np.int64))
    used = [int(column) for column in np.argsort(-total, kind="stable") if total[column]]
    listed = [_label(dataset.labels, column, counts) for column in used]
    return {
        "photos": sum(len(split.ids) for split in dataset.splits.values()),
        "labels": len(dataset.labels),
        "labels_used": len(used),
        "splits": {name: _split(split, shards.get(name)) for name, split in dataset.splits.items()},
        "counts": {name: found.tolist() for name, found in counts.items()},
        "commonest": listed[:ENDS],
        "rarest": listed[::-1][:ENDS],
        "unseen": _unseen(dataset.labels, counts),
        "compared": any(_is_compared(dataset, name, shard) for name, shard in shards.items()),
        "equal_between": _equal_between(dataset, shards),
        "equal_within": _equal_within(shards),
        "shifted": _shifted(dataset, counts),
    }


def text(facts):
    """Put facts into plain lines for a terminal."""
    found = f"{facts['photos']:,} photos, {facts['labels']:,} labels, {facts['labels_used']:,} of them used"
    splits = facts["splits"]
    lines = [found, "", *_split_lines(splits), *_unlabelled_lines(splits), *_failure_lines(splits)]
    titles = {"commonest": "Commonest labels", "rarest": "Rarest labels", "unseen": "Never in train"}
    counted = f"(group, photos in {'/'.join(facts['counts'])})"
    lines += [
        f"\n{title} {counted}: {', '.join(map(_named, facts[key]))}" for key, title in titles.items() if facts[key]
    ]
    return "\n".join([*lines, "", *_equal_lines(facts), *_shift_lines(facts["shifted"])]) + "\n"


def losses(split, photos, failures):
    """Tell how many of a split's photos have no features, and why: a list of one line, of none where all have some.

    Args:
        split: its name.
        photos: their number.
        failures: {id: reason}.
    """
    return _loss_lines(split, photos, _failed(failures), lambda reason: "")


def missing(dataset):
    """Tell how many photos of each split have no file: a list of lines, none of a split that is whole."""
    gone = {name: sum(place is None for place in dataset.photos(name)) for name in dataset.splits}
    return [
        f"{count:,} of {len(dataset[name].ids):,} {name} photos have no file" for name, count in gone.items() if count
    ]


def _loss_lines(split, photos, failed, examples):
    reasons = [f"{reason['reason']} {reason['photos']:,}{examples(reason)}" for reason in failed["reasons"]]
    return (
        [f"{failed['photos']:,} of {photos:,} {split} photos have no features: {', '.join(reasons)}"] if reasons else []
    )


def _size(place):
    """The size of a photo's file as a text, empty where there is none."""
    found, _, time = places.version(place).partition(":")
    return found if time else ""


def _digests(found):
    """Yield each photo's digest, or why it cannot be read."""
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool, bar("photos twice", len(found)) as advance:
        for outcome in pool.map(_digest, found):
            yield outcome
            advance(1)


def _digest(place):
    try:
        return images.content_digest(images.content(place))
    except images.Unreadable as reason:
        return str(reason)


def _seen(split, outcomes):
    """Gather a split's photos: {(split, id): digest, or the reason why there is none}."""
    mine = {photo: outcome for (name, photo), outcome in outcomes.items() if name == split}
    read = {photo: outcome for photo, outcome in mine.items() if isinstance(outcome, int)}
    failures = {photo: outcome for photo, outcome in mine.items() if photo not in read}
    return Seen(tuple(read), np.array([*read.values()], np.uint64), failures)


def _annotated(split):
    return split.targets is not None


def _split(split, shard):
    targets = split.targets if _annotated(split) else np.zeros((len(split.ids), 0), np.uint8)
    a_photo = targets.sum(axis=1, dtype=np.int64)
    labelled = int(np.count_nonzero(a_photo))
    return {
        "photos": len(split.ids),
        "labelled": labelled,
        "unlabelled": len(split.ids) - labelled,
        "labels_used": int(np.count_nonzero(targets.any(axis=0))),
        "labels_a_photo": _spread(a_photo) if labelled else None,
        "failed": _failed(shard.failures) if shard else None,
    }


def _spread(values):
    return {"mean": round(float(values.mean()), 4), "min": int(values.min()), "max": int(values.max())}


def _failed(failures):
    ids = collections.defaultdict(list)
    for name, reason in failures.items():
        kind, _, _ = reason.partition(" (")  # what stands in brackets is the photo's own: "(7 bytes left)"
        ids[kind].append(name)
    commonest = sorted(ids.items(), key=lambda item: (-len(item[1]), item[0]))
    reasons = [{"reason": kind, "photos": len(names), "ids": names[:EXAMPLES]} for kind, names in commonest]
    return {"photos": len(failures), "reasons": reasons}


def _label(labels, column, counts):
    return {
        "id": labels.ids[column],
        "name": labels.names[column],
        "group": labels.groups[column],
        "counts": {split: int(found[column]) for split, found in counts.items()},
    }


def _unseen(labels, counts):
    if "train" not in counts:
        return []
    return [_label(labels, int(column), counts) for column in np.flatnonzero(counts["train"] == 0)]


# Equal photos


def _is_compared(dataset, name, shard):
    return len(shard.ids) > 0 if dataset.is_remote else len(shard.failures) < len(dataset[name].ids)


def _equal_between(dataset, shards):
    """Compare every two splits, the one further from training first: by the photos' bytes where there are
    shards, and by their web addresses, which say the same of photos that are not at hand."""
    content = {name: dict(zip(shard.ids, shard.digests.tolist(), strict=True)) for name, shard in shards.items()}
    address = {name: _addresses(split) for name, split in dataset.splits.items()}
    names = list(dataset.splits)[::-1]
    return [
        {"split": split, "other": other, "by": by, "photos": len(ids), "ids": ids[:EXAMPLES]}
        for split, other in itertools.combinations(names, 2)
        for by, keys in (("content", content), ("address", address))
        if (ids := _found(keys.get(split, {}), set(keys.get(other, {}).values())))
    ]


def _addresses(split):
    return {name: urls for name, urls in zip(split.ids, split.urls, strict=True) if any("://" in url for url in urls)}


def _found(keys, others):
    return [name for name, key in keys.items() if key in others]


def _equal_within(shards):
    repeats = {name: _repeats(shard) for name, shard in shards.items()}
    return [{"split": name, "photos": len(found), "ids": found[:EXAMPLES]} for name, found in repeats.items() if found]


def _repeats(shard):
    first = {}
    named = zip(shard.ids, shard.digests.tolist(), strict=True)
    pairs = ((first.setdefault(key, name), name) for name, key in named)
    return [[earlier, name] for earlier, name in pairs if earlier != name]


# Shift


def _shifted(dataset, counts):
    """Test each label's share in validation against that in train: the pooled z-test of two proportions, with
    Bonferroni's correction for all labels that occur. Where fewer than 5 photos are expected the z-test calls chance a
    shift, and Fisher's exact test has to agree.

    Returns:
        {significance, tested, labels (how many differ), strongest: [{id, name, group, counts, train and
        validation (shares), ratio (None where train has none), z}]}, by falling |z|.
    """
    if not {"train", "validation"} <= counts.keys():
        return None
    train, validation = counts["train"], counts["validation"]
    sizes = [len(dataset.splits[name].ids) for name in ("train", "validation")]
    z = _z(train, sizes[0], validation, sizes[1])
    tested = int(np.count_nonzero(train + validation))
    level = SIGNIFICANCE / max(tested, 1)
    critical = statistics.NormalDist().inv_cdf(1 - level / 2)
    order = [int(column) for column in np.argsort(-np.abs(z), kind="stable") if abs(z[column]) > critical]
    differ = [column for column in order if _fisher_agrees(train[column], validation[column], sizes, level)]
    strongest = [
        _label(dataset.labels, column, counts)
        | _shares(train[column] / sizes[0], validation[column] / sizes[1], z[column])
        for column in differ[:STRONGEST]
    ]
    return {"significance": SIGNIFICANCE, "tested": tested, "labels": len(differ), "strongest": strongest}


def _fisher_agrees(train, validation, sizes, level):
    """Whether Fisher's exact test finds a shift at a level, too; not asked where at least 5 photos are expected."""
    from scipy.stats import contingency, fisher_exact

    table = np.array([[train, validation], [sizes[0] - train, sizes[1] - validation]])
    return contingency.expected_freq(table).min() >= FEW or fisher_exact(table).pvalue < level


def _z(train, train_photos, validation, validation_photos):
    """z (labels,) of validation's share less train's; 0 where a label is on no photo, or on all."""
    pooled = (train + validation) / (train_photos + validation_photos)
    error = np.sqrt(pooled * (1 - pooled) * (1 / train_photos + 1 / validation_photos))
    gap = validation / validation_photos - train / train_photos
    return np.divide(gap, error, out=np.zeros(len(gap)), where=error > 0)


def _shares(train, validation, z):
    ratio = round(float(validation / train), 2) if train else None
    return {
        "train": round(float(train), 5),
        "validation": round(float(validation), 5),
        "ratio": ratio,
        "z": round(float(z), 2),
    }


# Lines


def _split_lines(splits):
    yield f"{'split':<12}{'photos':>10}{'labelled':>10}{'labels':>8}   labels a photo"
    for name, split in splits.items():
        spread = split["labels_a_photo"]
        a_photo = f"{spread['mean']:.2f} ({spread['min']} to {spread['max']})" if spread else "not annotated"
        counts = f"{split['photos']:>10,}{split['labelled']:>10,}{split['labels_used']:>8,}"
        yield f"{name:<12}{counts}   {a_photo}"


def _unlabelled_lines(splits):
    for name, split in splits.items():
        without = split["unlabelled"]
        if not split["labelled"]:
            yield f"{name}: none of the {_photos(split['photos'])} has labels: they are predicted, not judged"
        elif without:
            have = "has no labels and counts" if without == 1 else "have no labels and count"
            yield f"{name}: {without:,} of {_photos(split['photos'])} {have} as bearing none of them"


def _failure_lines(splits):
    for name, split in splits.items():
        if split["failed"]:
            yield from _loss_lines(name, split["photos"], split["failed"], lambda reason: f" ({_listed(reason)})")


def _equal_lines(facts):
    if not facts["compared"]:
        yield "Whether photos stand there twice is known once they, or in a bucket their features, are there."
    elif not facts["equal_between"] and not facts["equal_within"]:
        yield "No photo was found twice."
    for found in facts["equal_between"]:
        yield (
            f"{_photos(found['photos'])} of {found['split']} found in {found['other']} too, by {found['by']} "
            f"({_listed(found)})"
        )
    for found in facts["equal_within"]:
        pairs = ", ".join(" = ".join(pair) for pair in found["ids"])
        yield f"{_photos(found['photos'])} of {found['split']} found there before ({pairs})"


def _shift_lines(shifted):
    if not shifted:
        return
    yield ""
    yield (
        f"{shifted['labels']:,} of {shifted['tested']:,} labels have another share in validation than in "
        f"train (two-proportion z-test, below {FEW} expected photos Fisher's exact test too, "
        f"{shifted['significance']:.0%} over all labels)"
    )
    if shifted["strongest"]:
        yield f"  {'label':<28}{'train':>9}{'valid.':>9}{'ratio':>9}{'z':>8}"
    for label in shifted["strongest"]:
        times = f"x {label['ratio']:.2f}" if label["ratio"] is not None else "new"
        shares = f"{label['train']:>9.2%}{label['validation']:>9.2%}"
        yield f"  {label['name']:<28}{shares}{times:>9}{label['z']:>8.1f}"


def _listed(found):
    return ", ".join(found["ids"]) + (", …" if found["photos"] > len(found["ids"]) else "")


def _photos(count):
    return f"{count:,} photo{'s' if count != 1 else ''}"


def _named(label):
    counts = "/".join(f"{count:,}" for count in label["counts"].values())
    return f"{label['name']} ({label['group']}, {counts})"

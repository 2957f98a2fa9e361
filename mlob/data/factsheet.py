"""Facts about a data set as lines for a terminal."""

import collections
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from mlob.data import preflight
from mlob.data.dataset import DataSet
from mlob.data.duplicates import Between
from mlob.data.facts import Facts, Failures, Reason, SplitFacts, failures
from mlob.data.prevalence import FEW, LabelFacts, Shifted
from mlob.errors import counted

MOST_GROUPS = 8  # named; of iMaterialist 2017 there are 45


def understood(dataset: DataSet) -> list[str]:
    """Say how a data set was understood, before anything is made of it: a few lines."""
    return [
        *dataset.told,
        _group_line(dataset),
        *_unknown_lines(dataset),
        *_product_lines(dataset),
        _size_line(dataset),
    ]


def summary(facts: Facts, told: Sequence[str] = ()) -> str:
    """Write facts as lines, after those that say how the annotations were understood."""
    splits = facts.splits
    lines = [
        *told,
        f"{facts.photos:,} photos, {facts.labels:,} labels, {facts.labels_used:,} of them used",
        "",
        *_split_lines(splits),
        *_unlabelled_lines(splits),
        *_failure_lines(splits),
        *_label_lines(facts),
        "",
        *_equal_lines(facts),
        *_shift_lines(facts.shifted),
    ]
    return "\n".join(lines) + "\n"


def losses(split: str, photos: int, reasons: Mapping[str, str]) -> list[str]:
    """Say how many photos of a split have no features, and why: one line, or none if all have features.

    Args:
        split: its name.
        photos: their number.
        reasons: {id: reason} of the photos without features.
    """
    return _loss_lines(split, photos, failures(reasons), lambda reason: "")


def missing(dataset: DataSet) -> list[str]:
    """Say how many photos of each split have no file: one line for each split that lacks some."""
    gone = {name: sum(place is None for place in dataset.photos(name)) for name in dataset.splits}
    return [
        f"{count:,} of {len(dataset[name].ids):,} {name} photos have no file" for name, count in gone.items() if count
    ]


def _group_line(dataset: DataSet) -> str:
    """Name the groups of labels, and say of which a photo has one label at most."""
    groups = dataset.labels.groups
    most = {groups[group.columns[0]]: "at most one" if group.has_none else "one each" for group in dataset.exclusive}
    counts = collections.Counter(groups)
    kinds = {group: f", {most.get(group, 'several')}" if count > 1 else "" for group, count in counts.items()}
    listed = [f"{group} ({count:,}{kinds[group]})" for group, count in counts.items()]
    more = [f"and {len(listed) - MOST_GROUPS:,} more"] if len(listed) > MOST_GROUPS else []
    return f"Groups of labels: {', '.join(listed[:MOST_GROUPS] + more)}."


def _unknown_lines(dataset: DataSet) -> Iterator[str]:
    labelled = [split.annotations for split in dataset.splits.values() if split.annotations is not None]
    unknown = sum(int((annotations > 1).sum()) for annotations in labelled)
    entries = sum(annotations.shape[0] for annotations in labelled) * len(dataset.labels)
    if unknown:
        share = f"{unknown:,} of {entries:,} entries, {unknown / entries:.1%}"
        yield f"Unknown, which is not absent: {share} (an entry is a photo and a label)."


def _product_lines(dataset: DataSet) -> Iterator[str]:
    named = (split.together or () for split in dataset.splits.values())
    photos = collections.Counter(filter(None, itertools.chain.from_iterable(named)))
    if photos:
        several, apart = sum(count > 1 for count in photos.values()), len(preflight.torn(dataset))
        told = f"; {apart:,} of them in two splits, which flatters the figures" if apart else ""
        yield f"Photos that belong together: {several:,} products of more than one photo{told}."


def _size_line(dataset: DataSet) -> str:
    sizes = ", ".join(f"{name} {len(split.ids):,}" for name, split in dataset.splits.items())
    return f"Splits{', drawn by a hash of the photos' if dataset.is_drawn else ''}: {sizes} photos."


def _loss_lines(split: str, photos: int, failed: Failures, examples: Callable[[Reason], str]) -> list[str]:
    if not failed.photos:
        return []
    reasons = [f"{reason.reason} {reason.photos:,}{examples(reason)}" for reason in failed.reasons]
    return [f"{failed.photos:,} of {photos:,} {split} photos have no features: {', '.join(reasons)}"]


def _split_lines(splits: Mapping[str, SplitFacts]) -> Iterator[str]:
    yield f"{'split':<12}{'photos':>10}{'labelled':>10}{'labels':>8}   labels a photo"
    for name, split in splits.items():
        spread = split.labels_a_photo
        a_photo = f"{spread.mean:.2f} ({spread.min} to {spread.max})" if spread else "not annotated"
        counts = f"{split.photos:>10,}{split.labelled:>10,}{split.labels_used:>8,}"
        yield f"{name:<12}{counts}   {a_photo}"


def _unlabelled_lines(splits: Mapping[str, SplitFacts]) -> Iterator[str]:
    for name, split in splits.items():
        without = split.unlabelled
        if not split.labelled:
            yield f"{name}: none of the {_photos(split.photos)} has labels: they are predicted, not judged"
        elif without:
            told = "has no labels: it counts" if without == 1 else "have no labels: they count"
            known = " that is known of it" if split.unknown else ""
            yield f"{name}: {without:,} of {_photos(split.photos)} {told} as negative for every label{known}"
        if split.unknown:
            blank = split.photos - split.labelled - split.unlabelled
            whole = f", and nothing is known of {_photos(blank)}" if blank else ""
            told = f"{name}: {split.unknown:,} entries (a photo and a label) are unknown{whole}"
            yield f"{told}: neither learned from nor judged"


def _failure_lines(splits: Mapping[str, SplitFacts]) -> Iterator[str]:
    for name, split in splits.items():
        if split.failed:
            yield from _loss_lines(name, split.photos, split.failed, lambda reason: f" ({_listed(reason)})")


def _label_lines(facts: Facts) -> Iterator[str]:
    are_all = facts.labels_used == len(facts.commonest)
    listed = {
        "Labels" if are_all else "Commonest labels": facts.commonest,
        "Rarest labels": [] if are_all else facts.rarest,
        "Never in train": facts.unseen,
    }
    counted = f"(group, photos in {'/'.join(facts.counts)})"
    for title, labels in listed.items():
        if labels:
            yield f"\n{title} {counted}: {', '.join(map(_named, labels))}"


def _equal_lines(facts: Facts) -> Iterator[str]:
    if not facts.compared:
        yield "Photos that are there twice are found once the photos are there (in a bucket: their features)."
    elif not facts.equal_between and not facts.equal_within:
        yield "No photo was found twice."
    for pair in facts.equal_between:
        yield (f"{_photos(pair.photos)} of {pair.split} also found in {pair.other}, by {pair.by} ({_listed(pair)})")
    for split in facts.equal_within:
        pairs = ", ".join(" = ".join(ids) for ids in split.ids)
        yield f"{_photos(split.photos)} of {split.split} found earlier in the split ({pairs})"
    if facts.differing:
        pairs = ", ".join(" and ".join(ids) for ids in facts.differing.ids)
        have = "has" if facts.differing.photos == 1 else "have"
        yield (
            f"{_photos(facts.differing.photos)} {have} other labels than an earlier one of equal bytes ({pairs}): "
            "correct the labels."
        )


def _shift_lines(shifted: Shifted | None) -> Iterator[str]:
    if not shifted:
        return
    yield ""
    yield (
        f"{shifted.labels:,} of {shifted.tested:,} labels have a different prevalence in validation than "
        f"in train (two-proportion z-test, below {FEW} expected photos Fisher's exact test too, "
        f"{shifted.significance:.0%} over all labels)"
    )
    if shifted.strongest:
        yield f"  {'label':<28}{'train':>9}{'valid.':>9}{'ratio':>9}{'z':>8}"
    for label in shifted.strongest:
        times = f"x {label.ratio:.2f}" if label.ratio is not None else "new"
        prevalences = f"{label.train:>9.2%}{label.validation:>9.2%}"
        yield f"  {label.name:<28}{prevalences}{times:>9}{label.z:>8.1f}"


def _listed(photos: Reason | Between) -> str:
    return ", ".join(photos.ids) + (", …" if photos.photos > len(photos.ids) else "")


def _photos(count: int) -> str:
    return counted(count, "photo")


def _named(label: LabelFacts) -> str:
    counts = "/".join(f"{count:,}" for count in label.counts.values())
    return f"{label.name} ({label.group}, {counts})"

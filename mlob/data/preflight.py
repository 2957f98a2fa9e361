"""What a data set lacks for training and judging, and what looks odd in it: reported before anything long runs."""

import collections
import unicodedata
from collections.abc import Sequence

import numpy as np

from mlob.data.dataset import DataSet, Split
from mlob.errors import InputError, counted
from mlob.labels import Labels, is_known, positives

JUDGED = ("train", "validation")  # models are fitted on the first and judged on the second
FEWEST = {"train": 5, "validation": 3}  # a fifth of train may be dev; a stacker is fitted on folds of folds
FEW = 100  # photos of a split; with fewer its figures are hardly known
RARE = 10  # train photos of a label; with fewer it is hardly learned
SEPARATORS = {",": "a comma", ";": "a semicolon", "/": "a slash", "\\": "a backslash", "#": "a #"}


def check(dataset: DataSet, splits: Sequence[str] = JUDGED) -> None:
    """Refuse a data set that cannot be trained on and judged, going by its annotations alone.

    Raises:
        InputError: a split is missing or too small, or train or validation has no labels.
    """
    for sentence in refusals(dataset, splits):
        raise InputError(sentence)


def refusals(dataset: DataSet, splits: Sequence[str] = JUDGED) -> list[str]:
    """List what stops the work on these splits, each sentence with its remedy."""
    return [sentence for name in splits if (sentence := _refusal(dataset, name))]


def doubts(dataset: DataSet) -> list[str]:
    """List what looks odd and stops nothing."""
    sentences = [_few(name, split) for name, split in dataset.splits.items()]
    train = dataset.splits.get("train")
    if train is not None and (targets := train.targets) is not None:
        looks = (_separated, _everywhere, _rare)
        sentences += [look(dataset.labels, targets) for look in looks]
    sentences += [_never_known(name, split, dataset.labels) for name, split in dataset.splits.items() if name in JUDGED]
    return [sentence for sentence in [*sentences, _alike(dataset.labels), _torn(dataset)] if sentence]


def summary(dataset: DataSet, more: Sequence[str] = ()) -> str:
    """Say what looks odd, and whether the data set is ready or what has to be mended; `more` has to be, too."""
    stops = [*refusals(dataset), *_lost(dataset), *more]
    lines = [f"To look at: {sentence}" for sentence in doubts(dataset)]
    if "test" not in dataset.splits:
        lines.append("To look at: there is no test split, so no submission can be written.")
    end = [f"To mend: {sentence}" for sentence in stops] or ["Ready: `mlob submission` or any other verb can begin."]
    return "\n".join(lines + end)


def torn(dataset: DataSet) -> dict[str, list[str]]:
    """Find the products whose photos stand in several splits, {product: splits}, sorted by product."""
    of = {name: {each for each in split.together or () if each} for name, split in dataset.splits.items()}
    count = collections.Counter(product for products in of.values() for product in products)
    several = sorted(product for product, splits in count.items() if splits > 1)
    return {product: [name for name, products in of.items() if product in products] for product in several}


def _refusal(dataset: DataSet, name: str) -> str:
    try:
        split = dataset[name]
        split.check_size()
    except InputError as error:
        return str(error)
    if name in JUDGED and split.annotations is None:
        purpose = "trained" if name == "train" else "judged"
        return (
            f"The {name} split of {dataset.folder} has no labels: label its photos, or nothing can be {purpose} on it."
        )
    least = FEWEST.get(name, 1)
    if _known_photos(split) < least:
        return (
            f"The {name} split of {dataset.folder} has {_described(split)}, expected at least {least}: add some, "
            "or move some there with the column split."
        )
    return ""


def _lost(dataset: DataSet) -> list[str]:
    """Name the splits none of whose photos has a file."""
    return [
        f"None of the {counted(len(split.ids), 'photo')} of {name} is in {dataset.folder}: put them there, or run "
        "`make images`."
        for name, split in dataset.splits.items()
        if not any(dataset.photos(name))
    ]


def _few(name: str, split: Split) -> str:
    if _known_photos(split) >= FEW:
        return ""
    return f"{name} has {_described(split)}: with fewer than {FEW} its figures are hardly known."


def _described(split: Split) -> str:
    known = _known_photos(split)
    return counted(known, "photo") + (" of which something is known" if known < len(split.ids) else "")


def _known_photos(split: Split) -> int:
    """Count the photos of which something is known, or that are to be predicted."""
    if split.annotations is None:
        return len(split.ids)
    return int(np.count_nonzero((split.annotations > 1).sum(axis=1) < split.annotations.shape[1]))


def _separated(labels: Labels, targets: np.ndarray) -> str:
    """Report labels that look like several labels in one, to be separated by |."""
    known = set(labels.names)
    is_single = positives(targets).sum(axis=1).max() <= 1
    for mark, what in SEPARATORS.items():
        names = [name for name in labels.names if mark in name.strip(mark)]
        whole = [name for name in names if known.issuperset(part.strip() for part in name.split(mark))]
        if several := whole or (names if is_single and len(names) > 1 else []):
            return (
                f"{counted(len(several), 'label holds', 'labels hold')} {what}, for example {several[0]!r}: if these "
                "are several labels in one, separate them by |."
            )
    return ""


def _everywhere(labels: Labels, targets: np.ndarray) -> str:
    everywhere = targets.all(axis=0) & positives(targets).any(axis=0)
    names = _named(labels, np.flatnonzero(everywhere))
    known = "" if is_known(targets[:, everywhere]) is None else " of which it is known"
    return f"{_listed(names)}: on every train photo{known}, so nothing can be learned about it." if names else ""


def _rare(labels: Labels, targets: np.ndarray) -> str:
    count = positives(targets).sum(axis=0)
    names = _named(labels, np.flatnonzero((count > 0) & (count < RARE)))
    return f"{_listed(names)}: on fewer than {RARE} train photos, too few to learn from." if names else ""


def _never_known(name: str, split: Split, labels: Labels) -> str:
    if split.annotations is None:
        return ""
    names = _named(labels, np.flatnonzero((split.annotations > 1).sum(axis=0) == len(split.ids)))
    what = "learned" if name == "train" else "judged"
    return f"{_listed(names)}: unknown on every {name} photo, so it cannot be {what}." if names else ""


def _alike(labels: Labels) -> str:
    """Report labels of one group whose names differ only in case and blanks."""
    spelt = collections.defaultdict(list)
    for group, name in zip(labels.groups, labels.names, strict=True):
        spelt[group, "".join(unicodedata.normalize("NFKC", name).casefold().split())].append(name)
    alike = [" and ".join(map(repr, names)) for names in spelt.values() if len(names) > 1]
    return f"{_listed(alike)}: labels with nearly the same name, which count as different." if alike else ""


def _torn(dataset: DataSet) -> str:
    """Report products whose photos stand in several splits."""
    found = torn(dataset)
    if not found:
        return ""
    first, where = next(iter(found.items()))
    return (
        f"photos of {counted(len(found), 'product stand', 'products stand')} in several splits (of {first!r} in "
        f"{' and '.join(where)}): what is learned of a product in train makes the figures on its other photos too good."
    )


def _named(labels: Labels, columns: np.ndarray) -> list[str]:
    names = labels.unique_names()
    return [names[column] for column in columns]


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names):,} labels ({shown}, …)" if len(names) > 3 else shown

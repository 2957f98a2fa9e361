"""Annotations: one reader for each layout, and the data set that all of them give.

Two layouts are read, told apart by the files in the folder:

- iMaterialist 2018: train.json, validation.json, test.json, and a label map if there is one;
- one table, photos.csv: columns `image`, `labels` (separated by |) and, optionally, `split`.

A split is labelled as a whole or not at all. Where any of its photos bears a label, one without labels bears none of
them; a split without a single label is there to be predicted.
"""

import dataclasses
import fnmatch
import functools
import io
import itertools
import json
import pathlib
import re
import unicodedata
import warnings

import numpy as np

from mlob.data import images, places, splits
from mlob.errors import InputError
from mlob.files import digest, read_json, write_text
from mlob.labels import Labels
from mlob.machine import cores
from mlob.progress import say

SPLITS = ("train", "validation", "test")
UNREADABLE = "unreadable "  # stands before the name of a photo that has no digest
LONGEST = {"image id": 1024, "url": 16_384, "label": 1024}  # characters; tables that we write are read with these
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, line ends, halves of characters


@dataclasses.dataclass(frozen=True)
class Split:
    """The photos of one split, in annotation order.

    Attributes:
        ids: text, unique in the split.
        urls: where each photo comes from: mirrors, or paths inside the data folder.
        targets: uint8 (n, labels), with some label in it; None where the split has none, so that it is to be predicted.
    """

    name: str
    ids: tuple[str, ...]
    urls: tuple[tuple[str, ...], ...]
    targets: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A folder of photos with their labels.

    Attributes:
        name: the folder's own name.
        folder: a `pathlib.Path`, or a `UPath` into a bucket.
        tree: what lies in the folder, as it was when it was first looked for.
    """

    name: str
    folder: pathlib.Path
    labels: Labels
    splits: dict[str, Split]
    tree: places.Tree = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self):
        if self.tree is None:
            object.__setattr__(self, "tree", places.Tree(self.folder))

    def __getitem__(self, split):
        if split not in self.splits:
            raise InputError(
                f"{self.folder} has no {split} split (found: {', '.join(self.splits)}): add {split}.json, "
                "or rows of that split to photos.csv; without a column split, more photos, or that column."
            )
        return self.splits[split]

    @functools.cached_property
    def digest(self):
        """The digest of label ids, and of ids and targets of all splits; every run is compared by it, so it is kept.

        What the labels are called and how they are grouped shapes some products and not others, which add it.
        """
        parts = [json.dumps(self.labels.ids)]
        for split in self.splits.values():
            parts += [split.name, json.dumps(split.ids)]
            parts += [] if split.targets is None else [split.targets]
        return digest(*parts)

    @property
    def is_remote(self):
        """Whether the photos lie in a bucket, where `places.READS` of them are read at once."""
        return places.is_remote(self.folder)

    def photos(self, split):
        """Find a split's photos: `places.Places`, None where there is none.

        Raises:
            InputError: a file that a photo of another split would be as well.
        """
        wanted = self[split]
        others = {name: other.ids for name, other in self.splits.items() if name != split}
        return places.locate(self.tree, split, wanted.ids, [_local(urls) for urls in wanted.urls], others=others)

    @functools.cached_property
    def versions(self):
        """{split: what would differ in each photo's file if it was changed (`places.version`)}; looked at once."""
        return {split: [places.version(place) for place in self.photos(split)] for split in self.splits}

    def looked_for(self, split):
        """Name the files that the first photo of a split is looked for as, for a message."""
        wanted = self[split]
        return ", ".join(places.looked_for(split, wanted.ids[0], _local(wanted.urls[0])))


def read(folder, *, digests=None):
    """Read the data set in `folder`, whichever of the two layouts it has.

    Args:
        folder: the data folder, as a path or as DATA= names it.
        digests: path of a CSV in which the digests of photos are kept between runs, for photos.csv without a split
            column; None computes them anew.

    Raises:
        InputError: files missing, truncated or of another layout; ids or labels that cannot be right; a bucket that
            cannot be read.
    """
    tree = places.Tree(places.data_folder(folder))
    folder, names = tree.root, places.names(tree.root)
    if not names and not folder.is_dir():
        raise InputError(f"The data folder {folder} does not exist: name it with DATA= (--data).")
    others = [name for split in SPLITS if (name := f"{split}.json") in names]
    if "photos.csv" in names and others:
        raise InputError(f"{folder} holds photos.csv and {others[0]}, two layouts: move one of them elsewhere.")
    if "photos.csv" in names:
        labels, found = _read_table(tree, digests)
    elif others:
        labels, found = _read_imaterialist(folder, names)
    else:
        raise InputError(
            f"{folder} holds neither photos.csv nor train.json: the README's section on your own photos "
            "shows both layouts."
        )
    return DataSet(places.data_name(folder), folder, labels, found, tree)


# iMaterialist 2018


def _read_imaterialist(folder, names):
    raw = {split: _read_split(folder / f"{split}.json") for split in SPLITS if f"{split}.json" in names}
    maps = [
        name for name in sorted(fnmatch.filter(names, "*label_map*.csv")) if not name.startswith(".")
    ]  # macOS's notes
    if len(maps) > 1:
        raise InputError(f"{folder} has {len(maps)} label maps, {' and '.join(maps)}: keep one, or rename the others.")
    labels = _label_map(folder / maps[0]) if maps else _labels_in(raw.values())
    found = {}
    for split, (ids, urls, label_sets) in raw.items():
        _check_labels(label_sets, labels, folder / f"{split}.json")
        _check_inside(ids, urls, folder / f"{split}.json")
        found[split] = Split(split, ids, urls, _targets(label_sets or [], labels))
    return labels, found


def _targets(label_sets, labels):
    targets = labels.targets(label_sets)
    return targets if targets.any() else None


def _read_split(path):
    """Read one JSON file: ids, urls and one set of label ids a photo (None without annotations)."""
    with places.reached(path):
        content = read_json(path)
    known = content if isinstance(content, dict) else {}
    records, annotations = known.get("images"), known.get("annotations")
    if not isinstance(records, list) or not isinstance(annotations, list | None):
        raise InputError(
            f'{path} is of another layout: expected {{"images": [{{"imageId", "url"}}], "annotations": '
            f'[{{"imageId", "labelId"}}]}}, found {_shape(content)}.'
        )
    ids = tuple(_id(record, path) for record in records)
    _check_ids(ids, path)
    urls = tuple(_urls(record, path) for record in records)
    _check_text("url", itertools.chain.from_iterable(urls), path)
    return ids, urls, None if annotations is None else _label_sets(ids, annotations, path)


def _label_sets(ids, annotations, path):
    sets = {name: set() for name in ids}
    for annotation in annotations:
        name = _id(annotation, path)
        if name not in sets:
            raise InputError(
                f"{path} annotates the image {name!r}, which is not among its images: add the image, or "
                "remove the annotation."
            )
        sets[name].update(_label_numbers(annotation, path))
    return list(sets.values())


def _field(record, names, path):
    if isinstance(record, dict):
        for name in names:
            if name in record:
                return record[name]
    raise InputError(f"{path}: expected a field {' or '.join(names)}, found {_shape(record)}.")


def _id(record, path):
    name = _field(record, ("imageId", "image_id", "id"), path)
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise InputError(f"{path}: the image id {name!r} is neither text nor a whole number: correct it.")
    return str(name)


def _urls(record, path):
    url = record.get("url")
    urls = url if isinstance(url, list) else [] if url is None else [url]
    if not all(isinstance(one, str) for one in urls):
        raise InputError(
            f"{path}: the url of image {_id(record, path)!r} is {url!r}; expected text or a list of texts."
        )
    return tuple(urls)


def _label_numbers(annotation, path):
    value = _field(annotation, ("labelId", "label_id"), path)
    try:
        return [_whole(label) for label in (value if isinstance(value, list) else [value])]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path}: the labels of image {_id(annotation, path)!r} are {value!r}; expected whole numbers."
        ) from error


def _whole(label):
    if isinstance(label, (float, bool)):
        raise ValueError(label)
    return int(label)


def _label_map(path):
    """Read a label map: the CSV file whose name holds `label_map`."""
    table = _csv(path, ("labelId", "labelName"), ("taskId", "taskName"))
    try:
        rows = sorted(
            (int(row.labelId), _composed(row.labelName), _composed(getattr(row, "taskName", "label")))
            for row in table.itertuples()
        )
    except ValueError as error:
        raise InputError(f"{path}: expected whole numbers as labelId ({error}).") from error
    _check_text("label", (text for _, *texts in rows for text in texts), path)
    for (label, *_), (following, *_) in itertools.pairwise(rows):
        if label == following:
            raise InputError(f"{path}: the label {label} stands there twice: remove one of the two.")
    return _labels(rows)


def _labels_in(raw):
    """Without a label map a label's name is its number."""
    ids = sorted({label for _, _, label_sets in raw for labels in label_sets or () for label in labels})
    return _labels((label, str(label), "label") for label in ids)


def _labels(rows):
    return Labels(*zip(*rows, strict=True)) if (rows := list(rows)) else Labels((), (), ())


def _composed(text):
    """Give the one form of what Unicode writes in two: an é of one character, or of an e and an accent, as on macOS."""
    return unicodedata.normalize("NFC", text)


def _shape(content):
    return f"the keys {', '.join(map(str, content))}" if isinstance(content, dict) else f"a {type(content).__name__}"


# One table


def _read_table(tree, digests):
    path = tree.root / "photos.csv"
    table = _csv(path, ("image", "labels"), ("split",))
    _check_ids(tuple(table.image), path, nested=True)
    _check_inside(table.image, [(image,) for image in table.image], path)
    names = [[name for part in text.split("|") if (name := part.strip())] for text in map(_composed, table.labels)]
    known = sorted({name for row in names for name in row})
    _check_text("label", known, path)
    labels = _labels((number, name, "label") for number, name in enumerate(known, 1))
    where = list(table.split) if "split" in table else _drawn_splits(tree, table.image, names, digests)
    return labels, _split_rows(path, table.image, names, where, labels)


def _split_rows(path, ids, names, where, labels):
    number = dict(zip(labels.names, labels.ids, strict=True))
    unknown = sorted(set(where) - set(SPLITS))
    if unknown:
        raise InputError(f"{path}: the column split holds {unknown[0]!r}; expected {', '.join(SPLITS)}.")
    found = {}
    for split in SPLITS:
        rows = [row for row, place in enumerate(where) if place == split]
        if rows:
            targets = _targets([{number[name] for name in names[row]} for row in rows], labels)
            kept = tuple(ids.iloc[rows])
            found[split] = Split(split, kept, tuple((image,) for image in kept), targets)
    return found


def _drawn_splits(tree, ids, names, kept):
    """Draw splits by the photos' bytes; photos without labels are the ones to predict: they alone are test then."""
    drawn = splits.draw(_photo_digests(tree, ids, kept))
    if all(names):
        return drawn
    labelled = {"train": "train", "validation": "validation", "test": "train"}
    return [labelled[split] if row else "test" for split, row in zip(drawn, names, strict=True)]


def _photo_digests(tree, ids, kept):
    """Digest each photo's bytes (its name, where it cannot be read), once: `kept` remembers them by size and time."""
    import pandas as pd

    known = _kept(kept) if kept and kept.is_file() else {}
    photos = places.locate(tree, "", ids, ids)
    keys = [_key(name, place) for name, place in zip(ids, photos, strict=True)]
    new = {key: (name, place) for key, name, place in zip(keys, ids, photos, strict=True) if key not in known}
    known |= zip(new, _digested(new.values(), places.is_remote(tree.root)), strict=True)
    digests = [known[key] for key in keys]
    if kept and new:
        table = pd.DataFrame({"key": keys, "digest": digests})
        write_text(kept, table.to_csv(index=False))
    return digests


def _kept(path):
    """Read {key: digest} of a table that an earlier run has kept; nothing of a damaged one, which is made anew."""
    try:
        table = _csv(path, ("key", "digest"), ())
    except InputError as error:
        say(f"{error} The photos are read again.")
        return {}
    pairs = zip(table.key, table.digest, strict=True)
    return {key: found for key, found in pairs if found.isdecimal() or found.startswith(UNREADABLE)}


def _key(name, place):
    return f"{name}:{places.version(place)}"


def _digested(photos, is_remote):
    """Digest photos, given by name and place, in threads."""
    from joblib import Parallel, delayed

    threads = Parallel(places.READS if is_remote else cores(), "threading", return_as="generator")
    return threads(delayed(_photo_digest)(*photo) for photo in photos)


def _photo_digest(name, place):
    try:
        return str(images.content_digest(images.content(place)))
    except images.Unreadable:
        return f"{UNREADABLE}{name}"


def _csv(path, needed, optional):
    """Read a CSV file as text, with the columns that it must have and those that it may have."""
    import pandas as pd

    with places.reached(path):
        data = path.read_bytes()
    wrong = (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, UnicodeDecodeError)
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):  # more values than columns
            table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, index_col=False)
    except wrong as error:
        raise InputError(
            f"{path} is no CSV table in UTF-8 ({str(error).strip()}): save it as one; a comma inside a value "
            "stands between quotes."
        ) from error
    header = list(pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, header=None, nrows=1).iloc[0])
    if twice := [name for name in (*needed, *optional) if header.count(name) > 1]:
        raise InputError(
            f"{path} has the column {twice[0]} {header.count(twice[0])} times: keep one (labels stand in one cell, "
            "separated by |)."
        )
    if not set(needed) <= set(table.columns):
        raise InputError(
            f"{path}: expected the columns {', '.join(needed)} and (if you like) {', '.join(optional)}, found "
            f"{', '.join(table.columns)}."
        )
    return table


# What cannot be right


def _check_ids(ids, path, *, nested=False):
    if not ids:
        raise InputError(f"{path} lists no images: add some, or remove the file.")
    seen = set()
    for name in ids:
        if name in seen:
            raise InputError(f"{path}: the image {name!r} stands there twice; ids are unique in a split: remove one.")
        if not name or (not nested and ("/" in name or "\\" in name or name in (".", ".."))):
            raise InputError(f"{path}: the image id {name!r} is empty or a path; expected a plain name or number.")
        seen.add(name)
    _check_text("image id", ids, path)


def _check_text(what, texts, path):
    """Refuse what HDF5, CSV tables or a terminal would give back otherwise."""
    for text in texts:
        if len(text) > LONGEST[what]:
            raise InputError(
                f"{path}: the {what} {text[:40]!a}… has {len(text):,} characters, expected at most {LONGEST[what]:,}."
            )
        if found := UNWRITABLE.search(text):
            raise InputError(
                f"{path}: the {what} {text[:40]!a} holds the character {found[0]!a}, which is no text: correct it."
            )


def _check_inside(ids, urls, path):
    for name, mirrors in zip(ids, urls, strict=True):
        place = pathlib.PurePath(_local(mirrors))
        if place.is_absolute() or ".." in place.parts or "\\" in str(place):
            raise InputError(
                f"{path}: the image {name!r} points to {str(place)!r}, outside of the data folder: expected a "
                "path inside of it, or a web address."
            )


def _local(mirrors):
    """The first url that is a path rather than an address; empty where all are addresses."""
    return next((url for url in mirrors if "://" not in url), "")


def _check_labels(label_sets, labels, path):
    known = set(labels.ids)
    for found in label_sets or ():
        if not found <= known:
            raise InputError(
                f"{path}: the label {min(found - known)} is not in the label map ({len(labels)} labels): "
                "correct the annotation, or add the label to the map."
            )

"""Features of the texts beside photos, such as products' names: terms, counted or weighed by scikit-learn.

The terms are those of train's texts when the store was begun, terms.json in it. A row belongs to a text, whichever
photos have it; photos without a text have a row of zeros.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mlob.data import owners
from mlob.data.dataset import DataSet
from mlob.errors import InputError, counted
from mlob.features import backbones, contents, deliveries, store, table
from mlob.features.fingerprint import Fingerprint, settings
from mlob.files import digest, hashes, read_record, write_once
from mlob.progress import say
from mlob.recipes import FeatureSet, Text

TERMS = "terms.json"


@dataclasses.dataclass(frozen=True)
class Terms:
    """terms.json: what the columns of the features stand for.

    Attributes:
        names: a word each, or several with blanks between.
        idf: the inverse document frequency of each; none where terms are counted.
    """

    names: tuple[str, ...]
    idf: tuple[float, ...]


def check(feature_set: FeatureSet) -> None:
    """Refuse a recipe of texts that has none of their settings, or other fields beside them.

    Raises:
        InputError: with what was expected.
    """
    if feature_set.text is None or feature_set != FeatureSet(backbones.TEXT, text=feature_set.text):
        expected = f'FeatureSet("{backbones.TEXT}", text=Text(...))'
        raise InputError(f"A feature set of texts has no other field: expected {expected}, found {feature_set}.")


def check_there(name: str, feature_set: FeatureSet, dataset: DataSet) -> None:
    """Refuse a feature set of texts where the data set has none.

    Raises:
        InputError: with how they are named.
    """
    if backbones.is_text(feature_set) and any(split.texts is None for split in dataset.splits.values()):
        raise InputError(
            f"The feature set {name} reads a text beside each photo, and {dataset.folder} names none: name the column "
            "that holds it, for example SET=annotations.text=title."
        )


def fit(text: Text, texts: Sequence[str]) -> Terms:
    """Find the most frequent terms of texts, and how much each says.

    Raises:
        InputError: the texts hold no word.
    """
    vectoriser = _vectoriser(text)
    try:
        vectoriser.fit(texts)
    except ValueError as error:  # an empty vocabulary
        raise InputError(
            f"The texts beside {counted(len(texts), 'train photo')} hold no word of two letters or more: name another "
            "column, annotations.text."
        ) from error
    idf = vectoriser.idf_.tolist() if text.weighting == "tfidf" else ()
    return Terms(tuple(vectoriser.get_feature_names_out()), tuple(idf))


def vectorise(text: Text, terms: Terms, texts: Sequence[str]) -> np.ndarray:
    """Give the features of texts, float16 (n, terms)."""
    vectoriser = _vectoriser(text, terms.names)
    if terms.idf:
        vectoriser.idf_ = np.array(terms.idf)
    return vectoriser.transform(texts).toarray().astype(np.float16)


def _vectoriser(text: Text, names: Sequence[str] | None = None) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    kind = {"tfidf": TfidfVectorizer, "counts": CountVectorizer}[text.weighting]
    return kind(vocabulary=names, max_features=text.terms, ngram_range=(1, text.words))


# A store


def extract(name: str, feature_set: FeatureSet, store_folder: pathlib.Path, dataset: DataSet) -> None:
    """Make what a store of texts lacks, and list each split over it.

    Args:
        name: of the feature set.
        feature_set: the recipe.
        store_folder: features/<set>/<data set>.
        dataset: whose texts they are.

    Raises:
        InputError: the store is of another recipe; the texts hold no word; a full disk.
    """
    text = _of(feature_set)
    photos = contents.known(name, store_folder, dataset)
    owners.claim(store_folder, dataset.folder)
    _check_alike(store_folder, text)
    terms = _declared(store_folder, text, dataset)
    lacking = _lacking(store_folder, dataset)
    _write(store_folder, text, terms, lacking)
    for split, found in photos.items():
        keys = np.where(found.digests == 0, np.uint64(0), hashes(_texts(dataset, split)))
        table.write_index(store_folder, split, contents.index(found, keys, found.failures))
    if lacking:
        say(f"{name}: {counted(len(lacking), 'text')} as {len(terms.names):,} terms{_without(dataset)}.")


def lacking(store_folder: pathlib.Path, dataset: DataSet) -> int:
    """Count the texts that a store has no features of."""
    return len(_lacking(store_folder, dataset))


def read_terms(store_folder: pathlib.Path) -> Terms:
    """Read the terms of a store, or of what was kept of one.

    Raises:
        InputError: there are none, or they are damaged.
    """
    return read_record(store_folder / TERMS, Terms)


def _of(feature_set: FeatureSet) -> Text:
    assert feature_set.text  # was seen to
    return feature_set.text


def _check_alike(store_folder: pathlib.Path, text: Text) -> None:
    if made := store.fingerprint(store_folder):
        store.check_fingerprint(store_folder, {"backbone": backbones.TEXT, "text": settings(text)}, made)


def _declared(store_folder: pathlib.Path, text: Text, dataset: DataSet) -> Terms:
    """Give the terms of a store; where it has none yet, those of train's texts are declared."""
    if not (store_folder / TERMS).is_file():
        split = "train" if "train" in dataset.splits else next(iter(dataset.splits))
        write_once(store_folder / TERMS, json.dumps(dataclasses.asdict(fit(text, _texts(dataset, split)))) + "\n")
    terms = read_terms(store_folder)
    store.declare(store_folder, _fingerprint(text, terms))
    return terms


def _fingerprint(text: Text, terms: Terms) -> Fingerprint:
    return Fingerprint(
        backbone=backbones.TEXT, size=0, layer="last", pool="avg", view="whole", preprocessing=0, decoder="none",
        weights="", runtime="scikit-learn", precision="float16",
        calibration=digest(json.dumps(dataclasses.asdict(terms))), text=settings(text),
    )  # fmt: skip


def _texts(dataset: DataSet, split: str) -> Sequence[str]:
    texts = dataset[split].texts
    assert texts is not None  # was seen to
    return texts


def _lacking(store_folder: pathlib.Path, dataset: DataSet) -> dict[str, str]:
    """Give the texts without a row, each with the id of a photo that has it: {text: id}."""
    pairs = ((text, name) for split in dataset.splits for text, name in _pairs(dataset, split))
    first: dict[str, str] = {}
    for text, name in pairs:
        first.setdefault(text, name)
    has = table.read(store_folder).has(hashes(first))
    return {text: name for (text, name), there in zip(first.items(), has, strict=True) if not there}


def _pairs(dataset: DataSet, split: str) -> Iterator[tuple[str, str]]:
    return zip(_texts(dataset, split), dataset[split].ids, strict=True)


def _write(store_folder: pathlib.Path, text: Text, terms: Terms, lacking: Mapping[str, str]) -> None:
    """Write the rows of texts, {text: id}, as one delivery."""

    def shard_of(part: Sequence[str]) -> store.Shard:
        return store.Shard(tuple(lacking[each] for each in part), vectorise(text, terms, part), hashes(part), {})

    deliveries.write(store_folder, list(lacking), shard_of, _fingerprint(text, terms))


def _without(dataset: DataSet) -> str:
    """Tell how many photos have no text; empty where all have one."""
    total = sum(len(split.ids) for split in dataset.splits.values())
    empty = sum(not text for split in dataset.splits for text in _texts(dataset, split))
    return f"; {empty:,} of {total:,} photos have no text" if empty else ""

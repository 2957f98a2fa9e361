"""Labels of new photos: through the ensemble, onto the terminal, into a table."""

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob import machine, workspace
from mlob.data import images, locate
from mlob.data.places import Place
from mlob.errors import InputError, Unreadable
from mlob.features import backbones, new_photos
from mlob.features import texts as texts_of_photos
from mlob.files import to_cell, write_text
from mlob.labels import Labels
from mlob.recipes import FeatureSet
from mlob.runs import ensemble

if TYPE_CHECKING:
    import keras

BLOCK = 1024  # photos that are predicted at once, so that memory holds their pixels
EVEN = 0.5  # probability below which a label is given although its absence is likelier
COLUMNS = ("image", "label_id", "label", "group", "probability", "threshold", "failure")


@dataclasses.dataclass(frozen=True)
class Given:
    """A label that a photo was given, its probability there, and what this had to reach (`methods.Decision.needed`).

    The id is empty where only mlob numbers the labels.
    """

    id: int | str
    name: str
    group: str
    probability: float
    threshold: float


@dataclasses.dataclass(frozen=True)
class Photo:
    """One photo and what is on it.

    Attributes:
        place: of the file.
        labels: that it was given, the likeliest first.
        failure: why it could not be read; empty where it could.
    """

    place: Place
    labels: tuple[Given, ...]
    failure: str = ""


@dataclasses.dataclass(frozen=True)
class Member:
    """A member of the ensemble: runs/<suite>/<model>, and the names of the feature sets that its head reads."""

    run: pathlib.Path
    stores: Sequence[str]

    @functools.cached_property
    def model(self) -> "keras.Model":
        """Its head or network."""
        machine.load_keras()
        from mlob.models import heads

        return heads.load(self.run / workspace.HEAD)


@dataclasses.dataclass(frozen=True)
class Store:
    """What features are extracted alike with.

    Attributes:
        feature_set: the recipe.
        folder: of a store, or of what was kept of one.
        seen: where features of photos outside of data sets are kept.
        weights: WEIGHTS=, where some are named.
    """

    feature_set: FeatureSet
    folder: pathlib.Path
    seen: pathlib.Path
    weights: pathlib.Path | str | None = None

    @functools.cached_property
    def terms(self) -> texts_of_photos.Terms:
        """What texts are cut into, of a feature set of texts."""
        return texts_of_photos.read_terms(self.folder)


def find(paths: Sequence[pathlib.Path]) -> list[Place]:
    """List the photos among files, folders and archives; what else lies in these is told.

    Raises:
        InputError: no path, one that does not exist, or no photo in any of them.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise InputError(f"There is no {missing[0]}.")
    photos = locate.below(paths)
    if not photos:
        raise InputError("No photo to predict: name files, or a folder of them with PHOTOS= (--photos).")
    return photos


def label(
    photos: Sequence[Place],
    members: Mapping[str, Member],
    stores: Mapping[str, Store],
    folder: pathlib.Path,
    labels: Labels,
    texts: Mapping[Place, str] | None = None,
) -> list[Photo]:
    """Label photos with a suite's ensemble.

    Args:
        photos: where they are.
        texts: what stands beside them, for stores of texts.
        members: of the ensemble, by name.
        stores: that they read, by name.
        folder: runs/<suite>/ensemble.
        labels: of the data set.

    Returns:
        One `Photo` each, in the order given.
    """
    digests, failures = _digests(photos)
    seen = {name: store for name, store in stores.items() if not backbones.is_text(store.feature_set)}
    features, undecoded = _features({digest: place for place, digest in digests.items()}, seen)
    failures |= {place: undecoded[digest] for place, digest in digests.items() if digest in undecoded}
    asked = {place: (digest, (texts or {}).get(place, "")) for place, digest in digests.items()}
    read = [pair for pair in dict.fromkeys(asked.values()) if pair[0] not in undecoded]
    given: dict[tuple[str, str], tuple[Given, ...]] = {}
    for start in range(0, len(read), BLOCK):
        block = read[start : start + BLOCK]
        rows = {name: np.stack([features[name][digest] for digest, _ in block]) for name in seen}
        rows |= {
            name: _of_texts(store, [text for _, text in block]) for name, store in stores.items() if name not in seen
        }
        given |= zip(block, _decide(rows, members, folder, labels), strict=True)
    return [
        Photo(place, (), failures[place]) if place in failures else Photo(place, given[asked[place]])
        for place in photos
    ]


def _of_texts(store: Store, texts: Sequence[str]) -> np.ndarray:
    """Give the features of texts, as those of a store were made: float16 (n, terms)."""
    assert store.feature_set.text  # this store is of texts
    return texts_of_photos.vectorise(store.feature_set.text, store.terms, texts)


def summary(photos: Iterable[Photo]) -> str:
    """Give one line a photo: its name, then its labels with their probabilities, or why it could not be read."""
    return "\n".join(f"{_name(photo)}: {_outcome(photo)}" for photo in photos)


def failures(photos: Sequence[Photo]) -> str:
    """Tell how many photos could not be read, and why; empty where all could.

    Raises:
        InputError: none could.
    """
    reasons = collections.Counter(photo.failure.partition(" (")[0] for photo in photos if photo.failure)
    counts = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.most_common())
    if reasons.total() == len(photos):
        raise InputError(
            f"None of the {len(photos):,} photos could be read ({counts}): check that they are whole images."
        )
    return counts and f"{reasons.total():,} of {len(photos):,} photos could not be read ({counts})"


def write(path: pathlib.Path, photos: Iterable[Photo]) -> None:
    """Write a CSV table, one row for each label of each photo; a photo without any has one row.

    A name that a spreadsheet would run as a formula is written with an apostrophe before it.
    """
    import pandas as pd

    rows = [
        [to_cell(cell) if isinstance(cell, str) else cell for cell in (_name(photo), *cells, photo.failure)]
        for photo in photos
        for cells in [dataclasses.astuple(given) for given in photo.labels] or [("",) * 5]
    ]
    write_text(path, pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False))


def predict(members: Mapping[str, Member], features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give every member's probabilities for new photos.

    Args:
        members: of the ensemble, by name.
        features: {store name: float16 (n, d) or (n, h, w, d), or uint8 pixels}; those of several stores stand side by
            side on the last axis.

    Returns:
        {member: float32 (n, labels)}.
    """
    machine.load_keras()
    from mlob.training.predicting import predict

    return {
        name: predict(member.model, np.concatenate([features[store] for store in member.stores], axis=-1))
        for name, member in members.items()
    }


def _digests(photos: Iterable[Place]) -> tuple[dict[Place, str], dict[Place, str]]:
    """Digest the content of each photo: ({place: digest}, {place: why it cannot be read})."""
    digests: dict[Place, str] = {}
    failures: dict[Place, str] = {}
    for place in photos:
        try:
            digests[place] = f"{images.content_digest(images.content(place)):016x}"
        except Unreadable as reason:
            failures[place] = str(reason)
    return digests, failures


def _features(
    photos: Mapping[str, Place], stores: Mapping[str, Store]
) -> tuple[dict[str, Mapping[str, np.ndarray]], dict[str, str]]:
    """Give the features of photos, extracted as those of each store: ({store: {digest: features}}, {digest: failure}).

    Args:
        photos: {digest: place}.
        stores: by name.
    """
    features: dict[str, Mapping[str, np.ndarray]] = {}
    failures: dict[str, str] = {}
    for name, made in stores.items():
        features[name], failed = new_photos.extract(
            made.feature_set, made.folder, photos, made.seen, made.weights, name
        )
        failures |= failed
    return features, failures


def _decide(
    features: Mapping[str, np.ndarray],
    members: Mapping[str, Member],
    folder: pathlib.Path,
    labels: Labels,
) -> list[tuple[Given, ...]]:
    """Give each photo its labels by the ensemble's chosen method."""
    probabilities, decided, needed = ensemble.decide(folder, predict(members, features))
    return [
        tuple(
            Given(
                labels.ids[column] if labels.ids_are_own else "",
                labels.names[column],
                labels.groups[column],
                _short(row[column]),
                _short(least[column]),
            )
            for column in np.argsort(-row, kind="stable")
            if is_given[column]
        )
        for row, is_given, least in zip(probabilities, decided, needed, strict=True)
    ]


def _name(photo: Photo) -> str:
    """The photo's path; bytes in it that are not UTF-8 are spelt out."""
    return str(photo.place).encode("utf-8", "backslashreplace").decode("utf-8")


def _outcome(photo: Photo) -> str:
    if photo.failure:
        return f"not read ({photo.failure})"
    return ", ".join(map(_labelled, photo.labels)) or "no label"


def _labelled(given: Given) -> str:
    """Name a label with its probability; where that is low, say why it was given all the same."""
    why = f" ({given.threshold:.2f} is enough)" if given.probability < EVEN else ""
    return f"{given.name} {given.probability:.2f}{why}"


def _short(value: float) -> float:
    return round(float(value), 4)

"""From photos to an ensemble's probabilities and decisions: the one way that `predict`, `Labeller` and `serve` go."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import numpy as np

from mlob import machine, workspace
from mlob.data import images
from mlob.data.places import Place
from mlob.data.vectors import Vectors
from mlob.ensemble.methods import Decision
from mlob.errors import InputError, Unreadable
from mlob.features import backbones, imported, new_photos, store, warm
from mlob.features import texts as texts_of_photos
from mlob.labels import Labels
from mlob.recipes import FeatureSet
from mlob.runs import ensemble, kept, results

if TYPE_CHECKING:
    import keras

BLOCK = 1024  # photos that are predicted at once, so that memory holds their pixels
Told = TypeVar("Told")
# from photos by the digest of their bytes: ({store: {digest: features}}, {digest: why it cannot be read})
Extract: TypeAlias = Callable[[Mapping[str, Place]], tuple[dict[str, Mapping[str, np.ndarray]], dict[str, str]]]


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
        weights: WEIGHTS=, where some are named.
    """

    feature_set: FeatureSet
    folder: pathlib.Path
    weights: pathlib.Path | str | None = None

    @property
    def is_text(self) -> bool:
        """Whether it is of the texts beside photos."""
        return backbones.is_text(self.feature_set)

    @property
    def is_imported(self) -> bool:
        """Whether it is of features that were made elsewhere."""
        return backbones.is_imported(self.feature_set)

    @functools.cached_property
    def terms(self) -> texts_of_photos.Terms:
        """What texts are cut into, of a feature set of texts."""
        return texts_of_photos.read_terms(self.folder)

    def of_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Give the features of texts, as those of the store were made: float16 (n, terms)."""
        assert self.feature_set.text  # it is of texts
        return texts_of_photos.vectorise(self.feature_set.text, self.terms, texts)


class Brought(NamedTuple):
    """Features of photos that were made elsewhere: the table, and which row of it each photo has."""

    vectors: Vectors
    rows: Mapping[Place, int]


class Answer(NamedTuple):
    """What an ensemble says of one photo.

    Attributes:
        probabilities: float32 (labels,).
        decided: uint8 (labels,), 0 or 1.
        needed: what each probability had to reach, float32 (labels,).
    """

    probabilities: np.ndarray
    decided: np.ndarray
    needed: np.ndarray


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """A suite's ensemble, as far as new photos need it.

    Attributes:
        members: by name, in the order in which the decision takes them.
        stores: that they read, by name.
        decision: the stored one, as `runs.ensemble.load_decision` gives it.
        labels: of the data set.
        suite: its name.
    """

    members: Mapping[str, Member]
    stores: Mapping[str, Store]
    decision: tuple[list[str], Decision]
    labels: Labels
    suite: str = ""

    @property
    def seen(self) -> dict[str, Store]:
        """The stores that are of photos."""
        return {name: store for name, store in self.stores.items() if not (store.is_text or store.is_imported)}

    @property
    def readers_of_texts(self) -> list[str]:
        """The names of the stores that are of the texts beside photos."""
        return [name for name, store in self.stores.items() if store.is_text]

    @property
    def readers_of_imports(self) -> list[str]:
        """The names of the stores that are of features which were made elsewhere."""
        return [name for name, store in self.stores.items() if store.is_imported]


def load(folder: pathlib.Path, weights: pathlib.Path | str | None = None) -> Ensemble:
    """Load the ensemble in a folder of runs, as it lies there; networks are read when they are first used.

    Args:
        folder: runs/<suite>.
        weights: WEIGHTS=.

    Raises:
        InputError: there is none, or it lacks what new photos take.
    """
    home = folder / "ensemble"
    made = results.read_ensemble(home)
    if made is None:
        raise InputError(
            f"{folder} holds no ensemble: expected a folder of runs as `mlob ensemble` makes it, for example runs/demo."
        )
    runs = {name: folder / name for name in made.members}
    if lacking := kept.lacking(home, made, runs):
        raise InputError(f"{lacking}: run `mlob ensemble` of its suite again, or copy the whole folder.")
    known = kept.read(home)
    assert known  # what is lacking was told
    stores = {
        name: Store(kept.feature_set_of(home, name, known), kept.store_of(home, name), weights)
        for name in known.feature_sets
    }
    members = {name: Member(run, tuple(results.read(run).fingerprint)) for name, run in runs.items()}
    return Ensemble(members, stores, ensemble.load_decision(home), known.labels, made.suite)


def answer(
    photos: Sequence[Place],
    made: Ensemble,
    extract: Extract,
    tell: Callable[[Answer], Told],
    texts: Sequence[str] = (),
    brought: Mapping[str, Brought] | None = None,
) -> list[tuple[Told | None, str]]:
    """Ask an ensemble about photos. Of photos that are equal, with equal things beside them, one is asked about.

    Args:
        photos: where they are.
        made: the ensemble.
        extract: from photos to features, `on_disk` or `in_memory`.
        tell: from the answer on one photo to what is wanted of it.
        texts: what stands beside each photo, for stores of texts; none stands for empty ones.
        brought: features that were made elsewhere, for each store of such: {name: `Brought`}.

    Returns:
        For each photo (what is told, ""), or (None, why it cannot be read).

    Raises:
        InputError: features that were made elsewhere are not there, or have other columns than the store.
    """
    tables, values = brought or {}, values_of(made, brought or {})
    digests, failures = digests_of(photos)
    features, undecoded = extract({digest: place for place, digest in digests.items()})
    failures |= {place: undecoded[digest] for place, digest in digests.items() if digest in undecoded}
    failures = _not_brought(photos, tables) | failures
    asked = [
        (digests.get(place, ""), text, tuple(each.rows.get(place, -1) for each in tables.values()))
        for place, text in zip(photos, texts or [""] * len(photos), strict=True)
    ]
    readable = (each for place, each in zip(photos, asked, strict=True) if place not in failures)
    read, told = list(dict.fromkeys(readable)), dict[tuple[str, str, tuple[int, ...]], Told]()
    for start in range(0, len(read), BLOCK):
        block = read[start : start + BLOCK]
        rows = {name: np.stack([of[digest] for digest, _, _ in block]) for name, of in features.items()}
        rows |= {name: made.stores[name].of_texts([text for _, text, _ in block]) for name in made.readers_of_texts}
        rows |= {name: values[name][[places[at] for _, _, places in block]] for at, name in enumerate(tables)}
        answers = ensemble.decide(made.decision, predict(made.members, rows))
        told |= zip(block, map(tell, map(Answer, *answers)), strict=True)
    return [(told.get(each), failures.get(place, "")) for place, each in zip(photos, asked, strict=True)]


def values_of(made: Ensemble, brought: Mapping[str, Brought]) -> dict[str, np.ndarray]:
    """Give what was brought for each store of such, its columns as the store's: {name: float16 (n, d)}.

    Raises:
        InputError: nothing was brought for one, or a table with other columns.
    """
    if missing := [name for name in made.readers_of_imports if name not in brought]:
        raise InputError(
            f"The ensemble reads features that were made elsewhere ({', '.join(missing)}): label photos with "
            "`mlob predict --vectors`, which takes a table of theirs."
        )
    return {name: imported.in_order(made.stores[name].folder, each.vectors) for name, each in brought.items()}


def _not_brought(photos: Iterable[Place], brought: Mapping[str, Brought]) -> dict[Place, str]:
    """Say of which photos the features are not there that were to be brought."""
    return {
        place: f"not in {each.vectors.path.name}"
        for each in brought.values()
        for place in photos
        if place not in each.rows
    }


def on_disk(stores: Mapping[str, Store], folder: pathlib.Path) -> Extract:
    """Give what extracts features and keeps them, so that a photo that was ever seen is not extracted again.

    Args:
        stores: of photos, by name.
        folder: of all feature stores.
    """

    def extract(photos: Mapping[str, Place]) -> tuple[dict[str, Mapping[str, np.ndarray]], dict[str, str]]:
        features: dict[str, Mapping[str, np.ndarray]] = {}
        failures: dict[str, str] = {}
        for name, each in stores.items():
            where = folder / name / store.PREDICTED
            features[name], failed = new_photos.extract(
                each.feature_set, each.folder, photos, where, each.weights, name
            )
            failures |= failed
        return features, failures

    return extract


def in_memory(stores: Mapping[str, Store]) -> warm.Warm:
    """Give what extracts features and keeps none; networks are built at once, and stay.

    Args:
        stores: of photos, by name.

    Raises:
        InputError: as `new_photos.extract`.
    """
    return warm.Warm(
        {name: new_photos.alike(each.feature_set, each.folder, each.weights) for name, each in stores.items()}
    )


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


def digests_of(photos: Iterable[Place]) -> tuple[dict[Place, str], dict[Place, str]]:
    """Digest the content of each photo: ({place: digest}, {place: why it cannot be read})."""
    digests: dict[Place, str] = {}
    failures: dict[Place, str] = {}
    for place in photos:
        try:
            digests[place] = f"{images.content_digest(images.content(place)):016x}"
        except Unreadable as reason:
            failures[place] = str(reason)
    return digests, failures

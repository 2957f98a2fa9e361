"""A trained ensemble, ready to label photos from Python: files, bytes, images of Pillow, arrays."""

from __future__ import annotations

import collections
import itertools
import os
import pathlib
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from mlob.data import images, places
from mlob.data.places import Place
from mlob.errors import InputError, Unreadable
from mlob.machine import load_keras
from mlob.runs import answering, predict
from mlob.runs.answering import BLOCK, Answer

if TYPE_CHECKING:
    import pandas as pd

    Photo: TypeAlias = str | os.PathLike[str] | bytes | images.Image.Image | np.ndarray

Told = TypeVar("Told")
ONE_AT_A_TIME = threading.Lock()  # networks take all cores, and OpenVINO's requests are not for two threads


class Labeller:
    """Labels photos with the ensemble in a folder of runs, as `mlob predict` does. Nothing is written.

    `Labeller.load` makes one. Its networks stay in memory, ready for the next photo. Threads may share it: they wait
    for each other.

    A photo is a path, the bytes of a file, an image of Pillow, or an array uint8 (height, width, 3) in RGB. Images and
    arrays are treated as a file of their pixels would be.

    Attributes:
        suite: the name of the suite that it was made in.
        labels: names and groups of the labels, in the order of `predict_proba`.

    Args:
        made: the ensemble.
        extract: from photos to features.
    """

    def __init__(self, made: answering.Ensemble, extract: answering.Extract) -> None:
        self._made, self._extract = made, extract
        self.suite, self.labels = made.suite, made.labels

    @classmethod
    def load(cls, folder: str | os.PathLike[str], weights: str | os.PathLike[str] | None = None) -> Labeller:
        """Load an ensemble as it lies there; its data, features and recipes are not needed.

        Args:
            folder: of a suite's runs, for example "runs/demo".
            weights: a file of a backbone's weights, or a folder of them, as WEIGHTS=.

        Raises:
            InputError: there is no ensemble, or it lacks what new photos take, or reads features that were made
                elsewhere; weights are not at hand.
        """
        made = answering.load(pathlib.Path(folder), pathlib.Path(weights) if weights else None)
        answering.values_of(made, {})
        with ONE_AT_A_TIME:
            load_keras()
            for member in made.members.values():
                member.model  # noqa: B018, reads it
            return cls(made, answering.in_memory(made.seen))

    @property
    def beside(self) -> list[str]:
        """The names of the stores that are not of photos, but of texts or features that stand beside them."""
        return [*self._made.readers_of_texts, *self._made.readers_of_imports]

    def predict(self, photos: Sequence[Photo], texts: Sequence[str] | None = None) -> pd.DataFrame:
        """Give the labels of photos, as the table predictions.csv of `mlob predict`.

        Args:
            photos: see above.
            texts: what stands beside each, where the ensemble reads texts.

        Returns:
            A row for each label of each photo, the likeliest first, with the columns image, label_id, label, group,
            probability, threshold (what the probability had to reach) and failure. A photo without labels has one row,
            and so has one that could not be read: its failure says why. The image is the path; of photos without one
            it is the place in `photos`, from 0.

        Raises:
            InputError: what was given are no photos; texts are missing, or others than asked for.
        """
        found = self.ask(photos, lambda answer: predict.given(self.labels, answer), texts)
        return predict.table(predict.Photo(place, labels or (), failure) for place, labels, failure in found)

    def predict_proba(self, photos: Sequence[Photo], texts: Sequence[str] | None = None) -> pd.DataFrame:
        """Give all probabilities, float32 (photos, labels): a row for each photo, a column for each label.

        Photos that could not be read have NaN, and a warning tells how many they are, and why.

        Args:
            photos, texts: as of `predict`.

        Raises:
            InputError: as `predict`.
        """
        import pandas as pd

        found = self.ask(photos, lambda answer: answer.probabilities, texts)
        if reasons := collections.Counter(failure for _, _, failure in found if failure):
            counts = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.most_common())
            warnings.warn(f"{reasons.total():,} of {len(found):,} photos could not be read ({counts})", stacklevel=2)
        nothing = np.full(len(self.labels), np.nan, np.float32)
        rows = np.array([nothing if row is None else row for _, row, _ in found], np.float32)
        index = pd.Index([predict.name_of(place) for place, _, _ in found], name="image")
        return pd.DataFrame(rows.reshape(-1, len(self.labels)), index, list(self.labels.unique_names()))

    def ask(
        self, photos: Sequence[Photo], tell: Callable[[Answer], Told], texts: Sequence[str] | None = None
    ) -> list[tuple[Place, Told | None, str]]:
        """Ask about photos whatever the answers on them tell.

        Args:
            photos, texts: as of `predict`.
            tell: from the answer on one photo to what is wanted of it.

        Returns:
            For each photo (its place, what is told, ""), or (its place, None, why it cannot be read).

        Raises:
            InputError: as `predict`.
        """
        _check_list(photos)
        beside = self._texts(len(photos), texts)
        starts = range(0, len(photos), BLOCK)
        blocks = (
            self._ask(start, photos[start : start + BLOCK], tell, beside[start : start + BLOCK]) for start in starts
        )
        return list(itertools.chain.from_iterable(blocks))

    def _ask(
        self, start: int, photos: Sequence[Photo], tell: Callable[[Answer], Told], texts: Sequence[str]
    ) -> list[tuple[Place, Told | None, str]]:
        """Ask about a block of photos, the first of which is that number among all."""
        found = [_place(number, photo) for number, photo in enumerate(photos, start)]
        with ONE_AT_A_TIME:
            answers = answering.answer([place for place, _ in found], self._made, self._extract, tell, texts)
        return [(place, told, failure or why) for (place, failure), (told, why) in zip(found, answers, strict=True)]

    def _texts(self, count: int, texts: Sequence[str] | None) -> Sequence[str]:
        """Give the texts beside photos; none where the ensemble reads none."""
        if texts is None and self._made.readers_of_texts:
            raise InputError(
                f"The ensemble reads texts beside photos ({', '.join(self._made.readers_of_texts)}): give them as "
                "texts=, one a photo."
            )
        if texts is not None and (isinstance(texts, str) or len(texts) != count):
            raise InputError(f"There are {count:,} photos, but texts= is not a list of {count:,} texts.")
        return texts if texts and self._made.readers_of_texts else []


def _check_list(photos: Sequence[Photo]) -> None:
    is_alone = isinstance(photos, str | bytes | os.PathLike) or not hasattr(photos, "__len__")
    if is_alone or (isinstance(photos, np.ndarray) and photos.ndim != 4):
        raise InputError(f"Expected a list of photos, found {_kind(photos)}: of a single one make a list, [photo].")


def _kind(photos: object) -> str:
    return f"an array {photos.shape}" if isinstance(photos, np.ndarray) else f"one of type {type(photos).__name__}"


def _place(number: int, photo: Photo) -> tuple[Place, str]:
    """Give a place that a photo can be read from, and why it cannot be where that is known; what has no path goes by
    its number.
    """
    if isinstance(photo, str | os.PathLike):
        return pathlib.Path(photo), ""
    if isinstance(photo, bytes):
        return places.in_memory(str(number), photo), ""
    try:
        return places.in_memory(str(number), images.to_file(photo)), ""
    except Unreadable as reason:
        return places.in_memory(str(number), b""), str(reason)

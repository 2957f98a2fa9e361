"""Extractors that stay ready, for photos that come a few at a time: nothing is kept of these.

`new_photos` does the same for many photos, and keeps their features on disk.
"""

import concurrent.futures
import functools
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from mlob.data.places import Place
from mlob.features import decoding, jpegs
from mlob.features.extract import Extraction
from mlob.features.pipeline import CHUNK, Extractor
from mlob.machine import cores, load_keras


class Warm:
    """Gives the features of photos, as those of stores were made.

    A photo is decoded once for all stores of one size. Networks run side by side: a single photo leaves each of them
    part of the processor.

    Args:
        work: {name of the store: what extracts alike}; networks are built and compiled at once, which takes seconds.

    Raises:
        InputError: as `forms.Forms.settle`.
    """

    def __init__(self, work: Mapping[str, Extraction]) -> None:
        if work:
            load_keras()
        self._extractors = {name: (each.fingerprint.size, each.extractor()) for name, each in work.items()}
        self._decoders = concurrent.futures.ThreadPoolExecutor(cores(), "decode")
        self._networks = concurrent.futures.ThreadPoolExecutor(max(1, len(work)), "network")

    def __call__(self, photos: Mapping[str, Place]) -> tuple[dict[str, Mapping[str, np.ndarray]], dict[str, str]]:
        """Extract the features of photos.

        Args:
            photos: {digest text: place}.

        Returns:
            ({store: {digest: features, float16, or uint8 pixels}}, {digest: why it cannot be read}).
        """
        if not self._extractors:
            return {}, {}
        features: dict[str, dict[str, np.ndarray]] = {name: {} for name in self._extractors}
        failures: dict[str, str] = {}
        names = list(photos)
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            decoded = self._decode([photos[name] for name in chunk])
            failures |= {name: told for name, told in zip(chunk, _reasons(decoded), strict=True) if told}
            readable = [row for row, name in enumerate(chunk) if name not in failures]
            for store, rows in self._forward(decoded, readable):
                features[store] |= zip([chunk[row] for row in readable], rows, strict=True)
        return dict(features), failures

    def _decode(self, places: Collection[Place]) -> dict[int, list[decoding.Photo]]:
        """Decode photos to every size that is asked for, with the views of each: {size: photos}."""
        views: dict[int, set[str]] = {}
        for size, extractor in self._extractors.values():
            views.setdefault(size, set()).add(extractor.view)
        waiting = {
            size: self._decoders.map(functools.partial(decoding.photo, size=size, views=views[size]), places)
            for size in views
        }
        return {size: list(photos) for size, photos in waiting.items()}

    def _forward(
        self, decoded: Mapping[int, list[decoding.Photo]], readable: list[int]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Run the photos that could be read through all networks: (store, a row for each)."""
        if readable:
            run = {
                name: self._networks.submit(_rows, extractor, [decoded[size][row] for row in readable], size)
                for name, (size, extractor) in self._extractors.items()
            }
            concurrent.futures.wait(run.values())  # none is left running, whatever one of them raises
            yield from ((name, rows.result()) for name, rows in run.items())


def _reasons(decoded: Mapping[int, list[decoding.Photo]]) -> list[str]:
    """Say of each photo why it cannot be read at one of the sizes; empty where it can be at all."""
    of_sizes = zip(*decoded.values(), strict=True)
    return [next((photo.reason for photo in photos if photo.reason), "") for photos in of_sizes]


def _rows(extractor: Extractor, photos: list[decoding.Photo], size: int) -> np.ndarray:
    rows, _ = extractor.features(photos)
    return jpegs.decode(rows, size) if rows.dtype == object else rows

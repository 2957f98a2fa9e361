"""The forms that one extractor runs in: Keras models of several precisions, OpenVINO's, and their runners."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mlob.features import backbones, cropping, runtimes, weights
from mlob.recipes import FeatureSet

if TYPE_CHECKING:
    import keras

INT8 = "int8.xml"


class Forms:
    """The forms of an extractor, each built when it is first asked for: they take seconds, and are asked for again.

    Args:
        feature_set: the recipe.
        source: the weights.
        store_folder: features/<set>/<data set>, where the quantised model lies, if there is one.
        build: function of the network and the recipe that gives the model from photos.
    """

    def __init__(
        self,
        feature_set: FeatureSet,
        source: weights.Source,
        store_folder: pathlib.Path,
        build: Callable[[keras.Model, FeatureSet], keras.Model] = backbones.extractor,
    ) -> None:
        self.feature_set, self.source, self.int8_path, self.build = feature_set, source, store_folder / INT8, build
        self._models: dict[str, keras.Model] = {}
        self._converted: runtimes.OpenVINOModel | None = None
        self._runners: dict[runtimes.Choice, runtimes.Runner] = {}

    def parameters(self) -> int:
        """Count those of the backbone."""
        return self.model("float32").count_params()

    def model(self, precision: str) -> keras.Model:
        """Give the Keras model from uint8 photos to features, its layers computing in a precision."""
        if precision not in self._models:
            with _policy(precision):
                network = weights.network(self.feature_set, self.source)
                self._models[precision] = self.build(network, self.feature_set)
        return self._models[precision]

    def converted(self) -> runtimes.OpenVINOModel:
        """Give the float32 model in OpenVINO's form."""
        if self._converted is None:
            self._converted = runtimes.convert(self.model("float32"))
        return self._converted

    def runner(self, choice: runtimes.Choice) -> runtimes.Runner:
        """Give what runs the extractor with a runtime and a precision.

        Raises:
            InputError: the quantised model is gone; this processor does not run the precision.
        """
        if choice not in self._runners:
            self._runners[choice] = self._load(choice)
        return self._runners[choice]

    def looker(self, choice: runtimes.Choice) -> cropping.Look:
        """Give what finds the things in photos, of a feature set that crops them.

        Raises:
            InputError: as `cropping.answer`; this processor does not run the precision.
        """
        assert self.feature_set.crop
        seen = dataclasses.replace(self.feature_set, size=self.feature_set.crop.size, crop=None)
        finder = Forms(seen, self.source, self.int8_path.parent, backbones.finder)
        precision = choice.precision if choice.runtime == "keras" else "float32"  # of the model that is built anyway
        return cropping.looker(self.feature_set, finder.runner(choice), finder.model(precision))

    def settle(self, choice: runtimes.Choice) -> runtimes.Runner:
        """Give what runs the extractor, and let go of all other forms: they were built to make this choice."""
        runner = self.runner(choice)
        self._models, self._converted, self._runners = {}, None, {choice: runner}
        return runner

    def write_int8(self, photos: np.ndarray) -> None:
        """Write the quantised model, calibrated on uint8 photos (n, size, size, 3)."""
        runtimes.write_int8(self.converted(), photos, self.int8_path)

    def _load(self, choice: runtimes.Choice) -> runtimes.Runner:
        if not self.feature_set.crop:
            return self._run(choice)
        return cropping.runner(self.feature_set, self.looker(choice), self._run(choice))

    def _run(self, choice: runtimes.Choice) -> runtimes.Runner:
        if choice.runtime == "keras":
            return runtimes.keras_runner(self.model(choice.precision))
        if choice.precision == "int8":
            return runtimes.openvino_runner(runtimes.read_int8(self.int8_path), "float32")
        return runtimes.openvino_runner(self.converted(), choice.precision)


class Only(Protocol):
    """The only form of what is no network of the table.

    Attributes:
        choice: its runtime and precision.
    """

    choice: runtimes.Choice

    def parameters(self) -> int:
        """Count those of the network."""

    def settle(self, choice: runtimes.Choice) -> runtimes.Runner:
        """Give what runs it."""


@functools.cache
def of(feature_set: FeatureSet, source: weights.Source, store_folder: pathlib.Path) -> Forms | Only:
    """Give this process's forms of an extractor: what a choice was made with is not built again for the work.

    Raises:
        InputError: as `detector.Finder`.
    """
    if kind := backbones.kind(feature_set):
        assert kind.form  # texts are no photos, and do not come here
        return kind.form(feature_set)
    return Forms(feature_set, source, store_folder)


@contextlib.contextmanager
def _policy(precision: str) -> Iterator[None]:
    """Let Keras build layers that compute in a precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(runtimes.POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

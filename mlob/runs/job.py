"""A recipe and what it is trained on: where a run, a learning curve and a search start."""

import dataclasses
import functools
import json
import pathlib
from typing import Any

import numpy as np

from mlob import fields, recipes
from mlob.data.dataset import DataSet
from mlob.ensemble import measures
from mlob.ensemble.measures import Measure
from mlob.features import store, table
from mlob.files import digest
from mlob.models.beginning import Beginning
from mlob.recipes import Experiment, Judging
from mlob.training import batches
from mlob.training.batches import Labelled, Rows

MOST_ROWS, LEAST_SHARE = 100_000, 0.05  # of train, and of validation beside it, between which refitting pays


@dataclasses.dataclass(frozen=True)
class Job:
    """A recipe and what it is trained on.

    Attributes:
        name: of the model.
        experiment: its recipe.
        stores: {store name: features/<set>/<data set>}.
        memory_bytes: that the features of train may take, as `batches.train_and_dev` has it.
        held: {store name: digest of what it holds of the data set}, noted here so that several jobs may share it.
        begin: what a whole network, or a head with a start, begins with.
        fold_seed: of the folds of validation, where the model learns from it.
    """

    name: str
    experiment: Experiment
    dataset: DataSet
    stores: dict[str, pathlib.Path]
    memory_bytes: int | None = None
    held: dict[str, str] = dataclasses.field(default_factory=dict)
    begin: Beginning | None = None
    fold_seed: int = 0

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """All that shapes what comes of it, as recipe.json has it: recipe, labelled photos, stores and what they hold.

        The labels' groups shape a model that has a softmax or layers for each, or that learns some.
        """
        fingerprints = {name: store.fingerprint(folder) for name, folder in self.stores.items()}
        head, groups = self.experiment.head, {}
        if head.groups or head.task_units or self.experiment.tasks or head.kind in (fields.NAIVE_BAYES, fields.KERNEL):
            groups = {"groups": digest(json.dumps(self.dataset.labels.groups))}
        return plain(
            {
                "recipe": recipes.plain(self.experiment),
                "data": self.dataset.digest,
                **groups,
                "fingerprint": {name: own and own.fields() for name, own in fingerprints.items()},
                "features": {name: self._held(name) for name in self.stores},
                **self._begun(),
                **({"fold_seed": self.fold_seed} if self.folds else {}),
            }
        )

    @property
    def folds(self) -> int:
        """Folds of validation by which the model learns from it, too; 0 where it does not."""
        return 0 if self.why_alone else self.experiment.training.folds

    @property
    def why_alone(self) -> str:
        """Why a recipe that asks for folds learns from train alone; empty where it does not ask, or learns from both.

        Heads that differ in their seed alone are 0.001 apart. On fashion-products twice the photos bring 0.012
        micro-F1, so that a twentieth more brings less than that; and the more photos there are, the less they bring.
        """
        if not self.experiment.training.folds:
            return ""
        train, validation = self._photos
        if train > MOST_ROWS:
            return f"train has {train:,} photos, more than the {MOST_ROWS:,} up to which more of them help much"
        if validation < LEAST_SHARE * train:
            return f"validation has {validation:,} photos beside {train:,} of train, too few to help"
        return ""

    @property
    def most_rows(self) -> int:
        """Photos that one fit learns from, at most."""
        train, validation = self._photos
        return train + (validation if self.folds else 0)

    @property
    def _photos(self) -> tuple[int, int]:
        """How many there are of train, as far as the recipe takes them, and of validation."""
        limit, train = self.experiment.training.limit, len(self.dataset["train"].ids)
        validation = self.dataset.splits.get("validation")
        return min(limit or train, train), len(validation.ids) if validation else 0

    def _begun(self) -> dict[str, Any]:
        if not self.begin:
            return {}
        return {"network": self.begin.identity} if self.experiment.network else {"start": self.begin.start}

    def _held(self, name: str) -> str:
        if name not in self.held:
            self.held[name] = table.content_digest(self.stores[name], self.dataset)
        return self.held[name]

    @property
    def key(self) -> str:
        """The identity in twelve letters."""
        return digest(json.dumps(self.identity, sort_keys=True))[:12]

    def rows_of(self, split: str) -> Rows:
        """Find the rows of a split in the stores."""
        return batches.read([*self.stores.values()], self.dataset[split])

    def train_and_dev(self) -> tuple[Labelled, Labelled]:
        """Give the rows to train on, and those of dev."""
        return batches.train_and_dev(self.rows_of("train"), self.experiment.training.limit, self.memory_bytes)


def measure_of(dataset: DataSet, judging: Judging) -> Measure:
    """Give what decisions on a data set are made for and judged by."""
    return measures.of(judging.metric, dataset.labels.groups)


def one_each(dataset: DataSet, judging: Judging) -> np.ndarray | None:
    """Give the groups of which a photo gets the likeliest label (`labels.one_each`), where it does so at all."""
    groups = dataset.one_each if judging.one_each else None
    return measure_of(dataset, judging).one_each(groups, len(dataset.labels))


def plain(value: dict) -> dict:
    """Give a dict as JSON gives it back: tuples become lists, so that it compares with what a file holds."""
    return json.loads(json.dumps(value))

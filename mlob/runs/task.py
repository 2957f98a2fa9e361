"""A recipe to be tried, and what it is tried on: where a learning curve and a search start."""

import dataclasses
from typing import Any

from mlob.data.dataset import DataSet
from mlob.recipes import Experiment
from mlob.runs import model
from mlob.training.batches import Labelled


@dataclasses.dataclass(frozen=True)
class Task:
    """A recipe and what it is tried on.

    Attributes:
        name: of the model.
        experiment: its recipe.
        stores: {store name: features/<set>/<data set>}.
        memory_bytes: that the features of train may take, as `batches.train_and_dev` has it.
    """

    name: str
    experiment: Experiment
    dataset: DataSet
    stores: model.Stores
    memory_bytes: int | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """All that shapes what comes of it, as `model.identity` gives it."""
        return model.identity(self.experiment, self.dataset, self.stores)

    def rows(self) -> tuple[Labelled, Labelled]:
        """Read the rows to train on, and those of dev."""
        return model.train_and_dev(self.experiment, self.dataset, self.stores, self.memory_bytes)

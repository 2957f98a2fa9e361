"""Rows to train on: the features of several stores side by side, joined with their targets by id."""

import dataclasses

import numpy as np

from mlob.data import splits
from mlob.errors import InputError


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of one split, resident in memory.

    Attributes:
        ids: texts (n,).
        features: float16 (n, d).
        targets: uint8 (n, labels), None where the split has none.
    """

    ids: np.ndarray
    features: np.ndarray
    targets: np.ndarray | None

    def take(self, chosen):
        """Give the rows that a bool mask chooses."""
        return Rows(self.ids[chosen], self.features[chosen], None if self.targets is None else self.targets[chosen])


def join(shards, split):
    """Put the features of several stores side by side and join the targets, all by id.

    Photos that failed in one of the stores are left out; `shards[k].failures` says why.

    Args:
        shards: a `store.Shard` over the whole split for each store.
        split: the `annotations.Split`.

    Raises:
        InputError: a photo is neither among a store's features nor among its failures.
    """
    failed = {name for shard in shards for name in shard.failures}
    kept = np.array([row for row, name in enumerate(split.ids) if name not in failed], np.int64)
    ids = [split.ids[row] for row in kept]
    features = [_in_order(shard, ids) for shard in shards]
    joined = features[0] if len(features) == 1 else np.concatenate(features, axis=1)
    if not np.isfinite(joined).all():
        raise InputError(
            f"{int((~np.isfinite(joined)).any(axis=1).sum())} rows of the {split.name} features are not "
            "finite: remove the store and run `make features` again."
        )
    return Rows(np.array(ids, object), joined, None if split.targets is None else split.targets[kept])


def train_and_dev(rows, limit=0):
    """Cut train into the rows that a head is fitted on and the `dev` rows that stopping looks at.

    Args:
        rows: of the train split.
        limit: use this many rows in all, chosen by a hash of the id (0: all).

    Raises:
        InputError: no targets, too few rows to keep some for `dev`, or no label on any row that is trained on.
    """
    if rows.targets is None:
        raise InputError("The train split has no labels: nothing to train on.")
    if limit:
        rows = rows.take(splits.limit_rows(rows.ids, limit))
    dev = splits.dev_rows(rows.ids)
    if not dev.any():
        raise InputError(
            f"Expected at least 5 rows to train and stop on, found {len(rows.ids)}: add photos to train, or raise "
            "training.limit."
        )
    train = rows.take(~dev)
    if not train.targets.any():
        raise InputError(
            f"No label is left on the {len(train.ids):,} rows to train on: label more photos, or raise training.limit."
        )
    return train, rows.take(dev)


def _in_order(shard, ids):
    if list(shard.ids) == ids:
        return shard.features
    place = {name: row for row, name in enumerate(shard.ids)}
    missing = [name for name in ids if name not in place]
    if missing:
        raise InputError(f"{len(missing)} photos have no features, for example {missing[0]!r}: run `make features`.")
    return shard.features[[place[name] for name in ids]]

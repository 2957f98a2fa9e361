"""Which folder of a feature set holds the store of which data folder."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlob.data import owners, places
from mlob.features import store, table
from mlob.files import digest

if TYPE_CHECKING:
    from mlob.data.dataset import DataSet
    from mlob.data.places import Folder


def find(feature_set_folder: pathlib.Path, data_folder: Folder) -> pathlib.Path:
    """Find the store folder of a data folder, as `owners.find` does.

    The photos' contents decide later which features of a store that was left still hold.

    Args:
        feature_set_folder: features/<set>.
        data_folder: where the photos lie, on a disk or in a bucket.

    Returns:
        feature_set_folder / the last name of the data folder, followed by .2, .3, … where other data folders own the
        earlier ones.
    """
    name = places.data_name(data_folder)
    kept = 1 if name == store.PREDICTED else 0  # that name is kept for photos to predict
    candidates = itertools.islice(owners.numbered(feature_set_folder / name), kept, None)
    return owners.find(candidates, data_folder, sorted(feature_set_folder.glob("*/")))


def renamed(feature_set_folder: pathlib.Path, dataset: DataSet) -> Iterator[pathlib.Path]:
    """Find stores whose data folder is gone and had a split of just these ids: it was renamed.

    Raises:
        InputError: a store is damaged.
    """
    for folder in sorted(feature_set_folder.glob("*/")):
        indices = ((table.read_index(folder, name), split) for name, split in dataset.splits.items())
        if owners.is_left(folder) and any(index.is_of(split.ids) for index, split in indices):
            yield folder


def digests_table(features_folder: pathlib.Path, data_folder: Folder) -> pathlib.Path:
    """Name the table that remembers the digests of a data folder's photos, beside the folders of all feature sets."""
    address = digest(owners.address(data_folder))[:8]
    return features_folder / f"{places.data_name(data_folder)}-{address}-digests.csv"

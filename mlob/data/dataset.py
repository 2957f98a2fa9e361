"""A data set: a folder of photos with their labels, by split.

A split is labelled as a whole or not at all. Where any of its photos has a label, one without labels has none of them;
a split without a single label is there to be predicted.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import drawn, formats, locate, places
from mlob.data.listing import Listed, local
from mlob.data.splits import SPLITS
from mlob.data.tree import Tree
from mlob.errors import InputError
from mlob.files import digest
from mlob.labels import Labels

if TYPE_CHECKING:
    from mlob.data.places import Folder


@dataclasses.dataclass(frozen=True)
class Split:
    """The photos of one split, in annotation order.

    Attributes:
        ids: text, unique in the split.
        urls: where each photo comes from: mirrors, or paths inside the data folder.
        targets: uint8 (n, labels), with some label in it; None where the split has none, so that it is to be predicted.
    """

    name: str
    ids: tuple[str, ...]
    urls: tuple[tuple[str, ...], ...]
    targets: np.ndarray | None

    @property
    def known_targets(self) -> np.ndarray:
        """The targets of a split that has some.

        Raises:
            InputError: it has none.
        """
        if self.targets is None:
            raise InputError(f"The {self.name} split has no labels: expected some in the annotations.")
        return self.targets


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A folder of photos with their labels.

    Attributes:
        name: the folder's own name.
        folder: a `pathlib.Path`, or a `UPath` into a bucket.
        tree: what lies in the folder, as it was when it was first looked for; None where nobody has looked yet.
    """

    name: str
    folder: Folder
    labels: Labels
    splits: dict[str, Split]
    tree: Tree | None = dataclasses.field(default=None, repr=False, compare=False)

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            raise InputError(
                f"{self.folder} has no {split} split (found: {', '.join(self.splits)}): add {split}.json, "
                "or rows of that split to the table; without a column split, more photos, or that column."
            )
        return self.splits[split]

    @functools.cached_property
    def digest(self) -> str:
        """The digest of label ids, and of ids and targets of all splits; every run is compared by it, so it is kept.

        What the labels are called and how they are grouped shapes some products and not others, which add it.
        """
        parts: list[str | np.ndarray] = [json.dumps(self.labels.ids)]
        for split in self.splits.values():
            parts += [split.name, json.dumps(split.ids)]
            parts += [] if split.targets is None else [split.targets]
        return digest(*parts)

    @property
    def is_remote(self) -> bool:
        """Whether the photos lie in a bucket, where `places.READS` of them are read at once."""
        return places.is_remote(self.folder)

    def photos(self, split: str) -> locate.Places:
        """Find a split's photos, None where there is none.

        Raises:
            InputError: a file that a photo of another split would be as well.
        """
        photos, others = self[split], {name: other.ids for name, other in self.splits.items() if name != split}
        return locate.photos(self._tree, split, photos.ids, list(map(local, photos.urls)), others=others)

    @functools.cached_property
    def _tree(self) -> Tree:
        return self.tree or Tree(self.folder)

    @functools.cached_property
    def versions(self) -> dict[str, list[str]]:
        """{split: what would differ in each photo's file if it was changed (`places.version`)}; looked at once."""
        return {split: [places.version(place) for place in self.photos(split)] for split in self.splits}

    def looked_for(self, split: str) -> str:
        """Name the files that the first photo of a split is looked for as, for a message."""
        photos = self[split]
        return ", ".join(locate.looked_for(split, photos.ids[0], local(photos.urls[0])))


def read_dataset(folder: Folder | str, *, digests: pathlib.Path | None = None) -> DataSet:
    """Read the data set in `folder`, in whichever of the `formats` it is.

    Args:
        folder: the data folder, as a path or as DATA= names it.
        digests: path of a CSV file in which the digests of photos are kept between runs, for a table without a split
            column; None computes them anew.

    Raises:
        InputError: files missing, truncated or of another format; ids or labels that cannot be right; a bucket that
            cannot be read.
    """
    tree = Tree(places.data_folder(folder))
    listing = formats.read(tree.root)
    splits = [split for file in listing.files for split in _splits(file, listing.labels, tree, digests)]
    by_name = {split.name: split for split in splits}
    return DataSet(places.data_name(tree.root), tree.root, listing.labels, by_name, tree)


def _splits(file: Listed, labels: Labels, tree: Tree, digests: pathlib.Path | None) -> Iterator[Split]:
    """Give the splits of the photos that a file lists, without those that have no photo."""
    names = file.splits or drawn.splits(tree, file, digests)
    for split in SPLITS:
        if rows := [row for row, name in enumerate(names) if name == split]:
            label_sets = [file.label_sets.get(file.ids[row], set()) for row in rows]
            targets = labels.targets(label_sets) if any(label_sets) else None
            yield Split(split, tuple(file.ids[row] for row in rows), tuple(file.urls[row] for row in rows), targets)

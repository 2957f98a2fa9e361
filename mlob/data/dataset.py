"""A data set: a folder of photos with their labels, by split.

A split is labelled as a whole or not at all. If any photo of it has a label, a photo without labels is a negative for
all that are known of it. A split without any label is there to be predicted.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import drawn, locate, places
from mlob.data.annotations import formats
from mlob.data.annotations.listing import Listed, local
from mlob.data.splits import SPLITS
from mlob.data.tree import Tree
from mlob.errors import InputError
from mlob.files import digest
from mlob.labels import Exclusive, Labels, exclusive_groups, one_each
from mlob.machine import memory_bytes
from mlob.recipes import Annotations

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from mlob.data.places import Folder, Place


@dataclasses.dataclass(frozen=True)
class Split:
    """The photos of one split, in annotation order.

    Attributes:
        ids: unique in the split.
        urls: for each photo, web addresses (mirrors) or paths inside the data folder.
        annotations: uint8 (n, labels), sparse or not, not all 0 (see `labels`); None if the split has no labels and is
            to be predicted.
        together: for each photo the name of what it belongs to (a product), empty for a photo by itself; None where
            all are.
        places: of the photos, where the annotations hold them; None where they are looked for by id or url.
        texts: for each photo the text beside it, empty where there is none; None where no column holds some.
    """

    name: str
    ids: Sequence[str]
    urls: Sequence[tuple[str, ...]]
    annotations: np.ndarray | csr_array | None
    together: Sequence[str] | None = None
    places: Sequence[Place | None] | None = dataclasses.field(default=None, repr=False, compare=False)
    texts: Sequence[str] | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def targets(self) -> np.ndarray | None:
        """Targets uint8 (n, labels) of 0, 1 and `labels.UNKNOWN`; None where the split has no labels.

        Raises:
            InputError: they would not fit into half of the memory.
        """
        if self.annotations is None or isinstance(self.annotations, np.ndarray):
            return self.annotations
        self.check_size()
        return self.annotations.toarray()

    def check_size(self) -> None:
        """Refuse targets that would not fit into half of the memory.

        Raises:
            InputError: they would not.
        """
        photos, labels = (0, 0) if self.annotations is None else self.annotations.shape
        memory = memory_bytes()
        if photos * labels > memory / 2:
            raise InputError(
                f"The {self.name} split has {photos:,} photos and {labels:,} labels, which would take "
                f"{photos * labels / 2**30:,.1f} GB of the machine's {memory / 2**30:,.1f} GB: fold rare labels into "
                "one, for example SET=annotations.other_below=0.001, or use a machine with more memory."
            )

    @property
    def labelled_targets(self) -> np.ndarray:
        """The targets of a split that has some.

        Raises:
            InputError: it has none.
        """
        targets = self.targets
        if targets is None:
            raise InputError(f"The {self.name} split has no labels: expected some in the annotations.")
        return targets


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A folder of photos with their labels.

    Attributes:
        name: the folder's own name.
        folder: a `pathlib.Path`, or a `UPath` into a bucket.
        tree: the files in the folder, as they were when they were first listed; None if that has not happened yet.
        told: how the annotations were understood, in lines for people.
        is_drawn: whether the splits of photos were drawn, of all or of some.
    """

    name: str
    folder: Folder
    labels: Labels
    splits: dict[str, Split]
    tree: Tree | None = dataclasses.field(default=None, repr=False, compare=False)
    told: tuple[str, ...] = ()
    is_drawn: bool = False

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            raise InputError(
                f"{self.folder} has no {split} split (found: {', '.join(self.splits)}): add {split}.json, "
                "or rows of that split to the table; without a column split, more photos, or that column."
            )
        return self.splits[split]

    @functools.cached_property
    def digest(self) -> str:
        """The digest of the label ids, and of ids, targets and products of all splits, by which every run is compared.

        The names and groups of labels shape only some products, which add them to their own digests.
        """
        parts: list[str | np.ndarray | csr_array] = [json.dumps(self.labels.ids)]
        for split in self.splits.values():
            parts += [split.name, json.dumps(list(split.ids))]
            parts += [] if split.annotations is None else [split.annotations]
            parts += [] if split.together is None else [json.dumps(list(split.together))]
        return digest(*parts)

    @functools.cached_property
    def exclusive(self) -> list[Exclusive]:
        """The groups of which no photo of train has two labels; none where train has no labels."""
        train = self.splits.get("train")
        targets = None if train is None else train.targets
        return [] if targets is None else exclusive_groups(self.labels.groups, targets)

    @property
    def one_each(self) -> np.ndarray | None:
        """The groups of which every photo of train has exactly one label, as `labels.one_each` numbers them."""
        return one_each(self.exclusive, len(self.labels))

    @property
    def is_remote(self) -> bool:
        """Whether the photos are in a bucket, from which `places.READS` of them are read at the same time."""
        return places.is_remote(self.folder)

    def photos(self, split: str) -> Sequence[Place | None]:
        """Find a split's photos, None for a photo without a file; they are looked for once.

        Raises:
            InputError: a file would also be the photo of another split.
        """
        photos = self[split]
        if photos.places is not None:
            return photos.places
        if split not in self._found:
            others = {name: other.ids for name, other in self.splits.items() if name != split}
            urls = list(map(local, photos.urls))
            self._found[split] = locate.photos(self._tree, split, photos.ids, urls, others=others)
        return self._found[split]

    @functools.cached_property
    def _found(self) -> dict[str, Sequence[Place | None]]:
        return {}

    @functools.cached_property
    def _tree(self) -> Tree:
        return self.tree or Tree(self.folder)

    @functools.cached_property
    def versions(self) -> dict[str, list[str]]:
        """{split: a text for each photo that changes when its file changes (`places.version`)}; looked up once."""
        return {split: [places.version(place) for place in self.photos(split)] for split in self.splits}

    def looked_for(self, split: str) -> str:
        """Give the paths where the first photo of a split is looked for, for a message."""
        photos = self[split]
        return ", ".join(locate.looked_for(split, photos.ids[0], local(photos.urls[0])))


def read_dataset(
    folder: Folder | str, *, digests: pathlib.Path | None = None, asked: Annotations | None = None
) -> DataSet:
    """Read the data set in a folder, in any of the `formats`.

    Args:
        folder: the data folder, as a path or as DATA= names it.
        digests: path of a CSV file that keeps the digests of photos between runs, used if the splits are drawn; None
            computes them again.
        asked: how a table is to be read, where its names do not tell.

    Raises:
        InputError: files are missing, cut short or in no known format; ids or labels cannot be right; a bucket cannot
            be read.
    """
    tree = Tree(places.data_folder(folder))
    listing = formats.read(tree, asked)
    assigned = [drawn.splits(tree, file, digests) if _is_open(file) else (file.splits, []) for file in listing.files]
    splits = [split for file, (names, _) in zip(listing.files, assigned, strict=True) for split in _splits(file, names)]
    told = (*listing.told, *(line for _, lines in assigned for line in lines))
    by_name = {split.name: split for split in splits}
    is_drawn = any(map(_is_open, listing.files))
    return DataSet(places.data_name(tree.root), tree.root, listing.labels, by_name, tree, told, is_drawn)


def _is_open(file: Listed) -> bool:
    """Say whether some photos of a file are in no split yet."""
    return file.splits is None or bool((file.splits == "").any())


def _splits(file: Listed, names: np.ndarray | None) -> Iterator[Split]:
    """Give the splits of the photos that a file lists, by the name of each one's; one without photos is left out."""
    for split in SPLITS:
        rows = np.flatnonzero(names == split)
        if len(rows) == len(file.ids):
            yield _split(split, file)
        elif len(rows):
            yield _split(split, file.take(rows))


def _split(name: str, file: Listed) -> Split:
    annotations = file.annotations if file.is_labelled.any() else None
    return Split(name, file.ids, file.urls, annotations, file.together, file.places, file.texts)

"""The format of COCO and iNaturalist: photos, categories with what they belong to, and which photo has which.

The categories in a photo are its labels. Supercategories, or the ranks of a taxonomy, are groups of labels as well.
"""

from __future__ import annotations

import collections
import dataclasses
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import places
from mlob.data.annotations import listing, records
from mlob.data.annotations.listing import Listed, Listing
from mlob.data.annotations.records import Json, Photos, Records
from mlob.data.splits import NAMES, SPLITS
from mlob.data.tree import FLAT, Tree
from mlob.errors import InputError
from mlob.labels import Labels
from mlob.recipes import Annotations

if TYPE_CHECKING:
    from mlob.data.places import Folder

LAYOUT = (
    '{"images": [{"id", "file_name"}], "categories": [{"id", "name"}], "annotations": [{"image_id", "category_id"}]}'
)
FILE = re.compile(rf"(?:instances_|image_info_)?(({'|'.join(NAMES)})(?:-dev)?[-_]?\d*)\.json")
FIELDS = re.compile(rb'"(?:file_name|category_id|supercategory)"')  # of COCO alone
ENDS = 65_536  # bytes at both ends of a file, which hold one of them
BESIDE = "annotations"  # the folder where COCO's own files lie
GROUP = "category"
RANKS = ("supercategory", "kingdom", "phylum", "class", "order", "family", "genus")

Ranks = dict[str, str]  # {rank: name} of a category


@dataclasses.dataclass(frozen=True)
class Pictures:
    """A file as it stands: photos, hits, each a row and the number of a category, and {number: category}."""

    photos: Photos
    rows: np.ndarray
    numbers: np.ndarray
    categories: dict[int, tuple[str, Ranks]]


def find(tree: Tree, names: list[str]) -> str:
    """Give the first file of the format, with its path from the folder; empty if there is none."""
    return next(iter(_files(tree.root, names)), "")


def is_coco(path: Folder) -> bool:
    """Tell by the ends of a JSON file whether it is of this format."""
    try:
        with places.reached(path), path.open("rb") as file:
            first, size = file.read(ENDS), file.seek(0, 2)
            file.seek(max(0, size - ENDS))
            return any(map(FIELDS.search, (first, file.read(ENDS))))
    except OSError:  # told when it is read
        return False


def read(tree: Tree, names: list[str], asked: Annotations) -> Listing:
    """Read the JSON files in a folder, or in its annotations/.

    Args:
        tree: the data folder.
        names: of the files in the folder.
        asked: how a table is to be read; these files tell it themselves.

    Raises:
        InputError: two files are of one split; a file is cut short or has another layout; an annotation names a photo
            or a category that is not there; a category has two names.
    """
    files = [_read_split(tree.root, names, file) for file in _files(tree.root, names)]
    for split, count in collections.Counter(file.photos.split for file in files).items():
        if count > 1:
            paths = " and ".join(str(file.photos.path) for file in files if file.photos.split == split)
            raise InputError(f"{paths} are both for {split}: keep one, or put the other elsewhere.")
    categories = _merged(files)
    ranks = _ranks(categories)
    labels, columns = _labels(categories, ranks, tree.root)
    files.sort(key=lambda file: SPLITS.index(file.photos.split))
    listed = [_listed(file, labels, columns) for file in files]
    return Listing(labels, listed, tuple(_told(labels, len(categories), ranks)))


def _files(folder: Folder, names: list[str]) -> list[str]:
    inside = [posixpath.join(BESIDE, name) for name in places.names(folder / BESIDE)]
    named = [name for name in sorted([*names, *inside]) if FILE.fullmatch(posixpath.basename(name))]
    return [name for name in named if is_coco(folder / name)]


# Files


def _read_split(folder: Folder, names: list[str], file: str) -> Pictures:
    path = folder / file
    home, split = FILE.fullmatch(path.name).groups()  # type: ignore[union-attr]  # names were chosen by it
    above = _above(folder, names, home.replace("-dev", ""))
    photos, annotations, content = records.photos(path, NAMES[split], LAYOUT, lambda image: _urls(image, above, path))
    categories = _categories(content.get("categories") or [], path)
    rows, numbers = records.hits(annotations, photos, lambda each: [records.number(each, "category_id", path)])
    return Pictures(photos, rows, numbers, categories)


def _above(folder: Folder, names: list[str], home: str) -> str:
    """Give the start of the photos' paths: the folder or archive of the file's name, train2017/, where there is one."""
    with places.reached(folder):
        is_there = any((folder / name / home).is_dir() for name in ("", FLAT))
    return f"{home}/" if is_there or {f"{home}.zip", f"{home}.tar"} & set(names) else ""


def _urls(image: Json, above: str, path: Folder) -> tuple[str, ...]:
    file = records.text(image, "file_name", path)
    web = image.get("coco_url") if isinstance(image, dict) else None
    inside = file if file.startswith(above) else f"{above}{file}"
    return (inside, web) if isinstance(web, str) and "://" in web else (inside,)


def _categories(content: Records | list, path: Folder) -> dict[int, tuple[str, Ranks]]:
    """Read {number: (name, {rank: name})}."""
    found: dict[int, tuple[str, Ranks]] = {}
    for record in content:
        number = records.number(record, "id", path)
        ranks = {rank: listing.composed(records.text(record, rank, path)) for rank in RANKS if record.get(rank)}
        if number in found:
            raise InputError(f"{path}: the category {number} is listed twice: remove one of the two.")
        found[number] = listing.composed(records.text(record, "name", path)), ranks
    return found


# Labels


def _merged(files: list[Pictures]) -> dict[int, tuple[str, Ranks]]:
    """Give the categories of all files, by number."""
    merged: dict[int, tuple[str, Ranks]] = {}
    for file in files:
        for number, category in file.categories.items():
            if merged.setdefault(number, category) != category:
                raise InputError(
                    f"{file.photos.path}: the category {number}, {category[0]!r}, is another one "
                    f"({merged[number][0]!r}) in another file: correct one of the two."
                )
    return dict(sorted(merged.items()))


def _ranks(categories: dict[int, tuple[str, Ranks]]) -> list[str]:
    """Give the ranks that tell categories apart: not one that all of them share."""
    return [rank for rank in RANKS if len({ranks.get(rank) for _, ranks in categories.values()}) > 1]


def _labels(
    categories: dict[int, tuple[str, Ranks]], ranks: Sequence[str], folder: Folder
) -> tuple[Labels, np.ndarray]:
    """Give the labels, and the columns of each category, its own and those of its ranks: int (categories, 1 + ranks).

    A category that lacks a rank has -1 there. Categories keep their numbers, the others count on from the largest.
    """
    rows = [(number, name, GROUP) for number, (name, _) in categories.items()]
    columns = np.full((len(rows), 1 + len(ranks)), -1)
    columns[:, 0] = np.arange(len(rows))
    for place, rank in enumerate(ranks, 1):
        names = sorted({found[rank] for _, found in categories.values() if rank in found})
        first = len(rows)
        for row, (_, found) in enumerate(categories.values()):
            columns[row, place] = first + names.index(found[rank]) if rank in found else -1
        rows += [(rows[-1][0] + 1 + number, name, rank) for number, name in enumerate(names)]
    return listing.labels(rows, folder, ids_are_own=True), columns


def _listed(file: Pictures, labels: Labels, columns: np.ndarray) -> Listed:
    known = np.array(labels.ids[: len(columns)], np.int64)
    if len(wrong := file.numbers[~np.isin(file.numbers, known)]):
        raise InputError(
            f"{file.photos.path}: the category {wrong[0]} is not among the categories ({len(known):,}): correct the "
            "annotation, or add the category."
        )
    hits = columns[np.searchsorted(known, file.numbers)]
    rows = np.repeat(file.rows, hits.shape[1])[hits.ravel() >= 0]
    return file.photos.annotated(labels.annotate(len(file.photos.ids), rows, hits.ravel()[hits.ravel() >= 0]))


def _told(labels: Labels, categories: int, ranks: Sequence[str]) -> Iterator[str]:
    yield f"{categories:,} categories; those in a photo are its labels."
    if ranks:
        counts = collections.Counter(labels.groups)
        groups = ", ".join(f"{rank} {counts[rank]:,}" for rank in ranks)
        yield f"What categories belong to is labels too, numbered from {labels.ids[categories]} on: {groups}."

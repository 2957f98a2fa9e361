"""A demo data set in the layout of iMaterialist 2018, drawn from a seed: garments whose labels can be seen."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import tempfile
from typing import TYPE_CHECKING

import numpy as np

from mlob.data import drawing, places
from mlob.data.garments import GROUPS
from mlob.errors import InputError
from mlob.files import atomic

if TYPE_CHECKING:
    from mlob.data.places import Folder

PROPORTIONS = ((0.75, 1), (0.75, 1), (0.67, 1), (1, 1), (1, 0.8), (0.56, 1))  # width and height of a photo
LABELS = [(label, task, group) for task, (group, shapes) in enumerate(GROUPS.items(), 1) for label in shapes]
LABEL_IDS = {label: str(label_id) for label_id, (label, _, _) in enumerate(LABELS, 1)}

# Prevalence differs between the splits, as in the real data: stripes are commoner outside train.
FAVOURED: dict[str, tuple[str, ...]] = {"train": (), "validation": ("striped",), "test": ("striped",)}

# By split and id: photos whose files are spoilt, all named .jpg, and photos that repeat one of another split.
SPOILT = {
    ("train", "6"): lambda photo: drawing.jpeg(photo)[:1500],
    ("train", "13"): lambda photo: b"<html><title>404 Not Found</title></html>",
    ("train", "21"): lambda photo: b"",
    ("train", "28"): lambda photo: drawing.blank(photo, "white"),
    ("validation", "4"): lambda photo: drawing.jpeg(photo)[:1500],
    ("validation", "9"): lambda photo: drawing.blank(photo, "grey"),
    ("test", "3"): lambda photo: b"<html><title>404 Not Found</title></html>",
}
TWINS = {
    ("validation", "2"): ("train", "2"),
    ("validation", "7"): ("train", "9"),
    ("test", "1"): ("train", "3"),
    ("test", "5"): ("validation", "5"),
}


def draw(folder: Folder | str, *, seed: int = 0, photos: int = 900) -> pathlib.Path:
    """Draw the demo data set into `folder`, which is whole or absent, and return its path.

    Writes train.json, validation.json, test.json (without annotations), label_map.csv and
    images/<split>/<imageId>.<ext>. Of 900 photos 600 are in train, 170 in validation and 130 in test, and so in
    proportion. With 60 photos or more, seven files are spoilt and four photos are in two splits. A seed always gives
    the same bytes. A folder with a train.json is left as it is.

    Raises:
        InputError: the folder holds something else, cannot be written, or is in a bucket.
    """
    folder = places.data_folder(folder)
    if not isinstance(folder, pathlib.Path):
        raise InputError(f"{folder} is in a bucket: the demo set is drawn into a folder on a disk.")
    if (folder / "train.json").exists():
        return folder
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds files but no train.json: name a new or empty folder.")
    with atomic(folder) as part, tempfile.TemporaryDirectory(prefix=".demo.", dir=folder.parent) as aside:
        whole = pathlib.Path(aside, "whole")
        _write(whole, seed, photos)
        os.replace(whole, part)
    return folder


def _write(folder: pathlib.Path, seed: int, photos: int) -> None:
    train, validation = photos * 2 // 3, photos * 17 // 90
    for split, rows in zip(FAVOURED, (train, validation, photos - train - validation), strict=True):
        _write_split(folder, split, rows, seed)
    with open(folder / "label_map.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["labelId", "taskId", "labelName", "taskName"])
        table.writerows((LABEL_IDS[label], task, label, group) for label, task, group in LABELS)


def _write_split(folder: pathlib.Path, split: str, rows: int, seed: int) -> None:
    (folder / "images" / split).mkdir(parents=True)
    images, annotations = [], []
    for image_id in map(str, range(1, rows + 1)):
        suffix, content, labels = _row(seed, split, image_id)
        url = f"images/{split}/{image_id}{suffix}"
        (folder / url).write_bytes(content)
        images.append({"url": url, "imageId": image_id})
        annotations.append({"labelId": labels, "imageId": image_id})
    table = {"images": images} if split == "test" else {"images": images, "annotations": annotations}
    (folder / f"{split}.json").write_text(json.dumps(table), encoding="utf-8")


def _row(seed: int, split: str, image_id: str) -> tuple[str, bytes, list[str]]:
    """Give (suffix, bytes, label ids) of a photo, which do not depend on the other photos."""
    split, image_id = TWINS.get((split, image_id), (split, image_id))
    rng = np.random.default_rng([seed, list(FAVOURED).index(split), int(image_id)])
    look = drawing.pick_look(rng, FAVOURED[split])
    labels = sorted({LABEL_IDS[label] for label in look.values() if label}, key=int)
    size = (rng.integers(240, 420) * rng.choice(PROPORTIONS)).astype(int)
    garment = drawing.garment(look, size, rng)
    if (split, image_id) in SPOILT:
        return ".jpg", SPOILT[split, image_id](drawing.photo(garment, rng)), labels
    return *drawing.file(look, garment, rng), labels

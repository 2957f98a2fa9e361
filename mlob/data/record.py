"""What a data set held, a few numbers a photo, by which is told what came, what went and what has other labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlob.files import hashes

if TYPE_CHECKING:
    from mlob.data.dataset import DataSet, Split

Record = Mapping[str, np.ndarray]  # "<split> ids", "<split> targets", …: uint64 (n,), a hash for each photo


def of(dataset: DataSet) -> dict[str, np.ndarray]:
    """Give the record of a data set: arrays uint64, of its labels and for each split of ids, targets and products."""
    names = zip(dataset.labels.groups, dataset.labels.names, strict=True)
    labels = hashes(f"{group}\0{name}" for group, name in names)
    record = {"labels": labels}
    for name, split in dataset.splits.items():
        record |= {f"{name} ids": hashes(split.ids), f"{name} targets": _of_targets(split, labels)}
        if split.together is not None:
            record[f"{name} together"] = hashes(split.together)
    return record


def changes(before: Record, now: Record) -> str:
    """Say how many photos of each split came, went, or have other labels, and how many labels came and went."""
    splits = dict.fromkeys(name.rpartition(" ")[0] for name in (*before, *now) if name.endswith(" ids"))
    told = [f"{split} photos: {', '.join(found)}" for split in splits if (found := _of_split(split, before, now))]
    own, others = (set(record["labels"].tolist()) for record in (now, before))
    labels = _came_and_went(len(own - others), len(others - own))
    told += [f"labels: {', '.join(labels)}"] if labels else []
    return "; ".join(told) or "the order of the photos, or the numbers of the labels"


def _of_split(split: str, before: Record, now: Record) -> list[str]:
    ids = [record.get(f"{split} ids", np.empty(0, np.uint64)) for record in (before, now)]
    _, old, new = np.intersect1d(ids[0], ids[1], assume_unique=True, return_indices=True)
    told = _came_and_went(len(ids[1]) - len(new), len(ids[0]) - len(old))
    for name, what in ((f"{split} targets", "other labels"), (f"{split} together", "another product")):
        alone = np.tile(hashes([""]), max(map(len, ids)))
        if count := int((before.get(name, alone)[old] != now.get(name, alone)[new]).sum()):
            told.append(f"{count:,} with {what}")
    return told


def _came_and_went(came: int, went: int) -> list[str]:
    return [f"{count:,} {what}" for count, what in ((came, "came"), (went, "went")) if count]


def _of_targets(split: Split, labels: np.ndarray) -> np.ndarray:
    """Hash each photo's targets: the sum of its labels' hashes, each times 1 or what stands for unknown."""
    from scipy.sparse import csr_array

    if split.annotations is None:
        return np.zeros(len(split.ids), np.uint64)
    return np.asarray(csr_array(split.annotations) @ labels, np.uint64)

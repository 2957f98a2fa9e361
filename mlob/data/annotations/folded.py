"""Rare labels folded into one, "other", a group: a rule of a suite."""

from __future__ import annotations

import dataclasses

import numpy as np

from mlob.data.annotations.listing import Listed, Listing
from mlob.labels import UNKNOWN, Labels
from mlob.recipes import Annotations

OTHER = "other"


def fold(annotated: Listing, asked: Annotations) -> Listing:
    """Fold the labels that are not among the commonest of their group, or too rare, into the label "other" of it.

    A photo has "other" if it has one of the folded labels; nobody knows it where nobody knows one of them, and the
    photo has no other.

    Args:
        asked: `commonest`, labels that a group keeps; `other_below`, the share of labelled photos that a label needs.
    """
    if not (asked.commonest or asked.other_below):
        return annotated
    labels, counts = annotated.labels, _counts(annotated)
    photos = sum(int(file.is_labelled.sum()) for file in annotated.files)
    folded = _folded(labels, counts, photos, asked)
    if not folded.any():
        return annotated
    kept = np.flatnonzero(~folded)
    pairs = [(labels.names[column], labels.groups[column]) for column in kept]
    new = sorted({(OTHER, labels.groups[column]) for column in np.flatnonzero(folded)} - set(pairs))
    last = max(labels.ids)
    changed = Labels(
        (*(labels.ids[column] for column in kept), *range(last + 1, last + 1 + len(new))),
        tuple(name for name, _ in pairs + new),
        tuple(group for _, group in pairs + new),
        labels.ids_are_own,
    )
    place = {pair: number for number, pair in enumerate(pairs + new)}
    to = np.array(
        [
            place[OTHER if is_folded else name, group]
            for name, group, is_folded in zip(labels.names, labels.groups, folded, strict=True)
        ]
    )
    groups = ", ".join(dict.fromkeys(np.asarray(labels.groups)[folded].tolist()))
    told = f"Folded into {OTHER!r}: {int(folded.sum()):,} labels of {groups}."
    files = [_refile(file, changed, to) for file in annotated.files]
    return dataclasses.replace(annotated, labels=changed, files=files, told=(*annotated.told, told))


def _counts(annotated: Listing) -> np.ndarray:
    """Count the photos that have each label, int (labels,)."""
    counts = [np.asarray((file.annotations == 1).sum(axis=0)) for file in annotated.files]
    return np.sum(counts, axis=0)


def _folded(labels: Labels, counts: np.ndarray, photos: int, asked: Annotations) -> np.ndarray:
    """Say which labels are folded, bool (labels,); of labels on equally many photos the first one stays."""
    folded = counts < asked.other_below * photos
    for group in set(labels.groups):
        own = np.flatnonzero(np.asarray(labels.groups) == group)
        rank = own[np.argsort(-counts[own], kind="stable")]
        folded[rank[asked.commonest or len(rank) :]] = True
    return folded & (np.asarray(labels.names) != OTHER)


def _refile(file: Listed, labels: Labels, to: np.ndarray) -> Listed:
    """Give the photos of a file with their labels in new columns: old column j is column to[j]."""
    from scipy.sparse import coo_array

    cells = coo_array(file.annotations)
    rows, columns = cells.coords[0], to[cells.coords[1]]
    unknown = cells.data == UNKNOWN
    annotations = labels.annotate(len(file.ids), rows[~unknown], columns[~unknown], (rows[unknown], columns[unknown]))
    return dataclasses.replace(file, annotations=annotations)

"""From features to probabilities: over all photos of a split, and for photos outside of any data set."""

import numpy as np

from mlob import machine
from mlob.predictions.table import Table


def table(split, rows, probabilities, shares):
    """Lay probabilities out over every photo of a split.

    Args:
        split: the `annotations.Split`.
        rows: the `batches.Rows` that have features.
        probabilities: float32 (len(rows), labels).
        shares: float (labels,), the labels' shares in train: the best guess for a photo that cannot be read.
    """
    full = np.tile(np.asarray(shares, np.float32), (len(split.ids), 1))
    digests = np.zeros(len(split.ids), np.uint64)
    place = {name: row for row, name in enumerate(split.ids)}
    there = [place[name] for name in rows.ids]
    full[there], digests[there] = probabilities, 0 if rows.digests is None else rows.digests
    return Table(split.ids, full, digests=digests)


def members(models, features):
    """Give every member's probabilities for new photos.

    Args:
        models: {member: (runs/<suite>/<member>, names of the stores that it reads)}.
        features: {store name: float16 (n, d) or (n, h, w, d)}; those of several stand side by side on the last axis.

    Returns:
        {member: float32 (n, labels)}.
    """
    machine.load_keras()
    from mlob.models import heads
    from mlob.training import fit

    found = {}
    for member, (folder, stores) in models.items():
        model = heads.load(folder / "head.keras")
        found[member] = fit.predict(model, np.concatenate([features[name] for name in stores], axis=-1))
    return found

"""From rows with features to a table over all photos of a split."""

import numpy as np

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
    place = {name: row for row, name in enumerate(split.ids)}
    full[[place[name] for name in rows.ids]] = probabilities
    return Table(split.ids, full)

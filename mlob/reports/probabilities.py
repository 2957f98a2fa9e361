"""probabilities.parquet: every label of every test photo with its probability; and how sure the decisions are."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlob.files import atomic, to_cell
from mlob.labels import Labels
from mlob.predictions import Table
from mlob.workspace import PROBABILITIES

if TYPE_CHECKING:
    import pandas as pd

NAMED = 3  # photos that the terminal names


def table(labels: Labels, answers: Table, needed: np.ndarray) -> pd.DataFrame:
    """Lay answers out, one row for each photo and label, in their order.

    Args:
        labels: of the columns.
        answers: probabilities and decisions of an ensemble.
        needed: float32 (n, labels), what each probability had to reach, as `methods.Decision.needed` gives it.

    Returns:
        The columns photo, label, group, probability, threshold (what was needed), decided, margin (probability less
        threshold).
    """
    import pandas as pd

    photos, count = len(answers.ids), len(labels)
    return pd.DataFrame(
        {
            "photo": pd.Categorical.from_codes(np.repeat(np.arange(photos), count), list(answers.ids)),
            "label": _tiled(labels.names, photos),
            "group": _tiled(labels.groups, photos),
            "probability": answers.probabilities.ravel(),
            "threshold": needed.ravel(),
            "decided": answers.decisions.ravel().astype(bool),
            "margin": (answers.probabilities - needed).ravel(),
        }
    )


def write(folder: pathlib.Path, labels: Labels, answers: Table, needed: np.ndarray, *, with_csv: bool) -> None:
    """Write probabilities.parquet, atomically, and probabilities.csv where it is asked for.

    In the CSV a name that a spreadsheet would run as a formula gets an apostrophe.
    """
    rows = table(labels, answers, needed)
    with atomic(folder / f"{PROBABILITIES}.parquet") as part:
        rows.to_parquet(part, engine="pyarrow", index=False)
    if with_csv:
        names = {name: rows[name].cat.rename_categories(to_cell) for name in ("photo", "label", "group")}
        with atomic(folder / f"{PROBABILITIES}.csv") as part:
            rows.assign(**names).to_csv(part, index=False, float_format="%.6g", lineterminator="\n")


def least_certain_first(answers: Table, needed: np.ndarray) -> np.ndarray:
    """Order photos by the label whose probability is nearest to what it needs: rows, integers (n,)."""
    return np.argsort(np.abs(answers.probabilities - needed).min(axis=1, initial=1), kind="stable")


def nearest(answers: Table, needed: np.ndarray, row: int) -> int:
    """Give the label of a photo whose probability is nearest to what it needs: its column."""
    return int(np.abs(answers.probabilities[row] - needed[row]).argmin())


def least_certain(labels: Labels, answers: Table, needed: np.ndarray) -> str:
    """Name the photos that are decided with the least certainty, each with the label that is nearest to the edge."""
    rows = least_certain_first(answers, needed)[:NAMED].tolist()
    names = labels.unique_names()
    named = [
        f"{answers.ids[row]} ({names[column]} {answers.probabilities[row, column]:.2f}, "
        f"{needed[row, column]:.2f} is enough)"
        for row, column in ((row, nearest(answers, needed, row)) for row in rows)
    ]
    return f"least certain: {', '.join(named)}"


def _tiled(texts: Sequence[str], times: int) -> pd.Categorical:
    """Give texts, of which some may be equal, several times over."""
    import pandas as pd

    codes, different = pd.factorize(np.array(texts, object))
    return pd.Categorical.from_codes(np.tile(codes, times), different)

"""The verb that lists backbones."""

from typing import TYPE_CHECKING

from mlob import workspace
from mlob.errors import InputError
from mlob.progress import show, show_table

if TYPE_CHECKING:
    from mlob.features.catalogue import Row

COLUMNS = ("backbone", "parameters (M)", "length", "sizes (pixels)", "GFLOP", "licence", "weights", "photos/s here")


def backbones(wanted: str = "", given: str | None = None) -> None:
    """Print the backbones whose names hold a text; of a preset that it names wholly, its page and what it is, too.

    Args:
        wanted: the text; empty for all.
        given: WEIGHTS=, a file or a folder.

    Raises:
        InputError: there are none (with the nearest).
    """
    from mlob.features import catalogue, presets

    rows = catalogue.rows(workspace.folder("MLOB_FEATURES", workspace.RECIPES), given)
    found = [row for row in rows if wanted in row.name]
    if not found:
        near = presets.nearest_to(wanted, [row.name for row in rows])
        raise InputError(f"No backbone has {wanted!r} in its name{near}")
    show_table(COLUMNS, [_cells(row) for row in found])
    for row in found:
        if row.source and wanted in (row.name, row.name.removeprefix("hub:")):
            show(row.source)
    if not any(row.source for row in rows):
        show(f"{presets.MISSING}.")


def _cells(row: "Row") -> tuple[str, ...]:
    return row.name, row.parameters, row.length, row.sizes, row.gflop, row.licence, row.weights, row.rate

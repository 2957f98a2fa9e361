"""The verb that brings features which other programs made: into a store, with a recipe that models name."""

import pathlib
import re
from collections.abc import Iterable

from mlob import fields
from mlob import workspace as places
from mlob.errors import InputError, counted
from mlob.files import write_text
from mlob.progress import say
from mlob.workspace import Workspace

RECIPE = '''"""Features made elsewhere, of {file}: {count} a photo.

Command: mlob import {file} --name {name}
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet("imported")
'''


def bring(work: Workspace, path: pathlib.Path, name: str, ids: str = "") -> None:
    """Bring features that were made elsewhere into a store; its recipe is written where it is missing.

    Args:
        work: the suite.
        path: of the table.
        name: of the feature set.
        ids: the column of ids, or of an array the file of them.

    Raises:
        InputError: the name is that of another kind of feature set; as `vectors.read` and `imported.bring`.
    """
    from mlob.data import vectors
    from mlob.features import backbones, imported

    fields.check_name(name, "--name")
    recipe = places.RECIPES / f"{name}.py"
    if recipe.is_file() and not backbones.is_imported(work.feature_set(name)):
        raise InputError(f"{recipe} makes features of photos: give those of {path} another name.")
    is_new = not recipe.is_file()
    read = vectors.read(path, ids)
    imported.bring(name, work.store(name), work.dataset, read, is_dry=work.is_dry)
    if is_new:
        say(f"{name}: {recipe} {'would be' if work.is_dry else 'is'} its recipe; models read stores=({name!r},)")
    if is_new and not work.is_dry:
        file, own = (re.sub(r"[^\w. -]", "_", each) for each in (path.name, name))  # nothing that ends a docstring
        write_text(recipe, RECIPE.format(file=file, count=counted(read.values.shape[1], "number"), name=own))


def renew(work: Workspace, names: Iterable[str]) -> None:
    """List the splits anew over features that were brought; photos without any are refused."""
    from mlob.features import imported

    for name in names:
        imported.renew(name, work.store(name), work.dataset, is_dry=work.is_dry)

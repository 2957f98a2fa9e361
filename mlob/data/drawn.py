"""Splits drawn by the bytes of the photos and their products, if the annotations name none. Digests are kept."""

import pathlib
from collections.abc import Sequence

import numpy as np

from mlob.data import digests, locate, places
from mlob.data.annotations import listing
from mlob.data.annotations.listing import Listed, local
from mlob.data.places import Place
from mlob.data.splits import draw, kept_in_train, keys
from mlob.data.tree import Tree
from mlob.errors import InputError, counted
from mlob.files import write_text
from mlob.progress import say

UNREADABLE = "unreadable "  # before the name of a photo, in place of its digest


def splits(tree: Tree, listed: Listed, table: pathlib.Path | None) -> tuple[np.ndarray, list[str]]:
    """Draw the split of each photo that has none yet.

    A split that is given to some photos is not drawn for others. Where none is given, photos without labels are the
    ones to predict: if there are any, test is these alone.

    Args:
        tree: the `Tree` of the data folder.
        listed: the photos.
        table: a CSV file that keeps digests by name, size and time of the photo; None keeps none.

    Returns:
        The splits of all photos, an array of texts (n,); and what there is to tell of them, in lines for people.
    """
    given = listed.splits
    if given is None:
        given = np.where(listed.is_labelled, "", "test")
    rows = np.flatnonzero(given == "")
    drawn = listed.take(rows)
    units = keys(_digests(tree, drawn, table), drawn.together)
    not_drawn = set(given.tolist())
    names = np.array(["train" if name in not_drawn else name for name in draw(units)], object)
    all_names = given.astype(object)
    all_names[rows] = kept_in_train(names, units, drawn.annotations)
    moved = int((all_names[rows] != names).sum())
    told = f"Moved to train, which would lack a rare label: {counted(moved, 'photo')}."
    return all_names, [told] * bool(moved)


def _digests(tree: Tree, listed: Listed, table: pathlib.Path | None) -> list[str]:
    """Digest each photo's bytes; a photo that cannot be read is represented by its name."""
    import pandas as pd

    known = _read(table) if table and table.is_file() else {}
    ids, photos = listed.ids, _photos(tree, listed)
    keys = [f"{name}:{places.version(place)}" for name, place in zip(ids, photos, strict=True)]
    new = {key: (name, place) for key, name, place in zip(keys, ids, photos, strict=True) if key not in known}
    found = digests.of((place for _, place in new.values()), is_remote=places.is_remote(tree.root))
    for (key, (name, _)), digest in zip(new.items(), found, strict=True):
        known[key] = str(digest) if isinstance(digest, int) else f"{UNREADABLE}{name}"
    of_photos = [known[key] for key in keys]
    if table and new:
        write_text(table, pd.DataFrame({"key": keys, "digest": of_photos}).to_csv(index=False))
    return of_photos


def _photos(tree: Tree, listed: Listed) -> Sequence[Place | None]:
    if listed.places is not None:
        return listed.places
    return locate.photos(tree, "", listed.ids, list(map(local, listed.urls)))


def _read(path: pathlib.Path) -> dict[str, str]:
    """Read {key: digest} from the table of an earlier run; nothing from a damaged one, which is written again."""
    try:
        table = listing.read_csv(path, ("key", "digest"), ())
    except InputError as error:
        say(f"{error} The photos are read again.")
        return {}
    pairs = zip(table.key, table.digest, strict=True)
    return {key: digest for key, digest in pairs if digest.isdecimal() or digest.startswith(UNREADABLE)}

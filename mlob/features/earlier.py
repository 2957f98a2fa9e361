"""Stores of the layout before deliveries: a folder of shards for each split, which go on being used where they lie.

Beside each shard lies `photos-<number>.json`: the checksum of the shard, and {id: size and time of its file}.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from mlob.errors import InputError
from mlob.features import store
from mlob.files import digest, read_record


@dataclasses.dataclass(frozen=True)
class Note:
    """The file beside a shard: its checksum, and {photo: size and time of its file}."""

    shard: str
    photos: dict[str, str]


def shards(split_folder: pathlib.Path) -> list[store.Shard]:
    """Read what the shards of a split tell of its photos: their features are (n, 0).

    Raises:
        InputError: one is damaged.
    """
    return [store.read_without_features(path) for path in _paths(split_folder)]


def versions(split_folder: pathlib.Path) -> dict[str, str]:
    """Read the size and time of each photo's file when it was read, {id: text}, from the notes that fit their shard.

    Raises:
        InputError: a shard is damaged.
    """
    noted: dict[str, str] = {}
    for path in _paths(split_folder):
        noted |= _photos(path.with_name(f"photos-{path.stem}.json"), store.checksum(path))
    return noted


def content_digest(store_folder: pathlib.Path, splits: Mapping[str, Sequence[str]]) -> str:
    """Give the digest of a store that holds just these photos, as runs of its time have it: they stay valid.

    Args:
        store_folder: features/<set>/<data set>.
        splits: {split: ids}.

    Returns:
        The digest; empty where the store has grown since, or is of other photos.

    Raises:
        InputError: a shard is damaged.
    """
    paths = sorted(store_folder.glob("*/[0-9]*.h5"))
    if {path.parent.name for path in paths} != set(splits):
        return ""
    for split, ids in splits.items():
        held = [{*shard.ids, *shard.failures} for shard in shards(store_folder / split)]
        if [set(part) for part in store.slices(list(ids))] != held:
            return ""
    return digest(*(f"{path.parent.name}/{path.name} {store.checksum(path)}" for path in paths))


def _paths(split_folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(split_folder.glob("[0-9]*.h5"))


def _photos(path: pathlib.Path, checksum: str) -> dict[str, str]:
    """Read a note; empty where there is none, or it belongs to another shard: contents are compared then."""
    try:
        note = read_record(path, Note)
    except InputError:
        return {}
    return note.photos if note.shard == checksum else {}

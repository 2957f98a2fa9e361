"""What has become of a store's photos since its shards were made.

A note beside each shard holds the size and the time that each photo had when it was read; only where these differ now
are contents compared. The note is not part of the shard: times differ between machines, and shards do not.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from mlob.data import images, places
from mlob.errors import InputError, Unreadable
from mlob.features import decoding, store
from mlob.features.pipeline import Slice
from mlob.files import read_record, write_json
from mlob.machine import cores
from mlob.progress import bar

# How the reasons begin for which a photo failed although its bytes may be sound.
UNREAD = ("no file", "not read", "access denied", images.NEEDS_HEIC)


@dataclasses.dataclass(frozen=True)
class Note:
    """The file beside a shard: its checksum, and {photo: size and time of its file}."""

    shard: str
    photos: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Changes:
    """What has become of a shard's photos.

    Attributes:
        changed: photos that have come, or whose content has changed: the shard is to be made anew.
        same: photos of the same content whose size or time is not the noted one, or was not noted.
        gone: photos whose file is gone; a shard that is not made anew keeps their features.
        note: {id: size and time} to be noted; empty where nothing is new.
    """

    changed: int = 0
    same: int = 0
    gone: int = 0
    note: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Suspect:
    """A shard some of whose photos are not as noted.

    Attributes:
        photos: of the shard.
        noted: {id: size and time}.
        rows: of `photos`, those that are there and may have changed.
        gone: the number of photos that have features, and no file any more.
    """

    photos: Slice
    noted: dict[str, str]
    rows: list[int]
    gone: int


def suspect(path: pathlib.Path, header: store.Header, photos: Slice) -> Suspect | None:
    """Compare sizes and times of a shard's photos with those noted; None where all are the same.

    Args:
        path: of the shard.
        header: of the shard.
        photos: that it was made of.
    """
    noted, rows, gone = _read_note(path, header.checksum), [], 0
    for row, (name, version) in enumerate(zip(photos.ids, photos.versions, strict=True)):
        if version == places.NOWHERE:
            gone += name not in header.failures
        elif version != noted.get(name):
            rows.append(row)
    return Suspect(photos, noted, rows, gone) if rows or gone else None


def compare(
    name: str, suspects: Mapping[pathlib.Path, Suspect], size: int, *, is_remote: bool
) -> dict[pathlib.Path, Changes]:
    """Compare contents, where sizes and times differ from those noted.

    Args:
        name: of the feature set, for the terminal.
        suspects: {path of the shard: `Suspect`}.
        size: side at which the photos were decoded, pixels.
        is_remote: the photos lie in a bucket.

    Returns:
        {path: `Changes`}.
    """
    total = sum(len(suspect.rows) for suspect in suspects.values())
    threads = places.READS if is_remote else cores()
    progress = bar(f"{name}: compared by content", total) if total else contextlib.nullcontext(lambda count: None)
    changes = {}
    with concurrent.futures.ThreadPoolExecutor(threads) as pool, progress as advance:
        for path, suspect in suspects.items():
            changes[path] = _compared(path, suspect, size, pool.map)
            advance(len(suspect.rows))
    return changes


def summary(changes: Mapping[pathlib.Path, Changes]) -> list[str]:
    """Tell in sentences what has become of a store's photos, {path: `Changes`}, since their features were made."""
    anew = sum(bool(shard.changed) for shard in changes.values())
    texts = {
        "changed": (
            "come or changed since the features were made",
            f"{anew:,} shard{'s' * (anew > 1)} to be made anew",
        ),
        "same": ("another size or time than noted, or none was noted", "the content is the same"),
        "gone": ("no file any more", "the features are kept"),
    }
    counts = {kind: _by_split(changes, kind) for kind in texts}
    return [_sentence(counts[kind], *text) for kind, text in texts.items() if counts[kind]]


def versions(photos: Slice, failures: Mapping[str, str]) -> dict[str, str]:
    """Give the size and time to note of each photo that was read: {id: text}."""
    pairs = zip(photos.ids, photos.versions, strict=False)
    return {
        name: version for name, version in pairs if version != places.NOWHERE and not is_unread(failures.get(name, ""))
    }


def is_unread(reason: str) -> bool:
    """Tell whether a photo failed for a reason that does not lie in its bytes, so that it is to be tried again."""
    return reason.startswith(UNREAD)


def write_note(shard_path: pathlib.Path, noted: Mapping[str, str]) -> None:
    """Note sizes and times of a shard's photos beside it, {id: text}, with the checksum of the shard."""
    write_json(_note(shard_path), {"shard": store.checksum(shard_path), "photos": noted})


class _Expected(NamedTuple):
    """What a shard has of a photo: the digest of its bytes, or the reason why it failed; None where it has neither."""

    place: places.Place | None
    digest: int | None
    failure: str | None


def _by_split(changes: Mapping[pathlib.Path, Changes], kind: str) -> collections.Counter[str]:
    counts: collections.Counter[str] = collections.Counter()
    for path, shard in changes.items():
        counts[path.parent.name] += getattr(shard, kind)
    return +counts


def _sentence(counts: collections.Counter[str], what: str, so: str) -> str:
    splits = ", ".join(f"{count:,} of {split}" for split, count in counts.items())
    photos = "photo has" if counts.total() == 1 else "photos have"
    return f"{counts.total():,} {photos} {what} ({splits}): {so}."


def _compared(path: pathlib.Path, suspect: Suspect, size: int, run: Callable) -> Changes:
    photos, rows = suspect.photos, suspect.rows
    if suspect.gone == len(photos.ids) and not suspect.noted:  # nothing tells that they were in this folder
        return Changes(changed=suspect.gone)
    shard = store.read_without_features(path)
    digests = dict(zip(shard.ids, shard.digests.tolist(), strict=True))
    names = [photos.ids[row] for row in rows]
    expected = [
        _Expected(photos.places[row], digests.get(name), shard.failures.get(name))
        for row, name in zip(rows, names, strict=True)
    ]
    if changed := sum(run(lambda photo: _is_changed(photo, size), expected)):
        return Changes(changed)
    known = versions(photos, shard.failures)
    news = {name: known[name] for name in names if name in known}
    return Changes(same=len(news), gone=suspect.gone, note=suspect.noted | news if news else {})


def _is_changed(photo: _Expected, size: int) -> bool:
    if photo.failure is not None:
        return decoding.photo(photo.place, size, frozenset()).reason != photo.failure
    try:
        return images.content_digest(images.content(photo.place)) != photo.digest
    except Unreadable:
        return True


def _note(shard_path: pathlib.Path) -> pathlib.Path:
    return shard_path.with_name(f"photos-{shard_path.stem}.json")


def _read_note(shard_path: pathlib.Path, checksum: str) -> dict[str, str]:
    """Read a shard's note; empty where there is none, or it belongs to another shard: contents are compared then."""
    try:
        note = read_record(_note(shard_path), Note)
    except InputError:
        return {}
    return note.photos if note.shard == checksum else {}

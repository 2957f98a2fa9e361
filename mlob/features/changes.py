"""What has become of a store's photos since its shards were made: by size and time, by content where these differ.

A note beside each shard holds the size and the time that each photo had when it was read. It never stands in the shard:
times differ between machines, and shards do not.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses

from mlob.data import images, places
from mlob.errors import InputError
from mlob.features import decoding, pipeline, store
from mlob.files import read_product, write_json
from mlob.machine import cores
from mlob.progress import bar

NOTE = {"shard": str, "photos": {str: str}}
# How a failure begins that is no fault of a photo's bytes.
UNREAD = ("no file", "not read", "access denied", images.NEEDS_HEIC)


@dataclasses.dataclass(frozen=True)
class Changes:
    """What has become of a shard's photos.

    Attributes:
        changed: photos that have come, or whose content is another: the shard is to be made anew.
        same: photos of another size or time than noted, or of none, and of the same content.
        gone: photos whose file is gone; a shard that is not made anew keeps their features.
        note: {id: size and time} to be noted; empty where nothing is new.
    """

    changed: int = 0
    same: int = 0
    gone: int = 0
    note: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Suspect:
    """A shard some of whose photos are not as noted.

    Attributes:
        one: its `pipeline.Slice`.
        noted: {id: size and time}.
        rows: of the slice, whose photos are there and may have changed.
        gone: the number of photos that have features, and no file any more.
    """

    one: pipeline.Slice
    noted: dict
    rows: list[int]
    gone: int


def suspect(path, header, one):
    """Compare sizes and times: give the `Suspect` of a shard, None where all is as noted.

    Args:
        path: of the shard.
        header: its `store.Header`.
        one: its `pipeline.Slice`.
    """
    noted, rows, gone = _read_note(path, header.checksum), [], 0
    for row, (name, found) in enumerate(zip(one.ids, one.versions, strict=True)):
        if found == places.NOWHERE:
            gone += name not in header.failures
        elif found != noted.get(name):
            rows.append(row)
    return Suspect(one, noted, rows, gone) if rows or gone else None


def compare(name, suspects, size, is_remote):
    """Compare contents, where sizes and times differ from those noted.

    Args:
        name: of the feature set, for the terminal.
        suspects: {path of the shard: `Suspect`}.
        size: side at which the photos were decoded, pixels.
        is_remote: the photos lie in a bucket.

    Returns:
        {path: `Changes`}.
    """
    total, threads = sum(len(one.rows) for one in suspects.values()), places.READS if is_remote else cores()
    found = {}
    with concurrent.futures.ThreadPoolExecutor(threads) as pool, contextlib.ExitStack() as stack:
        advance = stack.enter_context(bar(f"{name}: compared by content", total)) if total else None
        for path, one in suspects.items():
            found[path] = _compared(path, one, size, pool.map)
            if one.rows:
                advance(len(one.rows))
    return found


def told(found):
    """Tell in sentences what has become of a store's photos, {path: `Changes`}, since their features were made."""
    anew = sum(bool(one.changed) for one in found.values())
    texts = {
        "changed": (
            "come or changed since the features were made",
            f"{anew:,} shard{'s' * (anew > 1)} to be made anew",
        ),
        "same": ("another size or time than noted, or none was noted", "the content is the same"),
        "gone": ("no file any more", "the features are kept"),
    }
    counts = {kind: _by_split(found, kind) for kind in texts}
    return [_sentence(counts[kind], *text) for kind, text in texts.items() if counts[kind]]


def versions(one, failures):
    """Give the size and time to note of a slice's photos: {id: text}; of what was not read there is none."""
    pairs = zip(one.ids, one.versions, strict=False)
    return {name: found for name, found in pairs if found != places.NOWHERE and not is_unread(failures.get(name, ""))}


def is_unread(reason):
    """Tell whether a photo failed for what is no fault of its bytes."""
    return reason.startswith(UNREAD)


def write_note(path, found):
    """Note sizes and times beside a shard, and the checksum of the shard that they are of."""
    write_json(_note(path), {"shard": store.checksum(path), "photos": found})


def _by_split(found, kind):
    counts = collections.Counter()
    for path, one in found.items():
        counts[path.parent.name] += getattr(one, kind)
    return +counts


def _sentence(counts, what, so):
    splits = ", ".join(f"{count:,} of {split}" for split, count in counts.items())
    photos = "photo has" if counts.total() == 1 else "photos have"
    return f"{counts.total():,} {photos} {what} ({splits}): {so}."


def _compared(path, suspected, size, run):
    one, rows = suspected.one, suspected.rows
    if suspected.gone == len(one.ids) and not suspected.noted:  # nothing says that they were of this folder
        return Changes(changed=suspected.gone)
    held = store.read_told(path)
    digests = dict(zip(held.ids, held.digests.tolist(), strict=True))
    expected = [(one.places[row], digests.get(one.ids[row]), held.failures.get(one.ids[row]), size) for row in rows]
    changed = sum(run(_is_changed, expected))
    if changed:
        return Changes(changed)
    known = versions(one, held.failures)
    news = {one.ids[row]: known[one.ids[row]] for row in rows if one.ids[row] in known}
    return Changes(same=len(news), gone=suspected.gone, note=suspected.noted | news if news else {})


def _is_changed(expected):
    place, digest, reason, size = expected
    if reason is not None:
        return decoding.photo(place, size, frozenset()).reason != reason
    try:
        return images.content_digest(images.content(place)) != digest
    except images.Unreadable:
        return True


def _note(path):
    return path.with_name(f"photos-{path.stem}.json")


def _read_note(path, checksum):
    """Read a shard's note; nothing where there is none, or that of another shard: contents are compared then."""
    try:
        found = read_product(_note(path), NOTE)
    except InputError:
        return {}
    return found["photos"] if found["shard"] == checksum else {}

"""Download the photos that the annotations name, prepare them, and note the reason of every failure.

A photo is done when `images/<split>/<id>.jpg` exists; `images/<split>.csv` lists what became of each photo. A run that
is killed loses only the photos in progress. The same command resumes it: it asks for the photos that are missing, and
for those that failed for a reason that may pass.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import random
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator

from mlob.data import downloaded, images
from mlob.data.dataset import DataSet, Split
from mlob.data.downloaded import Row
from mlob.data.fetch import GIVEN_UP, LIMITS, PRIVATE, Asking, Client, Failure, Limits, fetch, may_pass, open_client
from mlob.data.hosts import AGENT
from mlob.data.places import Place
from mlob.errors import InputError, Unreadable
from mlob.files import part_path, remove_stale_parts
from mlob.machine import cores

ALIKE = 3  # addresses with the same picture before it is reported: two may be two shops with one photo
NAMES_AT_ONCE = 32  # host names looked up at the same time; each blocks a thread until its name server answers
NO_ADDRESS, BAD_ID = "no address", "id is no file name"  # reasons, in addition to those of `fetch`


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a download.

    Attributes:
        photos: number of photos in the splits with web addresses.
        done: number of photos that are there.
        failed: {reason: number of photos}, the commonest first.
        tables: paths of images/<split>.csv.
        alike: (number of addresses with the same picture, path of its first photo), the largest number first.
    """

    photos: int
    done: int
    failed: dict[str, int]
    tables: list[pathlib.Path]
    alike: list[tuple[int, pathlib.Path]]

    @property
    def may_pass(self) -> int:
        """The number of failures that another run would try again."""
        return sum(count for reason, count in self.failed.items() if may_pass(reason))


def photos(
    dataset: DataSet, *, size: int, allow_private: bool = False, contact: str = "", limits: Limits = LIMITS
) -> Outcome:
    """Download the photos that a data set lacks, and prepare them: `images/<split>/<id>.jpg`, upright, letterboxed.

    Several addresses of one photo are mirrors, tried in order. Urls without a scheme are files and not downloaded.

    Args:
        size: side of the prepared photos, pixels.
        allow_private: also ask private, loopback and link-local addresses.
        contact: your address (mail or page), sent to the hosts so that their owners can write to you.

    Raises:
        InputError: the folder is in a bucket, or cannot be written; the disk is full; there are photos of another size.
    """
    if not isinstance(dataset.folder, pathlib.Path):
        raise InputError(
            f"{dataset.folder} is not a folder on a disk, and photos are downloaded to one: name it with DATA=."
        )
    asking = Asking(_agent(contact), allow_private, limits)
    rows = {}
    for split in dataset.splits.values():
        if any(map(_addresses, split.urls)):
            table = dataset.folder / "images" / f"{split.name}.csv"
            rows[table] = _download(dataset, split, table, size, asking)
    reasons = collections.Counter(row.reason for of_table in rows.values() for row in of_table)
    return Outcome(
        photos=reasons.total(),
        done=reasons.pop("", 0),
        failed=dict(reasons.most_common()),
        tables=list(rows),
        alike=_alike(rows),
    )


def summary(outcome: Outcome) -> str:
    """Summarise a download for the terminal."""
    if not outcome.tables:
        return "images: nothing to download: no photo has a web address."
    lines = [f"images: {outcome.done:,} of {outcome.photos:,} photos are there."]
    if outcome.failed:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in outcome.failed.items())
        lines.append(f"  failed: {reasons}; each is listed in {', '.join(map(str, outcome.tables))}")
    if outcome.may_pass:
        lines.append(f"  {outcome.may_pass:,} of these may succeed later: run the same command again.")
    for count, first in outcome.alike[:3]:
        lines.append(f"  {count:,} addresses gave the same picture, perhaps a placeholder: {first}")
    return "\n".join(lines)


def _agent(contact: str) -> str:
    if not re.fullmatch(r"[ -~]{0,200}", contact) or set(contact) & set("()\\"):
        raise InputError(f"The contact {contact!r} cannot be sent to hosts: expected a mail or web address.")
    return f"{AGENT} (+{contact})" if contact else AGENT


def _alike(rows: dict[pathlib.Path, list[Row]]) -> list[tuple[int, pathlib.Path]]:
    """Find pictures that many addresses gave: (number of addresses, path of the first photo), largest number first."""
    counts = collections.Counter(row.digest for of_table in rows.values() for row in of_table if row.digest)
    paths: dict[str, dict[str, pathlib.Path]] = collections.defaultdict(dict)  # {digest: {address: path}}
    for table, of_table in rows.items():
        for row in of_table:
            if counts[row.digest] >= ALIKE:
                paths[row.digest].setdefault(row.url, _path(table, row.id))
    many = [(len(of_digest), next(iter(of_digest.values()))) for of_digest in paths.values() if len(of_digest) >= ALIKE]
    return sorted(many, key=lambda pair: -pair[0])


def _path(table: pathlib.Path, name: str) -> pathlib.Path:
    return table.with_suffix("") / f"{name}.jpg"


# One split: its table, and what is missing


def _download(dataset: DataSet, split: Split, table: pathlib.Path, size: int, asking: Asking) -> list[Row]:
    """Download the photos that a split lacks, and give its rows in annotation order."""
    folder = table.with_suffix("")
    with _told(folder):
        remove_stale_parts(folder)
        rows = _rows(dataset, split, table, size)
        settled = {row.id for row in rows if _is_settled(row, asking.allow_private)}
        photos = ((name, _addresses(urls)) for name, urls in _pairs(split) if name not in settled)
        if missing := len(split.ids) - len(settled):
            folder.mkdir(parents=True, exist_ok=True)
            downloaded.write(table, rows)  # without the half line that a kill may have left
            with downloaded.journal(table, f"images {split.name}", missing) as note:
                asyncio.run(_all(photos, note, table, size, asking))
            rows = _rows(dataset, split, table, size)
        downloaded.write(table, rows)
    return rows


def _rows(dataset: DataSet, split: Split, table: pathlib.Path, size: int) -> list[Row]:
    """Give the rows of photos that are there, and of those that failed at an address that is still theirs."""
    known, rows = downloaded.read(table), []
    places = dataclasses.replace(dataset, tree=None).photos(split.name)  # listed anew
    for (name, urls), place in zip(_pairs(split), places, strict=True):
        row = known.get(name)
        if place and not _is_empty(place):
            rows.append(row if row and row.state == "done" else Row(name, "done", "", "", ""))
            _check_size(rows[-1], size, place)
        elif row and row.state == "failed" and row.url in (_addresses(urls) or [""]):
            rows.append(row)
    return rows


def _is_empty(place: Place) -> bool:
    return isinstance(place, pathlib.Path) and not place.stat().st_size


def _is_settled(row: Row, allow_private: bool) -> bool:
    return not may_pass(row.reason) and not (allow_private and row.reason.endswith(PRIVATE))


def _pairs(split: Split) -> Iterable[tuple[str, tuple[str, ...]]]:
    return zip(split.ids, split.urls, strict=True)


def _addresses(urls: Iterable[str]) -> list[str]:
    return [url for url in dict.fromkeys(urls) if "://" in url]


def _check_size(row: Row, size: int, place: Place) -> None:
    if row.size not in ("", str(size)):
        raise InputError(
            f"{place} was prepared at {row.size} pixels, expected {size}: ask for {row.size}, or remove its folder to "
            "download all photos in it again."
        )


@contextlib.contextmanager
def _told(folder: pathlib.Path) -> Iterator[None]:
    """Explain what is wrong with the folder or the disk; errors of the network never get here."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror}): free some space, allow writing, or name another data "
            "folder with DATA=. Finished photos are kept; the same command resumes."
        ) from error


# Many photos at once


async def _all(
    photos: Iterator[tuple[str, list[str]]],
    note: Callable[[Row], None],
    table: pathlib.Path,
    size: int,
    asking: Asking,
) -> None:
    """Download and prepare all photos, (id, addresses) each; `note` gets a row for each."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(NAMES_AT_ONCE, "names"))  # for the lookups
    # Threads: Pillow releases Python's lock while it works, and nothing has to be copied to another process.
    with concurrent.futures.ThreadPoolExecutor(cores(), "decoder") as decoders:

        async def prepare(name: str, data: bytes) -> int:  # the side of the photo
            await loop.run_in_executor(decoders, _prepare, data, _path(table, name), size, asking.limits.pixels)
            return size

        async with open_client(asking) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(asking.limits.under_way):
                        group.create_task(_next(photos, note, client, prepare))
            except BaseExceptionGroup as several:  # many tasks meet a full disk together; one of them tells
                raise several.exceptions[0] from None


async def _next(
    photos: Iterator[tuple[str, list[str]]],
    note: Callable[[Row], None],
    client: Client,
    prepare: Callable[[str, bytes], Awaitable[int]],
) -> None:
    """Take photos one by one from an iterator that many such tasks share."""
    for name, urls in photos:
        note(await _photo(client, prepare, name, urls))


async def _photo(client: Client, prepare: Callable[[str, bytes], Awaitable[int]], name: str, urls: list[str]) -> Row:
    """Try a photo's addresses in order, then again those that failed for a reason that may pass."""
    if not _is_file_name(name):
        return Row(name, "failed", BAD_ID, next(iter(urls), ""), "")
    reasons: dict[str, str] = {}
    left = urls
    for attempt in range(client.limits.attempts if urls else 0):
        await asyncio.sleep(_backoff(attempt, client.limits))
        for url in left:
            try:
                data = await fetch(client, url)
                size = await prepare(name, data)
            except (Failure, Unreadable) as error:
                reasons[url] = str(error)
            else:
                return Row(name, "done", "", url, str(size), f"{images.content_digest(data):016x}")
        left = [url for url in left if may_pass(reasons[url]) and reasons[url] != GIVEN_UP]
        if not left:
            break
    told = max(reasons, key=lambda url: may_pass(reasons[url]), default="")
    return Row(name, "failed", reasons.get(told, NO_ADDRESS), told, "")


def _is_file_name(name: str) -> bool:
    """Tell whether an id can name a file, with room for a part file's additions: file systems allow 255 bytes."""
    return not {"/", "\\", "\0"} & set(name) and len(name.encode()) <= 150


def _backoff(attempt: int, limits: Limits) -> float:
    """Give the seconds to wait before an attempt. They are random, so that photos do not all come back together."""
    return limits.backoff_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1.5) if attempt else 0


def _prepare(data: bytes, path: pathlib.Path, size: int, pixels: int) -> None:
    """Write a prepared photo, whole or not at all."""
    # Not flushed to the disk, which would take longer than all the rest: a power cut may leave an empty file, which
    # counts as missing.
    photo = images.prepared(data, size, pixels)
    part = part_path(path)
    try:
        part.write_bytes(photo)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)

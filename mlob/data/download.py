"""Download: from the addresses in the annotations to prepared photos on disk, with the reason of every failure.

A photo is done when `images/<split>/<id>.jpg` is there; `images/<split>.csv` tells what became of each. A run that is
killed loses what was under way, and the same command goes on: it asks for what is missing, and for what failed for a
reason that may pass.

aiohttp, since of the asynchronous clients it takes the least processor time a photo by far, and since it lets us make
its sockets: the address that is checked is the address that is dialled, whatever a name resolves to the next time.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import csv
import dataclasses
import email.utils
import functools
import io
import ipaddress
import os
import pathlib
import random
import re
import socket
import time
import urllib.parse
import weakref
from typing import NamedTuple

import aiohttp

from mlob.data import images
from mlob.errors import InputError
from mlob.files import from_cell, part_path, remove_stale_parts, to_cell, write_text
from mlob.machine import cores
from mlob.progress import bar

AGENT = "mlob"
HEADERS = {"Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
REDIRECTS = (301, 302, 303, 307, 308)
OPTED_OUT = {"noai", "noimageai"}  # of the header X-Robots-Tag: the owner wants no model trained on the photo
OUT_BY_NAME = OPTED_OUT | {"none", "noindex", "noimageindex"}  # where we are meant, whatever we do
WITH_VALUE = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}  # no names of agents
ALIKE = 3  # addresses that give one picture before it is told: two are one photo of two shops
NAMES_AT_ONCE = 32  # looked up; each blocks a thread for as long as its name server is silent
IDLE_SECONDS = 1  # that a connection waits for the next photo of its host: photos of many hosts hold few sockets
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is reached

# Reasons. The status of an answer that is no photo is a reason too, and so are those of `images.Unreadable`.
TIMED_OUT, TOO_SLOW, CUT_SHORT, BROKEN = "timed out", "too slow", "cut short", "broken answer"
NO_HOST, NO_TRUST, NO_CONNECTION = "host not found", "bad certificate", "connection failed"
GIVEN_UP = "host keeps failing"
PRIVATE, SCHEME = "a private address", "a scheme other than http and https"
BAD_ADDRESS, NO_ADDRESS, BAD_ID = "bad address", "no address", "id is no file name"
MAY_PASS = {TIMED_OUT, TOO_SLOW, CUT_SHORT, BROKEN, NO_HOST, NO_TRUST, NO_CONNECTION, GIVEN_UP, "408", "425", "429"}
ERRORS = (  # what the client raises; the first that fits
    (TimeoutError, TIMED_OUT),
    (aiohttp.ClientPayloadError, CUT_SHORT),
    (aiohttp.ClientResponseError, BROKEN),
    (aiohttp.ClientConnectorDNSError, NO_HOST),
    (aiohttp.ClientSSLError, NO_TRUST),
    (ValueError, BAD_ADDRESS),
)


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much is asked at once, how long for, and what is refused.

    Attributes:
        under_way: photos asked for or decoded at a time; bounds the memory, whatever the number of photos.
        of_a_host: requests to one host at a time.
        connect_seconds: to connect.
        silent_seconds: between two parts of a photo, and before `bytes_a_second` must hold on average.
        total_seconds: for one request.
        attempts: rounds over a photo's addresses, as long as a reason may pass.
        backoff_seconds: before the second round; doubled for each further one, give or take a half.
        retry_after_seconds: most of a Retry-After that is waited for.
        failures: requests to one host that fail in a row before the host is left alone for this run.
        redirects: followed in a row.
        bytes: of one photo at most.
        pixels: of one photo at most.
    """

    under_way: int = 256
    of_a_host: int = 32
    connect_seconds: float = 10
    silent_seconds: float = 10
    bytes_a_second: float = 2000
    total_seconds: float = 60
    attempts: int = 4
    backoff_seconds: float = 1
    retry_after_seconds: float = 60
    failures: int = 400
    redirects: int = 5
    bytes: int = 16_000_000
    pixels: int = images.MOST_PIXELS


LIMITS = Limits()


class Row(NamedTuple):
    """A photo's row in the table.

    `state` is "done" or "failed", `size` the side of the prepared photo, `digest` of the bytes that the address gave.
    """

    id: str
    state: str
    reason: str
    url: str
    size: str
    digest: str = ""


class Failure(Exception):
    """An address that gives no photo: the message is the reason, `wait` the seconds that its host asks to wait."""

    def __init__(self, reason, wait=0.0):
        super().__init__(reason)
        self.wait = wait


class PrivateAddress(OSError):
    """What was to be dialled is no public address. An OSError, so that a host's other addresses are tried."""


def make(dataset, *, size, allow_private=False, contact="", limits=LIMITS):
    """Download and prepare the photos that a data set lacks: `images/<split>/<id>.jpg`, upright, letterboxed.

    Addresses of one photo are mirrors, tried in order. Urls without a scheme are files, and left alone.

    Args:
        dataset: the `DataSet`.
        size: side of the prepared photos, pixels.
        allow_private: ask private, loopback and link-local addresses too.
        contact: an address of yours that hosts are told, so that their owners can write to you.
        limits: `Limits`.

    Returns:
        {"photos": number in the splits that have a web address at all, "done": number that are there, "failed":
        {reason: number}, "may_pass": number of failures that another run would ask for again, "tables": paths,
        "alike": [(number of addresses that gave one picture, path of the first)], the most first}.

    Raises:
        InputError: a folder in a bucket, or one that cannot be written; a full disk; photos of another size are there.
    """
    if dataset.is_remote:
        raise InputError(
            f"{dataset.folder} is no folder on a disk, where photos are downloaded to: name one with DATA=."
        )
    agent = _agent(contact)
    reasons, tables, done = collections.Counter(), [], []
    for split in dataset.splits.values():
        if any(map(_addresses, split.urls)):
            tables.append(dataset.folder / "images" / f"{split.name}.csv")
            session = functools.partial(_session, agent, allow_private, limits)
            rows = _download(dataset, split, tables[-1], size, allow_private, session, limits)
            reasons.update(row.reason for row in rows)
            done += [(row.digest, row.url, tables[-1].with_suffix("") / f"{row.id}.jpg") for row in rows if row.digest]
    photos = reasons.total()
    return {
        "photos": photos,
        "done": reasons.pop("", 0),
        "failed": dict(reasons.most_common()),
        "may_pass": sum(count for reason, count in reasons.items() if may_pass(reason)),
        "tables": tables,
        "alike": _alike(done),
    }


def text(summary):
    """Tell for the terminal what `make` came to."""
    if not summary["tables"]:
        return "images: no photo has a web address: there is nothing to download."
    lines = [f"images: {summary['done']:,} of {summary['photos']:,} photos are there."]
    if summary["failed"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["failed"].items())
        lines.append(f"  failed: {reasons}; each is listed in {', '.join(map(str, summary['tables']))}")
    if summary["may_pass"]:
        lines.append(f"  {summary['may_pass']:,} may come yet: the same command asks for these again.")
    for count, first in summary["alike"][:3]:
        lines.append(f"  {count:,} addresses gave one picture, perhaps a placeholder: {first}")
    return "\n".join(lines)


def _agent(contact):
    if not re.fullmatch(r"[ -~]{0,200}", contact) or set(contact) & set("()\\"):
        raise InputError(f"The contact {contact!r} fits no request: expected an address, of mail or of a page.")
    return f"{AGENT} (+{contact})" if contact else AGENT


def _alike(done):
    """Give (number of addresses, path of the first photo) of pictures that many addresses gave, the most first."""
    counts = collections.Counter(digest for digest, _, _ in done)
    found = collections.defaultdict(dict)
    for digest, url, path in done:
        if counts[digest] >= ALIKE:
            found[digest].setdefault(url, path)
    many = [(len(paths), next(iter(paths.values()))) for paths in found.values() if len(paths) >= ALIKE]
    return sorted(many, key=lambda one: -one[0])


def may_pass(reason):
    """Tell whether a photo that failed for this reason may be there another time."""
    return reason in MAY_PASS or (len(reason) == 3 and reason.startswith("5") and reason.isdigit())


# One split: its table, and what is missing


def _download(dataset, split, table, size, allow_private, session, limits):
    """Download what a split lacks, and give its rows in annotation order."""
    folder = table.with_suffix("")
    with _told(folder):
        remove_stale_parts(folder)
        rows = _rows(dataset, split, table, size)
        settled = {name: row for name, row in rows.items() if _is_settled(row, allow_private)}
        photos = ((name, _addresses(urls)) for name, urls in _pairs(split) if name not in settled)
        if missing := len(split.ids) - len(settled):
            folder.mkdir(parents=True, exist_ok=True)
            _write(table, rows.values())  # without the half of a line that a kill may have left
            with _journal(table, f"images {split.name}", missing) as note:
                asyncio.run(_all(photos, note, folder, size, session, limits))
            rows = _rows(dataset, split, table, size)
        _write(table, rows.values())
    return rows.values()


def _rows(dataset, split, table, size):
    """Give {id: Row} of the photos that are there, and of those that failed at an address that they still have."""
    known, rows = _read(table), {}
    places = dataclasses.replace(dataset, tree=None).photos(split.name)  # as the folder is now
    for (name, urls), place in zip(_pairs(split), places, strict=True):
        row = known.get(name)
        if place and not _is_empty(place):
            rows[name] = row if row and row.state == "done" else Row(name, "done", "", "", "")
            _check_size(rows[name], size, place)
        elif row and row.state == "failed" and row.url in (_addresses(urls) or [""]):
            rows[name] = row
    return rows


def _is_empty(place):
    return isinstance(place, pathlib.Path) and not place.stat().st_size


def _is_settled(row, allow_private):
    return not may_pass(row.reason) and not (allow_private and row.reason.endswith(PRIVATE))


def _pairs(split):
    return zip(split.ids, split.urls, strict=True)


def _addresses(urls):
    return [url for url in dict.fromkeys(urls) if "://" in url]


def _check_size(row, size, place):
    if row.size not in ("", str(size)):
        raise InputError(
            f"{place} was prepared at {row.size} pixels, and {size} are asked for: ask for {row.size}, or remove the "
            "folder that it lies in, and all its photos are downloaded again."
        )


def _read(table):
    """Read {id: Row}, the last row of an id; the half of a line that a kill may have left is none."""
    if not table.is_file():
        return {}
    content = table.read_text("utf-8", errors="replace")
    columns, lines = list(Row._fields), io.StringIO(content[: content.rfind("\n") + 1], newline="")
    try:
        rows = list(csv.reader(lines)) or [columns]
    except csv.Error:
        rows = [[]]
    if rows[0] not in (columns, columns[:-1]):  # tables of before had no digests
        raise InputError(f"{table} is no table of downloads: expected the columns {', '.join(columns)}: move it.")
    found = [Row(*map(from_cell, row)) for row in rows[1:] if len(row) == len(rows[0])]
    return {row.id: row for row in found}


def _write(table, rows):
    """Write a table whole, where it is not there as it is."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([Row._fields, *map(_cells, rows)])
    if not table.is_file() or table.read_text("utf-8", errors="replace") != lines.getvalue():
        write_text(table, lines.getvalue())


def _cells(row):
    return map(to_cell, row)


@contextlib.contextmanager
def _journal(table, description, total):
    """Give a function that adds a row to the table, at once on its way to the disk, and shows the progress."""
    failed = 0
    with open(table, "a", encoding="utf-8", newline="") as lines, bar(description, total) as advance:
        writer = csv.writer(lines, lineterminator="\n")

        def note(row):
            nonlocal failed
            writer.writerow(_cells(row))
            lines.flush()
            failed += row.state == "failed"
            advance(1, f"{failed:,} failed" if failed else "")

        yield note


@contextlib.contextmanager
def _told(folder):
    """Tell what is wrong with the folder or the disk; errors of the network never come this far."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror}): free some space, give write permission, or name another "
            "data folder with DATA=. What is there is kept; the same command goes on."
        ) from error


# Many photos at once


class Host:
    """One host: its free places, its requests that failed in a row, and when it may be asked again (monotonic time)."""

    def __init__(self, places):
        self.places = asyncio.Semaphore(places)
        self.failures = 0
        self.free_at = 0.0


@dataclasses.dataclass(frozen=True)
class Client:
    """What all requests share. Hosts are known while they are asked, so memory does not grow with their number."""

    session: aiohttp.ClientSession
    decoders: concurrent.futures.Executor
    limits: Limits
    hosts: weakref.WeakValueDictionary = dataclasses.field(default_factory=weakref.WeakValueDictionary)
    given_up: set = dataclasses.field(default_factory=set)


async def _all(photos, note, folder, size, session, limits):
    """Download and prepare all photos, (id, addresses) each; `note` gets a row for each."""
    names = concurrent.futures.ThreadPoolExecutor(NAMES_AT_ONCE, "names")
    asyncio.get_running_loop().set_default_executor(names)  # there the connector looks names up
    # Threads: Pillow decodes, resizes and encodes without Python's lock, and nothing has to be copied to a process.
    with concurrent.futures.ThreadPoolExecutor(cores(), "decoder") as decoders:
        async with session() as opened:
            client = Client(opened, decoders, limits)
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(limits.under_way):
                        group.create_task(_next(photos, note, client, folder, size))
            except BaseExceptionGroup as several:  # a full disk is found by many at once; the first tells it
                raise several.exceptions[0] from None


def _session(agent, allow_private, limits):
    connector = aiohttp.TCPConnector(
        limit=0,  # ours are by photo and by host: a wait for a place is no part of a request's time
        keepalive_timeout=IDLE_SECONDS,
        ttl_dns_cache=300,
        socket_factory=None if allow_private else _public_socket,
    )
    timeout = aiohttp.ClientTimeout(
        total=limits.total_seconds, sock_connect=limits.connect_seconds, sock_read=limits.silent_seconds
    )
    return aiohttp.ClientSession(  # proxies named in the environment are not asked: they would dial for us
        connector=connector,
        timeout=timeout,
        headers=HEADERS | {"User-Agent": agent},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


async def _next(photos, note, client, folder, size):
    """Take one photo after the other from an iterator that many such tasks share."""
    for name, urls in photos:
        reason, url, digest = await _photo(client, name, urls, folder, size)
        note(Row(name, "failed", reason, url, "") if reason else Row(name, "done", "", url, str(size), digest))


async def _photo(client, name, urls, folder, size):
    """Try a photo's addresses in order, and then again those that failed for a reason that may pass.

    Returns:
        (reason, url, digest): the reason is empty where the photo is on disk, the digest where it is not.
    """
    if not _is_file_name(name):
        return BAD_ID, next(iter(urls), ""), ""
    run = asyncio.get_running_loop().run_in_executor
    reasons, left = {}, urls
    for attempt in range(client.limits.attempts if urls else 0):
        await asyncio.sleep(_backoff(attempt, client.limits))
        for url in left:
            try:
                data = await _fetch(client, url)
                await run(client.decoders, _prepare, data, folder / f"{name}.jpg", size, client.limits.pixels)
            except (Failure, images.Unreadable) as error:
                reasons[url] = str(error)
            else:
                return "", url, f"{images.content_digest(data):016x}"
        left = [url for url in left if may_pass(reasons[url]) and reasons[url] != GIVEN_UP]
        if not left:
            break
    url = max(reasons, key=lambda url: may_pass(reasons[url]), default="")
    return reasons.get(url, NO_ADDRESS), url, ""


def _is_file_name(name):
    """Room is left for what a part file's name adds: file systems take 255 bytes."""
    return not {"/", "\\", "\0"} & set(name) and len(name.encode()) <= 150


def _backoff(attempt, limits):
    """Seconds before an attempt, none before the first. By chance, so that photos do not come back all at once."""
    return limits.backoff_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1.5) if attempt else 0


def _prepare(data, path, size, pixels):
    """Write a prepared photo, whole or not at all."""
    # It is not flushed to the disk, which would take longer than all the rest: what a power cut may leave is an empty
    # file, and that counts as none.
    photo = images.prepared(data, size, pixels)
    part = part_path(path)
    try:
        part.write_bytes(photo)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


# One address


async def _fetch(client, url):
    """Give the bytes at an address. Redirects are followed here, so that each is checked and waits for its host."""
    for hop in range(client.limits.redirects + 1):
        try:
            data, url = await _ask(client, url)
        except Failure as failure:
            if hop and str(failure) in (PRIVATE, SCHEME):
                raise Failure(f"redirect to {failure}") from failure
            raise
        if not url:
            return data
    raise Failure("too many redirects")


async def _ask(client, url):
    """Ask a host when it has a place free: (bytes, None), or (None, the address that it redirects to)."""
    name = _host(url)
    host = client.hosts.setdefault(name, Host(client.limits.of_a_host))
    async with host.places:
        while (wait := host.free_at - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if name in client.given_up:
            raise Failure(GIVEN_UP)
        try:
            answer = await _request(client, url)
        except Failure as failure:
            _remember(client, name, host, failure)
            raise
        host.failures = 0
        return answer


def _host(url):
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise Failure(BAD_ADDRESS) from error
    if parts.scheme not in ("http", "https"):
        raise Failure(SCHEME)
    if not parts.hostname:
        raise Failure(BAD_ADDRESS)
    return parts.hostname


def _remember(client, name, host, failure):
    host.failures = host.failures + 1 if may_pass(str(failure)) else 0
    host.free_at = max(host.free_at, time.monotonic() + min(failure.wait, client.limits.retry_after_seconds))
    if host.failures >= client.limits.failures:
        client.given_up.add(name)


async def _request(client, url):
    try:
        async with client.session.get(url, allow_redirects=False) as answer:
            if answer.status in (200, *REDIRECTS) and _opted_out(answer.headers):
                raise Failure("opted out")
            if answer.status in REDIRECTS and "Location" in answer.headers:
                return None, urllib.parse.urljoin(str(answer.url), answer.headers["Location"])
            if answer.status != 200:
                raise Failure(str(answer.status), _seconds(answer.headers.get("Retry-After", "")))
            return await _body(answer, client.limits), None
    except Failure:
        raise
    except Exception as error:  # what the client raises on a broken answer differs; no host may end the run
        raise Failure(_reason(error)) from error


async def _body(answer, limits):
    """Read an answer, as long as it is neither too large nor too slow."""
    body, started = bytearray(), time.monotonic()
    async for part in answer.content.iter_any():
        body += part
        if max(len(body), answer.content_length or 0) > limits.bytes:
            raise Failure("too many bytes")
        if len(body) < limits.bytes_a_second * (time.monotonic() - started - limits.silent_seconds):
            raise Failure(TOO_SLOW)
    if not body:
        raise Failure("empty file")
    return body


def _opted_out(headers):
    """Tell whether the owner of a photo wants it in no training set, or us not to take it.

    X-Robots-Tag names an agent before what holds for it, "mlob: noai, nofollow"; what comes first holds for all.
    """
    if headers.get("TDM-Reservation", "").strip() == "1":  # www.w3.org/community/reports/tdmrep
        return True
    for value in headers.getall("X-Robots-Tag", ()):
        wanted = OPTED_OUT
        for tag in value.lower().split(","):
            name, colon, rest = map(str.strip, tag.partition(":"))
            if colon and name not in WITH_VALUE:
                name, wanted = rest, OUT_BY_NAME if name == AGENT else OPTED_OUT if name == "*" else set()
            if name in wanted:
                return True
    return False


def _reason(error):
    if isinstance(getattr(error, "os_error", None), PrivateAddress):
        return PRIVATE
    return next((reason for kind, reason in ERRORS if isinstance(error, kind)), NO_CONNECTION)


def _seconds(retry_after):
    """Give the seconds that a Retry-After (RFC 9110, 10.2.3: seconds or a date) asks to wait; 0 where it is neither."""
    with contextlib.suppress(ValueError):
        return max(0, int(retry_after))
    with contextlib.suppress(ValueError):
        return max(0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    return 0


def _public_socket(address):
    """Make the socket for an address about to be dialled: (family, type, protocol, name, (host, port, …)).

    Raises:
        PrivateAddress: no public one.
    """
    if not is_public(address[4][0]):
        raise PrivateAddress(PRIVATE)
    return socket.socket(*address[:3])


def is_public(text):
    """Tell whether an IP address (text) lies in the open internet, also one that carries an IPv4 address inside."""
    ip = ipaddress.ip_address(text)
    if ip.version == 6:
        inside = ipaddress.ip_address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else ip.ipv4_mapped or ip.sixtofour
        if inside is not None:
            return is_public(str(inside))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)

"""Fetch the bytes at a web address. The only door to aiohttp.

Of the asynchronous clients aiohttp takes by far the least processor time, and it lets us create its sockets: the
address that is checked is the address that is connected to, even if the name resolves to another one a moment later.
"""

import asyncio
import contextlib
import dataclasses
import time
import urllib.parse
import weakref
from collections.abc import AsyncIterator

import aiohttp

from mlob.data import hosts, images

HEADERS = {"Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
REDIRECTS = (301, 302, 303, 307, 308)
IDLE_SECONDS = 1  # a connection is kept for the next photo of its host; longer, many hosts would hold many sockets

# Reasons. So are the status of an answer other than 200, and the messages of `Unreadable`.
TIMED_OUT, TOO_SLOW, CUT_SHORT, BROKEN = "timed out", "too slow", "cut short", "broken answer"
NO_HOST, NO_TRUST, NO_CONNECTION = "host not found", "bad certificate", "connection failed"
GIVEN_UP = "host keeps failing"
PRIVATE, SCHEME, BAD_ADDRESS = "a private address", "a scheme other than http and https", "bad address"
MAY_PASS = {TIMED_OUT, TOO_SLOW, CUT_SHORT, BROKEN, NO_HOST, NO_TRUST, NO_CONNECTION, GIVEN_UP, "408", "425", "429"}
ERRORS = (  # of the client; the first that fits
    (TimeoutError, TIMED_OUT),
    (aiohttp.ClientPayloadError, CUT_SHORT),
    (aiohttp.ClientResponseError, BROKEN),
    (aiohttp.ClientConnectorDNSError, NO_HOST),
    (aiohttp.ClientSSLError, NO_TRUST),
    (ValueError, BAD_ADDRESS),
)


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many requests run at the same time, how long they may take, and what is refused.

    Attributes:
        under_way: photos being fetched or decoded; bounds the memory, whatever the number of photos.
        of_a_host: requests to one host.
        connect_seconds: to connect.
        silent_seconds: between two parts of an answer; also the time before `bytes_a_second` must hold on average.
        total_seconds: for one request.
        attempts: rounds over a photo's addresses, as long as its reasons may pass.
        backoff_seconds: before the second round; doubled for each further one, give or take a half.
        retry_after_seconds: the longest wait that a host's Retry-After is granted.
        failures: failed requests to one host in a row, after which it is not asked again in this run.
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


class Failure(Exception):
    """An address gave no photo. The message is the reason; `wait`: the seconds that its host asks us to wait."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Host:
    """A host: its free places, its failures in a row, and the (monotonic) time when it may be asked again."""

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.failures = 0
        self.free_at = 0.0


@dataclasses.dataclass(frozen=True)
class Client:
    """What all requests share. A host is remembered while it is asked, so memory does not grow with their number."""

    session: aiohttp.ClientSession
    limits: Limits
    hosts: weakref.WeakValueDictionary[str, Host] = dataclasses.field(default_factory=weakref.WeakValueDictionary)
    given_up: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True)
class Asking:
    """How hosts are asked.

    Attributes:
        agent: the user agent that they are sent.
        allow_private: also ask private, loopback and link-local addresses.
    """

    agent: str
    allow_private: bool
    limits: Limits


def may_pass(reason: str) -> bool:
    """Tell whether a photo that failed for this reason may succeed another time."""
    return reason in MAY_PASS or (len(reason) == 3 and reason.startswith("5") and reason.isdigit())


@contextlib.asynccontextmanager
async def open_client(asking: Asking) -> AsyncIterator[Client]:
    """Open the client for many requests."""
    connector = aiohttp.TCPConnector(
        limit=0,  # we limit by photo and by host, so that waiting for a place does not count as time of a request
        keepalive_timeout=IDLE_SECONDS,
        ttl_dns_cache=300,
        socket_factory=None if asking.allow_private else hosts.public_socket,
    )
    limits = asking.limits
    timeout = aiohttp.ClientTimeout(
        total=limits.total_seconds, sock_connect=limits.connect_seconds, sock_read=limits.silent_seconds
    )
    async with aiohttp.ClientSession(  # not through proxies of the environment, which would connect for us
        connector=connector,
        timeout=timeout,
        headers=HEADERS | {"User-Agent": asking.agent},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    ) as session:
        yield Client(session, limits)


async def fetch(client: Client, url: str) -> bytes:
    """Give the bytes at an address. Redirects are followed here, so that each is checked and waits for its host.

    Raises:
        Failure: the address gave no photo.
    """
    for hop in range(client.limits.redirects + 1):
        try:
            answer = await _ask(client, url)
        except Failure as failure:
            if hop and str(failure) in (PRIVATE, SCHEME):
                raise Failure(f"redirect to {failure}") from failure
            raise
        if isinstance(answer, bytes):
            return answer
        url = answer
    raise Failure("too many redirects")


async def _ask(client: Client, url: str) -> bytes | str:
    """Ask a host once it has a free place. Gives the bytes, or the address that it redirects to."""
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


def _host(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise Failure(BAD_ADDRESS) from error
    if parts.scheme not in ("http", "https"):
        raise Failure(SCHEME)
    if not parts.hostname:
        raise Failure(BAD_ADDRESS)
    return parts.hostname


def _remember(client: Client, name: str, host: Host, failure: Failure) -> None:
    host.failures = host.failures + 1 if may_pass(str(failure)) else 0
    host.free_at = max(host.free_at, time.monotonic() + min(failure.wait, client.limits.retry_after_seconds))
    if host.failures >= client.limits.failures:
        client.given_up.add(name)


async def _request(client: Client, url: str) -> bytes | str:
    try:
        async with client.session.get(url, allow_redirects=False) as answer:
            if answer.status in (200, *REDIRECTS) and hosts.opted_out(answer.headers):
                raise Failure("opted out")
            if answer.status in REDIRECTS and "Location" in answer.headers:
                return urllib.parse.urljoin(str(answer.url), answer.headers["Location"])
            if answer.status != 200:
                raise Failure(str(answer.status), hosts.retry_after(answer.headers.get("Retry-After", "")))
            return await _body(answer, client.limits)
    except Failure:
        raise
    except Exception as error:  # the client has many errors for broken answers, and no host may end the run
        raise Failure(_reason(error)) from error


async def _body(answer: aiohttp.ClientResponse, limits: Limits) -> bytes:
    """Read an answer, unless it is too large or too slow."""
    body, started = bytearray(), time.monotonic()
    async for part in answer.content.iter_any():
        body += part
        if max(len(body), answer.content_length or 0) > limits.bytes:
            raise Failure("too many bytes")
        if len(body) < limits.bytes_a_second * (time.monotonic() - started - limits.silent_seconds):
            raise Failure(TOO_SLOW)
    if not body:
        raise Failure("empty file")
    return bytes(body)


def _reason(error: Exception) -> str:
    if isinstance(getattr(error, "os_error", None), hosts.PrivateAddress):
        return PRIVATE
    return next((reason for kind, reason in ERRORS if isinstance(error, kind)), NO_CONNECTION)

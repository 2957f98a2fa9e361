"""What the owners of hosts ask of those who download photos, and which addresses are asked at all."""

import contextlib
import email.utils
import ipaddress
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

AGENT = "mlob"
OPTED_OUT = {"noai", "noimageai"}  # of the header X-Robots-Tag: the owner wants no model trained on the photo
OUT_BY_NAME = OPTED_OUT | {"none", "noindex", "noimageindex"}  # where we are meant, whatever we do
WITH_VALUE = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}  # no names of agents
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is reached


class PrivateAddress(OSError):
    """What was to be dialled is no public address. An OSError, so that a host's other addresses are tried."""


def opted_out(headers: "CIMultiDictProxy[str]") -> bool:
    """Tell whether the owner of a photo wants it in no training set, or us not to take it.

    X-Robots-Tag names an agent before what holds for it, "mlob: noai, nofollow"; what comes first holds for all.
    """
    if headers.get("TDM-Reservation", "").strip() == "1":  # www.w3.org/community/reports/tdmrep
        return True
    return any(_tells_us_off(value.lower()) for value in headers.getall("X-Robots-Tag", ()))


def _tells_us_off(value: str) -> bool:
    """Tell whether one X-Robots-Tag, in lower case, has a word that keeps us away."""
    words = OPTED_OUT
    for tag in value.split(","):
        name, colon, rest = map(str.strip, tag.partition(":"))
        if colon and name not in WITH_VALUE:
            words = {AGENT: OUT_BY_NAME, "*": OPTED_OUT}.get(name, set())
            name = rest
        if name in words:
            return True
    return False


def retry_after(value: str) -> float:
    """Give the seconds that a Retry-After (RFC 9110, 10.2.3: seconds or a date) asks to wait; 0 where it is neither."""
    with contextlib.suppress(ValueError):
        return max(0, int(value))
    with contextlib.suppress(ValueError):
        return max(0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return 0


def public_socket(address: tuple[int, int, int, str, tuple]) -> socket.socket:
    """Make the socket for an address about to be dialled: (family, type, protocol, name, (host, port, …)).

    Raises:
        PrivateAddress: no public one.
    """
    if not is_public(address[4][0]):
        raise PrivateAddress("a private address")
    return socket.socket(*address[:3])


def is_public(text: str) -> bool:
    """Tell whether an IP address (text) lies in the open internet, also one that carries an IPv4 address inside."""
    ip = ipaddress.ip_address(text)
    if ip.version == 6:
        inside = ipaddress.ip_address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else ip.ipv4_mapped or ip.sixtofour
        if inside is not None:
            return is_public(str(inside))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)

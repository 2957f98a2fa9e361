"""What hosts ask of those who download photos, and which addresses may be asked at all."""

import contextlib
import email.utils
import ipaddress
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

AGENT = "mlob"
OPTED_OUT = {"noai", "noimageai"}  # in the header X-Robots-Tag: no model may be trained on the photo
OUT_BY_NAME = OPTED_OUT | {"none", "noindex", "noimageindex"}  # if the header names us
WITH_VALUE = {
    "unavailable_after",
    "max-snippet",
    "max-image-preview",
    "max-video-preview",
}  # no agents
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is reached


class PrivateAddress(OSError):
    """The address is not public. An OSError, so that the other addresses of the host are tried."""


def opted_out(headers: "CIMultiDictProxy[str]") -> bool:
    """Tell whether the owner of a photo keeps it out of training sets, or does not want us to take it.

    In X-Robots-Tag the words after an agent's name are for that agent ("mlob: noai, nofollow"), words before any name
    for all agents.
    """
    if headers.get("TDM-Reservation", "").strip() == "1":  # www.w3.org/community/reports/tdmrep
        return True
    return any(_tells_us_off(value.lower()) for value in headers.getall("X-Robots-Tag", ()))


def _tells_us_off(value: str) -> bool:
    """Tell whether an X-Robots-Tag, in lower case, has a word that keeps us away."""
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
    """Give the seconds to wait for a Retry-After (RFC 9110, 10.2.3: seconds or a date); 0 if it is neither."""
    with contextlib.suppress(ValueError):
        return max(0, int(value))
    with contextlib.suppress(ValueError):
        return max(0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return 0


def public_socket(address: tuple[int, int, int, str, tuple]) -> socket.socket:
    """Create the socket for an address: (family, type, protocol, name, (host, port, …)).

    Raises:
        PrivateAddress: the address is not public.
    """
    if not is_public(address[4][0]):
        raise PrivateAddress("a private address")
    return socket.socket(*address[:3])


def is_public(text: str) -> bool:
    """Tell whether an IP address is on the open internet; if it has an IPv4 address inside, whether that one is."""
    ip = ipaddress.ip_address(text)
    if ip.version == 6:
        inside = ipaddress.ip_address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else ip.ipv4_mapped or ip.sixtofour
        if inside is not None:
            return is_public(str(inside))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)

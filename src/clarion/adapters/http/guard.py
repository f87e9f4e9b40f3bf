"""Where a URL that a user gave us may lead: to public addresses, and to the ranges the operator allowed.

Ranges: the IANA special-purpose address registries (RFC 6890 and its updates). Of IPv6 only global unicast (2000::/3)
is public, so mapped, compatible, NAT64, unique local, link-local and multicast forms need no list of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import msgspec
from pyreqwest.http import Url

from clarion.errors import ConfigError

LONGEST_URL = 2_048

_NOT_PUBLIC_4 = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT, and the metadata service of one cloud
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # a cloud's host, reachable from inside only
            "169.254.0.0/16",  # link-local, and the metadata service of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT relays
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_PUBLIC_6 = ip_network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # protocol assignments, among them Teredo, ORCHID and benchmarks
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: carries an IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)
_SHAPE = re.compile(r"(https?)://([^/?#\\@\s]+)([/?#][^\\\s]*)?", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class RefusedUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Why a URL may not be called."""

    detail: str


class GuardedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A URL as the client will read it: both read it with the same parser."""

    url: Url
    host: str
    """A name, or an address without brackets."""
    secure: bool
    address: IPv4Address | IPv6Address | None
    """Set when the host is an address."""


def target(text: str) -> GuardedTarget | RefusedUrl:
    """What `text` leads to. One spelling only: what is read in two ways can be checked in one and used in the other."""
    if len(text) > LONGEST_URL:
        return RefusedUrl(detail=f"the URL is longer than {LONGEST_URL} characters")
    shape = _SHAPE.fullmatch(text)
    if shape is None or not text.isprintable():
        return RefusedUrl(
            detail="not an http or https URL: write https://host/path, without user name or spaces"
        )
    try:
        url = Url(text)
    except ValueError as wrong:
        return RefusedUrl(detail=f"the URL cannot be read: {wrong}")
    host = url.host_str or ""
    written = shape[2].lower().removesuffix(_DEFAULT_PORTS[url.scheme])
    if not host or written != url.authority:
        return RefusedUrl(
            detail="the host is not in its usual notation: write a name in ASCII, or an IP address in its usual form"
        )
    if host.endswith("."):
        return RefusedUrl(detail="the host ends with a dot: leave it out")
    bare = host.strip("[]")
    address = ip_address(bare) if url.domain is None else None
    return GuardedTarget(url=url, host=bare, secure=url.scheme == "https", address=address)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether anybody on the Internet may be there."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


class UrlGuard:
    """Decides by address; names are decided by all the addresses they have."""

    def __init__(self, allowed_networks: Iterable[str] = ()) -> None:
        """Raises ConfigError for what is not a range."""
        try:
            self._allowed = tuple(ip_network(one) for one in allowed_networks)
        except ValueError as wrong:
            raise ConfigError(
                f"outbound.allowed_networks: {wrong}; write ranges such as 10.20.0.0/16"
            ) from None

    def is_allowed(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether the operator opened the range it is in."""
        return any(address in network for network in self._allowed)

    def vet(self, host: str, addresses: Iterable[str], *, secure: bool) -> RefusedUrl | None:
        """Why none of this may be called; None when every address may."""
        for one in addresses:
            try:
                address = ip_address(one)
            except ValueError:
                return RefusedUrl(detail=f"{host} resolves to something that is not an IP address")
            if isinstance(address, IPv6Address) and address.scope_id is not None:
                return RefusedUrl(detail=f"{host} resolves to a link-local address with a zone")
            if self.is_allowed(address):
                continue
            if not is_public(address):
                return RefusedUrl(
                    detail=f"{host} resolves to an address that is not public; the operator can allow its range with "
                    "outbound.allowed_networks"
                )
            if not secure:
                return RefusedUrl(detail=f"{host} is public, so its URL must begin with https://")
        return None

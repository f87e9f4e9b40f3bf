"""Decides which web origins may read answers meant for a user's own device."""

from __future__ import annotations

import re
from ipaddress import ip_address

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[^/?#@:\s\[\]]+)(:[0-9]{1,5})?", re.IGNORECASE)

DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Origins:
    """The page's own host, those that are allowed by name (`*`: all), and in development every page of this machine."""

    def __init__(self, allowed: tuple[str, ...] = (), *, own: str = "", loopback: bool = False) -> None:
        self._allowed = frozenset(_normal(origin) for origin in (*allowed, own) if origin)
        self._loopback = loopback

    def allows(self, origin: str, host: str) -> bool:
        """Whether the page of `origin` may; `host` is what it asked for. Programs send no origin: they may."""
        if not origin or "*" in self._allowed:
            return True
        normal = _normal(origin)
        if normal in self._allowed:
            return True
        found = _ORIGIN.fullmatch(normal)
        if found is None:
            return False
        scheme, _, netloc = normal.partition("://")
        if host and netloc == _normal(f"{scheme}://{host}").partition("://")[2]:
            return True
        return self._loopback and is_loopback(found[1])


def is_origin(text: str) -> bool:
    """Whether it can stand in a list of allowed origins."""
    return text == "*" or _ORIGIN.fullmatch(text.rstrip("/")) is not None


def is_loopback(host: str) -> bool:
    """Whether a name of an origin is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _normal(origin: str) -> str:
    """Lower case, without a slash at its end and without the port that its scheme has anyway."""
    text = origin.rstrip("/").lower()
    return text.removesuffix(DEFAULT_PORTS.get(text.partition(":")[0], "\0"))

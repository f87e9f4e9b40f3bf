"""Applies the guard to hosts that are reached by other protocols than HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from clarion.adapters.http.guard import UrlGuard
from clarion.errors import ConfigError


async def vetted(host: str, guard: UrlGuard) -> Sequence[str]:
    """All addresses of a host: connect to one of these, so that what was looked at is what is called.

    ConfigError when it may not be reached, OSError when nobody knows it.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    check(host, addresses, guard)
    return addresses


def check(host: str, addresses: Sequence[str], guard: UrlGuard) -> None:
    """ConfigError when one of these may not be reached."""
    refused = guard.vet(host, addresses, secure=True)
    if refused is not None:
        raise ConfigError(refused.detail)

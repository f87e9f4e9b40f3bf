"""Applies the guard to libraries that use `requests`, when they connect."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.http.hosts import check
from clarion.errors import ConfigError

_thread = threading.local()


@contextmanager
def guarded(guard: UrlGuard) -> Iterator[None]:
    """In this thread `requests` connects to what the guard allows; else ConfigError, whatever the library makes of it."""
    _install()
    _thread.guard, _thread.refused = guard, None
    try:
        yield
    finally:
        refused, _thread.guard = _thread.refused, None
        if refused is not None:
            raise refused


def _install() -> None:
    """In place of urllib3's way to connect, once; threads that are not guarded notice nothing."""
    from urllib3.util import connection

    whole = connection.create_connection
    if getattr(whole, "is_guarded", False):
        return

    def create_connection(address: tuple[str, int], *rest: Any, **more: Any) -> socket.socket:
        guard: UrlGuard | None = getattr(_thread, "guard", None)
        if guard is None:
            return whole(address, *rest, **more)
        host, port = address
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        try:
            check(host, addresses, guard)
        except ConfigError as refused:
            _thread.refused = refused
            raise OSError(refused.detail) from None
        return whole((addresses[0], port), *rest, **more)

    create_connection.is_guarded = True  # type: ignore[attr-defined]
    connection.create_connection = create_connection

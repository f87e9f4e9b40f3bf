"""Connections to NATS.

nats://host:4222,other:4222
nats://user:password@host:4222/?tls=yes&ca=/etc/ssl/nats.pem
nats://host:4222/?creds=/etc/clarion/nats.creds
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import nats
from nats.aio.client import Client
from nats.errors import Error

from clarion.adapters.server_url import hosts_of, options_of
from clarion.errors import ConfigError, Unavailable

PORT = 4222
CONNECT_S = 5.0
AGAIN_S = 0.5
OPTIONS = ("tls", "ca", "cert", "key", "token", "creds")
"""Behind the `?`, how to connect."""
FAULTS = (Error, OSError, TimeoutError, asyncio.InvalidStateError)
"""What a call raises when the server is away or refuses it."""


class NatsUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers of a cluster are, and how to log in."""

    servers: tuple[str, ...]
    user: str = ""
    password: str = ""
    token: str = ""
    creds: str = ""
    """A file with the key of a user."""
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    prefix: str = "clarion"
    """Begins the names of all streams and subjects."""
    options: Mapping[str, str] = {}
    """Those that are not about connecting."""

    def __repr__(self) -> str:
        """Without the password."""
        return f"NatsUrl({self.shown})"

    @property
    def shown(self) -> str:
        """Hosts and ports, for messages."""
        return ",".join(self.servers)


def parse(url: str, setting: str, options: tuple[str, ...] = ()) -> NatsUrl:
    """Raises ConfigError, naming the setting that holds the URL; no message shows a password. `options`: more that are known."""
    try:
        return _parse(url, options)
    except ValueError as wrong:
        raise ConfigError(f"{setting}: {wrong}") from None


def _parse(url: str, more: tuple[str, ...]) -> NatsUrl:
    scheme, _, rest = url.partition("://")
    if scheme != "nats" or not rest:
        raise ValueError("must be like nats://host:4222 or nats://user:password@one,two/prefix?tls=yes")
    parts = urlsplit(f"//{rest}")
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    given = options_of(parts.query, (*OPTIONS, *more))
    tls = given.get("tls", "no")
    if tls not in ("yes", "no"):
        raise ValueError(f"tls must be yes or no, not {tls!r}")
    if tls == "no" and given.keys() & {"ca", "cert", "key"}:
        raise ValueError("ca, cert and key are for TLS: add tls=yes")
    prefix = unquote(parts.path.strip("/")) or "clarion"
    if not all(c.isascii() and (c.isalnum() or c in "_-") for c in prefix):
        raise ValueError("the prefix behind the hosts may have letters, digits, `_` and `-` only")
    return NatsUrl(
        servers=tuple(f"{host}:{port}" for host, port in hosts_of(hosts, PORT)),
        user=unquote(user),
        password=unquote(password),
        tls=tls == "yes",
        prefix=prefix,
        options={name: value for name, value in given.items() if name in more},
        **{name: value for name, value in given.items() if name in OPTIONS and name != "tls"},
    )


async def connect(url: NatsUrl, setting: str, *, reconnected: Callable[[], None]) -> Client:
    """A connection that is made again whenever it breaks; `reconnected` is called then. Raises ConfigError, naming the setting,
    when there is none at first."""

    last: list[Exception] = []

    async def again() -> None:
        reconnected()

    async def note(fault: Exception) -> None:
        """While it connects, it tries again and tells nobody else why. Later, what matters is in the errors of calls."""
        last[:] = [fault]

    try:
        async with asyncio.timeout(CONNECT_S):
            return await client(
                [f"{'tls' if url.tls else 'nats'}://{server}" for server in url.servers],
                user=url.user,
                password=url.password,
                token=url.token,
                user_credentials=url.creds,
                tls=_context(url, setting) if url.tls else None,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=AGAIN_S,
                ping_interval=10,
                error_cb=note,
                reconnected_cb=again,
            )
    except FAULTS as fault:
        why = said(last[0] if last else fault)
        raise ConfigError(
            f"{setting}: NATS at {url.shown} cannot be used ({why}): check the address, tls, and user and password"
        ) from None


async def _quiet(fault: Exception) -> None:
    """The client would write a traceback; what matters is in the errors of calls."""


async def client(servers: Sequence[str], **options: Any) -> Client:
    """A client of the library that writes nothing to the log. Options that are empty are not given to it; it raises what it raises."""
    given = {name: value for name, value in options.items() if value not in ("", None)}
    return await nats.connect(
        [*servers], **{"name": "clarion", "connect_timeout": 2, "error_cb": _quiet} | given
    )


def _context(url: NatsUrl, setting: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=url.ca or None)
        if url.cert:
            context.load_cert_chain(url.cert, url.key or None)
    except OSError as wrong:
        raise ConfigError(
            f"{setting}: ca, cert and key must be PEM files that can be read: {wrong}"
        ) from None
    return context


@contextmanager
def faults(shown: str) -> Iterator[None]:
    """Turns what the library raises into Unavailable."""
    try:
        yield
    except FAULTS as fault:
        raise Unavailable(f"NATS at {shown} does not answer ({said(fault)})") from None


def said(fault: BaseException) -> str:
    """What an error of the library says in short."""
    return str(fault)[:200] or type(fault).__name__

"""Connections to RabbitMQ.

amqp://user:password@host:5672/vhost
amqps://user:password@one,two,three/?ca=/etc/ssl/rabbitmq.pem      TLS; the nodes of a cluster, tried in turn
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import quote, unquote, urlsplit

import aiormq
import msgspec
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelInvalidStateError,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    InvalidFrameError,
    ProbableAuthenticationError,
)

from clarion.adapters.server_url import hosts_of, options_of
from clarion.errors import ConfigError, Unavailable

PORT, TLS_PORT = 5672, 5671
CONNECT_S = 10.0
HEARTBEAT_S = 10
"""A node that says nothing for about three times as long is taken for dead."""
OPTIONS = ("ca", "cert", "key", "prefix")
"""Behind the `?`."""
REFUSALS = (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed, InvalidFrameError)
"""What connecting raises when waiting does not help. The last is how the library says that a virtual host is refused."""
FAULTS = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, asyncio.InvalidStateError)
"""What a call raises when the server is away, refuses it or closes the connection."""


_quiet = logging.getLogger("aiormq")
"""What matters of it is in the errors of calls."""
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class RabbitMqUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Where the nodes of a cluster are and how to log in."""

    nodes: tuple[tuple[str, int], ...]
    user: str = "guest"
    password: str = "guest"  # noqa: S105 - what every new server has
    vhost: str = "/"
    tls: bool = False
    ca: str = ""
    """PEM file of the authority that signed the servers' certificates; empty: those the system trusts."""
    cert: str = ""
    """PEM file of our own certificate, if the server asks for one."""
    key: str = ""
    """Its key."""
    prefix: str = "clarion"
    """Begins the names of all queues and exchanges."""

    @property
    def shown(self) -> str:
        """Hosts and ports, for messages; no user and no password."""
        return ",".join(f"{host}:{port}" for host, port in self.nodes)


def parse(url: str, setting: str) -> RabbitMqUrl:
    """Raises ConfigError, naming the setting that holds the URL; no message shows a password."""
    try:
        return _parse(url)
    except ValueError as wrong:
        raise ConfigError(f"{setting}: {wrong}") from None


def _parse(url: str) -> RabbitMqUrl:
    scheme, _, rest = url.partition("://")
    if scheme not in {"amqp", "amqps"} or not rest:
        raise ValueError("must be like amqp://user:password@host:5672/vhost, or amqps:// for TLS")
    parts = urlsplit(f"//{rest}")
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    options = options_of(parts.query, OPTIONS)
    tls = scheme == "amqps"
    if not tls and options.keys() & {"ca", "cert", "key"}:
        raise ValueError("ca, cert and key are for TLS: begin the URL with amqps://")
    given: dict[str, str] = {"user": unquote(user), "password": unquote(password)} if login else {}
    return RabbitMqUrl(
        nodes=hosts_of(hosts, TLS_PORT if tls else PORT),
        vhost=unquote(parts.path[1:]) or "/",
        tls=tls,
        **given,
        **options,
    )


async def connect(url: RabbitMqUrl, setting: str) -> AbstractConnection:
    """A connection to the first node that takes one.

    Raises ConfigError, naming the setting, when waiting does not help, and Unavailable when no node can be reached.
    """
    context = _context(url, setting) if url.tls else None
    fault: Exception | None = None
    for host, port in url.nodes:
        connection = aiormq.Connection(_address(url, host, port), context=context)
        try:
            async with asyncio.timeout(CONNECT_S):
                await connection.connect({"connection_name": "Clarion"})
            return connection
        except REFUSALS as refused:
            raise ConfigError(
                f"{setting}: {host}:{port} refuses the login ({said(refused)}): check user, password, the virtual host "
                f"{url.vhost!r} and the permissions of that user in it"
            ) from None
        except FAULTS as away:
            if isinstance(cause := away.__cause__, ssl.SSLCertVerificationError):
                raise ConfigError(
                    f"{setting}: the certificate of {host}:{port} is not trusted ({cause.verify_message}): "
                    "name the authority that signed it with `ca=`"
                ) from None
            fault = away
    raise Unavailable(f"RabbitMQ at {url.shown} cannot be reached ({said(fault)})")


def _address(url: RabbitMqUrl, host: str, port: int) -> str:
    scheme = "amqps" if url.tls else "amqp"
    login, vhost = f"{quote(url.user, '')}:{quote(url.password, '')}", quote(url.vhost, "")
    place = f"[{host}]" if ":" in host else host
    return f"{scheme}://{login}@{place}:{port}/{vhost}?heartbeat={HEARTBEAT_S}"


def _context(url: RabbitMqUrl, setting: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=url.ca or None)
        if url.cert:
            context.load_cert_chain(url.cert, url.key or None)
    except OSError as wrong:
        raise ConfigError(
            f"{setting}: ca, cert and key must be PEM files that can be read: {wrong}"
        ) from None
    return context


def said(fault: BaseException | None) -> str:
    """What an error of the library says in short."""
    text = ", ".join(str(part) for part in fault.args if part) if fault is not None else ""
    return text[:200] or type(fault).__name__


@contextmanager
def faults(shown: str) -> Iterator[None]:
    """Turns what the library raises into Unavailable."""
    try:
        yield
    except FAULTS as fault:
        raise Unavailable(f"RabbitMQ at {shown} does not answer ({said(fault)})") from None


class RabbitMqConnection:
    """A connection that is made when it is needed, and again after it broke."""

    def __init__(self, url: RabbitMqUrl, setting: str) -> None:
        self._url = url
        self._setting = setting
        self._connection: AbstractConnection | None = None
        self._connecting = asyncio.Lock()

    async def channel(self, *, confirms: bool = False) -> aiormq.Channel:
        """A new channel; `confirms`: what is published over it is confirmed. Raises as `connect` does."""
        async with self._connecting:
            if self._connection is None or not self._connection.is_opened:
                self._connection = await connect(self._url, self._setting)
        with faults(self._url.shown):
            channel = await self._connection.channel(publisher_confirms=confirms)
        assert isinstance(channel, aiormq.Channel)
        return channel

    async def blocked(self) -> bool:
        """Whether the server takes nothing over this connection because of a resource alarm: memory or disk."""
        if self._connection is None or not self._connection.is_opened:
            return False
        try:
            async with asyncio.timeout(0):
                await self._connection.ready()  # At once, unless it is blocked.
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        """Close it. What was delivered over it and not acknowledged is delivered again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*FAULTS):
                await connection.close()


async def declare(
    channel: AbstractChannel, queue: str, arguments: Mapping[str, str | int], setting: str
) -> None:
    """Make sure that a quorum queue exists. Raises ConfigError when there is one with other arguments."""
    try:
        await channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum", **arguments})
    except ChannelPreconditionFailed as refused:
        raise ConfigError(
            f"{setting}: the queue `{queue}` exists with other arguments ({said(refused)}): consume what is in it, delete "
            "it, and start again; or choose another `prefix=`"
        ) from None

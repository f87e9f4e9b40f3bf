"""Clients of a Redis or Valkey server: alone, behind Sentinel, as a Cluster, over TLS or a Unix socket.

redis://user:password@host:6379/0
rediss://host/0?ca=/etc/ssl/redis.pem                      TLS
redis:///0?socket=/run/redis/redis.sock                    Unix socket
redis://one:26379,two:26379/0?sentinel=mymaster            the master that these Sentinels name
redis://one:6379,two:6379?cluster=true                     a Cluster, found through any of its nodes
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError

from clarion.adapters.server_url import hosts_of, options_of
from clarion.errors import ConfigError

Client = Redis | RedisCluster

TIMEOUT_S = 2.0
PORT, SENTINEL_PORT = 6379, 26379
OLDEST = 7
"""With sharded channels. Valkey says it is 7.2.4."""
SAFE_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,64}")

FAULTS = (RedisError, OSError)
"""What a call raises when the server is away, refuses it or does not understand it."""
REFUSALS = (AuthenticationError, AuthorizationError, NoPermissionError)
"""Waiting helps against none of them."""


class RedisUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server is and how to log in."""

    nodes: tuple[tuple[str, int], ...]
    """Host and port of the server, of the Sentinels, or of nodes of the Cluster; none: a Unix socket."""
    user: str | None = None
    password: str | None = None
    database: int = 0
    tls: bool = False
    socket: str = ""
    sentinel: str = ""
    """What the Sentinels call the master."""
    sentinel_user: str | None = None
    sentinel_password: str | None = None
    cluster: bool = False
    ca: str = ""
    """PEM file of the authority that signed the server's certificate; empty: those the system trusts."""
    cert: str = ""
    """PEM file of our own certificate, if the server asks for one."""
    key: str = ""
    """Its key."""
    prefix: str = "clarion"
    """Begins the names of all keys and channels."""
    timeout_s: float = TIMEOUT_S

    @property
    def shown(self) -> str:
        """Hosts and ports, for messages; no user and no password."""
        return self.socket or ",".join(f"{host}:{port}" for host, port in self.nodes)


OPTIONS = (
    "ca",
    "cert",
    "cluster",
    "key",
    "prefix",
    "sentinel",
    "sentinel_password",
    "sentinel_user",
    "socket",
    "timeout_s",
)
"""Behind the `?`."""


def parse(url: str, setting: str) -> RedisUrl:
    """Raises ConfigError, naming the setting that holds the URL; no message shows a password."""
    try:
        return _parse(url)
    except ValueError as wrong:
        raise ConfigError(f"{setting}: {wrong}") from None


def _parse(url: str) -> RedisUrl:
    scheme, _, rest = url.partition("://")
    if scheme not in {"redis", "rediss"} or not rest:
        raise ValueError("must be like redis://user:password@host:6379/0, or rediss:// for TLS")
    parts = urlsplit(f"//{rest}")
    login, at, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    options = options_of(parts.query, OPTIONS)
    found: dict[str, Any] = {
        name: value for name, value in options.items() if name not in {"cluster", "timeout_s"}
    }
    if "cluster" in options:
        if options["cluster"] not in {"true", "false"}:
            raise ValueError(f"cluster must be true or false, not {options['cluster']!r}")
        found["cluster"] = options["cluster"] == "true"
    if "timeout_s" in options:
        found["timeout_s"] = _seconds(options["timeout_s"])
    read = RedisUrl(
        nodes=hosts_of(hosts, SENTINEL_PORT if "sentinel" in options else PORT) if hosts else (),
        user=unquote(user) or None,
        password=unquote(password) or None if at else None,
        database=_database(parts.path),
        tls=scheme == "rediss",
        **found,
    )
    _agree(read)
    return read


def _database(path: str) -> int:
    number = path.strip("/")
    if number and not number.isdecimal():
        raise ValueError(f"the part behind the host is the number of a database, such as /0, not {path!r}")
    return int(number or 0)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 60:
        raise ValueError(f"timeout_s must be a number of seconds from 0.1 to 60, not {text!r}")
    return seconds


def _agree(url: RedisUrl) -> None:
    """Refuse what cannot hold together."""
    if bool(url.nodes) == bool(url.socket):
        raise ValueError(
            "needs either a host, as in redis://host:6379/0, or a socket, as in redis:///0?socket=/path"
        )
    if [bool(url.socket), bool(url.sentinel), url.cluster].count(True) > 1:
        raise ValueError("socket, sentinel and cluster exclude one another: keep one of them")
    if len(url.nodes) > 1 and not (url.sentinel or url.cluster):
        raise ValueError("several hosts need sentinel=NAME or cluster=true")
    if url.cluster and url.database:
        raise ValueError("a Cluster has database 0 only")
    if not url.tls and (url.ca or url.cert or url.key):
        raise ValueError("ca, cert and key are for TLS: begin the URL with rediss://")
    if url.tls and url.socket:
        raise ValueError("a Unix socket needs no TLS: begin the URL with redis://")
    if not SAFE_PREFIX.fullmatch(url.prefix):
        raise ValueError(f"prefix must be letters, digits, `.`, `_` and `-`, at most 64, not {url.prefix!r}")


def client_of(url: RedisUrl, *, listens: bool = False) -> Client:
    """A client that connects when it is used first, and anew at the call behind one that failed: it repeats nothing
    itself, since what got no answer may have been carried out. Close it with `close`.

    `listens`: it waits for what the server says by itself, however long that takes.
    """
    given = _options_of(url, listens=listens)
    if url.cluster:
        nodes = [ClusterNode(host, port) for host, port in url.nodes]
        return RedisCluster(startup_nodes=nodes, cluster_error_retry_attempts=1, **given)
    if url.sentinel:
        of_sentinels = _options_of(url, listens=False)
        of_sentinels |= {"username": url.sentinel_user, "password": url.sentinel_password}
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            list(url.nodes), sentinel_kwargs=of_sentinels, **given, db=url.database
        )
        master: Redis = sentinel.master_for(url.sentinel)
        return master
    if url.socket:
        return Redis(unix_socket_path=url.socket, db=url.database, **given)
    host, port = url.nodes[0]
    return Redis(host=host, port=port, db=url.database, **given)


def node_of(url: RedisUrl, host: str, port: int) -> Redis:
    """A client that listens to one node of a Cluster."""
    return Redis(host=host, port=port, **_options_of(url, listens=True))


def _options_of(url: RedisUrl, *, listens: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "username": url.user,
        "password": url.password,
        "socket_timeout": None if listens else url.timeout_s,
        "socket_connect_timeout": url.timeout_s,
        "retry": Retry(NoBackoff(), 0, supported_errors=()),
        "protocol": 2,
        "driver_info": None,  # The server need not know, and its user may lack the right to say so.
    }
    if url.tls:
        options |= {
            "ssl": True,
            "ssl_ca_certs": url.ca or None,
            "ssl_certfile": url.cert or None,
            "ssl_keyfile": url.key or None,
        }
    return options


async def close(client: Client) -> None:
    """End its connections, also those to Sentinels."""
    await client.aclose()
    if isinstance(client, Redis):
        sentinel: Sentinel | None = getattr(client.connection_pool, "sentinel_manager", None)
        if sentinel is not None:
            await sentinel.aclose()


async def trouble_of(client: Client, url: RedisUrl, setting: str) -> str:
    """Why the server cannot be used now; empty: it can. Raises ConfigError when waiting does not help: it refuses our login,
    or it is too old."""
    try:
        said = await client.info("server")
    except MasterNotFoundError as fault:
        if AuthenticationError.__name__ in str(fault):
            raise ConfigError(
                f"{setting}: the Sentinels at {url.shown} refuse us: check sentinel_user, sentinel_password and the ACL rules of "
                "that user"
            ) from None
        return f"no Sentinel at {url.shown} names a master {url.sentinel!r}"
    except FAULTS as fault:
        if isinstance(fault, REFUSALS) or isinstance(fault.__cause__, REFUSALS):
            raise ConfigError(
                f"{setting}: {url.shown} refuses us ({fault}): check user, password and the ACL rules of that user"
            ) from None
        return f"{url.shown} does not answer ({fault})"
    version = str(said.get("redis_version", ""))
    if int(version.partition(".")[0] or 0) < OLDEST:
        raise ConfigError(f"{setting}: {url.shown} is Redis {version}: it must be Redis {OLDEST} or Valkey")
    return ""

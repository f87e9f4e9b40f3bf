"""Reads a `postgresql:` URL: what is for the server, and what is for Clarion."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from clarion.adapters.extras import needs
from clarion.errors import ConfigError

CONNECTIONS = 8
MOST_CONNECTIONS = 200


class Address(msgspec.Struct, frozen=True):
    """Where the database is, and how it is used."""

    dsn: str
    """As libpq spells it, without what is Clarion's own."""
    connections: int = CONNECTIONS
    """At most, of this process."""
    pooled: bool | None = None
    """Whether something like PgBouncer stands in between; None: find out."""
    replicas: tuple[str, ...] = ()
    """DSNs of read-only copies."""

    @property
    def place(self) -> str:
        """For messages: host and database, without user and password."""
        parts = urlsplit(self.dsn)
        return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def read_address(url: str) -> Address:
    """Raises ConfigError naming the parameter that cannot be understood, or the package that is not installed."""
    with needs("postgresql", "database: a `postgresql:` URL"):
        import asyncpg  # noqa: F401
    parts = urlsplit(url)
    if not parts.netloc:
        raise ConfigError("database: the URL must name a server: postgresql://user@host/database")
    passed: list[tuple[str, str]] = []
    given: dict[str, str] = {}
    replicas: list[str] = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "replica":
            replicas.append(value)
        elif name in ("connections", "pooled"):
            given[name] = value
        else:
            passed.append((name, value))
    server = parts._replace(query=urlencode(passed))
    who, at, _ = parts.netloc.rpartition("@")
    return Address(
        dsn=urlunsplit(server),
        connections=_count(given.get("connections", str(CONNECTIONS))),
        pooled=_flag(given.get("pooled")),
        replicas=tuple(urlunsplit(server._replace(netloc=f"{who}{at}{replica}")) for replica in replicas),
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= MOST_CONNECTIONS:
        raise ConfigError(f"database: `connections` must be a number from 2 to {MOST_CONNECTIONS}")
    return int(text)


def _flag(text: str | None) -> bool | None:
    if text not in (None, "yes", "no"):
        raise ConfigError("database: `pooled` must be yes or no")
    return None if text is None else text == "yes"

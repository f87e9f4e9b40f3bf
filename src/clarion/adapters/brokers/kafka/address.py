"""Reads a `kafka:` URL: what is for the client, and what is for the topics.

kafka://host:9092,other:9092/prefix?partitions=12
kafka://user:password@host:9093/?tls=yes&ca=/etc/ssl/kafka.pem
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from clarion.adapters.kafka import Login, login_settings
from clarion.adapters.server_url import hosts_of, number_of, options_of
from clarion.errors import ConfigError

PORT = 9092
OPTIONS = ("tls", "ca", "cert", "key", "mechanism", "partitions", "replication", "group", "session_s")
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
FILES = {"ca": "ssl.ca.location", "cert": "ssl.certificate.location", "key": "ssl.key.location"}
"""What librdkafka calls them."""
GROUPS = ("classic", "consumer")


class KafkaAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers are, and what the topics there are like."""

    client: Mapping[str, Any]
    """What every client of librdkafka is made with."""
    place: str
    """For messages: hosts and ports, no user and no password."""
    prefix: str = "clarion"
    """Begins the names of all topics and groups."""
    partitions: int = 6
    """Of a topic that Clarion creates: at most so many processes plan a lane."""
    replication: int = 3
    """How many servers have each event; a topic with fewer is refused."""
    group: str = "classic"
    """The protocol by which processes share partitions; with `consumer`, that of Kafka 4, the servers set `session_s`."""
    session_s: int = 10
    """How long a process may be silent before others have its partitions."""

    def __repr__(self) -> str:
        """Without the password."""
        return f"KafkaAddress({self.place}/{self.prefix})"

    @property
    def insync(self) -> int:
        """How many servers must have an event before it counts as published: one may be away."""
        return max(1, self.replication - 1)


def read_address(url: str) -> KafkaAddress:
    """Raises ConfigError naming the part that cannot be understood; none of it shows a password."""
    try:
        return _read(url)
    except ValueError as wrong:
        raise ConfigError(f"broker: {wrong}") from None


def _read(url: str) -> KafkaAddress:
    scheme, _, rest = url.partition("://")
    if scheme != "kafka" or not rest:
        raise ValueError(
            "must be like kafka://host:9092 or kafka://user:password@one:9093,two:9093/prefix?tls=yes"
        )
    parts = urlsplit(f"//{rest}")
    login, _, hosts = parts.netloc.rpartition("@")
    place = ",".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts_of(hosts, PORT)
    )
    options = options_of(parts.query, OPTIONS)
    return KafkaAddress(
        client=_client(place, login, options),
        place=place,
        prefix=_prefix(unquote(parts.path.strip("/"))),
        partitions=number_of(options, "partitions", 6, 1, 1_000),
        replication=number_of(options, "replication", 3, 1, 9),
        group=_one_of("group", options.get("group", GROUPS[0]), GROUPS),
        session_s=number_of(options, "session_s", 10, 1, 300),
    )


def _client(place: str, login: str, options: Mapping[str, str]) -> Mapping[str, Any]:
    tls = _one_of("tls", options.get("tls", "no"), ("yes", "no")) == "yes"
    files = {name: options[name] for name in FILES if name in options}
    if files and not tls:
        raise ValueError(f"{', '.join(files)} is for TLS: add tls=yes")
    if not login and "mechanism" in options:
        raise ValueError("mechanism is how a password is shown: begin the URL with kafka://user:password@")
    user, _, password = login.partition(":")
    mechanism = _one_of("mechanism", options.get("mechanism", MECHANISMS[0]), MECHANISMS)
    settings = login_settings(place, Login(tls, unquote(user), unquote(password), mechanism))
    return settings | {FILES[name]: path for name, path in files.items()}


def _prefix(text: str) -> str:
    if not text:
        return "clarion"
    if len(text) > 200 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in text):
        raise ValueError(
            "the prefix of topics behind the hosts may have letters, digits, `.`, `_` and `-` only"
        )
    return text


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(allowed)}, not {value!r}")
    return value

"""Connections to Kafka, for the broker, sources and sinks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from clarion.adapters.extras import needs
from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.http.hosts import vetted
from clarion.errors import ClarionError, ConfigError, Unavailable
from clarion.ports.provider import ProviderSettings, ProviderTools

T = TypeVar("T")

CALL_S = 10.0
"""Most time that an answer may take."""

Servers = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[^\s,:/]+:\d{1,5}(,[^\s,:/]+:\d{1,5})*\Z",
        description="servers as host:port, with commas between them",
    ),
]
Topic = Annotated[
    str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._-]{1,249}\Z", description="the name of one topic")
]

quiet = logging.getLogger("clarion.kafka")
"""librdkafka would write to standard error: what matters is in the errors of calls."""
quiet.addHandler(logging.NullHandler())
quiet.propagate = False


class Login(NamedTuple):
    """Who we are there, and whether the line is encrypted."""

    tls: bool = False
    username: str = ""
    password: str = ""
    mechanism: str = ""
    """How the password is shown, if there is a user name."""


class KafkaConnection(ProviderSettings, frozen=True, kw_only=True):
    """Where a topic is, and who we are there."""

    servers: Servers
    topic: Topic
    tls: bool = False
    ca: str = ""
    """PEM of the authority that signed the certificate of the servers; empty: one that the system trusts."""
    username: str = ""
    password: str = ""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the password is shown, if there is a `username`."""


SECRETS = frozenset({"password"})
NO_TOPIC = frozenset({"_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_PARTITION"})
NO_USER = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"})
NO_TRUST = frozenset({"_SSL"})
NOT_ALLOWED = frozenset({"TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"})


def client_settings(connection: KafkaConnection) -> dict[str, Any]:
    """What every client of librdkafka is made with."""
    login = Login(connection.tls, connection.username, connection.password, connection.mechanism)
    settings = login_settings(connection.servers, login)
    if connection.ca:
        settings["ssl.ca.pem"] = connection.ca
    return settings


def login_settings(servers: str, login: Login) -> dict[str, Any]:
    """The same, without certificates."""
    settings: dict[str, Any] = {
        "bootstrap.servers": servers,
        "client.id": "clarion",
        "socket.connection.setup.timeout.ms": int(CALL_S * 1_000),
        "security.protocol": ("SASL_" if login.username else "") + ("SSL" if login.tls else "PLAINTEXT"),
    }
    if login.username:
        settings |= {
            "sasl.mechanism": login.mechanism,
            "sasl.username": login.username,
            "sasl.password": login.password,
        }
    return settings


def require_package() -> None:
    """ConfigError unless the client is installed."""
    with needs("kafka", "Kafka", pointer="#"):
        import confluent_kafka  # noqa: F401


class KafkaRefusal:
    """Why servers do not let a client in. librdkafka tells that to `error_cb` only: calls hear that no answer came."""

    def __init__(self) -> None:
        self._error: Any = None

    def note(self, error: Any) -> None:
        """The `error_cb` of the client."""
        if error.name() in NO_USER | NO_TRUST:
            self._error = error

    def behind(self, error: Any, client: Any) -> Any:
        """The refusal, if that is why a call of a client to which nothing is delivered yet had this error; else the error."""
        client.poll(0)  # This is when it is told.
        return self._error or error


class KafkaThread:
    """Runs the calls of one client, which wait, one after the other in a thread of their own."""

    def __init__(self, connection: KafkaConnection, tools: ProviderTools) -> None:
        self._connection = connection
        self._guard = UrlGuard(tools.allowed_networks)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka")
        self._refusal = KafkaRefusal()
        self._client: Any = None
        """Until it had its first answer."""

    async def vet(self) -> None:
        """Refuse servers in networks that may not be reached."""
        for server in self._connection.servers.split(","):
            host = urlsplit(f"//{server}").hostname or ""
            try:
                await vetted(host, self._guard)
            except OSError:
                raise Unavailable(f"nobody knows the Kafka server {host}: check `servers`") from None

    async def connect(self, make: Callable[..., T], settings: dict[str, Any]) -> T:
        """A client for the calls."""
        settings |= {"error_cb": self._refusal.note}
        client = await self.call(lambda: make(settings, logger=quiet))
        self._client = client
        return client

    async def call(self, work: Callable[[], T]) -> T:
        """What `work` returns. Raises ConfigError and Unavailable for errors of Kafka."""
        from confluent_kafka import KafkaException

        try:
            done = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except KafkaException as fault:
            error = fault.args[0]
            if self._client is not None:
                error = self._refusal.behind(error, self._client)
            raise error_of(error, self._connection) from None
        self._client = None
        return done

    async def close(self, work: Callable[[], object]) -> None:
        """Do this last."""
        try:
            await self.call(work)
        finally:
            self._thread.shutdown(wait=False)


def error_of(error: Any, connection: KafkaConnection) -> ClarionError:
    """What a `KafkaError` means."""
    name, topic = error.name(), connection.topic
    if name in NO_TOPIC:
        return ConfigError(f"Kafka has no topic {topic!r}: create it, or check `topic`", pointer="#/topic")
    if name in NO_USER:
        return ConfigError(
            "Kafka refuses the user: check `username`, `password` and `mechanism`", pointer="#/username"
        )
    if name in NO_TRUST:
        return ConfigError(
            "no trusted authority has signed the certificate of the Kafka servers: check `ca`", pointer="#/ca"
        )
    if name in NOT_ALLOWED:
        return ConfigError(f"the user may not use the topic {topic!r}: allow it in Kafka", pointer="#/topic")
    return Unavailable(f"Kafka did not answer ({name}): check that {connection.servers} can be reached")


def partitions_of(consumer: Any, connection: KafkaConnection) -> Sequence[int]:
    """The numbers of the topic's partitions. Raises ConfigError when there is no such topic."""
    found = consumer.list_topics(connection.topic, timeout=CALL_S).topics[connection.topic]
    if found.error is not None:
        raise error_of(found.error, connection)
    return sorted(found.partitions)

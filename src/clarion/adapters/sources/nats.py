"""A subject of NATS JetStream. The position is in the ledger: each connection has a passing consumer of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from clarion.adapters.extras import needs
from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.http.hosts import vetted
from clarion.errors import ConfigError, Unavailable
from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import ProviderSettings, ProviderTools
from clarion.ports.source import Position, RecordReader, SourcePlugin, SourceRecord

T = TypeVar("T")

CALL_S = 10.0
FETCH_S = 1.0


class NatsSource(ProviderSettings, frozen=True, kw_only=True):
    """A subject that a stream keeps."""

    servers: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(nats|tls)://[^\s,@]+(,(nats|tls)://[^\s,@]+)*\Z",
            description="URLs such as nats://nats.example.com:4222, with commas between them and no password in them",
        ),
    ]
    subject: Annotated[str, msgspec.Meta(min_length=1)]
    """May have wildcards: `orders.>`."""
    stream: str = ""
    """The stream that keeps it; empty: it is found by the subject."""
    username: str = ""
    password: str = ""
    token: str = ""


class NatsReader:
    """Implements `ports.source.RecordReader`."""

    def __init__(self, config: NatsSource, tools: ProviderTools) -> None:
        self._config = config
        self._guard = UrlGuard(tools.allowed_networks)
        self._connection: Any = None
        self._stream = config.stream
        self._consumer: Any = None
        self._waiting = 0
        """Records that were fetched and are not done."""

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        await self._connect()
        if isinstance(to, int):
            behind = await self._before(to)
        else:
            state = (await self._call(self._streams.stream_info(self._stream))).state
            if isinstance(to, Mapping):
                behind = int(to.get("", 0))
            else:
                behind = state.first_seq - 1 if to is StartAt.EARLIEST else state.last_seq
        await self._begin(max(0, behind))
        return {"": str(max(0, behind))}

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        found = await self._next(limit, FETCH_S)
        self._waiting += len(found)
        return found

    async def done(self, records: Sequence[SourceRecord]) -> None:
        self._waiting -= len(records)

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        await self._connect()
        last = (await self._call(self._streams.stream_info(self._stream))).state.last_seq
        await self._begin(max(0, last - limit))
        return (await self._next(limit, FETCH_S))[-limit:]

    async def lag(self) -> Mapping[str, int | None]:
        info = await self._call(self._consumer.consumer_info())
        return {"": int(info.num_pending or 0) + self._waiting}

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    @property
    def _streams(self) -> Any:
        return self._connection.jetstream(timeout=CALL_S)

    async def _connect(self) -> None:
        if self._connection is not None:
            return
        from clarion.adapters.nats import client

        servers = self._config.servers.split(",")
        for server in servers:
            host = urlsplit(server).hostname or ""
            try:
                await vetted(host, self._guard)
            except OSError:
                raise Unavailable(f"nobody knows the server {host}: check `servers`") from None
        self._connection = await self._call(
            client(
                servers,
                user=self._config.username,
                password=self._config.password,
                token=self._config.token,
                max_reconnect_attempts=2,
                allow_reconnect=False,
            )
        )
        if not self._stream:
            self._stream = await self._call(self._streams.find_stream_name_by_subject(self._config.subject))

    async def _begin(self, behind: int) -> None:
        """A new consumer of what lies behind a sequence number."""
        from nats.js.api import DeliverPolicy

        await self._consume(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=behind + 1)

    async def _consume(self, **start: Any) -> None:
        from nats.js.api import AckPolicy, ConsumerConfig

        if self._consumer is not None:
            await self._call(self._consumer.unsubscribe())
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, inactive_threshold=60.0, **start)
        self._waiting = 0
        self._consumer = await self._call(
            self._streams.pull_subscribe(self._config.subject, stream=self._stream, config=config)
        )

    async def _before(self, at: Instant) -> int:
        """The sequence number of the last record before a time."""
        from nats.js.api import DeliverPolicy

        moment = datetime.fromtimestamp(at / 1_000, UTC).isoformat().replace("+00:00", "Z")
        await self._consume(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=moment)
        first = await self._next(1, FETCH_S)
        if first:
            return int(first[0].offset) - 1
        return int((await self._call(self._streams.stream_info(self._stream))).state.last_seq)

    async def _next(self, limit: int, wait_s: float) -> list[SourceRecord]:
        import nats.errors

        async def fetched() -> Any:
            try:
                return await self._consumer.fetch(limit, timeout=wait_s)
            except (TimeoutError, nats.errors.TimeoutError):
                return ()

        return [_record(message) for message in await self._call(fetched())]

    async def _call(self, asked: Awaitable[T]) -> T:
        import nats.errors
        import nats.js.errors

        try:
            return await asked
        except nats.js.errors.NotFoundError:
            what = self._stream or f"the subject {self._config.subject}"
            raise ConfigError(f"NATS has no stream for {what}: create it", pointer="#/subject") from None
        except (nats.errors.AuthorizationError, nats.errors.InvalidUserCredentialsError):
            raise ConfigError(
                "NATS refuses the user: check `username`, `password` and `token`", pointer="#/username"
            ) from None
        except (nats.errors.Error, OSError) as away:
            if "authorization" in str(away).lower():
                raise ConfigError("NATS refuses the user: check `username` and `password`") from None
            raise Unavailable(f"NATS does not answer ({type(away).__name__}): check `servers`") from None


def _record(message: Any) -> SourceRecord:
    about = message.metadata
    headers = {
        name: value[-1] if isinstance(value, list) else value
        for name, value in (message.headers or {}).items()
    }
    return SourceRecord(
        topic=message.subject,
        offset=str(about.sequence.stream),
        key=message.subject,
        value=message.data,
        headers=headers,
        at=Instant(round(about.timestamp.timestamp() * 1_000)),
    )


def opened(config: NatsSource, tools: ProviderTools) -> RecordReader:
    """Reaches nobody."""
    with needs("nats", "NATS", pointer="#"):
        import nats  # noqa: F401
    return NatsReader(config, tools)


plugin = SourcePlugin(
    name="nats",
    title="NATS JetStream",
    config=NatsSource,
    open=opened,
    secrets=frozenset({"password", "token"}),
    example={"servers": "tls://nats.example.com:4222", "subject": "orders.>"},
)

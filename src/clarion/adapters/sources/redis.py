"""A stream of Redis or Valkey. The position is in the ledger, so no consumer group is made and nothing is acknowledged."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

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

FETCH_MS = 1_000
FIRST = "0-0"
"""Behind it is everything."""
LAST_OF_MS = 2**64 - 1
COUNTED = 10_000
"""Most entries that are counted."""

_encode = msgspec.json.Encoder().encode


class RedisSource(ProviderSettings, frozen=True, kw_only=True):
    """A stream that is read."""

    url: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\Arediss?://[^@?#]+\Z",
            description="a URL such as rediss://redis.example.com:6379/0, without a user and a password",
        ),
    ]
    stream: Annotated[str, msgspec.Meta(min_length=1)]
    field: Annotated[str, msgspec.Meta(min_length=1)] = "data"
    """The field of an entry that holds the record; the others are headers. An entry without it is a record as a whole."""
    username: str = ""
    password: str = ""


class RedisReader:
    """Implements `ports.source.RecordReader`."""

    def __init__(self, config: RedisSource, tools: ProviderTools) -> None:
        """Raises ConfigError for a URL that cannot be."""
        from clarion.adapters.redis.client import client_of, parse

        self._config = config
        self._url = msgspec.structs.replace(
            parse(config.url, "url"), user=config.username or None, password=config.password or None
        )
        self._guard = UrlGuard(tools.allowed_networks)
        self._vetted = False
        self._client: Any = client_of(self._url)
        self._done = self._fetched = FIRST

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        if to is StartAt.EARLIEST:
            found = FIRST
        elif to is StartAt.LATEST:
            newest = await self._call(self._client.xrevrange(self._config.stream, count=1))
            found = newest[0][0].decode() if newest else FIRST
        elif isinstance(to, int):
            found = f"{max(0, to - 1)}-{LAST_OF_MS}"
        else:
            assert isinstance(to, Mapping)
            found = to.get("", FIRST)
        await self._vet()
        self._done = self._fetched = found
        return {"": found}

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        found = await self._call(
            self._client.xread({self._config.stream: self._fetched}, count=limit, block=FETCH_MS)
        )
        records = [self._record(id_, fields) for _, entries in found for id_, fields in entries]
        if records:
            self._fetched = records[-1].offset
        return records

    async def done(self, records: Sequence[SourceRecord]) -> None:
        self._done = records[-1].offset

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        newest = await self._call(self._client.xrevrange(self._config.stream, count=limit))
        return [self._record(id_, fields) for id_, fields in reversed(newest)]

    async def lag(self) -> Mapping[str, int | None]:
        """Counted up to `COUNTED`."""
        behind = await self._call(
            self._client.eval(COUNT, 1, self._config.stream, f"({self._done}", str(COUNTED))
        )
        return {"": int(behind)}

    async def close(self) -> None:
        from clarion.adapters.redis.client import close

        await close(self._client)

    async def _vet(self) -> None:
        for host, _ in self._url.nodes if not self._vetted else ():
            try:
                await vetted(host, self._guard)
            except OSError:
                raise Unavailable(f"nobody knows the server {host}: check `url`") from None
        self._vetted = True

    async def _call(self, asked: Awaitable[T]) -> T:
        from clarion.adapters.redis.client import FAULTS, REFUSALS

        try:
            await self._vet()
            return await asked
        except REFUSALS as refused:
            raise ConfigError(
                f"Redis refuses the user ({refused}): check `username`, `password` and the rules of that user"
            ) from None
        except FAULTS as away:
            raise Unavailable(f"Redis at {self._url.shown} does not answer ({away})") from None

    def _record(self, id_: bytes, fields: Mapping[bytes, bytes]) -> SourceRecord:
        texts = {name.decode(errors="replace"): value for name, value in fields.items()}
        value = texts.pop(self._config.field, None)
        headers = {name: text.decode(errors="replace") for name, text in texts.items()}
        offset = id_.decode()
        return SourceRecord(
            topic=self._config.stream,
            offset=offset,
            value=_encode(headers) if value is None else value,
            headers={} if value is None else headers,
            at=Instant(int(offset.partition("-")[0])),
        )


COUNT = "return #redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])"
"""On the server, so that no entry is sent."""


def opened(config: RedisSource, tools: ProviderTools) -> RecordReader:
    """Reaches nobody."""
    with needs("redis", "Redis", pointer="#"):
        return RedisReader(config, tools)


plugin = SourcePlugin(
    name="redis",
    title="Redis stream",
    config=RedisSource,
    open=opened,
    secrets=frozenset({"password"}),
    example={"url": "rediss://redis.example.com:6379/0", "stream": "orders"},
)

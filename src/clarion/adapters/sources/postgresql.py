"""An outbox in PostgreSQL: an application adds rows in transactions of its own, and what is done is deleted.

A trigger tells of new rows. Where nobody is told (behind PgBouncer, or without the trigger), they are found a second later.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

import msgspec

from clarion.adapters.extras import needs
from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.http.hosts import vetted
from clarion.adapters.outbox import SECRETS, OutboxTable, begin, channel_of
from clarion.errors import ClarionError, ConfigError, Unavailable
from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import ProviderTools
from clarion.ports.source import Position, SourcePlugin, SourceRecord

WAIT_S = 1.0
CONNECT_S = 10.0
ANSWER_S = 30.0
MOST_COUNTED = 100_000

NEXT = """
    SELECT id, key, headers::text, body::text, (extract(epoch FROM created_at) * 1000)::bigint FROM {table}
    WHERE NOT id = ANY($1::uuid[]) ORDER BY seq LIMIT $2
"""
DONE = "DELETE FROM {table} WHERE id = ANY($1::uuid[])"
WAITING = "SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT $1) AS waiting"

_headers = msgspec.json.Decoder(dict[str, str], strict=False)


class PostgresOutbox(OutboxTable, frozen=True, kw_only=True):
    """An outbox that is read."""

    port: int = 5432


class PostgresOutboxReader:
    """Implements `ports.source.RecordReader`."""

    def __init__(self, config: PostgresOutbox, tools: ProviderTools) -> None:
        self._config = config
        self._guard = UrlGuard(tools.allowed_networks)
        self._connection: Any = None
        self._told = asyncio.Event()
        self._fetched: set[Any] = set()
        """Rows that are under way."""

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        await self._connected()
        return begin(to)

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        await self._connected()
        self._told.clear()
        found = await self._next(limit)
        if not found:
            try:
                async with asyncio.timeout(WAIT_S):
                    await self._told.wait()
            except TimeoutError:
                return ()
            found = await self._next(limit)
        self._fetched.update(record.receipt for record in found)
        return found

    async def done(self, records: Sequence[SourceRecord]) -> None:
        ids = [record.receipt for record in records]
        await self._asked("execute", DONE, ids)
        self._fetched.difference_update(ids)

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        return await self._next(limit)

    async def lag(self) -> int | None:
        return int(await self._asked("fetchval", WAITING, MOST_COUNTED))

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close(timeout=CONNECT_S)

    async def _next(self, limit: int) -> list[SourceRecord]:
        rows = await self._asked("fetch", NEXT, list(self._fetched), limit)
        return [
            SourceRecord(
                topic=self._config.table,
                id=str(row_id),
                key=key,
                value=body.encode(),
                headers=_headers.decode(headers),
                at=Instant(at),
                receipt=row_id,
            )
            for row_id, key, headers, body, at in rows
        ]

    async def _asked(self, method: str, statement: str, *values: Any) -> Any:
        """What this method of the connection returns."""
        connection = await self._connected()
        try:
            ask = getattr(connection, method)
            return await ask(statement.format(table=self._config.table), *values, timeout=ANSWER_S)
        except Exception as error:
            raise self._refusal(error) from error

    async def _connected(self) -> Any:
        """The connection; one that was cut is opened anew."""
        if self._connection is None or self._connection.is_closed():
            self._fetched.clear()
            try:
                self._connection = await self._connect()
            except Exception as error:
                raise self._refusal(error) from error
        return self._connection

    async def _connect(self) -> Any:
        import asyncpg

        config = self._config
        await vetted(config.host, self._guard)
        connection = await asyncpg.connect(
            host=config.host,
            port=config.port,
            user=config.username,
            password=config.password,
            database=config.database,
            ssl=ssl.create_default_context(cadata=config.ca or None) if config.tls else False,
            timeout=CONNECT_S,
            statement_cache_size=0,
            server_settings={"application_name": "clarion"},
        )
        await connection.add_listener(channel_of(config.table), self._tell)
        return connection

    def _tell(self, *_: object) -> None:
        self._told.set()

    def _refusal(self, error: Exception) -> ClarionError:
        import asyncpg

        table = self._config.table
        match error:
            case ClarionError():
                return error
            case asyncpg.UndefinedTableError() | asyncpg.UndefinedColumnError():
                return ConfigError(
                    f"this database has no outbox `{table}` ({error}): `clarion sources outbox` prints the SQL that makes it",
                    pointer="#/table",
                )
            case asyncpg.InsufficientPrivilegeError():
                return ConfigError(
                    f"the outbox may not be read: GRANT SELECT, DELETE ON {table} TO {self._config.username}",
                    pointer="#/username",
                )
            case asyncpg.InvalidCatalogNameError():
                return ConfigError(f"the server has no such database: {error}", pointer="#/database")
            case asyncpg.InvalidAuthorizationSpecificationError():
                return ConfigError(f"the server lets nobody in as this user: {error}", pointer="#/username")
        return Unavailable(f"the database with the outbox does not answer ({type(error).__name__})")


def opened(config: PostgresOutbox, tools: ProviderTools) -> PostgresOutboxReader:
    """Reaches nobody."""
    with needs("postgresql", "an outbox in PostgreSQL", pointer="#"):
        import asyncpg  # noqa: F401
    return PostgresOutboxReader(config, tools)


plugin = SourcePlugin(
    name="postgresql",
    title="Outbox table in PostgreSQL",
    config=PostgresOutbox,
    open=opened,
    rewinds=False,
    secrets=SECRETS,
    example={"host": "db.example.com", "database": "shop", "username": "clarion", "password": "secret"},
)

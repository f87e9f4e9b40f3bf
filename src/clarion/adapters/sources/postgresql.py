"""An outbox in PostgreSQL: an application adds rows in transactions of its own, and what is done is deleted.

A trigger tells of new rows. Where nobody is told (behind PgBouncer, or without the trigger), they are found a second later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from clarion.adapters.extras import needs
from clarion.adapters.outbox import (
    ANSWER_S,
    CONNECT_S,
    SECRETS,
    OutboxReader,
    OutboxTable,
    channel_of,
)
from clarion.errors import ClarionError, ConfigError
from clarion.ports.provider import ProviderTools
from clarion.ports.source import SourcePlugin, SourceRecord

WAIT_S = 1.0

NEXT = """
    SELECT seq, id, key, headers::text, body::text, (extract(epoch FROM created_at) * 1000)::bigint FROM {table}
    WHERE NOT seq = ANY($1::bigint[]) ORDER BY seq LIMIT $2
"""
DONE = "DELETE FROM {table} WHERE seq = ANY($1::bigint[])"
WAITING = "SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT $1) AS waiting"


class PostgresOutbox(OutboxTable, frozen=True, kw_only=True):
    """An outbox that is read."""

    port: int = 5432


class PostgresOutboxReader(OutboxReader):
    """Waits to be told of new rows."""

    def __init__(self, config: PostgresOutbox, tools: ProviderTools) -> None:
        super().__init__(config, tools)
        self._port = config.port
        self._told = asyncio.Event()

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        self._told.clear()
        return await super().fetch(limit)

    async def _later(self, limit: int) -> Sequence[SourceRecord]:
        try:
            async with asyncio.timeout(WAIT_S):
                await self._told.wait()
        except TimeoutError:
            return ()
        return await self.peek(limit)

    async def _connect(self) -> Any:
        import asyncpg

        config = self._config
        connection = await asyncpg.connect(
            host=config.host,
            port=self._port,
            user=config.username,
            password=config.password,
            database=config.database,
            ssl=config.trust or False,
            timeout=CONNECT_S,
            statement_cache_size=0,
            server_settings={"application_name": "clarion"},
        )
        await connection.add_listener(channel_of(config.table), self._tell)
        return connection

    def _is_connected(self) -> bool:
        return not self._connection.is_closed()

    async def _disconnect(self) -> None:
        await self._connection.close(timeout=CONNECT_S)

    async def _next(self, under_way: Sequence[int], limit: int) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = await self._fetch(NEXT, under_way, limit)
        return found

    async def _delete(self, numbers: Sequence[int]) -> None:
        await self._fetch(DONE, numbers)

    async def _count(self, most: int) -> int:
        ((waiting,),) = await self._fetch(WAITING, most)
        return int(waiting)

    async def _fetch(self, statement: str, *values: Any) -> Any:
        return await self._connection.fetch(
            statement.format(table=self._config.table), *values, timeout=ANSWER_S
        )

    def _tell(self, *_: object) -> None:
        self._told.set()

    def _mistake(self, error: Exception) -> ClarionError | None:
        import asyncpg

        table = self._config.table
        match error:
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
        return None


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

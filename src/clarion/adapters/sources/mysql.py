"""An outbox in MySQL or MariaDB: an application adds rows in transactions of its own, and what is done is deleted.

These servers tell nobody of new rows: the table is looked at 25 times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from clarion.adapters.extras import needs
from clarion.adapters.outbox import ANSWER_S, CONNECT_S, SECRETS, OutboxReader, OutboxTable
from clarion.errors import ClarionError, ConfigError
from clarion.ports.provider import ProviderTools
from clarion.ports.source import SourcePlugin, SourceRecord

LOOK_EVERY_S = 0.04
LOOKS = 25
"""In a second, while nothing comes."""
NO_ROW = (0,)
"""Numbers begin with 1, and SQL has no empty list."""

NEXT = """
    SELECT seq, id, `key`, headers, body, CAST(unix_timestamp(created_at) * 1000 AS signed) FROM {table}
    WHERE seq NOT IN %s ORDER BY seq LIMIT %s
"""
DONE = "DELETE FROM {table} WHERE seq = %s"
"""One by one: a statement that deletes many may look for them in the whole table, hints or not, and waits then for every
row of a transaction that is not committed."""
WAITING = "SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT %s) AS waiting"


class MySqlOutbox(OutboxTable, frozen=True, kw_only=True):
    """An outbox that is read."""

    port: int = 3306


class MySqlOutboxReader(OutboxReader):
    """Looks for new rows, again and again."""

    def __init__(self, config: MySqlOutbox, tools: ProviderTools) -> None:
        super().__init__(config, tools)
        self._port = config.port

    async def _later(self, limit: int) -> Sequence[SourceRecord]:
        for _ in range(LOOKS):
            await asyncio.sleep(LOOK_EVERY_S)
            if found := await self.peek(limit):
                return found
        return ()

    async def _connect(self) -> Any:
        import asyncmy

        config = self._config
        return await asyncmy.connect(
            host=config.host,
            port=self._port,
            user=config.username,
            password=config.password.encode(),
            database=config.database,
            ssl=config.trust,
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S,
            autocommit=True,
            program_name="clarion",
        )

    def _is_connected(self) -> bool:
        return bool(self._connection.connected)

    async def _disconnect(self) -> None:
        await self._connection.ensure_closed()

    async def _next(self, under_way: Sequence[int], limit: int) -> Sequence[Sequence[Any]]:
        async with self._cursor() as cursor:
            await cursor.execute(self._of_table(NEXT), (tuple(under_way) or NO_ROW, limit))
            found: Sequence[Sequence[Any]] = await cursor.fetchall()
            return found

    async def _delete(self, numbers: Sequence[int]) -> None:
        async with self._cursor() as cursor:
            await self._connection.begin()
            await cursor.executemany(self._of_table(DONE), [(number,) for number in numbers])
            await self._connection.commit()

    async def _count(self, most: int) -> int:
        async with self._cursor() as cursor:
            await cursor.execute(self._of_table(WAITING), (most,))
            ((waiting,),) = await cursor.fetchall()
            return int(waiting)

    def _of_table(self, statement: str) -> str:
        return statement.format(table=self._config.table)

    @contextlib.asynccontextmanager
    async def _cursor(self) -> AsyncIterator[Any]:
        try:
            async with self._connection.cursor() as cursor:
                yield cursor
        except Exception:
            self._connection.close()  # It may be in a transaction, and does not notice that its server has gone away.
            raise

    def _mistake(self, error: Exception) -> ClarionError | None:
        from asyncmy.constants import ER
        from asyncmy.errors import MySQLError

        if not isinstance(error, MySQLError):
            return None
        table, (code, said) = self._config.table, (*error.args, "", "")[:2]
        match code:
            case ER.NO_SUCH_TABLE | ER.BAD_FIELD_ERROR:
                return ConfigError(
                    f"this database has no outbox `{table}` ({said}): `clarion sources outbox --kind mysql` prints the SQL that makes it",
                    pointer="#/table",
                )
            case ER.TABLEACCESS_DENIED_ERROR:
                return ConfigError(
                    f"the outbox may not be read ({said}): GRANT SELECT, DELETE ON {table} TO {self._config.username}",
                    pointer="#/username",
                )
            case ER.BAD_DB_ERROR | ER.DBACCESS_DENIED_ERROR:
                return ConfigError(
                    f"the server has no such database for this user: {said}", pointer="#/database"
                )
            case ER.ACCESS_DENIED_ERROR:
                return ConfigError(f"the server lets nobody in as this user: {said}", pointer="#/username")
        return None


def opened(config: MySqlOutbox, tools: ProviderTools) -> MySqlOutboxReader:
    """Reaches nobody."""
    with needs("mysql", "an outbox in MySQL or MariaDB", pointer="#"):
        import asyncmy  # noqa: F401
    return MySqlOutboxReader(config, tools)


plugin = SourcePlugin(
    name="mysql",
    title="Outbox table in MySQL or MariaDB",
    config=MySqlOutbox,
    open=opened,
    rewinds=False,
    secrets=SECRETS,
    example={"host": "db.example.com", "database": "shop", "username": "clarion", "password": "secret"},
)

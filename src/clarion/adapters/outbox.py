"""What outbox tables have in common: their settings, how their rows are read, and the SQL that makes them."""

from __future__ import annotations

import abc
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, ParamSpec, TypeVar

import msgspec

from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.http.hosts import vetted
from clarion.errors import ClarionError, InvalidInput, Unavailable
from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import HostName, ProviderSettings, ProviderTools
from clarion.ports.source import Position, SourceRecord

P = ParamSpec("P")
T = TypeVar("T")

TABLE = "clarion_outbox"

TableName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[a-z_][a-z0-9_]{0,50}(\.[a-z_][a-z0-9_]{0,50})?\Z",
        description="the name of a table in lower case, behind its schema and a dot if it is not found without",
    ),
]


class OutboxTable(ProviderSettings, frozen=True, kw_only=True):
    """Where an outbox is, and who we are there."""

    host: HostName
    database: str
    username: str
    password: str = ""
    table: TableName = TABLE
    tls: bool = False
    ca: str = ""
    """PEM of the authority that signed the certificate of the server; empty: one that the system trusts."""

    @property
    def trust(self) -> ssl.SSLContext | None:
        """What certificates of the server are checked by; None: without TLS."""
        return ssl.create_default_context(cadata=self.ca or None) if self.tls else None


SECRETS = frozenset({"password"})


CONNECT_S = 10.0
ANSWER_S = 30.0
MOST_COUNTED = 100_000

_headers = msgspec.json.Decoder(dict[str, str], strict=False)


class OutboxReader(abc.ABC):
    """Reads committed rows, oldest first, and deletes those that are done. Implements `ports.source.RecordReader`.

    Rows that are under way are told apart by their numbers, and not by how far these have come: a transaction that
    took its number earlier may be committed later.
    """

    def __init__(self, config: OutboxTable, tools: ProviderTools) -> None:
        self._config = config
        self._guard = UrlGuard(tools.allowed_networks)
        self._connection: Any = None
        self._under_way: set[int] = set()

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        """Raises InvalidInput for any place but what waits."""
        await self._connected()
        if isinstance(to, StartAt) or to == {}:
            return {}
        raise InvalidInput("Rows of an outbox are deleted when they are done: it cannot go back to them.")

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        found = await self.peek(limit) or await self._later(limit)
        self._under_way.update(record.receipt for record in found)
        return found

    async def done(self, records: Sequence[SourceRecord]) -> None:
        numbers = [record.receipt for record in records]
        await self._asked(self._delete, numbers)
        self._under_way.difference_update(numbers)

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        await self._connected()  # Before it is said what is under way: that is forgotten with a connection.
        return [
            SourceRecord(
                topic=self._config.table,
                id=str(id_),
                key=key,
                value=body.encode(),
                headers=_headers.decode(headers),
                at=Instant(at),
                receipt=number,
            )
            for number, id_, key, headers, body, at in await self._asked(
                self._next, [*self._under_way], limit
            )
        ]

    async def lag(self) -> Mapping[str, int | None]:
        return {"": await self._asked(self._count, MOST_COUNTED)}

    async def close(self) -> None:
        if self._connection is not None:
            await self._disconnect()

    @abc.abstractmethod
    async def _later(self, limit: int) -> Sequence[SourceRecord]:
        """What comes within a second."""

    @abc.abstractmethod
    async def _connect(self) -> Any:
        """A connection to the server."""

    @abc.abstractmethod
    def _is_connected(self) -> bool:
        """Whether the connection can be used."""

    @abc.abstractmethod
    async def _disconnect(self) -> None:
        """Close the connection."""

    @abc.abstractmethod
    async def _next(self, under_way: Sequence[int], limit: int) -> Sequence[Sequence[Any]]:
        """Other rows than these: number, id, key, headers, body, milliseconds since 1970."""

    @abc.abstractmethod
    async def _delete(self, numbers: Sequence[int]) -> None:
        """Delete these rows, without waiting for transactions that hold others."""

    @abc.abstractmethod
    async def _count(self, most: int) -> int:
        """How many rows there are, counted up to so many."""

    @abc.abstractmethod
    def _mistake(self, error: Exception) -> ClarionError | None:
        """What has to be set up otherwise, if this error says that something has."""

    async def _asked(self, ask: Callable[P, Awaitable[T]], *values: P.args, **named: P.kwargs) -> T:
        await self._connected()
        try:
            return await ask(*values, **named)
        except Exception as error:
            raise self._refusal(error) from error

    async def _connected(self) -> None:
        """A connection that was cut is opened anew, and rows that are not done come again."""
        if self._connection is not None and self._is_connected():
            return
        self._under_way.clear()
        try:
            await vetted(self._config.host, self._guard)
            self._connection = await self._connect()
        except Exception as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> ClarionError:
        if isinstance(error, ClarionError):
            return error
        return self._mistake(error) or Unavailable(
            f"the database with the outbox does not answer ({type(error).__name__})"
        )


POSTGRESQL = """\
-- An outbox: whoever adds a row in a transaction of their own starts a workflow when it is committed.
CREATE TABLE {table} (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    key text,
    headers json NOT NULL DEFAULT '{{}}',
    body json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Tells Clarion at once. Without it Clarion looks every second.
CREATE FUNCTION {table}_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{channel}', '');
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {table}_tell();

-- SELECT {table}_add('order-paid', '["ada"]', '{{"order": "A-1042"}}');
CREATE FUNCTION {table}_add(workflow text, recipients json, data json DEFAULT '{{}}', id uuid DEFAULT gen_random_uuid())
RETURNS uuid LANGUAGE sql AS $$
    INSERT INTO {table} (id, body)
    VALUES ($4, json_build_object('workflow', $1, 'recipients', $2, 'data', $3)) RETURNING id
$$;

-- Whoever Clarion logs in as needs no more than this.
GRANT SELECT, DELETE ON {table} TO {reader};
"""


def postgresql_sql(table: str = TABLE, reader: str = "clarion") -> str:
    """What an application runs once in its database, or has as a migration."""
    return POSTGRESQL.format(table=table, reader=reader, channel=channel_of(table))


def channel_of(table: str) -> str:
    """Where PostgreSQL tells of new rows."""
    return table.replace(".", "_")


MYSQL = """\
-- An outbox: whoever adds a row in a transaction of their own starts a workflow when it is committed.
CREATE TABLE {table} (
    seq bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id char(36) CHARACTER SET ascii NOT NULL DEFAULT (uuid()) UNIQUE,
    `key` varchar(255),
    headers longtext NOT NULL DEFAULT ('{{}}') CHECK (json_valid(headers)),
    body longtext NOT NULL CHECK (json_valid(body)),
    created_at timestamp(3) NOT NULL DEFAULT current_timestamp(3)
) ENGINE = InnoDB CHARACTER SET utf8mb4;

-- Whoever Clarion logs in as needs no more than this.
GRANT SELECT, DELETE ON {table} TO {reader};
"""


def mysql_sql(table: str = TABLE, reader: str = "clarion") -> str:
    """What an application on MySQL or MariaDB runs once in its database, or has as a migration."""
    return MYSQL.format(table=table, reader=reader)

"""Transactions on the server: begun, tried again where that helps, and told plainly where it does not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, Protocol, TypeVar

import asyncpg
import structlog

from clarion.adapters.ledgers.postgresql.address import Address
from clarion.adapters.ledgers.postgresql.faults import LOST, OF_ONE, refusal, silenced, unusable
from clarion.adapters.ledgers.postgresql.states import tag_of
from clarion.errors import ClarionError, ConfigError, InvalidInput, Unavailable
from clarion.model.region import Share
from clarion.ports import terms
from clarion.ports.clock import Clock, Random
from clarion.ports.terms import Terms

log = structlog.get_logger(__name__)

T = TypeVar("T")
Connection = asyncpg.Connection
Work = Callable[[Any], Awaitable[T]]
"""What is done with a connection inside one transaction. It may be done again from the start, so it changes nothing else."""

OLDEST_SERVER = 150000
CONNECT_S = 5.0
ANSWER_S = 30.0
"""A server that says nothing for so long is gone, whatever its connection looks like."""
SETTINGS = {
    "statement_timeout": "20000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "20000",
    "enable_seqscan": "off",
    "jit": "off",
}
"""Milliseconds: nothing holds others up for ever. There is an index for everything that is asked, so no plan that was made when a
table had just a few rows reads all of it."""
TRIES = 8
PAUSE_S = 0.01
"""Before the second time a transaction is tried again; then twice as long each time, and a random part of it."""
AWAY_S = (0.05, 1.0)
"""The first and the longest pause between attempts to reach a server that is away."""

TAKE_ROOM = """
    CREATE UNLOGGED TABLE room AS SELECT repeat('x', 1000) FROM generate_series(1, 200)
"""
"""Fails where the disk is full."""


class Again(Exception):
    """Raised inside a transaction: somebody was faster, so it has to be done from the start."""


class _Cut(ConnectionError):
    """A connection that there was is gone."""


_AGAIN = (Again, asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


class ListReader(Protocol):
    """Reads what was committed before it was asked."""

    async def read(self, work: Work[T]) -> T:
        """What `work` reads, all of one moment, whatever the terms."""

    async def rows(self, statement: str, *values: Any) -> list[Any]:
        """The rows that one statement finds."""


class Database:
    """The connections of this process to one server. Open it with `open_database`."""

    def __init__(
        self, pool: Any, settings: str, *, pooled: bool, clock: Clock, random: Random, address: Address
    ) -> None:
        """`settings`: what every transaction says first, because somebody else had its connection before."""
        self.pooled = pooled
        """Whether several processes share a connection, so that none can listen on it."""
        self.address = address
        self._pool = pool
        self._settings = settings
        self.go_on(alone=False)
        self._begin_read = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY{settings}"
        self._begin_rows = f"BEGIN READ ONLY{settings}" if pooled else None
        self._clock = clock
        self._random = random
        self.commits = self.failures = self.redone = 0
        self.last_ms = 0.0
        self.under_way = 0
        """Transactions that run or wait for a connection."""
        self.trouble = ""
        """Why the last transaction could not be stored; empty when it could."""
        self._full = False
        """Whether the disk was full. What is written in place says nothing about that."""
        self.share = Share.WHOLE
        """Of each frequency cap: what may be spent here."""
        self._refusal = ""
        self._away_until_s = 0.0
        self._away_s = 0.0
        self._closed = False
        self.lists: ListReader = self
        """Reads what people look at page by page, and numbers of all of it: a copy may do that, see `replicas`."""

    async def write(self, work: Work[T], *, first: str = "", after: Callable[[T], None] | None = None) -> T:
        """What `work` returns, once it is committed; whatever it raises undoes it. `work` is done again after a deadlock
        or a serialization failure. What the terms of the request ask (`ports.terms`) holds for it.

        `first`: a statement without values that it begins with; it takes no round trip of its own.
        `after` runs with the result before anything else happens in this process, unless everything was undone.
        """
        asked = terms.current()
        if asked is None:
            result = await self._persistently(work, _beginning(self._begin, first))
        else:
            # Whoever changes the resource between the check and the write makes this transaction begin again.
            result, asked.tag = await self._persistently(
                _on_terms(asked, work), _beginning(self._begin_on_terms, first), undo=asked.dry
            )
            asked.wrote = True
        if after is not None and (asked is None or not asked.dry):
            after(result)
        return result

    async def dry_run(self, work: Work[T], *, first: str = "") -> T:
        """As `write`; everything is undone."""
        return await self._persistently(work, _beginning(self._begin, first), undo=True)

    async def read(self, work: Work[T]) -> T:
        """What `work` reads, all of one moment, whatever the terms."""
        return await self._reading(work, self._begin_read)

    async def rows(self, statement: str, *values: Any) -> list[Any]:
        """The rows that one statement finds."""
        return await self._reading(lambda connection: connection.fetch(statement, *values), self._begin_rows)

    async def row(self, statement: str, *values: Any) -> Any:
        """The first row that one statement finds; None when there is none."""
        found = await self.rows(statement, *values)
        return found[0] if found else None

    async def probe(self) -> str:
        """`ok`, or why nothing can be written; looks again if that was so."""
        if self.trouble:
            with contextlib.suppress(Unavailable):
                if self._full:
                    await self.dry_run(lambda connection: connection.execute(TAKE_ROOM))
                    self._full = False
                await self.write(lambda connection: connection.execute("UPDATE meta SET value = value"))
        return self.trouble or "ok"

    def go_on(self, *, alone: bool) -> None:
        """From the next transaction on, commits wait for the standby that the server is set to wait for; `alone`: they do
        not."""
        settings = f"{self._settings}; SET LOCAL synchronous_commit = local" if alone else self._settings
        self._begin = f"BEGIN{settings}"
        self._begin_on_terms = f"BEGIN ISOLATION LEVEL REPEATABLE READ{settings}"

    def refuse(self, reason: str) -> None:
        """No transaction begins any more."""
        self._refusal = self.trouble = reason

    @property
    def connections(self) -> int:
        """How many there are."""
        return int(self._pool.get_size())

    async def close(self) -> None:
        """What is under way comes to its end."""
        if not self._closed:
            self._closed = True
            await self._pool.close()

    # -- one transaction ------------------------------------------------------------------------------------

    async def _persistently(self, work: Work[T], begin: str, *, undo: bool = False) -> T:
        for tried in range(TRIES):
            if tried > 1:
                await self._clock.sleep(PAUSE_S * 2**tried * self._random.uniform())
            try:
                started_s = self._clock.monotonic()
                result = await self._transaction(work, begin, undo=undo)
                self.last_ms = (self._clock.monotonic() - started_s) * 1000
                self.commits += 1
                if not self._full:
                    self.trouble = ""
                return result
            except _AGAIN:
                self.redone += 1
        raise Unavailable("others changed the same rows again and again: nothing was stored; try again")

    async def _reading(self, work: Work[T], begin: str | None) -> T:
        """On another connection when its own was cut: nothing comes of reading twice."""
        for _ in range(self.address.connections):
            try:
                return await self._transaction(work, begin)
            except Unavailable as told:
                if not isinstance(told.__cause__, _Cut):
                    raise
        return await self._transaction(work, begin)

    async def _transaction(self, work: Work[T], begin: str | None, *, undo: bool = False) -> T:
        """`begin`: how it starts; None: a single statement needs no such thing."""
        ending = False
        self.under_way += 1
        try:
            async with self._connection(begin) as connection:
                result = await work(connection)
                if begin is not None:
                    ending = True
                    await connection.execute("ROLLBACK" if undo else "COMMIT")
                return result
        except (ClarionError, *_AGAIN):
            raise
        except Exception as error:
            told = refusal(silenced(error))
            if told is None:
                raise
            if isinstance(told, InvalidInput):
                raise told from None
            if ending and isinstance(error, LOST):
                told = Unavailable(
                    "the database server went away at the end: try again, it may have been stored"
                )
            if not isinstance(error, OF_ONE):
                self.failures += 1
                self.trouble = told.detail
                self._full = isinstance(error, asyncpg.DiskFullError)
            raise told from error
        finally:
            self.under_way -= 1

    @contextlib.asynccontextmanager
    async def _connection(self, begin: str | None) -> AsyncIterator[Any]:
        """A connection in a transaction that has begun. One that was cut while nobody used it is passed over."""
        connection = await self._acquired()
        try:
            while begin is not None:
                try:
                    await connection.execute(begin)
                    break
                except LOST as error:
                    if not _cut(connection, error):
                        raise
                    await self._pool.release(connection)
                    connection = await self._acquired()
            yield connection
        except BaseException as error:
            if isinstance(error, LOST) and _cut(connection, error):
                raise _Cut(str(error)) from error
            if begin is not None:
                with contextlib.suppress(asyncpg.PostgresError, *LOST):
                    await connection.execute("ROLLBACK")
            raise
        finally:
            await self._pool.release(connection)

    async def _acquired(self) -> Any:
        if self._closed:
            raise Unavailable("the database is closing: nothing was stored")
        if self._refusal:
            raise Unavailable(self._refusal)
        if self._clock.monotonic() < self._away_until_s:
            raise Unavailable(self.trouble)
        try:
            connection = await self._pool.acquire(timeout=ANSWER_S)
        except Exception as error:
            if refusal(error) is not None:
                shortest, longest = AWAY_S
                self._away_s = min(longest, max(shortest, self._away_s * 2))
                pause_s = self._away_s * (0.5 + self._random.uniform() / 2)
                self._away_until_s = self._clock.monotonic() + pause_s
            raise
        self._away_s = 0.0
        return connection


def _beginning(begin: str, first: str) -> str:
    return f"{begin}; {first}" if first else begin


def _cut(connection: Any, error: BaseException) -> bool:
    """Whether nothing can be done with the connection any more."""
    try:
        if isinstance(error, asyncpg.InternalClientError):  # it learned of its end in the middle of a step
            connection.terminate()
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool has taken it back already
        return True


def _on_terms(asked: Terms, work: Work[T]) -> Work[tuple[T, str | None]]:
    """The work, if the resource still is as the request wants it; with its new tag."""
    subject, first = asked.subject, not asked.wrote

    async def on_terms(connection: Any) -> tuple[T, str | None]:
        if subject is not None and first:
            asked.require(await tag_of(connection, subject))
        result = await work(connection)
        return result, None if subject is None else await tag_of(connection, subject)

    return on_terms


async def open_database(address: Address, *, clock: Clock, random: Random, replica: bool = False) -> Database:
    """Connect, and find out what kind of server it is. Raises ConfigError saying what to do when that is not possible.

    `replica`: it only has to be read from.
    """
    try:
        found = await _found(address, replica=replica)
        settings = dict(SETTINGS) | found.settings
        pool = await asyncpg.create_pool(
            address.dsn,
            min_size=1,
            max_size=address.connections,
            max_queries=2**31,
            max_inactive_connection_lifetime=0,
            timeout=CONNECT_S,
            command_timeout=ANSWER_S,
            statement_cache_size=0 if found.pooled else 512,
            reset=_nothing,
            server_settings={"application_name": "clarion"} | ({} if found.pooled else settings),
        )
    except Exception as error:
        told = unusable(error, address.place)
        if told is None:
            raise
        raise told from error
    each = "".join(f"; SET LOCAL {key} = {value}" for key, value in settings.items()) if found.pooled else ""
    return Database(pool, each, pooled=found.pooled, clock=clock, random=random, address=address)


class _Found(NamedTuple):
    """What the first connection tells of the server."""

    pooled: bool
    settings: dict[str, str]


async def _found(address: Address, *, replica: bool) -> _Found:
    connection = await asyncpg.connect(address.dsn, timeout=CONNECT_S, statement_cache_size=0)
    try:
        pid, version, read_only, durable, synchronous = await connection.fetchrow(
            """SELECT pg_backend_pid(), current_setting('server_version_num')::int, pg_is_in_recovery(),
                current_setting('fsync')::bool, current_setting('synchronous_commit')"""
        )
        if version < OLDEST_SERVER:
            raise ConfigError(
                f"the database {address.place} is PostgreSQL {version // 10000}; Clarion needs "
                f"{OLDEST_SERVER // 10000} or newer: update the server"
            )
        if read_only and not replica:
            raise ConfigError(
                f"the database {address.place} is a replica that can only be read: name the primary, or all servers and "
                "target_session_attrs=read-write"
            )
        if not durable and not replica:
            log.warning("not_durable", database=address.place, setting="fsync", value="off")
        # A pooler answers in the place of the server, and with a process number of its own.
        pooled = address.pooled if address.pooled is not None else pid != connection.get_server_pid()
        return _Found(pooled, {"synchronous_commit": "on"} if synchronous == "off" else {})
    finally:
        await connection.close(timeout=CONNECT_S)


async def _nothing(connection: Any) -> None:
    """A connection that comes back has no state: what it was set to holds for its whole life."""

"""Fan-out through PostgreSQL: a notification carries who has something new and where the inbox of each stands, no content.
Gateways read the rest from the ledger.

Every gateway hears of every change; that is little, since a notification has room for hundreds of users.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from clarion.adapters.fanouts.server import NAME_BYTES, ServerFanout, running
from clarion.errors import ConfigError
from clarion.model.ids import TenantId, UserNo
from clarion.model.inbox import InboxChange
from clarion.ports.backend import BackendTools
from clarion.ports.clock import Clock
from clarion.ports.fanout import Fanout

CHANNEL = "clarion_inbox"
NOTIFY = "SELECT pg_notify($1, $2)"
PAYLOAD = 7_900
"""Bytes of one notification; PostgreSQL takes less than 8,000."""
MISSED = "missed"
"""Instead of changes: somebody could not publish, so everybody looks into the ledger."""
ECHO = "echo"
"""For whoever sent it alone."""
TIMEOUT_S = 5.0
ASK_S = 5.0
"""Between two questions whether the server is still there."""
FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
OF_THE_DATABASE = frozenset({"connections", "pooled", "replica"})
REFUSALS = (
    asyncpg.InvalidAuthorizationSpecificationError,  # a wrong password too
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)
"""Waiting helps against none of them."""


class PostgresFanout(ServerFanout):
    """A notification for many changes; every process hears of all of them."""

    def __init__(self, url: str, clock: Clock, name: str, trouble: str) -> None:
        """`name`: by which this process knows its own notifications. `trouble`: why the server is away; empty: it is not."""
        super().__init__(clock, FAULTS, trouble)
        self._url = url
        self._name = name
        self._connection: asyncpg.Connection[Any] | None = None
        self._connected = asyncio.Event()
        self._echo = asyncio.Event()
        """Our own notification came back."""
        self._one_at_a_time = asyncio.Lock()

    def follow(self, user: UserNo) -> asyncio.Future[None] | None:
        """Every notification comes here anyway."""
        return None

    def unfollow(self, user: UserNo) -> None:
        """Every notification comes here anyway."""

    # -- sending -------------------------------------------------------------------------------------------------------

    async def _send(self, changes: Sequence[InboxChange]) -> None:
        for payload in _payloads({change.user: change.offset for change in changes}):
            await self._notify(payload)

    async def _announce(self) -> None:
        await self._notify(MISSED)

    async def _notify(self, payload: str) -> None:
        await self._connected.wait()
        async with self._one_at_a_time:
            if self._connection is None:
                raise ConnectionError("PostgreSQL is away")
            await self._connection.execute(NOTIFY, CHANNEL, f"{self._name} {payload}")

    # -- hearing -------------------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Until the connection is cut."""
        connection = await connect(self._url)
        cut = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: cut.set())
            await connection.add_listener(CHANNEL, self._came)
            await self._hear_ourselves()
            self._connection = connection
            self._connected.set()
            self._whole()
            while not cut.is_set():
                with contextlib.suppress(TimeoutError):
                    async with self._clock.timeout(ASK_S):
                        await cut.wait()
                async with self._one_at_a_time:
                    await connection.execute("SELECT 1")
        finally:
            self._connected.clear()
            self._connection = None
            connection.terminate()
            await self._clock.sleep(0)  # it is gone when the loop has had a turn

    async def _hear_ourselves(self) -> None:
        """A pooler that lends its connections by transaction delivers only what the same connection sent."""
        self._echo.clear()
        other = await connect(self._url)
        try:
            await other.execute(NOTIFY, CHANNEL, f"{self._name} {ECHO}")
        finally:
            await other.close()
        try:
            async with self._clock.timeout(TIMEOUT_S):
                await self._echo.wait()
        except TimeoutError:
            raise ConnectionError(
                "no notifications come through: let `fanout` lead to PostgreSQL itself, past PgBouncer"
            ) from None

    def _came(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        sender, _, said = str(payload).partition(" ")
        if sender == self._name:
            if said == ECHO:
                self._echo.set()
            return
        if said in (MISSED, ECHO):
            if said == MISSED:
                self._missed()
            return
        try:
            changes = [_change(pair) for pair in said.split()]
        except ValueError:
            self._not_understood()
        else:
            self._received(changes)

    def _said(self, fault: BaseException) -> str:
        return _said(fault)


def _said(fault: BaseException) -> str:
    return f"PostgreSQL cannot be heard ({type(fault).__name__}: {fault})"


def _payloads(stands: Mapping[UserNo, int]) -> Iterator[str]:
    """`user:offset user:offset ...`, as many in each as fit."""
    waiting: list[str] = []
    size = 2 * NAME_BYTES
    for user, offset in stands.items():
        pair = f"{user}:{offset}"
        if size + 1 + len(pair) > PAYLOAD:
            yield " ".join(waiting)
            waiting, size = [], 2 * NAME_BYTES
        waiting.append(pair)
        size += 1 + len(pair)
    if waiting:
        yield " ".join(waiting)


def _change(pair: str) -> InboxChange:
    user, _, offset = pair.partition(":")
    return InboxChange(tenant=TenantId(0), user=UserNo(int(user)), items=(), upto=int(offset))


async def connect(url: str) -> asyncpg.Connection[Any]:
    """A connection of our own. What `database` says about its connections means nothing here."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in OF_THE_DATABASE]
    dsn = urlunsplit(parts._replace(query=urlencode(query)))
    connection: asyncpg.Connection[Any] = await asyncpg.connect(
        dsn, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S, statement_cache_size=0
    )
    return connection


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Fanout]:
    """The fan-out of all processes on this database. One that is away at the start is awaited in the background, because
    everything works without it. See `ports.backend.OpenFanout`."""
    trouble = ""
    try:
        await (await connect(url)).close()
    except (*REFUSALS, ValueError) as refused:
        raise ConfigError(
            f"fanout: PostgreSQL refuses the connection ({refused}): check user, password and database in the URL"
        ) from None
    except FAULTS as fault:
        trouble = _said(fault)
    fanout = PostgresFanout(url, tools.clock, tools.random.bytes(NAME_BYTES).hex(), trouble)
    async with running(fanout):
        yield fanout

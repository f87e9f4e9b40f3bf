"""Claims due messages and settles attempts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from clarion.adapters.ledgers.message_jobs import DEEPEST, TENANTS, CallsJob, ClaimJob, SettleJob
from clarion.adapters.ledgers.message_kinds import QUEUE_OF, QUEUES
from clarion.adapters.ledgers.schema import CODES
from clarion.adapters.ledgers.sqlite import calls, journal
from clarion.adapters.ledgers.sqlite import message_statements as sql
from clarion.adapters.ledgers.sqlite.calls import CallRow
from clarion.adapters.ledgers.sqlite.files import one, rows, write
from clarion.adapters.ledgers.sqlite.leases import SqliteLeases
from clarion.adapters.ledgers.sqlite.message_kinds import SqliteMessageKinds
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.row_mappers import message as message_of
from clarion.adapters.ledgers.sqlite.settlement_effects import SettlementEffects
from clarion.adapters.ledgers.sqlite.suppressions import Owned, SqliteSuppressions
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, MessageId, TenantId, WorkerId
from clarion.model.message import Message
from clarion.model.settlement import Settlement, SettleResult
from clarion.model.status import ACTIVE, Reason, Status

_ALL_QUEUES = encoded(list(QUEUES))


class _Settled(NamedTuple):
    """What the callers are told, and what the cache of users has to know."""

    result: SettleResult
    suppressed: Owned


class SqliteMessages:
    """Implements `ports.ledger.Messages`."""

    def __init__(
        self,
        writer: Writer,
        local: sqlite3.Connection,
        readers: Readers,
        routes: SqliteMessageKinds,
        terminations: Terminations,
        effects: SettlementEffects,
        suppressions: SqliteSuppressions,
        leases: SqliteLeases,
    ) -> None:
        self._writer = writer
        self._local = local
        self._readers = readers
        self._routes = routes
        self._terminations = terminations
        self._effects = effects
        self._suppressions = suppressions
        self._leases = leases
        self._last_turn: dict[int, int] = {}
        """The tenant that had the last turn, by queue; the writer's."""

    async def claim(
        self,
        worker: WorkerId,
        lane: Lane,
        channel: Channel,
        limit: int,
        now: Instant,
        *,
        but: Set[TenantId] = frozenset(),
    ) -> Sequence[Message]:
        wanted = ClaimJob(worker, QUEUE_OF[lane, channel], limit, now, but)
        urgent = lane is Lane.CRITICAL
        claimed = await self._writer.do(self._claim, wanted, rows=limit, urgent=urgent)
        messages: list[Message] = []
        broken: list[bytes] = []
        for row in claimed:
            try:
                messages.append(_held(message_of(self._routes, row)))
            except (KeyError, ValueError, IndexError):
                broken.append(bytes.fromhex(row[0]))
        if broken:
            await self._give_up(broken, now)
        return messages

    async def begin_calls(
        self, worker: WorkerId, batches: Mapping[str, Sequence[Message]], at: Instant
    ) -> frozenset[MessageId]:
        first = next(chain.from_iterable(batches.values()), None)
        if first is None:
            return frozenset()
        refused: frozenset[MessageId] = await self._writer.do(
            self._begin_calls,
            CallsJob(worker, batches, at),
            rows=sum(map(len, batches.values())),
            urgent=_urgent(first),
        )
        return refused

    async def settle(self, worker: WorkerId, settlements: Sequence[Settlement]) -> SettleResult:
        if not settlements:
            return SettleResult()
        settled: _Settled = await self._writer.do(
            self._settle,
            SettleJob(worker, settlements),
            rows=2 * len(settlements),
            urgent=_urgent(settlements[0].message),
            after=self._settled,
        )
        return settled.result

    async def due(self, now: Instant) -> Sequence[tuple[Lane, Channel]]:
        return [QUEUES[queue] for (queue,) in rows(self._local, sql.QUEUES_DUE, (_ALL_QUEUES, now))]

    async def depth(self) -> Mapping[tuple[Lane, Channel], int]:
        def count(connection: sqlite3.Connection) -> Mapping[tuple[Lane, Channel], int]:
            return {
                pair: one(connection, sql.QUEUE_DEPTH, (queue, DEEPEST)) for queue, pair in QUEUES.items()
            }

        return {pair: depth for pair, depth in (await self._readers.call(count)).items() if depth}

    async def _give_up(self, broken: Sequence[bytes], now: Instant) -> None:
        """Rows that are no messages end here: they must not be claimed for ever."""
        ids = [MessageId(one) for one in broken]
        why = (Status.DEAD_LETTERED, Reason.UNREADABLE, now)
        await self._writer.call(lambda c: self._terminations.stop(c, ids, *why, only=tuple(ACTIVE)))

    # -- in the writer's thread -------------------------------------------------------------------------------

    def _claim(
        self, connection: sqlite3.Connection, items: Sequence[ClaimJob], careful: bool
    ) -> Sequence[list[Any]]:
        live = self._leases.live(connection, (item.worker for item in items))
        return [self._claimed(connection, item) if item.worker in live else [] for item in items]

    def _claimed(self, connection: sqlite3.Connection, wanted: ClaimJob) -> list[list[Any]]:
        found: list[list[Any]] = []

        def take(limit: int, tenant: int) -> int:
            of = (wanted.queue, wanted.now, limit, tenant)
            its = rows(connection, sql.DUE, of)
            if its:
                connection.execute(sql.CLAIM, (*of, wanted.worker))
            found.extend(its)
            return len(its)

        tenants = self._in_turn(connection, wanted)
        while tenants and len(found) < wanted.limit:
            share = max(1, (wanted.limit - len(found)) // len(tenants))
            tenants = [t for t in tenants[: wanted.limit - len(found)] if take(share, t) == share]
        return found

    def _in_turn(self, connection: sqlite3.Connection, wanted: ClaimJob) -> list[int]:
        """Tenants with something due that nobody holds: those that have waited longest for their turn first."""
        last = self._last_turn.get(wanted.queue, -1)
        seen = rows(connection, sql.TENANTS_WAITING, (wanted.queue, wanted.now, last, TENANTS))
        if len(seen) < TENANTS and last >= 0:
            again = rows(connection, sql.TENANTS_WAITING, (wanted.queue, wanted.now, -1, TENANTS - len(seen)))
            seen += [one for one in again if one[0] <= last]
        due = [tenant for tenant, is_due in seen if is_due and tenant not in wanted.but]
        if seen:
            cut = len(due) > wanted.limit > 0
            self._last_turn[wanted.queue] = due[wanted.limit - 1] if cut else seen[-1][0]
        return due

    def _begin_calls(
        self, connection: sqlite3.Connection, items: Sequence[CallsJob], careful: bool
    ) -> Sequence[frozenset[MessageId]]:
        live = self._leases.live(connection, (item.worker for item in items))
        asked = {
            (item.worker, message.id, message.fence): (item, integration, message)
            for item in items
            if item.worker in live
            for integration, batch in item.batches.items()
            for message in batch
        }
        wished = [(item.worker, message, Status.SENDING) for item, _, message in asked.values()]
        found = dict(self._found(connection, wished, calls.under_way(connection)))
        together: dict[tuple[WorkerId, str, Instant], list[tuple[Message, int]]] = {}
        for place, (item, integration, message) in enumerate(asked.values()):
            if place in found:
                its = together.setdefault((item.worker, integration, item.at), [])
                its.append((message, found[place]))
        for (worker, integration, at), its in together.items():
            calls.begin(connection, worker, integration, at, its)
        taken = {key for place, key in enumerate(asked) if place in found}
        return [
            frozenset(
                [
                    m.id
                    for batch in item.batches.values()
                    for m in batch
                    if (item.worker, m.id, m.fence) not in taken
                ]
            )
            for item in items
        ]

    def _settle(
        self, connection: sqlite3.Connection, items: Sequence[SettleJob], careful: bool
    ) -> Sequence[_Settled]:
        begun = calls.under_way(connection)
        held, before = self._held(connection, items, begun)
        batches = [item.settlements for item in items]
        refused: Sequence[frozenset[MessageId]] = [frozenset()] * len(items)
        if len(held) != sum(map(len, batches)):
            taken = frozenset(map(id, held))
            asked = batches
            batches = [[s for s in batch if id(s) in taken] for batch in asked]
            refused = [
                frozenset([s.message.id for s in batch]).difference([s.message.id for s in rest])
                for batch, rest in zip(asked, batches, strict=True)
            ]
        self._follow(connection, held, before)
        if begun:
            told = frozenset([s.message.id for item in items for s in item.settlements])
            calls.drop_ended(connection, begun, told, frozenset([s.message.id for s in held]))
        changes = self._effects.store(connection, batches)
        suppressed = [self._suppress(connection, batch) for batch in batches]
        return [
            _Settled(SettleResult(refused=no, inbox=inbox), gone)
            for no, inbox, gone in zip(refused, changes, suppressed, strict=True)
        ]

    def _held(
        self, connection: sqlite3.Connection, items: Sequence[SettleJob], begun: Sequence[CallRow]
    ) -> tuple[list[Settlement], list[int]]:
        """Those that are taken, and the newest record of each message."""
        live = self._leases.live(connection, (item.worker for item in items))
        # The first of a double counts.
        first = {
            s.message.id: (item.worker, s)
            for item in reversed(items)
            if item.worker in live
            for s in reversed(item.settlements)
        }
        asked = list(first.values())[::-1]
        found = self._found(connection, [(worker, s.message, s.status) for worker, s in asked], begun)
        return [asked[place][1] for place, _ in found], [before for _, before in found]

    def _found(
        self,
        connection: sqlite3.Connection,
        asked: Sequence[tuple[WorkerId, Message, Status]],
        begun: Sequence[CallRow],
    ) -> list[tuple[int, int]]:
        """The places of those that their worker holds as they say, and that may go there; the newest record of each."""
        packed = encoded([(message.fence, CODES[status], worker) for worker, message, status in asked])
        found = rows(connection, sql.HELD, (packed, b"".join([message.id for _, message, _ in asked])))
        if not begun:
            return [(place, before) for place, before in found]
        called = calls.positions(begun)
        return [
            (place, max(before, called.get((asked[place][0], asked[place][1].id), 0)))
            for place, before in found
        ]

    def _follow(
        self, connection: sqlite3.Connection, settlements: Sequence[Settlement], before: Sequence[int]
    ) -> None:
        """Records them, and lets the messages follow."""
        if settlements:
            positions = journal.add_settled(connection, settlements, before)
            rows = [_row(s, position) for s, position in zip(settlements, positions, strict=True)]
            write(connection, sql.SETTLE, rows)

    def _suppress(self, connection: sqlite3.Connection, settlements: Iterable[Settlement]) -> Owned:
        gone = [suppression for s in settlements for suppression in s.suppressions]
        return self._suppressions.store(connection, gone) if gone else []

    def _settled(self, settled: _Settled) -> None:
        self._suppressions.stored(settled.suppressed)


def _held(message: Message) -> Message:
    return msgspec.structs.replace(message, fence=message.fence + 1, due_at=None)


def _urgent(message: Message) -> bool:
    return message.lane is Lane.CRITICAL


def _row(s: Settlement, position: int) -> tuple[Any, ...]:
    """As `message_statements.SETTLE`."""
    tried, status, its = s.outcome is not None, CODES[s.status], s.message.id
    return (its, position, status, s.at, s.attempt, s.integration, tried, s.reason, s.due_at, s.unknowns)

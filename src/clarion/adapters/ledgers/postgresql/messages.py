"""Claims due messages and settles attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

from clarion.adapters.ledgers.message_jobs import DEEPEST, TENANTS, CallsJob, ClaimJob, SettleJob
from clarion.adapters.ledgers.message_kinds import QUEUE_OF, QUEUES
from clarion.adapters.ledgers.postgresql import journal
from clarion.adapters.ledgers.postgresql import message_statements as sql
from clarion.adapters.ledgers.postgresql.combined import Combined
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.leases import PostgresLeases
from clarion.adapters.ledgers.postgresql.message_kinds import PostgresMessageKinds
from clarion.adapters.ledgers.postgresql.queue_scan import EVER_MS, QueueScan
from clarion.adapters.ledgers.postgresql.settlement_effects import PostgresSettlementEffects
from clarion.adapters.ledgers.postgresql.suppressions import PostgresSuppressions
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.row_mappers import message as message_of
from clarion.adapters.ledgers.schema import CODES
from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, MessageId, TenantId, WorkerId
from clarion.model.message import Change, Message
from clarion.model.settlement import Settlement, SettleResult
from clarion.model.status import ACTIVE, Reason, Status
from clarion.ports.clock import Clock


class _Held(NamedTuple):
    """A message that its worker holds as it says, by its place among those asked for."""

    place: int
    before: int
    """The newest record about it."""
    threaded: bool


class PostgresMessages:
    """Implements `ports.ledger.Messages`."""

    def __init__(
        self,
        database: Database,
        kinds: PostgresMessageKinds,
        terminations: PostgresTerminations,
        effects: PostgresSettlementEffects,
        suppressions: PostgresSuppressions,
        leases: PostgresLeases,
        scans: Mapping[int, QueueScan],
        clock: Clock,
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._terminations = terminations
        self._effects = effects
        self._suppressions = suppressions
        self._leases = leases
        self._clock = clock
        self._turns = scans
        self._looks = QueueScan()
        """When `due` looks back."""
        self._settles: Combined[SettleJob, SettleResult] = Combined(database, self._settle)
        self._begins: Combined[CallsJob, frozenset[MessageId]] = Combined(database, self._begin_calls)

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
        try:
            claimed = await self._database.write(lambda connection: self._claim(connection, wanted))
        except BaseException:
            self._turns[wanted.queue].since.clear()  # Nobody knows whether it was stored.
            raise
        messages: list[Message] = []
        broken: list[MessageId] = []
        for row in claimed:
            try:
                messages.append(message_of(self._kinds, tuple(row)[:-1]))
            except (KeyError, ValueError, IndexError):
                broken.append(MessageId(row["id"]))
        if broken:
            # They must not be claimed for ever.
            why = (Status.DEAD_LETTERED, Reason.UNREADABLE, now)
            await self._database.write(
                lambda connection: self._terminations.stop(connection, broken, *why, only=tuple(ACTIVE))
            )
        return messages

    async def begin_calls(
        self, worker: WorkerId, batches: Mapping[str, Sequence[Message]], at: Instant
    ) -> frozenset[MessageId]:
        first = next(chain.from_iterable(batches.values()), None)
        if first is None:
            return frozenset()
        rows = sum(map(len, batches.values()))
        return await self._begins.do(CallsJob(worker, batches, at), rows=rows, urgent=_urgent(first))

    async def settle(self, worker: WorkerId, settlements: Sequence[Settlement]) -> SettleResult:
        if not settlements:
            return SettleResult()
        urgent = _urgent(settlements[0].message)
        return await self._settles.do(SettleJob(worker, settlements), rows=len(settlements), urgent=urgent)

    async def due(self, now: Instant) -> Sequence[tuple[Lane, Channel]]:
        with self._looking(self._looks) as reach:
            if reach == EVER_MS:
                found = await self._database.rows(sql.QUEUES_DUE, list(QUEUES), now)
            else:
                scans = self._turns.items()
                known = [
                    (queue, tenant, turns.begin(tenant, reach))
                    for queue, turns in scans
                    for tenant in turns.since
                ]
                gaps = [(queue, *one) for queue, turns in scans for one in zip(*turns.gaps(), strict=True)]
                columns = *(zip(*known, strict=True) if known else ((), (), ())), *zip(*gaps, strict=True)
                found = await self._database.rows(sql.QUEUES_DUE_SINCE, now, *columns)
        return [QUEUES[queue] for (queue,) in found]

    async def depth(self) -> Mapping[tuple[Lane, Channel], int]:
        found = await self._database.rows(sql.QUEUE_DEPTHS, list(QUEUES), DEEPEST)
        return {QUEUES[queue]: depth for queue, depth in found if depth}

    @contextmanager
    def _looking(self, turns: QueueScan) -> Iterator[int]:
        """How far back it is looked meanwhile."""
        began_s = self._clock.monotonic()
        reach = turns.reach(began_s)
        try:
            yield reach
        finally:
            turns.looked_back(reach, began_s, self._clock.monotonic())

    # -- inside a transaction ---------------------------------------------------------------------------------

    async def _claim(self, connection: Connection, wanted: ClaimJob) -> list[Any]:
        if not await self._leases.live(connection, [wanted.worker]):
            return []
        turns = self._turns[wanted.queue]
        with self._looking(turns) as reach:
            found = await self._take(connection, wanted, turns, reach)
        await self._kinds.load(connection, {row["route"] for row in found})
        return found

    async def _take(
        self, connection: Connection, wanted: ClaimJob, turns: QueueScan, reach: int
    ) -> list[Any]:
        """Claims from so far before the last claims on."""
        found: list[Any] = []

        async def take(limit: int, tenant: int) -> int:
            since = turns.begin(tenant, reach)
            of = (wanted.queue, tenant, wanted.now, limit, wanted.worker, since)
            its = sorted(await connection.fetch(sql.CLAIM, *of), key=lambda row: (row["due_at"], row["id"]))
            found.extend(its)
            turns.claimed(tenant, wanted.now, its[-1]["due_at"] if len(its) == limit else None)
            return len(its)

        tenants = await self._in_turn(connection, wanted, turns, reach)
        while tenants and len(found) < wanted.limit:
            share = max(1, (wanted.limit - len(found)) // len(tenants))
            tenants = [t for t in tenants[: wanted.limit - len(found)] if await take(share, t) == share]
        return found

    async def _in_turn(
        self, connection: Connection, wanted: ClaimJob, turns: QueueScan, reach: int
    ) -> list[int]:
        """Tenants with something due that nobody holds: those that have waited longest for their turn first."""
        asked = (wanted.queue, wanted.now)
        if reach == EVER_MS:
            seen = list(await connection.fetch(sql.TENANTS_WAITING, *asked, turns.last, TENANTS))
            if len(seen) < TENANTS and turns.last >= 0:
                again = await connection.fetch(sql.TENANTS_WAITING, *asked, -1, TENANTS - len(seen))
                seen += [one for one in again if one[0] <= turns.last]
        else:
            begins = [turns.begin(tenant, reach) for tenant in turns.since]
            known = (list(turns.since), begins, *turns.gaps())
            seen = await connection.fetch(sql.WAITING_SINCE, *asked, *known)
        turns.know([tenant for tenant, _ in seen])
        due = turns.in_turn([tenant for tenant, is_due in seen if is_due and tenant not in wanted.but])
        if seen:
            cut = len(due) > wanted.limit > 0
            turns.last = due[wanted.limit - 1] if cut else turns.in_turn([tenant for tenant, _ in seen])[-1]
        return due

    async def _begin_calls(
        self, connection: Connection, items: Sequence[CallsJob], careful: bool
    ) -> Sequence[frozenset[MessageId]]:
        live = await self._leases.live(connection, (item.worker for item in items))
        asked = {
            (item.worker, message.id, message.fence): (item, integration, message)
            for item in items
            if item.worker in live
            for integration, batch in item.batches.items()
            for message in batch
        }
        wished = [(item.worker, message, Status.SENDING) for item, _, message in asked.values()]
        begun = list(asked.values())
        found = await self._held(connection, wished)
        # The first worker that begins it; another one does not hold it.
        if found:
            said = [
                Change(message_id=m.id, tenant=m.tenant, at=item.at, status=Status.SENDING, attempt=m.attempt)
                for item, _, m in (begun[held.place] for held in found)
            ]
            positions = await journal.add(connection, said, [held.before for held in found])
            rows = [
                (m.id, integration, item.at, position)
                for (item, integration, m), position in zip(
                    (begun[held.place] for held in found), positions, strict=True
                )
            ]
            await connection.execute(sql.BEGIN_CALLS, *zip(*rows, strict=True))
        places = {held.place for held in found}
        taken = {key for place, key in enumerate(asked) if place in places}
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

    async def _settle(
        self, connection: Connection, items: Sequence[SettleJob], careful: bool
    ) -> Sequence[SettleResult]:
        live = await self._leases.live(connection, (item.worker for item in items))
        # The first of a double counts.
        first = {
            s.message.id: (item.worker, s)
            for item in reversed(items)
            if item.worker in live
            for s in reversed(item.settlements)
        }
        asked = list(first.values())[::-1]
        found = await self._held(connection, [(worker, s.message, s.status) for worker, s in asked])
        held = [asked[one.place][1] for one in found]
        await self._follow(connection, held, [one.before for one in found])
        taken = frozenset(map(id, held))
        batches = [[s for s in item.settlements if id(s) in taken] for item in items]
        refused = [
            frozenset([s.message.id for s in item.settlements]).difference([s.message.id for s in rest])
            for item, rest in zip(items, batches, strict=True)
        ]
        threaded = {s.message.id for s, one in zip(held, found, strict=True) if one.threaded}
        changes = await self._effects.store(connection, batches, threaded=threaded)
        if gone := [suppression for s in held for suppression in s.suppressions]:
            await self._suppressions.store(connection, gone)
        return [SettleResult(refused=no, inbox=inbox) for no, inbox in zip(refused, changes, strict=True)]

    async def _held(
        self, connection: Connection, asked: Sequence[tuple[WorkerId, Message, Status]]
    ) -> list[_Held]:
        """Those that their worker holds as they say, and that may go there; locked."""
        if not asked:
            return []
        rows = [(m.id, m.fence, CODES[status], worker) for worker, m, status in asked]
        found = [_Held(*row) for row in await connection.fetch(sql.HELD, *zip(*rows, strict=True))]
        return sorted(found)

    async def _follow(
        self, connection: Connection, settlements: Sequence[Settlement], before: Sequence[int]
    ) -> None:
        """Records them, and lets the messages follow."""
        if settlements:
            positions = await journal.add_settled(connection, settlements, before)
            rows = [_row(s, position) for s, position in zip(settlements, positions, strict=True)]
            await connection.execute(sql.SETTLE, *zip(*rows, strict=True))


def _urgent(message: Message) -> bool:
    return message.lane is Lane.CRITICAL


def _row(s: Settlement, position: int) -> tuple[Any, ...]:
    """As `message_statements.SETTLE`."""
    tried, status, its = s.outcome is not None, CODES[s.status], s.message.id
    return (its, position, status, s.at, s.attempt, s.integration, tried, s.reason, s.due_at, s.unknowns)

"""Stores plans: runs, messages and their first changes, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import msgspec

from clarion.adapters.ledgers.message_kinds import QUEUE_OF, MessageKind, kind_of
from clarion.adapters.ledgers.planned import kept_by_worker, planned_events, reach
from clarion.adapters.ledgers.postgresql import (
    campaigns,
    checks,
    continuations,
    cursors,
    digests,
    journal,
    new_rows,
    partitions,
    signals,
)
from clarion.adapters.ledgers.postgresql import runs as waiting_runs
from clarion.adapters.ledgers.postgresql.combined import Combined
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.events import runs_of
from clarion.adapters.ledgers.postgresql.leases import PostgresLeases
from clarion.adapters.ledgers.postgresql.locks import CANCEL
from clarion.adapters.ledgers.postgresql.log import PostgresLog
from clarion.adapters.ledgers.postgresql.lookups import is_each
from clarion.adapters.ledgers.postgresql.message_kinds import PostgresMessageKinds
from clarion.adapters.ledgers.postgresql.message_statements import COLUMNS
from clarion.adapters.ledgers.postgresql.queue_scan import QueueScan
from clarion.adapters.ledgers.postgresql.settlement_effects import PostgresSettlementEffects
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.schema import CODES
from clarion.model.channel import Lane
from clarion.model.ids import EventId, MessageId, TenantId, UserNo, WorkerId
from clarion.model.inbox import InboxItem
from clarion.model.message import Message, Run
from clarion.model.plan import CapCharge, PlanCommit, PlanResult
from clarion.model.run import RunRow
from clarion.model.settlement import Settlement
from clarion.model.status import ACTIVE, SUCCEEDED, Status
from clarion.rules.exact import ON_ITS_WAY, counts_from, decide, delivered, needed

NOTHING = PlanResult()
REFUSED = PlanResult(refused=True)
REPEATED = PlanResult(repeated=True)
NEW: Set[bytes] = frozenset()
"""Nothing is stored already."""

CANCELS = f"SELECT pg_advisory_xact_lock_shared({CANCEL}, 0)"
"""Before anything is read: whoever cancels an event waits for those who plan, or they for it."""
CANCELED = "SELECT event_id FROM canceled_events WHERE event_id = ANY($1::bytea[])"
EVENTS_OF = f"""
    SELECT DISTINCT events.journal FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS new (id, first_user, last_user)
    JOIN events ON {is_each("events.id", "new.id")} AND events.first_user <= new.last_user AND events.last_user >= new.first_user
"""
"""Rows of the journal that may have runs of the same event and the same users."""
EVENT_COLUMNS = ("id", "journal", "workflow", "tenant", "lane", "first_user", "last_user")
USER_COLUMNS = ("user", "id", "route", "counted_at")


class PostgresPlans:
    """Implements `ports.ledger.Plans`."""

    def __init__(
        self,
        database: Database,
        log: PostgresLog,
        kinds: PostgresMessageKinds,
        terminations: PostgresTerminations,
        leases: PostgresLeases,
        effects: PostgresSettlementEffects,
        scans: Mapping[int, QueueScan],
    ) -> None:
        self._database = database
        self._log = log
        self._kinds = kinds
        self._terminations = terminations
        self._leases = leases
        self._effects = effects
        self._scans = scans
        self._commits: Combined[PlanCommit, PlanResult] = Combined(database, self._commit, first=CANCELS)

    async def commit(self, plan: PlanCommit) -> PlanResult:
        rows = len(plan.runs) + len(plan.messages) + len(plan.continuations)
        urgent = any(run.lane is Lane.CRITICAL for run in plan.runs[:1])
        result = await self._commits.do(plan, rows=rows, urgent=urgent)
        for m in plan.messages:
            if m.due_at is not None and not m.fence:
                self._scans[QUEUE_OF[m.lane, m.channel]].came(m.tenant, m.due_at)
        return result

    async def preview(self, plan: PlanCommit) -> PlanResult:
        async def stored(connection: Connection) -> PlanResult:
            return (await self._stored(connection, [plan], True))[0]

        return await self._database.dry_run(stored, first=CANCELS)

    async def charge(self, charges: Sequence[CapCharge]) -> frozenset[MessageId]:
        if not charges:
            return frozenset()
        share = self._database.share
        return await self._database.write(lambda c: checks.charge(c, charges, self._kinds, share))

    async def runs_of(self, tenant: TenantId, event_id: EventId, user: UserNo | None) -> Sequence[Run]:
        return await self._database.read(lambda connection: runs_of(connection, tenant, event_id, user))

    # -- inside a transaction ---------------------------------------------------------------------------------

    async def _commit(
        self, connection: Connection, plans: Sequence[PlanCommit], careful: bool
    ) -> Sequence[PlanResult]:
        live = await self._leases.live(connection, (plan.worker for plan in plans))
        held = await cursors.lock(connection, (plan.consumed.lane for plan in plans if plan.consumed))
        results: list[PlanResult | None] = []
        for plan in plans:
            consumed = plan.consumed
            if plan.worker not in live:
                results.append(REFUSED)
            elif (
                (consumed and held[consumed.lane].any_planned(consumed))
                or not await continuations.ended(connection, plan)
                or not await campaigns.moved(connection, plan)
                or not await partitions.moved(connection, plan.positions)
            ):
                results.append(REPEATED)
            else:
                results.append(None)
                if consumed:
                    held[consumed.lane].advance(consumed)
        await cursors.store(connection, held.values())
        going = [plan for plan, result in zip(plans, results, strict=True) if result is None]
        for plan in going:
            await continuations.add(connection, plan.continuations)
        if bodies := [body for plan in going for body in plan.bodies]:
            await self._log.keep(connection, bodies)
        stored = iter(await self._stored(connection, going, careful))
        for worker in live:
            its = (one for plan in going if plan.worker == worker for one in kept_by_worker(plan))
            await self._leases.planned(connection, worker, its)
        return [result or next(stored) for result in results]

    async def _stored(
        self, connection: Connection, plans: Sequence[PlanCommit], careful: bool
    ) -> Sequence[PlanResult]:
        events = {run.event_id for plan in plans for run in plan.runs}
        canceled = frozenset([EventId(one) for (one,) in await connection.fetch(CANCELED, events)])
        # What the ledger's own log brings is planned once; the rest may come again, and breaks a key if nobody looks.
        once = all(plan.consumed is not None and not plan.again for plan in plans)
        known = NEW if once and not careful else await _known(connection, plans)
        if any(plan.run_rows for plan in plans):
            await checks.lock(connection, plans)  # before their runs
        await signals.hold(connection, plans)
        known |= await waiting_runs.lost_in(connection, plans)
        await signals.tell(connection, plans, canceled)
        if not canceled and not known and not any(map(needed, plans)):
            messages = [m for plan in plans for m in plan.messages]
            runs = [run for plan in plans for run in plan.runs]
            await self._store_runs(connection, [row for plan in plans for row in plan.run_rows])
            await digests.tell(connection, [one for plan in plans for one in plan.digest_totals])
            return await self._add(connection, plans, runs, messages, [NOTHING] * len(plans))
        share = self._database.share
        decisions = decide(plans, await checks.load(connection, plans, known, canceled, self._kinds, share))
        await checks.store(connection, decisions, self._terminations)
        await self._store_runs(connection, decisions.run_rows)
        await digests.tell(connection, decisions.digest_totals)
        return await self._add(connection, plans, decisions.runs, decisions.messages, decisions.results)

    async def _store_runs(self, connection: Connection, rows: Sequence[RunRow]) -> None:
        """Runs as they are now; what is stopped with one that is over is canceled."""
        await waiting_runs.store(connection, rows)
        for row in rows:
            if row.stops and row.reason is not None:
                why = (Status.CANCELED, row.reason, row.updated_at)
                await self._terminations.stop(connection, row.stops, *why)

    async def _add(
        self,
        connection: Connection,
        plans: Sequence[PlanCommit],
        runs: Sequence[Run],
        messages: Sequence[Message],
        results: Sequence[PlanResult],
    ) -> Sequence[PlanResult]:
        """Adds these runs and messages, those that are settled in their final state; the results with what to fan out."""
        if not runs and not messages:
            return results
        batches = [delivered(plan.settled, result) for plan, result in zip(plans, results, strict=True)]
        settled = {s.message.id: s for batch in batches for s in batch}
        positions, journal_rows = await journal.add_planned(connection, runs, messages)
        ends = await _add_ends(connection, settled, messages, positions)
        kinds = [kind_of(m) for m in messages]
        numbers = await self._kinds.numbers(connection, set(kinds))
        worker_of = _workers(plans)
        rows: list[tuple[Any, ...]] = []
        of_users: list[tuple[Any, ...]] = []
        for m, kind, position in zip(messages, kinds, positions, strict=True):
            s = settled.get(m.id)
            route = numbers[kind]
            if s is None:
                rows.append(_row(m, worker_of(m.id), route, position))
                counted_at = ON_ITS_WAY if m.charged else None
            else:
                rows.append(_final(m, s, route, ends[m.id]))
                if type(s.record) is InboxItem:  # Its row is stored with the item.
                    continue
                counted_at = counts_from(s.status, s.outcome, s.at) if m.charged else None
            of_users.append((m.user, m.id, route, counted_at))
        await new_rows.add(connection, "events", EVENT_COLUMNS, planned_events(runs, journal_rows))
        await new_rows.add(connection, "messages", COLUMNS, rows)
        await new_rows.add(connection, "user_messages", USER_COLUMNS, of_users)
        if not settled:
            return results
        threaded = {m.id for m in messages if m.threaded}
        changes = await self._effects.store(connection, batches, threaded=threaded, route=_numbered(numbers))
        return [
            msgspec.structs.replace(result, inbox=its) if its else result
            for result, its in zip(results, changes, strict=True)
        ]


async def _known(connection: Connection, plans: Sequence[PlanCommit]) -> Set[bytes]:
    """The ids of runs that are stored, and of all their messages: also of those they did not have then, because what
    was planned once stays as it was, whatever the set-up is by now. Looks only where an event of these was planned before,
    for some of the same people."""
    wanted: dict[EventId, list[int]] = {}
    for plan in plans:
        for run in plan.runs:
            reach(wanted, run)
    firsts, lasts = [first for first, _ in wanted.values()], [last for _, last in wanted.values()]
    found = await connection.fetch(EVENTS_OF, list(wanted), firsts, lasts)
    if not found:
        return NEW
    stored = {
        run.id async for row in journal.rows_of(connection, [no for (no,) in found]) for run in row.runs()
    }
    runs = [run for plan in plans for run in plan.runs if run.id in stored]
    messages = {c.message_id for run in runs for c in run.channels if c.message_id is not None}
    return {run.id for run in runs} | messages


async def _add_ends(
    connection: Connection,
    settled: Mapping[MessageId, Settlement],
    messages: Sequence[Message],
    positions: Sequence[int],
) -> Mapping[MessageId, int]:
    """The second record of each message that is settled, behind the first of each at these positions."""
    if not settled:
        return {}
    first = dict(zip([m.id for m in messages], positions, strict=True))
    said = list(settled.values())
    ends = await journal.add_settled(connection, said, [first[one] for one in settled])
    return dict(zip(settled, ends, strict=True))


def _numbered(numbers: Mapping[MessageKind, int]) -> Callable[[Message], int]:
    return lambda m: numbers[kind_of(m)]


def _workers(plans: Sequence[PlanCommit]) -> Callable[[MessageId], WorkerId]:
    """Who planned a message."""
    workers = {plan.worker for plan in plans}
    if len(workers) == 1:
        (only,) = workers
        return lambda _: only
    return {m.id: plan.worker for plan in plans for m in plan.messages}.__getitem__


def _row(m: Message, worker: WorkerId, route: int, position: int) -> tuple[Any, ...]:
    """As `message_statements.COLUMNS`."""
    return (
        m.id,
        m.user,
        m.event_id,
        route,
        QUEUE_OF[m.lane, m.channel],
        CODES[m.status],
        m.reason,
        m.created_at,
        m.due_at,
        m.expires_at,
        m.attempt,
        m.unknowns,
        m.fence,
        worker if m.fence and m.status in ACTIVE else None,
        b"".join(m.later_rungs) or None,
        m.waits_for,
        m.threaded,
        m.charged,
        None,
        None,
        None,
        None,
        m.tenant,
        position,
    )


def _final(m: Message, s: Settlement, route: int, position: int) -> tuple[Any, ...]:
    """The same, in its final state."""
    return (
        m.id,
        m.user,
        m.event_id,
        route,
        QUEUE_OF[m.lane, m.channel],
        CODES[s.status],
        s.reason,
        m.created_at,
        None,
        m.expires_at,
        s.attempt,
        s.unknowns,
        m.fence,
        None,
        b"".join(m.later_rungs) or None,
        None,
        m.threaded,
        False,
        s.at,
        s.integration,
        s.at if s.status in SUCCEEDED else None,
        s.at if s.status is Status.DELIVERED else None,
        m.tenant,
        position,
    )

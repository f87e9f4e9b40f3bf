"""Stores plans: runs, messages and their first changes, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from typing import Any, NamedTuple

import msgspec

from clarion.adapters.ledgers.message_kinds import QUEUE_OF
from clarion.adapters.ledgers.planned import kept_by_worker, planned_events, reach
from clarion.adapters.ledgers.schema import CODES
from clarion.adapters.ledgers.sqlite import (
    campaigns,
    checks,
    continuations,
    digests,
    journal,
    partitions,
    signals,
)
from clarion.adapters.ledgers.sqlite import plan_statements as sql
from clarion.adapters.ledgers.sqlite import runs as waiting_runs
from clarion.adapters.ledgers.sqlite.caps import Caps
from clarion.adapters.ledgers.sqlite.events import CanceledEvents, runs_of
from clarion.adapters.ledgers.sqlite.files import rows, write
from clarion.adapters.ledgers.sqlite.leases import SqliteLeases
from clarion.adapters.ledgers.sqlite.log import SqliteLog
from clarion.adapters.ledgers.sqlite.message_kinds import SqliteMessageKinds
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.recent_messages import RecentMessages
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.settlement_effects import SettlementEffects
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.channel import Lane
from clarion.model.event import Entry
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


class _Committed(NamedTuple):
    """What the caller is told, where lanes stand now, and what has come to them."""

    result: PlanResult
    positions: Mapping[Lane, int]
    brought: Sequence[Entry]


class SqlitePlans:
    """Implements `ports.ledger.Plans`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        log: SqliteLog,
        routes: SqliteMessageKinds,
        caps: Caps,
        terminations: Terminations,
        canceled: CanceledEvents,
        leases: SqliteLeases,
        effects: SettlementEffects,
        recent: RecentMessages,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._log = log
        self._routes = routes
        self._caps = caps
        self._terminations = terminations
        self._canceled = canceled
        self._leases = leases
        self._effects = effects
        self._recent = recent

    async def commit(self, plan: PlanCommit) -> PlanResult:
        committed: _Committed = await self._writer.do(
            self._commit,
            plan,
            rows=len(plan.runs) + len(plan.messages) + len(plan.continuations),
            urgent=any(run.lane is Lane.CRITICAL for run in plan.runs[:1]),
            after=self._committed,
        )
        return committed.result

    async def preview(self, plan: PlanCommit) -> PlanResult:
        return await self._writer.dry_run(lambda connection: self._stored(connection, [plan], True)[0])

    async def charge(self, charges: Sequence[CapCharge]) -> frozenset[MessageId]:
        if not charges:
            return frozenset()
        return await self._writer.call(
            lambda connection: self._caps.charge(connection, charges), rows=len(charges)
        )

    async def runs_of(self, tenant: TenantId, event_id: EventId, user: UserNo | None) -> Sequence[Run]:
        return await self._readers.call(lambda connection: runs_of(connection, tenant, event_id, user))

    # -- in the writer's thread -------------------------------------------------------------------------------

    def _commit(
        self, connection: sqlite3.Connection, plans: Sequence[PlanCommit], careful: bool
    ) -> Sequence[_Committed]:
        live = self._leases.live(connection, (plan.worker for plan in plans))
        cursors = self._log.cursors
        positions: dict[Lane, int] = {}
        brought: list[Entry] = []
        results: list[PlanResult | None] = []
        for plan in plans:
            if plan.worker not in live:
                results.append(REFUSED)
            elif (
                (plan.consumed and cursors.any_planned(connection, plan.consumed))
                or not continuations.ended(connection, plan)
                or not campaigns.moved(connection, plan)
                or not partitions.moved(connection, plan.positions)
            ):
                results.append(REPEATED)
            else:
                results.append(None)
                if plan.consumed:
                    positions.update(cursors.advance(connection, [plan.consumed]))
                continuations.add(connection, plan.continuations)
                if plan.bodies:
                    kept = self._log.keep(connection, plan.bodies)
                    positions.update(kept.positions)
                    brought += kept.entries
        going = [plan for plan, result in zip(plans, results, strict=True) if result is None]
        stored = iter(self._stored(connection, going, careful))
        for worker in live:
            held = (one for plan in going if plan.worker == worker for one in kept_by_worker(plan))
            self._leases.planned(connection, worker, held)
        return [_Committed(result or next(stored), positions, brought) for result in results]

    def _stored(
        self, connection: sqlite3.Connection, plans: Sequence[PlanCommit], careful: bool
    ) -> Sequence[PlanResult]:
        canceled = self._canceled.among(connection, (run.event_id for plan in plans for run in plan.runs))
        # What repeats a run otherwise breaks its key, and is done again carefully.
        known = _known(connection, plans) if careful or any(plan.again for plan in plans) else NEW
        known |= waiting_runs.lost_in(connection, plans)
        signals.tell(connection, plans, canceled)
        if not canceled and not known and not any(map(needed, plans)):
            messages = [m for plan in plans for m in plan.messages]
            runs = [run for plan in plans for run in plan.runs]
            self._store_runs(connection, [row for plan in plans for row in plan.run_rows])
            digests.tell(connection, [one for plan in plans for one in plan.digest_totals])
            return self._add(connection, plans, runs, messages, [NOTHING] * len(plans))
        decisions = decide(plans, checks.load(connection, plans, known, canceled, self._caps))
        checks.store(connection, decisions, self._caps, self._terminations)
        self._store_runs(connection, decisions.run_rows)
        digests.tell(connection, decisions.digest_totals)
        return self._add(connection, plans, decisions.runs, decisions.messages, decisions.results)

    def _store_runs(self, connection: sqlite3.Connection, rows: Sequence[RunRow]) -> None:
        """Runs as they are now; what is stopped with one that is over is canceled."""
        waiting_runs.store(connection, rows)
        for row in rows:
            if row.stops and row.reason is not None:
                why = (Status.CANCELED, row.reason, row.updated_at)
                self._terminations.stop(connection, row.stops, *why)

    def _add(
        self,
        connection: sqlite3.Connection,
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
        positions, journal_rows = journal.add_planned(connection, runs, messages)
        write(connection, sql.EVENTS_ADD, planned_events(runs, journal_rows))
        end_of = _add_ends(connection, settled, messages, positions) if settled else {}
        worker_of, number = _workers(plans), self._routes.number
        plain: list[tuple[Any, ...]] = []
        rich: list[tuple[Any, ...]] = []
        final: list[tuple[Any, ...]] = []
        of_users: list[tuple[Any, ...]] = []
        for m, position in zip(messages, positions, strict=True):
            route = number(connection, m)
            s = settled.get(m.id)
            if s is not None:
                final.append(_final(m, s, route, end_of[m.id]))
                if type(s.record) is InboxItem:  # Its row is stored with the item.
                    continue
                counted_at = counts_from(s.status, s.outcome, s.at) if m.charged else None
            else:
                row = _row(m, worker_of(m.id), route, position)
                if _is_rich(m):
                    rich.append(row + _more(m))
                else:
                    plain.append(row)
                counted_at = ON_ITS_WAY if m.charged else None
            of_users.append((m.id, m.user, route, counted_at))
        write(connection, sql.MESSAGES_ADD_PLAIN, plain)
        write(connection, sql.MESSAGES_ADD_RICH, rich)
        write(connection, sql.MESSAGES_ADD_SETTLED, final)
        self._recent.add(connection, sql.RECENT_ADD, of_users)
        if not settled:
            return results
        changes = self._effects.store(connection, batches, route=partial(number, connection))
        return [
            msgspec.structs.replace(result, inbox=its) if its else result
            for result, its in zip(results, changes, strict=True)
        ]

    def _committed(self, committed: _Committed) -> None:
        self._log.noted(committed.brought)
        self._log.advanced(committed.positions)


NEW: Set[bytes] = frozenset()
"""Nothing is stored already."""


def _known(connection: sqlite3.Connection, plans: Sequence[PlanCommit]) -> Set[bytes]:
    """The ids of runs that are stored, and of all their messages: also of those they did not have then, because what
    was planned once stays as it was, whatever the set-up is by now. Looks only where an event of these was planned before,
    for some of the same people."""
    wanted: dict[EventId, list[int]] = {}
    for plan in plans:
        for run in plan.runs:
            reach(wanted, run)
    found = rows(connection, sql.EVENTS_KNOWN, (encoded(list(wanted.values())), b"".join(wanted)))
    if not found:
        return NEW
    stored = {run.id for row in journal.rows_of(connection, (no for (no,) in found)) for run in row.runs()}
    runs = [run for plan in plans for run in plan.runs if run.id in stored]
    messages = {c.message_id for run in runs for c in run.channels if c.message_id is not None}
    return {run.id for run in runs} | messages


def _add_ends(
    connection: sqlite3.Connection,
    settled: Mapping[MessageId, Settlement],
    messages: Sequence[Message],
    positions: Sequence[int],
) -> Mapping[MessageId, int]:
    """The second record of each message that is settled, behind the first of each at these positions."""
    first = dict(zip([m.id for m in messages], positions, strict=True))
    ends = journal.add_settled(connection, list(settled.values()), [first[one] for one in settled])
    return dict(zip(settled, ends, strict=True))


def _workers(plans: Sequence[PlanCommit]) -> Callable[[MessageId], WorkerId]:
    """Who planned a message."""
    workers = {plan.worker for plan in plans}
    if len(workers) == 1:
        (only,) = workers
        return lambda _: only
    return {m.id: plan.worker for plan in plans for m in plan.messages}.__getitem__


def _is_rich(m: Message) -> bool:
    """Whether it says more than `plan_statements.MESSAGES_ADD_PLAIN`."""
    return not (
        m.reason is None
        and m.expires_at is None
        and not m.later_rungs
        and m.waits_for is None
        and not (m.threaded or m.attempt or m.unknowns)
    )


def _row(m: Message, worker: WorkerId, route: int, position: int) -> tuple[Any, ...]:
    return (
        m.id,
        m.event_id,
        m.user,
        route,
        QUEUE_OF[m.lane, m.channel],
        CODES[m.status],
        m.created_at,
        m.due_at,
        m.fence,
        m.charged,
        m.tenant,
        position,
        worker if m.fence and m.status in ACTIVE else None,
    )


def _final(m: Message, s: Settlement, route: int, position: int) -> tuple[Any, ...]:
    """As `plan_statements.MESSAGES_ADD_SETTLED`."""
    return (
        m.id,
        m.event_id,
        m.user,
        route,
        QUEUE_OF[m.lane, m.channel],
        CODES[s.status],
        m.created_at,
        None,
        m.fence,
        False,
        m.tenant,
        position,
        None,
        s.reason,
        m.expires_at,
        s.attempt,
        s.unknowns,
        m.threaded,
        b"".join(m.later_rungs) or None,
        None,
        s.integration,
        s.at,
        s.at if s.status in SUCCEEDED else None,
        s.at if s.status is Status.DELIVERED else None,
    )


def _more(m: Message) -> tuple[Any, ...]:
    rungs = b"".join(m.later_rungs) or None
    return (m.reason, m.expires_at, m.attempt, m.unknowns, m.threaded, rungs, m.waits_for)

"""The write side of planning: runs, messages and their first changes, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import msgspec

from clarion.adapters.ledgers.schema import CODES
from clarion.adapters.ledgers.sqlite import checks
from clarion.adapters.ledgers.sqlite import statements as sql
from clarion.adapters.ledgers.sqlite.caps import Caps
from clarion.adapters.ledgers.sqlite.decoding import run as run_of
from clarion.adapters.ledgers.sqlite.endings import Endings
from clarion.adapters.ledgers.sqlite.events import CanceledEvents
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.log import SqliteLog
from clarion.adapters.ledgers.sqlite.packing import Tail, encoded, keys
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.routes import QUEUE_OF, Routes
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import EventId, MessageId, TenantId, UserNo, children_range
from clarion.model.message import Message, Run
from clarion.model.plan import CapCharge, PlanCommit, PlanResult
from clarion.rules.exact import ON_ITS_WAY, decide, needed

_pack = msgspec.msgpack.Encoder().encode

NOTHING = PlanResult()


class SqlitePlans:
    """Implements `ports.ledger.Plans`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        log: SqliteLog,
        routes: Routes,
        caps: Caps,
        endings: Endings,
        canceled: CanceledEvents,
        epoch: int,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._log = log
        self._routes = routes
        self._caps = caps
        self._endings = endings
        self._canceled = canceled
        self._epoch = epoch

    async def commit(self, plan: PlanCommit) -> PlanResult:
        result: PlanResult = await self._writer.do(
            self._commit,
            plan,
            rows=len(plan.runs) + len(plan.messages) + len(plan.continuations),
            urgent=any(run.lane is Lane.CRITICAL for run in plan.runs[:1]),
            after=self._committed,
        )
        return result

    async def preview(self, plan: PlanCommit) -> PlanResult:
        return await self._writer.rehearse(lambda connection: self._commit(connection, [plan], True)[0])

    async def charge(self, charges: Sequence[CapCharge]) -> frozenset[MessageId]:
        if not charges:
            return frozenset()
        return await self._writer.call(
            lambda connection: self._caps.charge(connection, charges), rows=len(charges)
        )

    async def runs_of(self, tenant: TenantId, event_id: EventId, user: UserNo | None) -> Sequence[Run]:
        lowest, highest = children_range(event_id)
        found = await self._readers.rows(sql.RUNS_OF, (lowest, highest, event_id, tenant, user, -1))
        return [run_of(row) for row in found]

    # -- in the writer's thread -------------------------------------------------------------------------------

    def _commit(
        self, connection: sqlite3.Connection, plans: Sequence[PlanCommit], careful: bool
    ) -> Sequence[PlanResult]:
        canceled = self._canceled.among(connection, (run.event_id for plan in plans for run in plan.runs))
        if not careful and not canceled and not any(map(needed, plans)):
            self._add(connection, [r for p in plans for r in p.runs], [m for p in plans for m in p.messages])
            return self._go_on(connection, plans, [NOTHING] * len(plans), {})
        # Done together nothing is known: a repeated run breaks its key, and each plan is done again carefully.
        known = _known(connection, plans) if careful else UNKNOWN
        decisions = decide(plans, checks.load(connection, plans, known.ids, canceled, self._caps))
        checks.store(connection, decisions, self._caps, self._endings)
        self._add(connection, decisions.runs, decisions.messages)
        return self._go_on(connection, plans, decisions.results, known.runs)

    def _add(
        self,
        connection: sqlite3.Connection,
        runs: Sequence[Run],
        messages: Sequence[Message],
    ) -> None:
        if runs:
            tail = Tail(part for run in runs for part in (run.id, run.event_id))
            packed = [_run_row(run, tail) for run in runs]
            connection.execute(sql.RUNS_ADD, (encoded(packed), tail.joined()))
        plain: list[Message] = []
        rich: list[Message] = []
        for m in messages:
            (rich if _is_rich(m) else plain).append(m)
        for statement, some in ((sql.MESSAGES_ADD_PLAIN, plain), (sql.MESSAGES_ADD_RICH, rich)):
            if some:
                self._add_messages(connection, statement, some)

    def _add_messages(
        self,
        connection: sqlite3.Connection,
        statement: str,
        messages: Sequence[Message],
    ) -> None:
        number = self._routes.number
        tail = Tail([part for m in messages for part in (m.id, m.event_id)])
        row = _plain_row if statement is sql.MESSAGES_ADD_PLAIN else _rich_row
        packed = (
            encoded([row(m, number(connection, m), tail) for m in messages]),
            tail.joined(),
        )
        connection.execute(statement, (*packed, self._epoch))
        connection.execute(sql.USER_MESSAGES_ADD, (*packed, ON_ITS_WAY))
        connection.execute(sql.CHANGES_PLANNED, packed)

    def _go_on(
        self,
        connection: sqlite3.Connection,
        plans: Sequence[PlanCommit],
        results: Sequence[PlanResult],
        known: Mapping[bytes, int],
    ) -> Sequence[PlanResult]:
        """Appends continuations, unless the pages before them are a replay: then they are in the log already."""
        wanted = [[e for e in p.continuations if not _replayed(p, e, known)] for p in plans]
        if not any(wanted):
            return results
        added = iter(self._log.add(connection, [entry for entries in wanted for entry in entries]))
        return [
            msgspec.structs.replace(result, continued=tuple(next(added) for _ in entries))
            for result, entries in zip(results, wanted, strict=True)
        ]

    def _committed(self, result: PlanResult) -> None:
        self._log.noted(result.continued)


class Known(NamedTuple):
    """What is stored already."""

    ids: Set[bytes]
    """Of runs, and of all their messages: also of those they did not have then, because what was planned once stays
    as it was, whatever the set-up is by now."""
    runs: Mapping[bytes, int]
    """The position of the entry that made them, by id."""


UNKNOWN = Known(frozenset(), {})


def _known(connection: sqlite3.Connection, plans: Sequence[PlanCommit]) -> Known:
    found = rows(connection, sql.RUNS_KNOWN, keys(run.id for plan in plans for run in plan.runs))
    runs = {bytes.fromhex(run): seq for run, seq in found}
    stored = rows(connection, sql.MESSAGES_KNOWN, keys(m.id for plan in plans for m in plan.messages))
    messages = {bytes.fromhex(row[0]) for row in stored}
    for run in (run for plan in plans for run in plan.runs if run.id in runs):
        messages.update(c.message_id for c in run.channels if c.message_id is not None)
    return Known(runs.keys() | messages, runs)


def _replayed(plan: PlanCommit, rest: Entry, known: Mapping[bytes, int]) -> bool:
    """Whether the entry before `rest` was planned before. People of another topic may be known from that one."""
    return any(
        known.get(run.id) == run.event_seq
        for run in plan.runs
        if run.event_id == rest.event_id and run.workflow == rest.workflow
    )


def _run_row(run: Run, tail: Tail) -> tuple[Any, ...]:
    explanation = _pack(run.channels)
    return (
        run.tenant,
        run.user,
        run.lane,
        run.event_seq,
        run.workflow,
        run.workflow_version,
        run.at,
        tail.add(explanation),
        len(explanation),
    )


def _is_rich(m: Message) -> bool:
    """Whether it says more than `statements.PLAIN`."""
    return not (
        m.reason is None
        and m.expires_at is None
        and not m.later_rungs
        and m.waits_for is None
        and not (m.threaded or m.attempt or m.unknowns)
    )


def _plain_row(m: Message, route: int, tail: Tail) -> tuple[Any, ...]:
    return (
        m.user,
        m.event_seq,
        route,
        QUEUE_OF[m.lane, m.channel],
        CODES[m.status],
        m.created_at,
        m.due_at,
        m.fence,
        m.charged,
        m.tenant,
    )


def _rich_row(m: Message, route: int, tail: Tail) -> tuple[Any, ...]:
    rungs = b"".join(m.later_rungs)
    return (
        *_plain_row(m, route, tail),
        m.reason,
        m.expires_at,
        m.attempt,
        m.unknowns,
        m.threaded,
        tail.add(rungs) if rungs else None,
        len(rungs),
        tail.add(m.waits_for) if m.waits_for else None,
    )

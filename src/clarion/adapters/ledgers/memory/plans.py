"""Stores plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory import signals
from clarion.adapters.ledgers.memory.calls import shown
from clarion.adapters.ledgers.memory.campaigns import MemoryCampaigns
from clarion.adapters.ledgers.memory.continuations import MemoryContinuations
from clarion.adapters.ledgers.memory.digests import MemoryDigests
from clarion.adapters.ledgers.memory.leases import MemoryLeases
from clarion.adapters.ledgers.memory.log import MemoryLog
from clarion.adapters.ledgers.memory.messages import MemoryMessages
from clarion.adapters.ledgers.memory.partitions import MemoryPartitions
from clarion.adapters.ledgers.memory.rows import MessageRows
from clarion.adapters.ledgers.memory.runs import MemoryRuns
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import EventId, MessageId, RunId, TenantId, UserNo, WorkerId
from clarion.model.message import Message, Run
from clarion.model.plan import CapCharge, PlanCommit, PlanResult
from clarion.model.status import ACTIVE, Reason, Status
from clarion.rules.exact import (
    ON_ITS_WAY,
    Counted,
    Counts,
    Decisions,
    DedupeHolder,
    KeyHolder,
    Stored,
    Waiting,
    decide,
    delivered,
    recount,
)


class MemoryPlans:
    """Implements `ports.ledger.Plans`."""

    def __init__(
        self,
        tables: Tables,
        transactions: Transactions,
        log: MemoryLog,
        rows: MessageRows,
        messages: MemoryMessages,
        leases: MemoryLeases,
        continuations: MemoryContinuations,
        partitions: MemoryPartitions,
        runs: MemoryRuns,
        digests: MemoryDigests,
        campaigns: MemoryCampaigns,
    ) -> None:
        self._tables = tables
        self._transactions = transactions
        self._log = log
        self._rows = rows
        self._messages = messages
        self._leases = leases
        self._continuations = continuations
        self._partitions = partitions
        self._runs = runs
        self._digests = digests
        self._campaigns = campaigns

    async def commit(self, plan: PlanCommit) -> PlanResult:
        def commit() -> PlanResult:
            if not self._leases.live(plan.worker):
                return PlanResult(refused=True)
            if not self._continuations.holds(plan) or not self._partitions.owned(plan.positions):
                return PlanResult(repeated=True)
            if not self._campaigns.holds(plan):
                return PlanResult(repeated=True)
            if plan.consumed is not None:
                if self._log.any_planned(plan.consumed):
                    return PlanResult(repeated=True)
                self._log.advance(plan.consumed)
            self._partitions.move(plan.positions)
            self._log.add_planned(plan.bodies)
            return self._commit(plan)

        return await self._transactions.write(commit)

    async def preview(self, plan: PlanCommit) -> PlanResult:
        return await self._transactions.dry_run(lambda: self._commit(plan))

    async def charge(self, charges: Sequence[CapCharge]) -> frozenset[MessageId]:
        return await self._transactions.write(lambda: self._charge(charges))

    async def runs_of(self, tenant: TenantId, event_id: EventId, user: UserNo | None) -> Sequence[Run]:
        found = [
            run
            for run in self._tables.runs.values()
            if run.event_id == event_id and run.tenant == tenant and user in (None, run.user)
        ]
        return sorted(found, key=lambda run: (run.part, run.id))

    # -- inside a transaction ---------------------------------------------------------------------------------

    def _commit(self, plan: PlanCommit) -> PlanResult:
        known_runs = {run.id: self._tables.runs[run.id] for run in plan.runs if run.id in self._tables.runs}
        signals.tell(self._tables, plan.signals)
        decisions = decide([plan], self._load(plan, known_runs))
        self._store(decisions, plan.worker)
        self._digests.store(decisions.digests)
        self._runs.store(decisions.run_rows)
        for row in decisions.run_rows:
            if row.stops and row.reason is not None:
                self._rows.stop(row.stops, Status.CANCELED, row.reason, row.updated_at)
        self._digests.tell(decisions.digest_totals)
        (result,) = decisions.results
        inbox = self._messages.follow(plan.worker, delivered(plan.settled, result))
        self._continuations.follow(plan)
        self._campaigns.follow(plan)
        return replace(result, inbox=inbox)

    def _load(self, plan: PlanCommit, known_runs: Mapping[RunId, Run]) -> Stored:
        tables = self._tables
        known = {m.id for m in plan.messages if m.id in tables.messages} | self._runs.lost(plan)
        for run in plan.runs:
            if run.id in known_runs:
                known |= {run.id, *(c.message_id for c in run.channels if c.message_id is not None)}
        return Stored(
            counts=self._counts(plan.charges),
            known=known,
            canceled=tables.canceled.keys(),
            dedupes=tables.dedupes,
            collapses={
                c.key: self._holder(tables.collapses[c.key])
                for c in plan.collapses
                if c.key in tables.collapses
            },
            threads={t.key: self._last(tables.threads[t.key]) for t in plan.turns if t.key in tables.threads},
            digests=self._digests.latest(item.slot for item in plan.items),
        )

    def _counts(self, charges: Sequence[CapCharge]) -> Counts:
        counts = Counts()
        missing = counts.missing(charges)
        if missing is not None:
            messages = self._tables.messages
            uses = [
                (_counted(messages[one]), at)
                for user in missing.users
                for one, at in self._tables.counted.get(user, {}).items()
                if at > missing.since
            ]
            counts.learn(missing, uses)
        return counts

    def _holder(self, message_id: MessageId) -> KeyHolder:
        message = shown(self._tables, self._tables.messages[message_id])
        counted_at = self._rows.counted_at(message)
        return KeyHolder(message_id, message.status, _counted(message), counted_at, message.waits_for)

    def _last(self, message_id: MessageId) -> KeyHolder:
        """Of a thread: what ended while it waited left its place to what it waited for."""
        holder = self._holder(message_id)
        while holder.status not in ACTIVE and holder.waits_for is not None:
            holder = self._holder(holder.waits_for)
        return holder

    def _store(self, decisions: Decisions, worker: WorkerId) -> None:
        tables, rows = self._tables, self._rows
        for message_id in decisions.threaded:
            rows.change(message_id, threaded=True)
        for message_id, at in decisions.superseded.items():
            rows.stop([message_id], Status.MERGED, Reason.SUPERSEDED, at)
        for run in decisions.runs:
            tables.runs[run.id] = run
        for m in decisions.messages:
            holder = worker if m.fence and m.status in ACTIVE else None
            rows.save(replace(m, updated_at=m.created_at), holder, ON_ITS_WAY if m.charged else None)
            rows.note(m, m.created_at)
        for key, claim in decisions.dedupes.items():
            tables.dedupes[key] = DedupeHolder(claim.run_id, claim.expires_at)
        tables.collapses.update(decisions.collapses)
        tables.threads.update(decisions.threads)

    def _charge(self, charges: Sequence[CapCharge]) -> frozenset[MessageId]:
        ids = dict.fromkeys(charge.message_id for charge in charges)
        found = [self._tables.messages[one] for one in ids if one in self._tables.messages]
        waiting = [
            Waiting(m.id, _counted(m), self._rows.counted_at(m))
            for m in found
            if m.status in ACTIVE and not m.charged
        ]
        going, over = recount(self._counts(charges), waiting, charges)
        for message_id in going:
            charged = replace(self._tables.messages[message_id], charged=True)
            self._rows.save(charged, self._tables.holders.get(message_id), ON_ITS_WAY)
        return over


def _counted(message: Message) -> Counted:
    return Counted(message.user, message.category, message.channel)

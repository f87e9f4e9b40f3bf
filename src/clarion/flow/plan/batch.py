"""The runs, messages and checks collected for one plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from clarion.flow.lanes import InFlight
from clarion.model.campaign import CampaignPage, RangePage
from clarion.model.channel import Channel
from clarion.model.digest import DigestItem, DigestTold, DigestTotal
from clarion.model.event import Consumed, Continuation, Entry, Event, Position
from clarion.model.ids import NO_USER, Instant, TenantId, UserNo, WorkerId, message_id, part_id, run_id
from clarion.model.message import ChannelDecision, Message, Run, StepTrace
from clarion.model.plan import CapCharge, Collapse, DedupeClaim, PlanCommit, ThreadSlot
from clarion.model.run import RunRow, RunStatus, Signal
from clarion.model.settlement import Settlement
from clarion.model.setup import Category, StepType, Template, Tenant, Workflow, channels_of
from clarion.model.status import Reason, Status
from clarion.rules.plan import Planned
from clarion.rules.steps.program import Program


class PlanSetup(NamedTuple):
    """What the events of one workflow are planned by."""

    tenant: Tenant
    workflow: Workflow
    category: Category
    templates: Mapping[str, Template]
    served: frozenset[Channel]
    """Channels that have an integration."""
    program: Program


class PlanBatch:
    """A plan in the making: everything one commit will write, and who is to send it."""

    def __init__(self, worker: WorkerId) -> None:
        self.worker = worker
        """Who holds what is held."""
        self.runs: list[Run] = []
        self.messages: list[Message] = []
        self.charges: list[CapCharge] = []
        self.dedupes: list[DedupeClaim] = []
        self.collapses: list[Collapse] = []
        self.turns: list[ThreadSlot] = []
        self.continued: Continuation | None = None
        self.continuations: list[Continuation] = []
        self.page: CampaignPage | None = None
        self.range_page: RangePage | None = None
        self.run_rows: list[RunRow] = []
        """Runs that wait now, or are over after they waited."""
        self.awaited: list[Event] = []
        """Those of its events that runs may listen for."""
        self.signals: list[Signal] = []
        self.in_flight: list[InFlight] = []
        self.items: list[DigestItem] = []
        """Runs that end in a digest."""
        self.digest_totals: list[DigestTotal] = []
        self.settled: list[Settlement] = []
        """What became already of some that are held."""
        self.consumed: Consumed | None = None
        self.bodies: tuple[Entry, ...] = ()
        self.positions: tuple[Position, ...] = ()
        self.setups: dict[tuple[TenantId, str], PlanSetup] = {}
        """By tenant and workflow, as they were when the batch first needed them."""
        self.older: dict[tuple[TenantId, str, int], PlanSetup | None] = {}
        """Likewise by version, for runs that keep theirs; None: the workflow is gone."""
        self.again = False
        """People may have been planned before."""
        self.planned: set[int] = set()
        """Places in the ledger's log of entries that came there with their plan: those of campaigns."""
        self.leftovers: list[Entry] = []
        """Those that could not be planned."""

    def consume(self, entries: Sequence[Entry], *, in_ledger: bool) -> None:
        """It is the plan of these entries of one lane, which lie in the ledger's log or came by a broker of their own."""
        if not in_ledger:
            self.bodies = tuple(entries)
        elif seqs := tuple([entry.seq for entry in entries if entry.seq not in self.planned]):
            self.consumed = Consumed(entries[0].lane, seqs)

    def add(self, planned: Planned) -> None:
        """Take over what was decided, except the messages."""
        self.runs.append(planned.run)
        if planned.charges:
            self.charges += planned.charges
        if planned.dedupe is not None:
            self.dedupes.append(planned.dedupe)
        if planned.collapses:
            self.collapses += planned.collapses
        if planned.turns:
            self.turns += planned.turns

    def end(
        self,
        entry: Entry,
        user: UserNo,
        workflow: Workflow,
        status: Status,
        reason: Reason,
        now: Instant,
        *,
        steps: int | None = 1,
    ) -> None:
        """Nothing was decided about this recipient: a message says why, so that nothing is lost silently.

        One for the first so many steps, None: for each.
        """
        run = run_id(entry.event_id, workflow.key, user)
        plans = []
        for step in islice(workflow.sends(), steps):
            channel = channels_of(step)[0]
            message = Message(
                id=message_id(run, step.key, channel.value),
                tenant=entry.tenant,
                user=user,
                event_id=entry.event_id,
                workflow=workflow.key,
                workflow_version=workflow.version,
                category=workflow.category,
                step=step.key,
                template=step.template or "",
                channel=channel,
                lane=entry.lane,
                status=status,
                reason=reason,
                created_at=now,
                updated_at=now,
            )
            self.messages.append(message)
            plans.append(
                ChannelDecision(
                    step=step.key, channel=channel, status=status, reason=reason, message_id=message.id
                )
            )
        self._run(entry, user, workflow, now, tuple(plans))

    def nobody(self, entry: Entry, workflow: Workflow, now: Instant) -> None:
        """It reached nobody: a run without a recipient says that it was planned."""
        self._run(entry, NO_USER, workflow, now, ())

    def end_run(self, row: RunRow, status: RunStatus, reason: Reason, now: Instant) -> None:
        """A run that waited goes on no more; one that failed until it is retried."""
        trace = StepTrace(
            step=row.step, type=StepType.WAIT, result="ended", at=now, inputs={"reason": reason.value}
        )
        self.runs.append(
            Run(
                id=part_id(row.id, row.part),
                tenant=row.tenant,
                user=row.user,
                event_id=row.event_id,
                lane=row.lane,
                workflow=row.workflow,
                workflow_version=row.version,
                at=now,
                channels=(),
                part=row.part,
                steps=(trace,),
            )
        )
        over = msgspec.structs.replace(row, status=status, reason=reason, due_at=None, updated_at=now)
        if status is RunStatus.FAILED:
            self.run_rows.append(over)
            return
        self.run_rows.append(msgspec.structs.replace(over, sealed=None))
        self.digest_totals.append(DigestTotal(run=row.id, digest=row.event_id, total=0))

    def tell(self, row: RunRow, digest: DigestTold, entry: Entry) -> None:
        """The run of a digest goes on with it. `entry`: the event that it is."""
        self.digest_totals.append(DigestTotal(run=row.id, digest=row.event_id, total=digest.total))
        self.bodies += (entry,)

    def _run(
        self,
        entry: Entry,
        user: UserNo,
        workflow: Workflow,
        now: Instant,
        channels: tuple[ChannelDecision, ...],
    ) -> None:
        self.runs.append(
            Run(
                id=run_id(entry.event_id, workflow.key, user),
                tenant=entry.tenant,
                user=user,
                event_id=entry.event_id,
                lane=entry.lane,
                workflow=workflow.key,
                workflow_version=workflow.version,
                at=now,
                channels=channels,
            )
        )

    def commit(self) -> PlanCommit:
        """What to write."""
        return PlanCommit(
            worker=self.worker,
            consumed=self.consumed,
            bodies=self.bodies,
            positions=self.positions,
            again=self.again,
            runs=tuple(self.runs),
            messages=tuple(self.messages),
            charges=tuple(self.charges),
            dedupes=tuple(self.dedupes),
            collapses=tuple(self.collapses),
            turns=tuple(self.turns),
            continued=self.continued,
            continuations=tuple(self.continuations),
            page=self.page,
            range_page=self.range_page,
            run_rows=tuple(self.run_rows),
            items=tuple(self.items),
            digest_totals=tuple(self.digest_totals),
            signals=tuple(self.signals),
            settled=tuple(self.settled),
        )

"""A plan in the making."""

from __future__ import annotations

from clarion.flow.queues import Held
from clarion.model.channel import Channel
from clarion.model.event import Entry, Event
from clarion.model.ids import Instant, message_id, run_id
from clarion.model.message import ChannelPlan, Message, Run
from clarion.model.plan import CapCharge, Collapse, DedupeClaim, ThreadTurn
from clarion.model.setup import SendLadder, SendStep, Workflow
from clarion.model.status import Reason, Status
from clarion.model.user import User
from clarion.ports.ledger import PlanCommit
from clarion.rules.plan import Planned


class Draft:
    """A plan in the making: everything one commit will write, and who is to send it."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.messages: list[Message] = []
        self.charges: list[CapCharge] = []
        self.dedupes: list[DedupeClaim] = []
        self.collapses: list[Collapse] = []
        self.turns: list[ThreadTurn] = []
        self.continuations: list[Entry] = []
        self.held: list[Held] = []

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

    def fail(self, event: Event, seq: int, workflow: Workflow, user: User, now: Instant) -> None:
        """Deciding about this recipient failed: a message says so, for each step, so that nothing is lost silently."""
        run = run_id(event.id, workflow.key, user.no)
        plans = []
        for step in workflow.steps:
            channel = channels_of(step)[0]
            message = Message(
                id=message_id(run, step.key, channel.value),
                tenant=event.tenant,
                user=user.no,
                event_id=event.id,
                event_seq=seq,
                workflow=workflow.key,
                workflow_version=workflow.version,
                category=workflow.category,
                step=step.key,
                template=step.template,
                channel=channel,
                lane=event.lane,
                status=Status.FAILED,
                reason=Reason.INTERNAL_ERROR,
                created_at=now,
                updated_at=now,
            )
            self.messages.append(message)
            plans.append(
                ChannelPlan(
                    step=step.key,
                    channel=channel,
                    status=Status.FAILED,
                    reason=Reason.INTERNAL_ERROR,
                    message_id=message.id,
                )
            )
        self.runs.append(
            Run(
                id=run,
                tenant=event.tenant,
                user=user.no,
                event_id=event.id,
                lane=event.lane,
                event_seq=seq,
                workflow=workflow.key,
                workflow_version=workflow.version,
                at=now,
                channels=tuple(plans),
            )
        )

    def commit(self) -> PlanCommit:
        """What to write."""
        return PlanCommit(
            runs=tuple(self.runs),
            messages=tuple(self.messages),
            charges=tuple(self.charges),
            dedupes=tuple(self.dedupes),
            collapses=tuple(self.collapses),
            turns=tuple(self.turns),
            continuations=tuple(self.continuations),
        )


def channels_of(step: SendStep) -> tuple[Channel, ...]:
    """Every channel a step names, in order."""
    if isinstance(step.to, SendLadder):
        return (*(one.channel for one in step.to.channels), *step.to.always)
    return step.to.channels

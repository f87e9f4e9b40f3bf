"""Plans a run to its end as if time passed: what goes is sent at its time, nobody reads or acknowledges anything, and what
steps have done is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, run_id
from clarion.model.message import Message
from clarion.model.run import RunRow, RunStatus
from clarion.model.status import Status
from clarion.model.user import User
from clarion.rules.plan import Planned, Waited
from clarion.rules.steps.call import CallStep
from clarion.rules.steps.kinds import KINDS

Plan = Callable[[User, Instant, Waited | None], Planned]
"""Plans a run of a user, at a time, from where it waits."""


def rehearsed(plan: Plan, user: User, now: Instant) -> Iterator[Planned]:
    """Every part of a run. A digest ends it: what others bring is not known."""
    messages: dict[MessageId, Message] = {}
    waited = None
    while True:
        planned = plan(user, now, waited)
        yield planned
        state = None if planned.advance is None else planned.advance.state
        if state is None:
            return
        messages.update((one.id, one) for one in planned.messages)
        now, result = max(now, state.due_at), None
        if state.call is not None:
            kind = KINDS[state.call.type]
            assert isinstance(kind, CallStep)
            result, user = kind.assumed(state.call, user)
        then = {id_: _as_it_is_then(one, now) for id_, one in messages.items()}
        waited = Waited(_row(planned, now), state, then, result)


def _as_it_is_then(message: Message, now: Instant) -> Message:
    waits = message.status is Status.DEFERRED and (message.due_at is None or message.due_at > now)
    if waits or message.status not in (Status.QUEUED, Status.DEFERRED):
        return message
    return replace(message, status=Status.DELIVERED if message.channel is Channel.IN_APP else Status.SENT)


def _row(planned: Planned, now: Instant) -> RunRow:
    run = planned.run
    return RunRow(
        id=run_id(run.event_id, run.workflow, run.user),
        tenant=run.tenant,
        user=run.user,
        event_id=run.event_id,
        workflow=run.workflow,
        version=run.workflow_version,
        lane=run.lane,
        status=RunStatus.WAITING,
        step="",
        part=run.part + 1,
        due_at=now,
        started_at=now,
        updated_at=now,
    )

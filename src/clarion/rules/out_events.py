"""What is told about a change of a message, and to whom: CloudEvents 1.0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clarion.model.ids import id_text, run_id
from clarion.model.inbox import MARKS, InboxAction
from clarion.model.message import Change, Message
from clarion.model.receipt import TAKEN_BACK, ReceiptKind
from clarion.model.setup import Workflow
from clarion.model.sink import Sink
from clarion.model.status import Status
from clarion.model.user_change import UserChange, UserChangeKind
from clarion.rules import match
from clarion.rules.time_format import rfc3339

PREFIX = "clarion.message."
TOLD = frozenset(
    {
        ReceiptKind.OPENED,
        ReceiptKind.CLICKED,
        ReceiptKind.ACKNOWLEDGED,
        ReceiptKind.COMPLAINED,
        ReceiptKind.UNSUBSCRIBED,
        *TAKEN_BACK,
        *MARKS,
    }
)
"""Outcomes that say more than a status does."""
USER_TYPES = tuple(f"clarion.{kind}" for kind in UserChangeKind)
"""Of the events about users and campaigns."""
TYPES = (*USER_TYPES, *(PREFIX + status for status in Status), *sorted(PREFIX + outcome for outcome in TOLD))
"""Of all events."""
DIGITS = 20
"""Of `sequence`, so that it is in order as a text."""


def awaited(workflows: Iterable[Workflow]) -> tuple[str, ...]:
    """The types of these events that runs of some workflows listen for, as they name them."""
    named = {
        event.type: None
        for workflow in workflows
        for event in (*workflow.awaited(), *workflow.earlier_events)
        if event.type.startswith("clarion.")
    }
    return tuple(name for name in named if any(match.matches(name, known) for known in TYPES))


def is_chosen(types: Sequence[str], name: str) -> bool:
    """Whether a sink with this filter gets events of a type. Without one it gets everything about messages."""
    return any(match.matches(pattern, name) for pattern in types or (f"{PREFIX}*",))


def tells_of_users(types: Sequence[str]) -> bool:
    """Whether a sink with this filter gets any events about users or campaigns."""
    return any(is_chosen(types, name) for name in USER_TYPES)


def mark_is_told(sinks: Iterable[Sink], action: InboxAction) -> bool:
    """Whether any of these sinks, also one that is paused, gets an event when somebody does this in their inbox."""
    return any(is_chosen(sink.types, PREFIX + action) for sink in sinks)


def type_of(change: Change) -> str:
    """The type of the event about a change."""
    return PREFIX + (change.outcome if change.outcome in TOLD else change.status)


def type_of_user_event(change: UserChange) -> str:
    """The type of the event about a change of a user or a campaign."""
    return f"clarion.{change.kind}"


def attributes_of(change: Change, source: str) -> dict[str, str]:
    """The attributes of the CloudEvent about a change of a message."""
    subject = id_text(change.message_id)
    return _attributes(change, source, f"{subject}-{change.seq}", type_of(change), subject)


def attributes_of_user_event(change: UserChange, source: str, user_id: str) -> dict[str, str]:
    """The attributes of the CloudEvent about a change of a user."""
    return _attributes(change, source, f"user-{change.seq}", type_of_user_event(change), user_id)


def attributes_of_campaign_event(change: UserChange, source: str) -> dict[str, str]:
    """Likewise of a campaign."""
    subject = id_text(change.campaign)
    return _attributes(change, source, f"campaign-{change.seq}", type_of_user_event(change), subject)


def data_of_user_event(change: UserChange, user_id: str) -> Mapping[str, Any]:
    """Its data."""
    return {"user_id": user_id, "segment": change.segment} if change.segment else {"user_id": user_id}


def _attributes(change: Change | UserChange, source: str, id: str, type: str, subject: str) -> dict[str, str]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "subject": subject,
        "time": rfc3339(change.at),
        "datacontenttype": "application/json",
        "sequence": f"{change.seq:0{DIGITS}d}",
    }


def data_of(change: Change, message: Message | None, user_id: str | None) -> Mapping[str, Any]:
    """Its data. `message`: None when it is not kept any more; `user_id`: None when the person was erased."""
    return {
        "message_id": id_text(change.message_id),
        "event_id": None if message is None else id_text(message.event_id),
        "user_id": user_id,
        "run_id": None
        if message is None
        else id_text(run_id(message.event_id, message.workflow, message.user)),
        "workflow": None if message is None else message.workflow,
        "step": None if message is None else message.step,
        "category": None if message is None else message.category,
        "channel": None if message is None else message.channel.value,
        "status": change.status.value,
        "reason": None if change.reason is None else change.reason.value,
        "integration": change.integration,
        "attempt": change.attempt,
    }

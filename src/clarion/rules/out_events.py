"""What is told about a change of a message, and to whom: CloudEvents 1.0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clarion.model.ids import id_text
from clarion.model.inbox import MARKS, InboxAction
from clarion.model.message import Change, Message
from clarion.model.receipt import ReceiptKind
from clarion.model.sink import Sink
from clarion.model.status import Status
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
        *MARKS,
    }
)
"""Outcomes that say more than a status does."""
TYPES = (*(PREFIX + status for status in Status), *sorted(PREFIX + outcome for outcome in TOLD))
"""Of all events."""
DIGITS = 20
"""Of `sequence`, so that it is in order as a text."""


def is_chosen(types: Iterable[str], name: str) -> bool:
    """Whether a sink with this filter gets events of a type."""
    types = tuple(types)
    return not types or any(match.matches(pattern, name) for pattern in types)


def mark_is_told(sinks: Iterable[Sink], action: InboxAction) -> bool:
    """Whether any of these sinks, also one that is paused, gets an event when somebody does this in their inbox."""
    return any(is_chosen(sink.types, PREFIX + action) for sink in sinks)


def type_of(change: Change) -> str:
    """The type of the event about a change."""
    return PREFIX + (change.outcome if change.outcome in TOLD else change.status)


def attributes_of(change: Change, source: str) -> dict[str, str]:
    """The attributes of the CloudEvent."""
    subject = id_text(change.message_id)
    return {
        "specversion": "1.0",
        "id": f"{subject}-{change.seq}",
        "source": source,
        "type": type_of(change),
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
        "workflow": None if message is None else message.workflow,
        "category": None if message is None else message.category,
        "channel": None if message is None else message.channel.value,
        "status": change.status.value,
        "reason": None if change.reason is None else change.reason.value,
        "integration": change.integration,
        "attempt": change.attempt,
    }

"""What people wrote to us, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.model.channel import Channel
from clarion.model.ids import MessageId, UserNo
from clarion.model.inbound import InboundVerdict, ReceivedMessage, ReplyStatus

FIELDS = (
    "seq",
    "tenant",
    "digest",
    "channel",
    "integration",
    "sender",
    "user",
    "message_id",
    "verdict",
    "at",
    "reviewed_at",
    "reply",
    "reply_due_at",
    "sealed",
)


def values_of(message: ReceivedMessage) -> tuple[Any, ...]:
    """All but `seq`, in the order of `FIELDS`."""
    values = (getattr(message, name) for name in FIELDS[1:])
    return tuple(
        value.value if isinstance(value, Channel | InboundVerdict | ReplyStatus) else value
        for value in values
    )


def received_of(row: Sequence[Any]) -> ReceivedMessage:
    """From a row of `FIELDS`."""
    fields = dict(zip(FIELDS, row, strict=True))
    return ReceivedMessage(
        **{
            **fields,
            "user": UserNo(fields["user"]),
            "channel": Channel(fields["channel"]),
            "verdict": InboundVerdict(fields["verdict"]),
            "message_id": MessageId(fields["message_id"]) if fields["message_id"] else None,
            "reply": None if fields["reply"] is None else ReplyStatus(fields["reply"]),
        }
    )

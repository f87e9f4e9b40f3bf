"""Decides what the end of a ladder step means for the others: success cancels them, failure starts the next."""

from __future__ import annotations

from collections.abc import Iterable

from clarion.model.ids import MessageId
from clarion.model.message import Message
from clarion.model.setup import Success
from clarion.model.status import Status

_SATISFIED_BY = {
    Success.SENT.value: frozenset({Status.SENT, Status.DELIVERED}),
    Success.DELIVERED.value: frozenset({Status.DELIVERED}),
    # Seen and read are engagement: they come from the inbox, not from a settlement.
    Success.SEEN.value: frozenset[Status](),
    Success.READ.value: frozenset[Status](),
}
_WITHDRAWN = frozenset({Status.CANCELED, Status.MERGED})
_STILL_POSSIBLE = frozenset({Status.QUEUED, Status.DEFERRED, Status.SENDING, Status.SENT, Status.DELIVERED})


def after(message: Message, status: Status) -> tuple[tuple[MessageId, ...], MessageId | None]:
    """(later rungs to cancel, the rung to start now) when `message` moves to `status`.

    A message that was withdrawn (cancelled by the caller, merged into another) takes its later rungs with it.
    """
    later = message.later_rungs
    if not later or not message.until:
        return (), None
    if status in _WITHDRAWN or status in _SATISFIED_BY[message.until]:
        return later, None
    if status in _STILL_POSSIBLE:
        return (), None
    return (), later[0]


def behind(messages: Iterable[Message]) -> list[MessageId]:
    """The later rungs that go with these messages when they are withdrawn."""
    return [rung for message in messages for rung in after(message, Status.CANCELED)[0]]

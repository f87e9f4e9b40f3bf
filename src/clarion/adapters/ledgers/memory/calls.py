"""Calls under way. A message is in one while it is queued, held by the call's worker, and nothing newer is recorded about
it than that the call began: whoever writes about a message takes it out of its call.
"""

from __future__ import annotations

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.tables import CallUnderWay, Tables
from clarion.model.ids import MessageId
from clarion.model.message import Message
from clarion.model.status import Status


def call_of(tables: Tables, message: Message) -> CallUnderWay | None:
    """The call that a stored message is in."""
    if message.status is not Status.QUEUED or not tables.calls:
        return None
    holder, newest = tables.holders.get(message.id), tables.timelines[message.id][-1]
    calls = [call for call in tables.calls.values() if call.worker == holder]
    return next((call for call in calls if call.begun.get(message.id) == newest), None)


def shown(tables: Tables, message: Message) -> Message:
    """A stored message as everybody sees it: `sending` while it is in a call."""
    call = call_of(tables, message)
    return message if call is None else replace(message, status=Status.SENDING, updated_at=call.since)


def found(tables: Tables, message_id: MessageId) -> Message | None:
    """As everybody sees it."""
    message = tables.messages.get(message_id)
    return None if message is None else shown(tables, message)


def drop_ended(tables: Tables) -> None:
    """Calls that no message is in any more go."""
    for seq, call in list(tables.calls.items()):
        left = [tables.messages[one] for one in call.begun if one in tables.messages]
        if not any(call_of(tables, message) is call for message in left):
            del tables.calls[seq]

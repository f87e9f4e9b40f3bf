"""What follows from an inbound message, decided inside the transaction that keeps it."""

from __future__ import annotations

from clarion.model.ids import Instant
from clarion.model.inbound import OPTED_OUT, REPLY_WITHIN_MS, InboundVerdict, ReceivedMessage, ReplyStatus
from clarion.model.suppression import BY_REPLY, Suppression


def suppression_of(inbound: ReceivedMessage) -> Suppression | None:
    """What an opt-out suppresses: its sender, on its channel."""
    if inbound.verdict is not InboundVerdict.OPT_OUT:
        return None
    return Suppression(
        tenant=inbound.tenant,
        channel=inbound.channel,
        hash=inbound.sender,
        reason=OPTED_OUT,
        source=BY_REPLY,
        at=inbound.at,
    )


def lifted_by(inbound: ReceivedMessage, stored: Suppression | None) -> bool:
    """Whether this is an opt-in that lifts the suppression of its sender: an opt-out made it, and not a later one."""
    if inbound.verdict is not InboundVerdict.OPT_IN or stored is None:
        return False
    return stored.reason == OPTED_OUT and stored.at <= inbound.at


def needs_reply(inbound: ReceivedMessage, *, changed: bool, replied_at: Instant | None) -> bool:
    """Whether its automatic reply is due. `changed`: it suppressed its sender or lifted that. `replied_at`: when the
    last message of this sender with the same verdict came that was replied to."""
    if inbound.reply is not ReplyStatus.DUE or not (changed or inbound.verdict is InboundVerdict.HELP):
        return False
    return replied_at is None or replied_at + REPLY_WITHIN_MS <= inbound.at

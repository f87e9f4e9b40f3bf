"""What people write to us: as a provider passes it on, and as it is kept."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import NO_USER, Instant, MessageId, TenantId, UserNo


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a person's: a text message, a chat."""

    provider_id: str
    """The provider's name for it: the same when it is passed on again."""
    sender: str
    """The address of the person."""
    recipient: str
    """The address of ours that they wrote to."""
    text: str
    at: Instant | None = None
    """When it was written; None: the provider does not say."""
    media: tuple[str, ...] = ()
    """URLs of what was sent along."""
    reference: str = ""
    """Of the message that they answered, where the provider says so."""
    button: str = ""
    """The id (`Action.id`) of the button that they pressed, where it is one that we sent."""
    answered: bool = False
    """The provider has answered its word (STOP, START, HELP) itself, so nobody else needs to."""


class InboundVerdict(StrEnum):
    """What an inbound message asks for."""

    OPT_OUT = "opt_out"
    """No more messages on this channel."""
    OPT_IN = "opt_in"
    """Messages again."""
    HELP = "help"
    """Who writes, and how to end it."""
    UNCLEAR = "unclear"
    """It speaks of leaving, and says more than that: a person has to read it."""
    OTHER = "other"
    """Anything else that a person wrote."""


FOR_A_PERSON = frozenset({InboundVerdict.UNCLEAR, InboundVerdict.OTHER})
"""Verdicts on messages that somebody has to read."""

OPTED_OUT = "opted_out"
"""Reason of the suppressions that an opt-out makes: an opt-in lifts these and no others."""

REPLY_WITHIN_MS = 5 * 60_000
"""A message is answered within this time or not at all (47 CFR 64.1200(a)(12)), and a sender once in it."""


class ReplyStatus(StrEnum):
    """How the automatic reply to an inbound message is doing."""

    DUE = "due"
    SENDING = "sending"
    """Its call is under way. If the process ended during it, it stays so: nobody knows whether it went out."""
    SENT = "sent"
    FAILED = "failed"


class ReceivedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An inbound message as it is kept."""

    tenant: TenantId
    channel: Channel
    integration: str
    digest: bytes
    """Keyed hash of what the provider calls it: the same message is kept once."""
    sender: bytes
    """Keyed hash of the address it came from, as that of a contact."""
    user: UserNo = NO_USER
    """Whose address that was when it came; `NO_USER`: nobody's that is known."""
    message_id: MessageId | None = None
    """The message it answers, where the provider says so."""
    verdict: InboundVerdict
    at: Instant
    """When it was written, as far as the provider says, else when it came."""
    reviewed_at: Instant | None = None
    """When a person gave it its verdict."""
    reply: ReplyStatus | None = None
    """None: there is no automatic reply to it."""
    reply_due_at: Instant | None = None
    sealed: bytes
    """`InboundContent`, under the key of its user, else of the tenant."""
    seq: int = 0

    @property
    def needs_review(self) -> bool:
        """Whether a person has still to read it."""
        return self.verdict in FOR_A_PERSON and self.reviewed_at is None


class InboundContent(msgspec.Struct, frozen=True, kw_only=True):
    """What is secret about an inbound message."""

    text: str
    sender: str
    recipient: str
    media: tuple[str, ...] = ()


class InboundStored(msgspec.Struct, frozen=True, kw_only=True):
    """An inbound message that was taken."""

    inbound: ReceivedMessage
    new: bool
    """False: it was taken before, and nothing changed."""


class InboundFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    user: UserNo | None = None
    channels: frozenset[Channel] = frozenset()
    """Any of these; empty: whatever channel. So with the next one."""
    verdicts: frozenset[InboundVerdict] = frozenset()
    needs_review: bool | None = None
    """Whether a person has still to read it."""
    since: Instant | None = None
    before: Instant | None = None


ANY_INBOUND = InboundFilter()

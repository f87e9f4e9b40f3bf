"""Reading messages for people, and manual changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.inbound import InboundFilter, InboundStored, InboundVerdict, ReceivedMessage, ReplyStatus
from clarion.model.inbox import Captured, CaptureFilter
from clarion.model.message import Change, Message, MessageFilter
from clarion.model.quarantine import Quarantined, QuarantineFilter
from clarion.model.status import Reason, Status


class Quarantine(Protocol):
    """Mail and callbacks kept for manual review: each kind bounded in number and age, the oldest go first."""

    async def keep(self, mail: Quarantined) -> None:
        """Durable when this returns. Repeating it changes nothing."""

    async def get(self, tenant: TenantId, seq: int) -> Quarantined | None:
        """One of them."""

    async def page(
        self, tenant: TenantId, where: QuarantineFilter, before: int | None, limit: int
    ) -> Sequence[Quarantined]:
        """Newest first, cursor is `seq`."""

    async def drop(self, tenant: TenantId, seq: int) -> bool:
        """Whether it was there."""


class InboundStore(Protocol):
    """What people wrote to us, and the automatic replies to it."""

    async def take(self, messages: Sequence[ReceivedMessage]) -> Sequence[InboundStored]:
        """Keep them, one after the other, in one transaction with what follows from their verdicts.

        An opt-out suppresses its sender on its channel, for every attempt that starts after this returns. An opt-in lifts a
        suppression that an earlier opt-out made. A reply that is due stays so only where `rules.exact.needs_reply`
        says so. Repeating it changes nothing.
        """

    async def get(self, tenant: TenantId, seq: int) -> ReceivedMessage | None:
        """One of them."""

    async def page(
        self, tenant: TenantId, where: InboundFilter, before: int | None, limit: int
    ) -> Sequence[ReceivedMessage]:
        """Newest first, cursor is `seq`."""

    async def review(
        self, tenant: TenantId, seq: int, verdict: InboundVerdict, at: Instant
    ) -> ReceivedMessage | None:
        """Give one the verdict of a person, with what follows from it. None: there is no such message."""

    async def claim_replies(self, now: Instant, limit: int) -> Sequence[ReceivedMessage]:
        """Begin with replies that are due: each is handed out once. Those whose time is over have failed."""

    async def end_reply(
        self, tenant: TenantId, seq: int, status: ReplyStatus, due_at: Instant | None = None
    ) -> None:
        """What became of a reply; `DUE` with a time: it certainly did not go out, and is tried again then."""


class MessageRecords(Protocol):
    """Looking things up, and moves made by hand."""

    async def get(self, tenant: TenantId, message_id: MessageId) -> Message | None:
        """One message."""

    async def page(
        self, tenant: TenantId, where: MessageFilter, before: MessageId | None, limit: int
    ) -> tuple[Sequence[Message], MessageId | None]:
        """Newest first, and the cursor to go on from (None: the end). A page may be short, even empty, when
        the filter is rare: the scan per call is bounded; go on with the cursor."""

    async def changes(self, tenant: TenantId, message_id: MessageId) -> Sequence[Change]:
        """The timeline, oldest first."""

    async def tail(
        self, tenant: TenantId, after: int, limit: int, *, integration: str | None = None
    ) -> Sequence[Change]:
        """Changes of all messages behind position `after` (-1: only the newest `limit`). `integration`: only those
        that name it, and in any case the last one that was looked at, from which whoever reads on goes on; as many are
        looked at as a call can bear. Empty: there are no more."""

    async def cancel(
        self,
        tenant: TenantId,
        message_id: MessageId,
        at: Instant,
        begun: Set[MessageId],
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> Status | None:
        """Cancel if it has not started, with the rungs behind it; the status it has now, None when there is no such
        message. `begun`: calls of these are under way, so they stay as they are."""

    async def requeue(
        self,
        tenant: TenantId,
        where: MessageFilter,
        ids: Sequence[MessageId] | None,
        at: Instant,
        limit: int,
        versions: Mapping[str, int],
    ) -> frozenset[MessageId]:
        """Put messages that failed (`RETRYABLE_BY_HAND`) back with fresh attempts; which (at most `limit`).
        What was suppressed goes back only when it is named by id. `versions`: the version of each template that
        its messages are sent with from now on; those of other templates keep theirs."""


class Captures(Protocol):
    """What capture integrations kept."""

    async def page(
        self, tenant: TenantId, where: CaptureFilter, before: int | None, limit: int
    ) -> Sequence[Captured]:
        """Newest first, cursor is `seq`."""

    async def of(self, tenant: TenantId, message_id: MessageId) -> Sequence[Captured]:
        """Every capture of one message, oldest first."""

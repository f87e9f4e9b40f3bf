"""Accepted events: the log of each lane, idempotency keys, and events that could not be planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Protocol

from clarion.model.channel import Lane
from clarion.model.event import (
    Consumed,
    Continuation,
    Entry,
    EventFound,
    EventKey,
    EventRecord,
    IdempotencyRecord,
    IdempotencyResult,
    Position,
    Reserved,
    SetAside,
)
from clarion.model.ids import EventId, Instant, MessageId, TenantId, WorkerId
from clarion.model.status import Status


class EventLog(Protocol):
    """An append-only log per lane, and the cursor of what has been planned."""

    async def append(
        self, entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]
    ) -> tuple[Sequence[Entry], Sequence[IdempotencyResult | None]]:
        """One transaction: the published entries with their `seq` (those with stale claims left out)."""

    async def take(self, lane: Lane, worker: WorkerId) -> bool:
        """Whether the worker is the one that plans the lane: the first that asks, until it is given up."""

    async def read(self, lane: Lane, after: int, limit: int) -> Sequence[Entry]:
        """Entries behind `after` that are not planned, in order."""

    async def position(self, lane: Lane) -> int:
        """Everything up to there is planned. It moves with `Plans.commit` and `SetAsides.keep`."""

    async def end(self, lane: Lane) -> int:
        """The last position ever written."""

    def on_append(self, told: Callable[[Lane, int], None]) -> None:
        """Call `told` on the event loop with a lane and its newest position when another process has appended to it, or may
        have. A store that is not told of that never calls, so look now and then."""


class Partitions(Protocol):
    """Up to where the partitions of a broker that is not the ledger's log are planned. They move with `PlanCommit.positions`."""

    async def take(self, names: Sequence[str]) -> Sequence[Position]:
        """Where each stands; 0 if nobody has taken it before. From now on only plans with the new epochs move them."""

    async def offsets(self, names: Sequence[str]) -> Sequence[int]:
        """The same, for whoever only looks."""


class Continuations(Protocol):
    """What is left of events to topics, each planned a page at a time (`PlanCommit.continuations`)."""

    async def claim(self, worker: WorkerId, lane: Lane, limit: int, now: Instant) -> Sequence[Continuation]:
        """What is due and no other worker holds: the worker holds it now, with a higher fence. Of each tenant the one that has
        waited longest, of at most `limit` tenants. Nothing when the worker has been given up."""


class IdempotencyStore(Protocol):
    """Answers that are given again to whoever repeats a call under the same key."""

    async def claimed(
        self, tenant: TenantId, keys: Sequence[bytes], now: Instant
    ) -> Mapping[bytes, IdempotencyResult]:
        """What the first call under each of these keys left, if there was one that is confirmed and has not expired."""

    async def hold(self, claim: IdempotencyRecord) -> IdempotencyResult:
        """Durable when this returns; `fresh` for the first one under its key."""

    async def reserve(self, claims: Sequence[IdempotencyRecord], published: Sequence[int]) -> Reserved:
        """Claims whose events are published next, by a broker that is not the ledger's log. Durable when this returns.

        First, the events of the reservations `published` are with the broker: what these still hold is confirmed. Then
        the claims are made. One that is held, not confirmed and has the same fingerprint belongs to the new reservation.
        Of several under one key in a call the first counts."""


class Events(Protocol):
    """Events after they were accepted."""

    async def page(
        self, tenant: TenantId, since: Instant | None, before: bytes, limit: int
    ) -> tuple[Sequence[EventRecord], bytes | None]:
        """Planned events, newest first, and where to go on (None: the end). A page may be short: the scan per call is
        bounded. `before`: where the page before ended, or the first id that is too new."""

    async def found(
        self, tenant: TenantId, event_id: EventId, before: MessageId | None, limit: int, runs: int
    ) -> EventFound | None:
        """At most so many messages and runs; None when it was not accepted for this tenant."""

    async def bodies(self, wanted: Sequence[EventKey]) -> Mapping[EventKey, Entry]:
        """Events as they were accepted, planned or not, as long as retention keeps them: from the log, or from the plan
        that brought them (`PlanCommit.bodies`)."""

    async def known(self, tenant: TenantId, event_id: EventId) -> bool:
        """Whether it was accepted for this tenant, planned or not."""

    async def counts(self, events: Sequence[EventId]) -> Mapping[EventId, Mapping[Status, int]]:
        """How many messages of each have which status; events without any are left out."""

    async def cancel(self, event_id: EventId, at: Instant, begun: Set[MessageId]) -> int:
        """Cancel all its messages that have not started, but none of `begun` (calls of these are under way), and
        whatever is planned of it later on; how many were canceled. Repeating it is harmless."""


class SetAsides(Protocol):
    """Events that could not be planned, kept for a person."""

    async def keep(
        self, events: Sequence[SetAside], consumed: Sequence[Consumed], bodies: Sequence[Entry]
    ) -> None:
        """Durable when this returns, and what is `consumed` of the ledger's log counts as planned. `bodies` came by a
        broker of their own, and are kept with it. Repeating it changes nothing."""

    async def page(self, tenant: TenantId, before: int | None, limit: int) -> Sequence[SetAside]:
        """Those that were not discarded, newest first, cursor is `seq`."""

    async def named(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[SetAside]:
        """Those of them that are here, in this order."""

    async def forget(self, tenant: TenantId, seqs: Sequence[int]) -> None:
        """They are on their way again."""

    async def discard(self, tenant: TenantId, seq: int, at: Instant) -> bool:
        """Whether it was there. The event keeps its reason, but nobody is asked to look at it any more."""

    async def waiting(self) -> int:
        """How many wait for a person, of all tenants."""

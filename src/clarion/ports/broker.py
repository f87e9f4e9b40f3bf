"""The broker: keeps accepted events in lanes until they are planned."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from clarion.model.channel import Lane
from clarion.model.event import Entry, IdempotencyRecord, IdempotencyResult, Position
from clarion.model.ids import Instant


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of one lane, each with another `seq`; the consumer's until they are planned or it ends."""

    lane: Lane
    entries: tuple[Entry, ...]
    receipt: Any = None
    """The broker's own: by what it acknowledges them."""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in a lane."""

    entries: int
    """Not yet acknowledged."""
    oldest_at: Instant | None = None
    """When the oldest of them was accepted, as far as the broker can tell."""


class Broker(Protocol):
    """At-least-once delivery of entries, lane by lane. Each of several processes may publish and consume."""

    async def publish(self, entries: Sequence[Entry]) -> None:
        """Returns only after every entry is durable (fsync or quorum). Publishing one again does no harm.

        Raises Busy when the share of the tenant in a lane's buffer is full, Unavailable when the broker cannot write
        and InvalidInput when an entry is larger than the broker takes; some may have been published then.
        """

    def consume(self, lane: Lane, limit: int) -> AsyncGenerator[Batch]:
        """Batches of up to `limit` entries, growing with load, never lingering on a short queue.

        One consumer per lane and process. Starts with what is not planned, or not delivered to another process. The next
        batch may be asked for before the last one was acknowledged. It waits while the broker is away.
        """

    def positions(self, batch: Batch) -> tuple[Position, ...]:
        """Where the partitions of the batch stand with it, for the transaction that stores its plan. Asked right before,
        batch by batch in order. Empty for a broker that remembers by itself what was acknowledged."""

    async def ack(self, batch: Batch) -> None:
        """The plan of the batch is stored: never deliver it again. Need not be awaited before the next batch."""

    async def backlog(self, lane: Lane) -> Backlog:
        """What waits in the lane, for all processes. Raises Unavailable when nobody can tell."""

    async def close(self) -> None:
        """Stop delivering; what is unacknowledged comes again after the next start."""


@runtime_checkable
class LogBroker(Protocol):
    """More of a broker whose entries lie in the ledger's own log: claims and entries are one transaction, entries are consumed by
    the plan (`PlanCommit.consumed`), and a lane has one consumer among all processes (`EventLog.take`)."""

    async def publish_claimed(
        self, entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]
    ) -> Sequence[IdempotencyResult | None]:
        """As `Broker.publish`, but atomic per call, also when it raises. `claims[i]` guards `entries[i]` (entries of one claim
        stand together and repeat the same claim value): an entry whose claim is not fresh is not published."""

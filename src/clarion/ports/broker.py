"""The broker: keeps accepted events in lanes until they are planned."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from clarion.model.channel import Lane
from clarion.model.event import Entry, IdempotencyRecord, IdempotencyResult


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of one lane, in order; the consumer's until they are planned or it ends."""

    lane: Lane
    entries: tuple[Entry, ...]
    in_ledger: bool = False
    """They lie in the log of the ledger, which notes them as planned in the transaction that stores the plan."""


class Broker(Protocol):
    """At-least-once delivery of entries, lane by lane."""

    async def publish(
        self, entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]
    ) -> Sequence[IdempotencyResult | None]:
        """Returns only after every entry is durable (fsync or quorum).

        `claims[i]` guards `entries[i]` (entries of one claim stand together and repeat the same claim value):
        an entry whose claim is not fresh is not published. Atomic per call. Raises Busy when the share
        of the tenant in a lane's buffer is full and Unavailable when the store cannot write; nothing was accepted then.
        """

    def consume(self, lane: Lane, limit: int) -> AsyncGenerator[Batch]:
        """Batches of up to `limit` entries, growing with load, never lingering on a short queue.

        One consumer per lane. Starts with the first entry that is not planned. The next batch may be asked for before
        the last one was acknowledged; acknowledge in order.
        """

    async def ack(self, batch: Batch) -> None:
        """The plan of the batch is stored: never deliver it again. Need not be awaited before the next batch."""

    async def depth(self, lane: Lane) -> int:
        """Entries not yet acknowledged."""

    async def close(self) -> None:
        """Stop delivering; what is unacknowledged comes again after the next start."""

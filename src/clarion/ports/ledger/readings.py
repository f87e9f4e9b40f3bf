"""How far the sources and sinks of tenants have come, by whom, and what of it waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.reading import DeadRecord, DeadRecordFilter, Reading, ReadingKind, ReadingPlace


class Readings(Protocol):
    """Positions, one for each partition of a source. Each is moved by one worker at a time, until that gives it up, is given
    up, or another one takes the partition over."""

    async def take(
        self,
        worker: WorkerId,
        place: ReadingPlace,
        wanted: Mapping[str, WorkerId | None],
        new: Mapping[str, Mapping[str, str]],
    ) -> Mapping[str, Reading]:
        """Read on in these partitions, each with a higher fence. Those that somebody else reads stay away, unless that is whom
        `wanted` names. None come when this worker was given up.

        `new`: positions of partitions, for those that have none yet. With them `WHOLE` ends, if this worker reads it; if
        somebody else does, nothing happens.
        """

    async def move(self, worker: WorkerId, place: ReadingPlace, to: Mapping[str, Reading]) -> frozenset[str]:
        """Store position, lag and trouble by partition, and say where. Elsewhere nothing is stored: the fence is another one
        by now, or the worker was given up."""

    async def give_up(self, worker: WorkerId, place: ReadingPlace) -> None:
        """Others may read on, in every partition."""

    async def rewind(
        self, place: ReadingPlace, to: Mapping[str, Mapping[str, str]], at: Instant, *, repeat: bool
    ) -> None:
        """Go on from these positions, by partition, with a higher fence, so whoever reads begins anew. Partitions that are not
        named are forgotten. `repeat`: what was done is done again."""

    async def of(self, tenant: TenantId, kind: ReadingKind) -> Mapping[str, Mapping[str, Reading]]:
        """All of them, by key and partition."""

    async def forget(self, place: ReadingPlace) -> None:
        """As if nothing was ever read; whoever reads is refused."""


class DeadRecords(Protocol):
    """Records that could not be done, kept until a person has decided."""

    async def keep(self, records: Sequence[DeadRecord]) -> None:
        """Durable when this returns. The same place of an origin is kept once."""

    async def page(
        self, tenant: TenantId, where: DeadRecordFilter, before: int | None, limit: int
    ) -> Sequence[DeadRecord]:
        """Newest first, cursor is `seq`."""

    async def named(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[DeadRecord]:
        """Those of them that are here, in this order."""

    async def drop(self, tenant: TenantId, seqs: Sequence[int]) -> int:
        """How many were there."""

    async def count(self, tenant: TenantId, where: DeadRecordFilter, most: int) -> int:
        """How many wait, counted up to `most`."""

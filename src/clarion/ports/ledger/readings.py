"""How far the sources and sinks of tenants have come, by whom, and what of it waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.reading import DeadRecord, DeadRecordFilter, Reading, ReadingKind, ReadingPlace


class Readings(Protocol):
    """Positions. Each is moved by one worker at a time, until that gives it up or is given up."""

    async def take(self, worker: WorkerId, place: ReadingPlace) -> Reading | None:
        """Whoever asks first reads on from here, with a higher fence. None: another worker does, or this one was given
        up."""

    async def move(self, worker: WorkerId, place: ReadingPlace, to: Reading) -> bool:
        """Store the position, the lag and the trouble. False, and nothing is stored: the fence is another one by now, or
        the worker was given up."""

    async def give_up(self, worker: WorkerId, place: ReadingPlace) -> None:
        """Others may read on."""

    async def rewind(
        self, place: ReadingPlace, position: Mapping[str, str], at: Instant, *, repeat: bool
    ) -> None:
        """Go on from this position (empty: as if nothing was read yet) with a higher fence, so whoever reads begins
        anew. `repeat`: what was done is done again."""

    async def of(self, tenant: TenantId, kind: ReadingKind) -> Mapping[str, Reading]:
        """All of them, by key."""

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

"""Live resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.ids import Instant, TenantId
from clarion.model.live import LiveRow


class Lives(Protocol):
    """The states of live resources, sealed. A state never replaces a newer one."""

    async def put(self, row: LiveRow, after: int | None) -> bool:
        """Store the state that follows `after`, the sequence that was read (None: there was nothing). Whether it was
        stored; not if meanwhile there is another one."""

    async def get(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[str, LiveRow]:
        """Those that exist, by key."""

    async def page(self, tenant: TenantId, ended: bool | None, after: str, limit: int) -> Sequence[LiveRow]:
        """By key, behind `after`; those that have ended, that go on, or all."""

    async def drop(self, tenant: TenantId, key: str, id: bytes) -> bool:
        """Whether it was there."""

    async def due(self, now: Instant, limit: int) -> Sequence[LiveRow]:
        """Those of all tenants that somebody has to look at, the oldest first."""

    async def looked_at(
        self, tenant: TenantId, key: str, id: bytes, sequence: int, due_at: Instant | None
    ) -> None:
        """Nothing is left to do with this state before `due_at`. A newer state stays due."""

"""Conversations: when people wrote to us last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.ids import Instant, TenantId
from clarion.model.whatsapp import Heard


class Conversations(Protocol):
    """Kept for as long as it matters, a day."""

    async def hear(self, heard: Sequence[Heard], forget_before: Instant) -> None:
        """The later time of each stays, whatever comes first. What was heard before `forget_before` is forgotten."""

    async def heard(
        self, tenant: TenantId, integration: str, contacts: Sequence[bytes]
    ) -> Mapping[bytes, Instant]:
        """When each of these contacts was heard last; without those that were not."""

"""Adds and removes suppressions."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.suppression import Suppression
from clarion.ports.clock import Clock
from clarion.ports.ledger import Suppressions
from clarion.ports.vault import Vault, contact_hash
from clarion.rules import validation


class SuppressionService:
    """Suppresses addresses, and allows them again."""

    def __init__(self, suppressions: Suppressions, vault: Vault, clock: Clock) -> None:
        self._suppressions = suppressions
        self._vault = vault
        self._clock = clock

    def of(self, tenant: TenantId, channel: Channel, address: str, reason: str) -> Suppression:
        """The suppression of an address, not stored yet. Raises InvalidInput when it is no address."""
        validation.check_address(channel, address, "#/address")
        return Suppression(
            tenant=tenant,
            channel=channel,
            hash=contact_hash(self._vault, tenant, channel, address),
            reason=reason,
            at=self._clock.now(),
        )

    async def add(self, suppressions: Sequence[Suppression]) -> None:
        """No attempt that starts after this returns uses these addresses."""
        await self._suppressions.add(suppressions)

    async def remove(self, suppression: Suppression) -> bool:
        """Whether it was still there."""
        return await self._suppressions.remove(suppression.tenant, suppression.channel, suppression.hash)

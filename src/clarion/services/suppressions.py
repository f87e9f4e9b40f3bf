"""Adds and removes suppressions, and lifts those whose time is over."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from clarion.errors import Busy, Unavailable
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.suppression import Suppression
from clarion.ports.clock import Clock
from clarion.ports.ledger import Suppressions
from clarion.ports.vault import Vault, contact_hash
from clarion.rules import validation
from clarion.services.last_checks import LastChecks

EVERY_S = 30.0
AT_ONCE = 500
"""Lifted in one transaction."""


class SuppressionService:
    """Suppresses addresses, and allows them again."""

    def __init__(
        self, suppressions: Suppressions, last_checks: LastChecks, vault: Vault, clock: Clock
    ) -> None:
        self._suppressions = suppressions
        self._last_checks = last_checks
        self._vault = vault
        self._clock = clock

    def hash_of(self, tenant: TenantId, channel: Channel, address: str) -> bytes:
        """What an address is suppressed by. Raises InvalidInput when it is no address."""
        validation.check_address(channel, address, "#/address")
        return contact_hash(self._vault, tenant, channel, address)

    async def run(self) -> None:
        """Lift what is over, until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            with suppress(Busy, Unavailable):
                while await self._suppressions.expire(self._clock.now(), AT_ONCE) == AT_ONCE:
                    pass

    async def add(self, suppressions: Sequence[Suppression]) -> None:
        """No attempt that starts after this returns uses these addresses."""
        await self._suppressions.add(suppressions)
        await self._last_checks.passed()

    async def remove(self, suppression: Suppression) -> bool:
        """Whether it was still there."""
        return await self._suppressions.remove(suppression.tenant, suppression.channel, suppression.hash)

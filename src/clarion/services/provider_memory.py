"""Stores what providers have learned, encrypted in the ledger."""

from __future__ import annotations

from clarion.flow.setup_view import SetupView
from clarion.model.ids import TenantId
from clarion.model.setup import Learned

INSTALLATION = TenantId(0)
"""No tenant's: keys are hashes of what was learned about."""


class ProviderMemory:
    """Implements `ports.provider.Memory`."""

    def __init__(self, setup: SetupView) -> None:
        self._learned = setup.learned

    def get(self, key: str) -> str:
        """The stored text, if there is one."""
        known = self._learned.all(INSTALLATION).get(key)
        return "" if known is None else known.text

    async def put(self, key: str, text: str) -> None:
        """Replace the stored text."""
        await self._learned.put(INSTALLATION, Learned(key=key, text=text))

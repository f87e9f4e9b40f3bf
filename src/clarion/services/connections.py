"""Connections: HTTP services that steps of workflows may call."""

from __future__ import annotations

from clarion.ports.provider import ProviderTools


class ConnectionService:
    """Calls them."""

    def __init__(self, tools: ProviderTools) -> None:
        self._tools = tools

    async def refusal(self, url: str) -> str | None:
        """Why it would not be called, as far as can be told without calling it."""
        return await self._tools.refusal(url)

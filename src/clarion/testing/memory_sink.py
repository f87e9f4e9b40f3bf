"""A receiver of events in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from clarion.errors import Unavailable
from clarion.ports.sink import OutEvent, SinkPlugin


class MemorySinkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """There is nothing to set but a secret that nobody needs."""

    password: str = ""


class MemorySink:
    """Keeps what is written to it. Implements `ports.sink.EventWriter`, once for all."""

    def __init__(self) -> None:
        self.events: list[OutEvent] = []
        self.refused: dict[str, str] = {}
        """Types of events that are refused, and why."""
        self.trouble = ""
        """Why it cannot be reached."""

    def plugin(self) -> SinkPlugin:
        """The kind `memory`."""
        return SinkPlugin(
            name="memory",
            title="Memory",
            config=MemorySinkConfig,
            open=lambda config, tools: self,
            secrets=frozenset({"password"}),
        )

    async def write(self, events: Sequence[OutEvent]) -> Sequence[str | None]:
        await self.ping()
        self.events += [event for event in events if event.type not in self.refused]
        return [self.refused.get(event.type) for event in events]

    async def ping(self) -> None:
        if self.trouble:
            raise Unavailable(self.trouble)

    async def close(self) -> None:
        """Nothing is open."""

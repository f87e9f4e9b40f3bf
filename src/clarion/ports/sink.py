"""Sinks: where events about messages go. A kind is one file plus one entry-point line in the group `clarion.sinks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from clarion.ports.provider import ProviderTools

MEDIA_TYPE = "application/cloudevents+json"


class OutEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event, as it goes out."""

    id: str
    """The same whenever it is written again."""
    type: str
    subject: str
    """Whose order is kept: events of one subject are written in this order."""
    time: str
    data: bytes
    """JSON."""
    body: bytes
    """The whole CloudEvent 1.0 in structured mode, JSON."""


class EventWriter(Protocol):
    """One live connection to a topic, a queue or a URL, used by one task at a time."""

    async def write(self, events: Sequence[OutEvent]) -> Sequence[str | None]:
        """Durable over there when this returns. For each event None, or why it is refused and always will be.

        Raises Unavailable when some may not have arrived: all are written again. Raises ConfigError for settings that
        cannot work.
        """

    async def ping(self) -> None:
        """Reach the receiver without writing anything; raises ConfigError or Unavailable saying what to do."""

    async def close(self) -> None:
        """Release the connection; called once."""


class SinkPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a kind of sink brings."""

    name: str
    title: str
    config: type[msgspec.Struct]
    """Its settings; the `connection` of a sink is validated against this."""
    open: Callable[[Any, ProviderTools], EventWriter]
    """`open(config, tools)`. Reaches nobody; raises ConfigError, with a pointer to the field, for settings that cannot
    work and when a package is missing."""
    secrets: frozenset[str] = frozenset()
    """Names of config fields that must never be returned or logged."""
    example: dict[str, Any] = {}
    """A valid config, for documentation and the contract suite."""

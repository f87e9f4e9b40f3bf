"""What the API is built from. The composition root passes it once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from clarion.api import request_bodies
from clarion.flow.ledger import Ledger
from clarion.flow.pipeline import Pipeline
from clarion.ports.clock import Clock, Random
from clarion.ports.provider import ProviderPlugin
from clarion.ports.vault import Vault
from clarion.rules.origins import Origins
from clarion.services.registry import Services


class MetricsPage(Protocol):
    """The page that Prometheus reads."""

    def add(self, part: str, stats: Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]) -> None:
        """Ask `stats` at every scrape."""

    async def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its media type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiLimits:
    """Where the edge says "too much"."""

    body_bytes: int = 1024 * 1024
    batch: int = 1_000
    """Most events or users in one call."""
    depth: int = request_bodies.DEPTH
    """Deepest nesting of JSON."""
    request_s: float = 30.0
    """Longest a request may take, its body included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiParts:
    """Everything the edge works with."""

    pipeline: Pipeline
    ledger: Ledger
    vault: Vault
    clock: Clock
    random: Random
    services: Services
    providers: Mapping[str, ProviderPlugin]
    health: Callable[[], Awaitable[Mapping[str, str]]]
    """Part to "ok", or what is wrong with it."""
    metrics: MetricsPage
    version: str
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to stop: whoever waits for something answers at once."""
    origins: Origins = field(default_factory=Origins)
    """Web pages that may read answers to a user's own token."""
    limits: ApiLimits = field(default_factory=ApiLimits)
    may_advance: bool = False
    """Runs may be advanced, so that their waits are skipped."""
    region_secret: str = ""
    """By which the other of two regions is known; empty: it hands nothing over."""

"""What the HTTP edge is made of: handed in once by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from clarion.errors import ClarionError
from clarion.flow.engagement import Engagement
from clarion.flow.keys import ApiKeys
from clarion.flow.tokens import UserTokens
from clarion.model.content import AnyContent
from clarion.model.ids import TenantId
from clarion.model.message import Message, Run
from clarion.model.setup import Template
from clarion.model.submission import Acceptance, Submission
from clarion.ports.clock import Clock, Entropy
from clarion.ports.ledger import Ledger
from clarion.ports.provider import ProviderPlugin
from clarion.ports.vault import Vault


class Engine(Protocol):
    """What the edge asks of `clarion.flow.pipeline.Pipeline`."""

    async def submit(
        self, tenant: TenantId, submissions: Sequence[Submission]
    ) -> Sequence[Acceptance | ClarionError]:
        """Durable when it returns; one result per submission."""

    async def dry_run(self, tenant: TenantId, submission: Submission) -> Sequence[tuple[str, Run]]:
        """The plan as (user id, run); nothing is stored."""

    async def render(self, message: Message) -> AnyContent:
        """The content of a stored message."""


class TemplateFault(Protocol):
    """One thing wrong with a template."""

    @property
    def pointer(self) -> str: ...
    @property
    def line(self) -> int | None: ...
    @property
    def detail(self) -> str: ...


class Metrics(Protocol):
    """The page that Prometheus reads."""

    def add(self, part: str, stats: Callable[[], Mapping[str, Any]]) -> None:
        """Ask `stats` at every scrape."""

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its media type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Where the edge says "too much"."""

    body_bytes: int = 1024 * 1024
    batch: int = 1_000
    """Most events or users in one call."""
    depth: int = 32
    """Deepest nesting of JSON."""
    request_s: float = 30.0
    """Longest a request may take, its body included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiParts:
    """Everything the edge works with."""

    pipeline: Engine
    ledger: Ledger
    vault: Vault
    clock: Clock
    entropy: Entropy
    keys: ApiKeys
    tokens: UserTokens
    engagement: Engagement
    check_template: Callable[[Template], Sequence[TemplateFault]]
    providers: Mapping[str, ProviderPlugin]
    health: Callable[[], Mapping[str, str]]
    """Part to "ok", or what is wrong with it."""
    metrics: Metrics
    version: str
    limits: Limits = field(default_factory=Limits)

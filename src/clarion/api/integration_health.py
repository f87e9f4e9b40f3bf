"""`/v1/integrations/{key}/health`: how an integration does, and why it gets the messages it gets."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import get

from clarion.api.guards import ADMIN, Caller, Parts
from clarion.api.stored_documents import found
from clarion.flow.dispatch.integrations import IntegrationHealth
from clarion.model.channel import Channel


class IntegrationScore(msgspec.Struct, frozen=True, kw_only=True):
    """Why an integration gets its share: `weight` times every factor. A factor of 1 takes nothing away. What a message costs
    is one more factor for that message."""

    weight: int
    success: float
    """Calls of the last minutes that succeeded; newer ones count for more."""
    speed: float
    """Its latency, compared with the fastest integration of the channel."""
    receipts: float
    """Falls by a tenth at a time while reports about its messages stay away, and rises again."""


class IntegrationHealthView(msgspec.Struct, frozen=True, kw_only=True):
    """How an integration does, as this process sees it."""

    key: str
    channel: Channel
    provider: str
    enabled: bool
    circuit: Literal["closed", "open", "half_open"]
    """`open`: its provider fails, and nothing goes through it. `half_open`: a few messages try whether it works again."""
    trouble: str | None
    """Why nothing goes through it now; null: it can be used."""
    share: float
    """Part of the channel's messages that goes through it, from 0 to 1."""
    score: IntegrationScore
    per_day: int | None
    """Most messages of today, by `limits.per_day` and `limits.warm_up`; null: no limit."""
    used_today: int
    """Messages that all processes gave it today, as of the last one of this process. Counted where there is a limit."""
    messages: int
    """Messages it was given in the last ten minutes."""
    latency_ms: int | None
    """How long its calls take; null: there were none."""
    reported: float | None
    """Part of its messages of which its provider usually reports; null: it does not, as far as is known."""


@get("/{key:str}/health", opt=ADMIN)
async def get_integration_health(key: str, caller: Caller, parts: Parts) -> IntegrationHealthView:
    """How an integration does: its circuit, and the share of the channel's messages that its score gives it."""
    found(parts.ledger.setup.integrations, caller.tenant, key, "integration")
    health = next(
        one for one in parts.pipeline.integrations.health(caller.tenant) if one.integration.key == key
    )
    return health_view(health)


def health_view(health: IntegrationHealth) -> IntegrationHealthView:
    """How an integration does, as callers see it."""
    integration, standing, score = health.integration, health.standing, health.score
    return IntegrationHealthView(
        key=integration.key,
        channel=integration.channel,
        provider=integration.provider,
        enabled=integration.enabled,
        circuit=health.circuit,
        trouble=health.trouble or None,
        share=round(health.share, 3),
        score=IntegrationScore(
            weight=score.weight,
            success=round(score.success, 3),
            speed=round(score.speed, 3),
            receipts=round(score.receipts, 3),
        ),
        per_day=health.per_day,
        used_today=health.used_today,
        messages=standing.calls,
        latency_ms=None if standing.latency_ms is None else round(standing.latency_ms),
        reported=None if standing.reported is None else round(standing.reported, 3),
    )

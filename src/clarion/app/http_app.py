"""Builds the edges, and decides which of them answers a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any

from clarion import __version__, api, dashboard, gateway
from clarion.adapters.espeak import Espeak
from clarion.adapters.telemetry.prometheus import Metrics
from clarion.app.elsewhere import elsewhere
from clarion.app.resources import Resources
from clarion.config import DEV_FILE, Settings
from clarion.flow.pipeline import Pipeline
from clarion.model.worker import Role
from clarion.ports.configuration import Configuration
from clarion.rules.origins import Origins
from clarion.rules.paths import path_of, segments_of
from clarion.services.registry import Services

Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Any, Any], Awaitable[None]]

MONITORED = frozenset({("healthz",), ("readyz",), ("metrics",)})
LIVE = frozenset(tuple(path[1:].split("/")) for path in (gateway.WS_PATH, gateway.SSE_PATH))


def gateway_parts(resources: Resources, services: Services) -> gateway.GatewayParts:
    """For the live inboxes."""
    limits = resources.settings.gateway
    return gateway.GatewayParts(
        users=resources.ledger.users,
        inboxes=resources.ledger.inboxes,
        vault=resources.vault,
        clock=resources.clock,
        random=resources.random,
        fanout=resources.fanout,
        tokens=services.user_tokens,
        inbox_actions=services.inbox_actions,
        limits=gateway.GatewayLimits(
            connections=limits.connections,
            connections_per_tenant=limits.connections,
            connections_per_user=limits.connections_per_user,
            reconnects_per_s=limits.reconnects_per_s,
        ),
        origins=origins_of(resources.settings),
    )


def origins_of(settings: Settings) -> Origins:
    """The web pages that may work with a user's own token."""
    return Origins(settings.gateway.allowed_origins, own=settings.public_url, loopback=settings.mode == "dev")


def dashboard_parts(
    resources: Resources, pipeline: Pipeline, services: Services, configuration: Configuration
) -> dashboard.DashboardParts:
    """For the pages."""
    return dashboard.DashboardParts(
        mode=resources.settings.mode,
        pipeline=pipeline,
        ledger=resources.ledger,
        vault=resources.vault,
        clock=resources.clock,
        services=services,
        configuration=configuration,
        speech=Espeak.found(resources.clock) if resources.settings.mode == "dev" else None,
        dev_file=resources.settings.data_dir / DEV_FILE,
    )


def metrics_of(
    resources: Resources, pipeline: Pipeline, services: Services, inboxes: gateway.Gateway
) -> Metrics:
    """The page that Prometheus reads; the API adds what it counts itself."""
    metrics = Metrics()
    metrics.add("store", resources.ledger.stats)
    metrics.add("pipeline", pipeline.stats)
    metrics.add("pipeline", services.stats)
    metrics.add("gateway", inboxes.stats)
    metrics.add("fanout", lambda: resources.fanout.state().counted)
    if resources.redis is not None:
        metrics.add("redis", resources.redis.stats)
    return metrics


def api_parts(
    resources: Resources,
    pipeline: Pipeline,
    services: Services,
    inboxes: gateway.Gateway,
    metrics: Metrics,
    stopping: asyncio.Event,
) -> api.ApiParts:
    """For the HTTP API."""

    async def health() -> Mapping[str, str]:
        parts = await pipeline.health()
        return {**parts, **inboxes.health()} if Role.GATEWAY in resources.settings.roles else parts

    limits = resources.settings.limits
    return api.ApiParts(
        pipeline=pipeline,
        ledger=resources.ledger,
        vault=resources.vault,
        clock=resources.clock,
        random=resources.random,
        services=services,
        providers=resources.providers,
        health=health,
        metrics=metrics,
        version=__version__,
        stopping=stopping,
        origins=origins_of(resources.settings),
        limits=api.ApiLimits(body_bytes=limits.body_bytes, batch=limits.batch),
        may_advance=resources.settings.allow_advance or resources.settings.mode == "dev",
        region_secret=resources.settings.region.secret.get_secret_value(),
    )


def mount(pages: Asgi, inboxes: Asgi, rest: Asgi, roles: Collection[Role]) -> Asgi:
    """One application on one port: the pages, the live inboxes, and the API behind everything else.

    Each only if the process has its role. Whoever monitors it is answered whatever its roles are.
    """
    if Role.GATEWAY not in roles:
        inboxes = elsewhere(Role.GATEWAY)
    if Role.API not in roles:
        pages, rest = elsewhere(Role.API), _monitored(rest, elsewhere(Role.API))

    def serve(scope: Scope, receive: Any, send: Any) -> Awaitable[None]:
        # Handing on the coroutine instead of awaiting it saves a frame per open connection.
        segments = segments_of(scope)
        if segments is None:  # nothing is there: the API says so, and the gateway to a socket
            return (
                inboxes(scope, receive, send) if scope["type"] == "websocket" else rest(scope, receive, send)
            )
        scope["path"] = path_of(segments)
        if scope["type"] == "websocket" or segments in LIVE:
            return inboxes(scope, receive, send)
        if segments[:1] in ((), ("ui",)):
            return pages(scope, receive, send)
        return rest(scope, receive, send)

    return serve


def _monitored(rest: Asgi, others: Asgi) -> Asgi:
    def serve(scope: Scope, receive: Any, send: Any) -> Awaitable[None]:
        one = rest if segments_of(scope) in MONITORED else others
        return one(scope, receive, send)

    return serve

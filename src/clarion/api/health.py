"""`/healthz`, `/readyz`, `/metrics`: for monitoring. They need no credential and show nothing about tenants."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Request, Response, Router, get

from clarion.api import docs_pages
from clarion.api.guards import OPEN, Parts


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: str
    version: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server can take requests, and if not, which parts fail."""

    status: str
    parts: dict[str, str]
    """Each loop, queue, store and integration: `ok`, or what keeps it from working."""
    warnings: dict[str, str]
    """Parts that need attention but do not keep the server from working: they are not listed under `parts`."""


@get("/healthz", opt=OPEN)
async def healthz(parts: Parts) -> Alive:
    """The process is alive. For the state of its parts see `/readyz`."""
    return Alive(status="ok", version=parts.version)


@get("/readyz", opt=OPEN)
async def readyz(request: Request[Any, Any, Any], parts: Parts) -> Response[Ready]:
    """200 if every part works, else 503 with the parts that fail. Warnings do not cause 503. A browser gets a page."""
    health = dict(await parts.health())
    ready = all(state == "ok" for state in health.values())
    warnings = dict(await parts.pipeline.warnings())
    status_code = 200 if ready else 503
    if "text/html" in request.headers.get("accept", ""):
        return docs_pages.health(ready=ready, parts=health, warnings=warnings, status_code=status_code)
    said = Ready(status="ready" if ready else "not ready", parts=health, warnings=warnings)
    return Response(said, status_code=status_code)


@get("/metrics", opt=OPEN, media_type=MediaType.TEXT)
async def metrics(request: Request[Any, Any, Any], parts: Parts) -> Response[bytes]:
    """Counters and gauges in the Prometheus text format; OpenMetrics when asked for."""
    page, media_type = await parts.metrics.render(request.headers.get("accept", ""))
    return Response(page, headers={"content-type": media_type})


router = Router("/", route_handlers=[healthz, readyz, metrics], tags=["Health"])

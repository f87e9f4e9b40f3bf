"""The HTTP API: routes by noun, problem catalogue, authentication."""

from __future__ import annotations

from clarion.api.dependencies import ApiLimits, ApiParts
from clarion.api.edge import Edge
from clarion.api.routes import routed

__all__ = ["ApiLimits", "ApiParts", "create"]


def create(parts: ApiParts) -> Edge:
    """The HTTP API as an ASGI application, counted among the metrics."""
    edge = Edge(parts, routed(parts.version))
    parts.metrics.add("http", edge.stats)
    return edge

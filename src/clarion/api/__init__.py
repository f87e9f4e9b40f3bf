"""The HTTP API: routes by noun, problem catalogue, authentication."""

from __future__ import annotations

from clarion.api.dependencies import ApiParts, Limits
from clarion.api.edge import Edge
from clarion.api.routes import routed

__all__ = ["ApiParts", "Limits", "create"]


def create(parts: ApiParts) -> Edge:
    """The HTTP API as an ASGI application, counted among the metrics."""
    edge = Edge(parts, routed(parts.version))
    parts.metrics.add("http", edge.stats)
    return edge

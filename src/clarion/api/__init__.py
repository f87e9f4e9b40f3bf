"""The HTTP API: routes by noun, problem catalogue, authentication."""

from __future__ import annotations

from functools import cache

from clarion.api.config_documents import ConfigDocuments
from clarion.api.dependencies import ApiLimits, ApiParts
from clarion.api.edge import Edge
from clarion.api.routes import routed

__all__ = ["ApiLimits", "ApiParts", "ConfigDocuments", "create"]


routes_of = cache(routed)
"""The routes hold nothing of a process, and take a third of a second to make."""


def create(parts: ApiParts) -> Edge:
    """The HTTP API as an ASGI application, counted among the metrics."""
    edge = Edge(parts, routes_of(parts.version))
    parts.metrics.add("http", edge.stats)
    return edge

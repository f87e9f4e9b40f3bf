"""The live inbox: a session without I/O, a hub that fans out, WebSocket and SSE on top."""

from clarion.gateway.dependencies import GatewayLimits, GatewayParts
from clarion.gateway.edge import SSE_PATH, WS_PATH, Gateway, create
from clarion.gateway.session import Rules

__all__ = ["SSE_PATH", "WS_PATH", "Gateway", "GatewayLimits", "GatewayParts", "Rules", "create"]

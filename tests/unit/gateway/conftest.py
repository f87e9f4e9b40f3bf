"""A gateway that is closed at the end of every test, whatever is still connected."""

from collections.abc import AsyncIterator, Callable

import pytest

from clarion.gateway import GatewayLimits
from tests.gateway import GatewayServer

Build = Callable[..., GatewayServer]


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    """Builds running gateways with given limits."""
    servers: list[GatewayServer] = []

    def build(limits: GatewayLimits | None = None, origins: tuple[str, ...] = ()) -> GatewayServer:
        server = GatewayServer(limits, origins)
        server.gateway.start()
        servers.append(server)
        return server

    yield build
    for server in servers:
        await server.close()


@pytest.fixture
async def server(build: Build) -> GatewayServer:
    """A running gateway with the usual limits."""
    return build()

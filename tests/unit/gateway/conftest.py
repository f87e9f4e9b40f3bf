"""A gateway that is closed at the end of every test, whatever is still connected."""

from collections.abc import AsyncIterator, Callable

import pytest

from clarion.gateway import GatewayLimits
from tests.gateway import Town

Build = Callable[..., Town]


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    """Builds running gateways with given limits."""
    towns: list[Town] = []

    def build(limits: GatewayLimits | None = None, origins: tuple[str, ...] = ()) -> Town:
        town = Town(limits, origins)
        town.gateway.start()
        towns.append(town)
        return town

    yield build
    for town in towns:
        await town.close()


@pytest.fixture
async def town(build: Build) -> Town:
    """A running gateway with the usual limits."""
    return build()

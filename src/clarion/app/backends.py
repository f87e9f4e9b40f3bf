"""Finds the database, the broker and the fan-out of this process by the schemes of their URLs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from clarion.adapters.brokers.none import NoBroker
from clarion.adapters.extras import needs
from clarion.flow.ledger import Ledger
from clarion.model.worker import Role
from clarion.plugins import BROKERS, FANOUTS, LEDGERS, backend
from clarion.ports.backend import BackendTools, OpenBroker, OpenFanout, OpenStore
from clarion.ports.broker import Broker
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import Store

if TYPE_CHECKING:
    from clarion.adapters.redis.server import Server
    from clarion.config import Settings


def store_of(url: str, tools: BackendTools) -> AbstractAsyncContextManager[Store]:
    """The database that `database` names."""
    opened: OpenStore = backend(LEDGERS, "database", url)
    return opened(url, tools)


@contextlib.asynccontextmanager
async def ledger_of(settings: Settings, tools: BackendTools) -> AsyncIterator[Ledger]:
    """The same, and what tenants configured read from it."""
    async with store_of(settings.database, tools) as store:
        ledger = Ledger(store)
        await ledger.setup.catch_up()
        yield ledger


def broker_of(settings: Settings, tools: BackendTools, ledger: Ledger) -> AbstractAsyncContextManager[Broker]:
    """The broker that `broker` names; none for a process that only keeps connections."""
    if settings.roles == (Role.GATEWAY,):
        return contextlib.nullcontext(NoBroker())
    url = settings.broker
    opened: OpenBroker = backend(BROKERS, "broker", url)
    return opened(url, tools, ledger.store)


def fanout_of(settings: Settings, tools: BackendTools) -> AbstractAsyncContextManager[Fanout]:
    """The fan-out that `fanout` names."""
    url = settings.fanout
    opened: OpenFanout = backend(FANOUTS, "fanout", url)
    return opened(url, tools)


@contextlib.asynccontextmanager
async def redis_of(settings: Settings, tools: BackendTools, ledger: Ledger) -> AsyncIterator[Server | None]:
    """The server that `redis` names, if any: from here on the ledger's rate limits ask it first."""
    if not settings.redis:
        yield None
        return
    with needs("redis", "redis: a `redis:` URL"):
        from clarion.adapters.redis.quotas import RedisQuotas
        from clarion.adapters.redis.server import opened
        from clarion.adapters.redis.token_pool import TokenPool
    async with opened(settings.redis, tools) as server:
        ledger.quotas = RedisQuotas(ledger.quotas, TokenPool(server), tools.clock)
        yield server

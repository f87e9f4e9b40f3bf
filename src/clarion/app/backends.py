"""The database, the broker and the fan-out of this process: found by the schemes of their URLs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from clarion.config import Settings
from clarion.flow.ledger import Ledger
from clarion.plugins import BROKERS, FANOUTS, LEDGERS, backend
from clarion.ports.backend import BackendTools, OpenBroker, OpenFanout, OpenStore
from clarion.ports.broker import Broker
from clarion.ports.fanout import Fanout


@contextlib.asynccontextmanager
async def ledger_of(settings: Settings, tools: BackendTools) -> AsyncIterator[Ledger]:
    """The database that `database` names, and what tenants configured read from it."""
    url = settings.database
    opened: OpenStore = backend(LEDGERS, "database", url)
    async with opened(url, tools) as store:
        ledger = Ledger(store)
        await ledger.setup.catch_up()
        yield ledger


def broker_of(settings: Settings, tools: BackendTools, ledger: Ledger) -> AbstractAsyncContextManager[Broker]:
    """The broker that `broker` names."""
    url = settings.broker
    opened: OpenBroker = backend(BROKERS, "broker", url)
    return opened(url, tools, ledger.store)


def fanout_of(settings: Settings, tools: BackendTools) -> AbstractAsyncContextManager[Fanout]:
    """The fan-out that `fanout` names."""
    url = settings.fanout
    opened: OpenFanout = backend(FANOUTS, "fanout", url)
    return opened(url, tools)

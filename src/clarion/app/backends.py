"""The database, the broker and the fan-out of this process: found by the schemes of their URLs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from clarion.config import Settings
from clarion.plugins import BROKERS, FANOUTS, LEDGERS, backend
from clarion.ports.backend import BackendTools, OpenBroker, OpenFanout, OpenLedger
from clarion.ports.broker import Broker
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import Ledger


def ledger_of(settings: Settings, tools: BackendTools) -> AbstractAsyncContextManager[Ledger]:
    """The database that `database` names."""
    url = settings.database
    opened: OpenLedger = backend(LEDGERS, "database", url)
    return opened(url, tools)


def broker_of(settings: Settings, tools: BackendTools, ledger: Ledger) -> AbstractAsyncContextManager[Broker]:
    """The broker that `broker` names."""
    url = settings.broker
    opened: OpenBroker = backend(BROKERS, "broker", url)
    return opened(url, tools, ledger)


def fanout_of(settings: Settings, tools: BackendTools) -> AbstractAsyncContextManager[Fanout]:
    """The fan-out that `fanout` names."""
    url = settings.fanout
    opened: OpenFanout = backend(FANOUTS, "fanout", url)
    return opened(url, tools)

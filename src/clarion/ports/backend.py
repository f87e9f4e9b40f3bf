"""How an entry point opens a database, a broker or a fan-out.

Its name is the scheme of the URLs it opens. It raises ConfigError, saying what to do, when it cannot open one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from clarion.ports.broker import Broker
from clarion.ports.clock import Clock, Random
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import Store
from clarion.ports.vault import Vault


class BackendTools(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend is opened with, besides its URL."""

    data_dir: Path
    clock: Clock
    random: Random
    vault: Vault
    again: bool = False
    """The database was open a moment ago: whoever worked on it lives on, and keeps what it holds."""
    dry_run: bool = False
    """Only to see whether it can be used: nothing is made there, and it is not asked to do anything."""


OpenStore = Callable[[str, BackendTools], AbstractAsyncContextManager[Store]]
OpenBroker = Callable[[str, BackendTools, Store], AbstractAsyncContextManager[Broker]]
OpenFanout = Callable[[str, BackendTools], AbstractAsyncContextManager[Fanout]]

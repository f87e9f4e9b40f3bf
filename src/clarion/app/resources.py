"""What everything stands on: the data directory, the store in it, and what reaches the world outside."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from msgspec.structs import replace

from clarion import plugins
from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.adapters.http import HttpClient
from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.config import Settings
from clarion.content.mail import MimeBuilder
from clarion.errors import ConfigError
from clarion.ports.provider import ProviderPlugin, ProviderTools
from clarion.services.bounce_address import BounceAddress
from clarion.services.provider_memory import ProviderMemory

log = structlog.get_logger(__name__)

URL_CHECK_S = 9.0
"""Name servers that are slower do not hold up whoever stores a URL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """Opened first, closed last."""

    settings: Settings
    ledger: SqliteLedger
    vault: LocalVault
    clock: SystemClock
    random: SystemRandom
    tools: ProviderTools
    providers: Mapping[str, ProviderPlugin]
    fanout: MemoryFanout


def open_resources(settings: Settings, ends: contextlib.AsyncExitStack) -> Resources:
    """The data directory for this process alone, and what lies in it opened."""
    ends.enter_context(only_process(settings.data_dir))
    clock, random = SystemClock(), SystemRandom()
    # A new key beside an old database would read nothing.
    vault = LocalVault.from_file(settings.key_path, random, create=not settings.database_path.exists())
    ledger = SqliteLedger.open(settings.database_path, vault=vault, clock=clock, random=random)
    ends.push_async_callback(ledger.close)
    if ledger.erased_on_opening:
        log.warning("erased_on_opening", users=ledger.erased_on_opening)
    return Resources(
        settings=settings,
        ledger=ledger,
        vault=vault,
        clock=clock,
        random=random,
        tools=tools_of(settings, ledger, vault, clock, random),
        providers=plugins.providers(),
        fanout=MemoryFanout(),
    )


def tools_of(
    settings: Settings, ledger: SqliteLedger, vault: LocalVault, clock: SystemClock, random: SystemRandom
) -> ProviderTools:
    """What every provider is opened with."""
    tools = ProviderTools(
        clock=clock,
        random=random,
        vault=vault,
        mail=MimeBuilder(BounceAddress(vault).of),
        allowed_networks=settings.outbound.allowed_networks,
        memory=ProviderMemory(ledger.setup),
    )
    return replace(tools, refusal=HttpClient(tools, timeout_s=URL_CHECK_S).refusal)


@contextlib.contextmanager
def only_process(data_dir: Path) -> Iterator[None]:
    """Hold the data directory; ConfigError when another process has it, or it is not ours to write into."""
    path = data_dir / "clarion.lock"
    try:
        lock = path.open("a+")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}): the data directory must belong to the user Clarion runs as."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"{data_dir} is in use by another Clarion process: stop it, or choose another directory with --data-dir."
            ) from None
        yield

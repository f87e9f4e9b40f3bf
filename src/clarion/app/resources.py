"""Opens what all parts share: the data directory, the store, and the clients for other servers."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from clarion import plugins
from clarion.adapters.http import Fetch, HttpClient
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.app.backends import broker_of, fanout_of, ledger_of
from clarion.config import Settings
from clarion.content.mail import MimeBuilder
from clarion.errors import ConfigError
from clarion.flow.ledger import Ledger
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock, Random
from clarion.ports.fanout import Fanout
from clarion.ports.provider import ProviderPlugin, ProviderTools
from clarion.ports.vault import Vault
from clarion.services.callback_urls import CallbackUrls
from clarion.services.message_references import MessageReferences
from clarion.services.provider_memory import ProviderMemory

URL_CHECK_S = 9.0
"""Name servers that are slower do not hold up whoever stores a URL."""

FETCH_S = 9.0
FETCH_BYTES = 64 * 1024
"""Of what providers refer to, such as certificates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """Opened first, closed last."""

    settings: Settings
    ledger: Ledger
    vault: Vault
    clock: Clock
    random: Random
    tools: ProviderTools
    providers: Mapping[str, ProviderPlugin]
    broker: Broker
    fanout: Fanout


async def open_resources(settings: Settings, ends: contextlib.AsyncExitStack) -> Resources:
    """The data directory, for this process alone if the database is in it, and what lies there opened."""
    if not settings.database.startswith("unix:"):
        ends.enter_context(only_process(settings.data_dir))
    given = backend_tools_of(settings)
    ledger = await ends.enter_async_context(ledger_of(settings, given))
    return Resources(
        settings=settings,
        ledger=ledger,
        vault=given.vault,
        clock=given.clock,
        random=given.random,
        tools=tools_of(settings, ledger, given),
        providers=plugins.providers(),
        broker=await ends.enter_async_context(broker_of(settings, given, ledger)),
        fanout=await ends.enter_async_context(fanout_of(settings, given)),
    )


def backend_tools_of(settings: Settings) -> BackendTools:
    """What every backend is opened with. Raises ConfigError without the installation's key."""
    random = SystemRandom()
    # A new key beside an old database would read nothing.
    vault = LocalVault.from_file(settings.key_path, random, create=False)
    return BackendTools(data_dir=settings.data_dir, clock=SystemClock(), random=random, vault=vault)


def tools_of(settings: Settings, ledger: Ledger, given: BackendTools) -> ProviderTools:
    """What every provider is opened with."""
    references = MessageReferences(given.vault)
    tools = ProviderTools(
        clock=given.clock,
        random=given.random,
        vault=given.vault,
        mail=MimeBuilder(references.of),
        allowed_networks=settings.outbound.allowed_networks,
        memory=ProviderMemory(ledger.setup),
        reference=references.of,
    )
    if settings.public_url:
        tools = replace(tools, callback_url=CallbackUrls(given.vault, settings.public_url).of)
    return replace(
        tools,
        refusal=HttpClient(tools, timeout_s=URL_CHECK_S).refusal,
        fetch=Fetch(tools, timeout_s=FETCH_S, limit=FETCH_BYTES).whole,
    )


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

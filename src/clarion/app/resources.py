"""Opens what all parts share: the data directory, the store, and the clients for other servers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from clarion import plugins
from clarion.adapters.http import Fetch, HttpClient
from clarion.app.backends import broker_of, fanout_of, redis_of, store_of
from clarion.app.data_directory import only_process, tools_in
from clarion.app.store_process import StoreProcess
from clarion.config import Settings
from clarion.content.mail import MimeBuilder
from clarion.flow.ledger import Ledger
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock, Random
from clarion.ports.fanout import Fanout
from clarion.ports.provider import ProviderPlugin, ProviderTools
from clarion.ports.record_format import FormatPlugin
from clarion.ports.sink import SinkPlugin
from clarion.ports.source import SourcePlugin
from clarion.ports.vault import Vault
from clarion.services.callback_urls import CallbackUrls
from clarion.services.message_references import MessageReferences
from clarion.services.provider_memory import ProviderMemory

if TYPE_CHECKING:
    from clarion.adapters.redis.server import Server

URL_CHECK_S = 9.0
"""Name servers that are slower do not hold up whoever stores a URL."""

CALL_S = 4.5
"""Shorter than the shortest call of a connection, a third of it for the connection to open."""
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
    sources: Mapping[str, SourcePlugin]
    formats: Mapping[str, FormatPlugin]
    sinks: Mapping[str, SinkPlugin]
    broker: Broker
    fanout: Fanout
    redis: Server | None
    """What processes share besides the store."""


async def open_resources(
    settings: Settings, ends: contextlib.AsyncExitStack, process: StoreProcess | None = None
) -> Resources:
    """The data directory, for this process alone if the database is in it, and what lies there opened.

    `process`: the store is in it, and whoever started it holds the directory.
    """
    if process is not None:
        store = await ends.enter_async_context(process.store())
        given = backend_tools_of(settings)
    else:
        if settings.database.startswith("sqlite:"):
            ends.enter_context(only_process(settings.data_dir))
        given = backend_tools_of(settings)
        store = await ends.enter_async_context(store_of(settings.database, given))
    ledger = Ledger(store)
    await ledger.setup.catch_up()
    redis = await ends.enter_async_context(redis_of(settings, given, ledger))
    return Resources(
        settings=settings,
        ledger=ledger,
        vault=given.vault,
        clock=given.clock,
        random=given.random,
        tools=tools_of(settings, ledger, given),
        providers=plugins.providers(),
        sources=plugins.sources(),
        formats=plugins.formats(),
        sinks=plugins.sinks(),
        broker=await ends.enter_async_context(broker_of(settings, given, ledger)),
        fanout=await ends.enter_async_context(fanout_of(settings, given)),
        redis=redis,
    )


def backend_tools_of(settings: Settings) -> BackendTools:
    """What every backend is opened with. Raises ConfigError without the installation's key."""
    return tools_in(settings.data_dir, settings.key_path)


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
        http=HttpClient(tools, timeout_s=CALL_S).call,
    )

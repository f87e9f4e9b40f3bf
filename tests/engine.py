"""A complete engine for tests: its clock moves only when a test moves it, and its provider is scripted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec

from clarion.adapters.brokers.sql import SqlBroker
from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.adapters.ledgers.memory import MemoryLedger, Tables
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.api.user_lines import USER_LINES, write_users
from clarion.content import Renderer
from clarion.flow.intake.homes import Regions
from clarion.flow.ledger import Ledger
from clarion.flow.pipeline import Pipeline
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.ids import MessageId, TenantId, id_text
from clarion.model.message import Message, MessageFilter
from clarion.model.outgoing import Outgoing
from clarion.model.setup import (
    Category,
    Integration,
    SendAll,
    Step,
    Template,
    Tenant,
    Workflow,
)
from clarion.model.status import Status
from clarion.model.submission import Acceptance, Recipient, Submission
from clarion.model.user import Contact, Preferences, Profile, User, UserPut
from clarion.model.worker import Process
from clarion.plugins import formats
from clarion.plugins import providers as installed
from clarion.ports.broker import Broker
from clarion.ports.http import HttpCaller, nobody_calls
from clarion.ports.provider import ProviderPlugin
from clarion.ports.sink import SinkPlugin
from clarion.ports.source import SourcePlugin
from clarion.services.callback_urls import CallbackUrls
from clarion.services.consents import ConsentService
from clarion.services.last_checks import LastChecks
from clarion.services.message_references import MessageReferences
from clarion.services.provider_memory import ProviderMemory
from clarion.services.registry import Services
from clarion.services.response_links import ResponseLinks
from clarion.services.unsubscribe import UnsubscribeLinks
from clarion.testing.ports import ManualClock, SeededRandom, provider_tools
from clarion.testing.providers import RecordingProvider
from clarion.testing.quiescence import Quiescence
from tests.ledger_files import new_ledger
from tests.limited import InThread

BASE_URL = "https://notify.example"

ALL_CHANNELS = Template(
    key="note",
    channels={
        Channel.SMS: {"en": {"text": "{{ data.text }}"}},
        Channel.EMAIL: {"en": {"subject": "{{ data.text }}", "text": "{{ data.text }}"}},
        Channel.PUSH: {"en": {"title": "{{ data.text }}"}},
        Channel.IN_APP: {"en": {"title": "{{ data.text }}"}},
    },
    example_data={"text": "hello"},
)


def sms_text(outgoing: Outgoing) -> str:
    """The text of an SMS."""
    assert isinstance(outgoing.content, SmsContent)
    return outgoing.content.text


def workflow(key: str, category: str = "news", channel: Channel = Channel.SMS, **more: Any) -> Workflow:
    """A workflow that sends the note on one channel, unless `steps` says otherwise."""
    fields: dict[str, Any] = {
        "steps": (Step(key="note", template="note", to=SendAll(channels=(channel,))),),
        **more,
    }
    return Workflow(key=key, category=category, **fields)


def _queued(store: Any) -> int:
    """How many rows its thread has still to write, or transactions its server, if it has one."""
    if isinstance(store, PostgresLedger):
        return store._database.under_way
    writer = getattr(store, "_writer", None)
    return 0 if writer is None else int(writer.queued)


Store = Path | Tables | str
"""Where the ledger is: the directory of a SQLite file, tables in memory that live on like a server behind a network, or the URL
of such a server."""


class NetworkCalls:
    """Counts the calls of real providers: only the server at the other end knows when they are over."""

    def __init__(self) -> None:
        self.under_way = 0

    def watch(self, plugins: Mapping[str, ProviderPlugin]) -> dict[str, ProviderPlugin]:
        """The same plug-ins, their calls counted."""
        return {
            name: msgspec.structs.replace(plugin, open=partial(self._open, plugin))
            for name, plugin in plugins.items()
        }

    def _open(self, plugin: ProviderPlugin, *given: Any) -> Any:
        provider: Any = plugin.open(*given)
        for name in ("send", "send_reporting", "withdraw", "whatsapp_templates", "fetch_receipts"):
            if hasattr(provider, name):
                setattr(provider, name, partial(self._call, getattr(provider, name)))
        return provider

    async def _call(self, send: Callable[..., Awaitable[Any]], *given: Any) -> Any:
        self.under_way += 1
        try:
            return await send(*given)
        finally:
            self.under_way -= 1


class Scripted(Protocol):
    """What sends in an engine."""

    def plugin(self) -> ProviderPlugin:
        """The plug-in `recording`."""


class Engine:
    """One run of the process. After `crash`, open another one on the same store."""

    ledger: Ledger

    def __init__(
        self,
        store: Store,
        clock: ManualClock,
        provider: Scripted,
        seed: int,
        process: Process | None = None,
    ) -> None:
        self.store = store
        self.process = process
        self.clock = clock
        self.provider: Any = provider
        self.random = SeededRandom(seed)
        self.vault = LocalVault(b"k" * 32, self.random)
        self.tenant = TenantId(1)
        self.limited = InThread()
        self.last_checks = LastChecks(clock, 0)
        """What opt-outs wait for. Set before it is opened: here, time only passes when it is told."""
        self.network = NetworkCalls()
        self.sources: dict[str, SourcePlugin] = {}
        self.sinks: dict[str, SinkPlugin] = {}
        """Kinds that sources and sinks may be of; set before it is opened."""
        self.http: HttpCaller = nobody_calls
        """Who makes the calls of steps; set before it is opened."""
        self.regions: Regions | None = None
        """Where users may be at home; set before it is opened."""
        self._network_until_s = 0.0

    async def open(self) -> Engine:
        if isinstance(self.store, str):
            return await self.work_on(await self.opened_on_server(self.store))
        return await self.work_on(self.opened())

    async def opened_on_server(self, url: str) -> PostgresLedger:
        """Open the ledger at this URL. Nobody else is alive."""
        connection = await asyncpg.connect(url)
        await connection.execute("UPDATE workers SET lease_until = 0")
        await connection.close()
        return await PostgresLedger.open(url, vault=self.vault, clock=self.clock, random=self.random)

    def opened(self) -> MemoryLedger | SqliteLedger:
        """Open the ledger; the first process creates it."""
        tools: dict[str, Any] = {"vault": self.vault, "clock": self.clock, "random": self.random}
        assert not isinstance(self.store, str)
        if isinstance(self.store, Tables):
            return MemoryLedger(tables=self.store, alone=True, **tools)
        path = self.store / "clarion.db"
        return SqliteLedger.open(path if path.exists() else new_ledger(path), **tools)

    async def work_on(self, ledger: Any, broker: Broker | None = None) -> Engine:
        """Start on an open ledger, which other engines may use too; `broker`: instead of the one in the ledger."""
        self.ledger = Ledger(ledger)
        self._quiescence = Quiescence(lambda: _queued(ledger), self._awaits_network)
        self.fanout = MemoryFanout()
        self.broker: Broker = broker or SqlBroker(self.ledger.log, self.clock)
        lent = msgspec.structs.replace(
            provider_tools(self.clock, self.random, self.vault),
            allowed_networks=("127.0.0.0/8",),
            http=self.http,
            memory=ProviderMemory(self.ledger.setup),
            reference=MessageReferences(self.vault).of,
            callback_url=CallbackUrls(self.vault, BASE_URL).of,
        )
        consents = ConsentService(self.ledger, self.last_checks, self.vault, self.clock, self.random)
        unsubscribe = UnsubscribeLinks(self.ledger, consents, self.vault, BASE_URL)
        self.pipeline: Any = Pipeline(
            ledger=self.ledger,
            broker=self.broker,
            fanout=self.fanout,
            renderer=Renderer(),
            limited=self.limited,
            plugins={**self.network.watch(installed()), "recording": self.provider.plugin()},
            tools=lent,
            unsubscribe_url=unsubscribe.url,
            opt_out=unsubscribe.leave_over,
            response_url=ResponseLinks(self.vault, BASE_URL).url,
            process=self.process,
            regions=self.regions,
        )
        self.services: Any = Services.on(
            self.pipeline,
            ledger=self.ledger,
            fanout=self.fanout,
            tools=lent,
            limited=self.limited,
            last_checks=self.last_checks,
            consents=consents,
            unsubscribe=unsubscribe,
            lines=USER_LINES,
            write_users=write_users,
            base_url=BASE_URL,
            sources=self.sources,
            formats=formats(),
            sinks=self.sinks,
        )
        self.inbox_actions = self.services.inbox_actions
        await self.pipeline.start()
        self.services.start(self.pipeline)
        return self

    async def create_setup(self, *workflows: Workflow, categories: tuple[Category, ...] = ()) -> None:
        """Create a tenant with the note template, an integration for every channel, and the given workflows and categories."""
        setup = self.ledger.setup
        if not setup.tenants.all():
            await setup.tenants.put(Tenant(id=TenantId(0), key="acme"))
        await setup.templates.put(self.tenant, ALL_CHANNELS)
        for channel in (Channel.SMS, Channel.EMAIL, Channel.PUSH):
            await setup.integrations.put(
                self.tenant, Integration(key=f"main-{channel}", channel=channel, provider="recording")
            )
        await setup.integrations.put(
            self.tenant, Integration(key="inbox", channel=Channel.IN_APP, provider="inapp")
        )
        for category in categories:
            await setup.categories.put(self.tenant, category)
        for one in workflows:
            await setup.workflows.put(self.tenant, one)

    async def put_user(
        self,
        user_id: str,
        preferences: Preferences | None = None,
        zone: str = "UTC",
        *,
        devices: Sequence[str] = (),
    ) -> User:
        """Create or replace a user who can be reached on every channel; `devices` are push addresses."""
        profile = Profile(
            contacts=(
                Contact(channel=Channel.SMS, address="+4915112345678"),
                Contact(channel=Channel.EMAIL, address=f"{user_id}@example.org"),
                *(
                    Contact(channel=Channel.PUSH, address=device)
                    for device in devices or (f"token-{user_id}",)
                ),
            ),
            locale="en",
            timezone=zone,
            preferences=preferences or Preferences(),
        )
        (user,) = await self.ledger.users.put(self.tenant, [UserPut(id=user_id, profile=profile)])
        return user

    async def trigger(self, key: str, *users: str | Recipient, **more: Any) -> Acceptance:
        """Submit an event, and fail unless it is accepted."""
        fields: dict[str, Any] = {"data": msgspec.Raw(b'{"text":"hello"}'), **more}
        submission = Submission(workflow=key, recipients=users, **fields)
        (answer,) = await self.pipeline.submit(self.tenant, [submission])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until_idle(self, network_s: float = 2.0) -> None:
        """Wait until nothing more happens unless the clock moves. Calls to real servers are awaited for at most `network_s`."""
        self._network_until_s = asyncio.get_running_loop().time() + network_s
        await self._quiescence.reached()

    async def pass_time(self, seconds: float) -> None:
        """Advance the clock so that due work runs, and wait until it is done."""
        await self.until_idle()
        self.clock.advance(seconds)
        for _ in range(3):
            await self.until_idle()
            self.clock.advance(0.2)
        await self.until_idle()

    async def messages(self, **where: Any) -> Mapping[MessageId, Message]:
        """All messages that match, by id: `workflow`, `channel` and `reason` name one each."""
        where |= {
            f"{name}s": frozenset({where.pop(name)})
            for name in ("workflow", "channel", "reason")
            if name in where
        }
        found: dict[MessageId, Message] = {}
        cursor: MessageId | None = None
        while True:
            page, cursor = await self.ledger.records.page(
                self.tenant,
                MessageFilter(**where),
                cursor,
                200,
            )
            found.update((m.id, m) for m in page)
            if cursor is None:
                return found

    async def one(self, **where: Any) -> Message:
        """The only message that matches."""
        found = list((await self.messages(**where)).values())
        assert len(found) == 1, [f"{id_text(m.id)} {m.channel} {m.status} {m.reason}" for m in found]
        return found[0]

    async def eventually(self, status: Status, **where: Any) -> bool:
        """Whether the only message that matches gets that far within seconds, while others may hang."""
        for _ in range(500):
            found = list((await self.messages(**where)).values())
            if [m.status for m in found] == [status]:
                return True
            await asyncio.sleep(0.01)
        return False

    async def until(self, true: Callable[[], Awaitable[bool]]) -> bool:
        """Advance the clock in growing steps until the condition is true. The number of steps is bounded, not the seconds."""
        for step in range(600):
            await self.until_idle(network_s=0.005)
            if await true():
                return True
            self.clock.advance(0.05 if step < 200 else 0.5)
        return False

    async def crash(self) -> None:
        """End without draining, and close the ledger: what was not committed is lost."""
        await self.kill()
        await self.ledger.close()

    async def kill(self) -> None:
        """End without draining, and leave the ledger open for other engines."""
        await self.pipeline.loops.stop()
        await self._in_time(self.pipeline.dispatcher.drain(0.0))

    async def stop(self) -> None:
        """Stop gracefully while the clock moves, and close the ledger."""
        await self.leave()
        await self.ledger.close()

    async def leave(self) -> None:
        """Stop gracefully, and leave the ledger open for other engines."""
        await self._in_time(self.pipeline.drain(1.0))

    async def _in_time(self, work: Coroutine[Any, Any, None]) -> None:
        """Await the work, and advance the clock whenever nothing else happens."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await self.until_idle(network_s=0.005)
            if not task.done():
                self.clock.advance(0.05)
        await task

    def _awaits_network(self) -> bool:
        return bool(self.network.under_way) and asyncio.get_running_loop().time() < self._network_until_s


@contextlib.asynccontextmanager
async def engine(
    store: Store,
    *,
    provider: Scripted | None = None,
    clock: ManualClock | None = None,
    seed: int = 1,
    sources: Mapping[str, SourcePlugin] | None = None,
    sinks: Mapping[str, SinkPlugin] | None = None,
    http: HttpCaller = nobody_calls,
) -> AsyncIterator[Engine]:
    """An engine that is stopped at the end."""
    one = Engine(store, clock or ManualClock(), provider or RecordingProvider(batch=50), seed)
    one.http = http
    one.sources.update(sources or {})
    one.sinks.update(sinks or {})
    await one.open()
    try:
        yield one
    finally:
        await one.stop()

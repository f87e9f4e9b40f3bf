"""The complete API over an engine on a SQLite file, called in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from clarion.adapters.brokers.sql import SqlBroker
from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.adapters.http import HttpClient
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.providers.capture import plugin as capture
from clarion.adapters.providers.discord import plugin as discord
from clarion.adapters.providers.inapp import plugin as inapp
from clarion.adapters.providers.smtp import plugin as smtp
from clarion.adapters.providers.webhook import plugin as webhook
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.telemetry.prometheus import Metrics
from clarion.adapters.vaults.local import LocalVault
from clarion.api import ApiLimits, ApiParts
from clarion.api.edge import Edge
from clarion.api.routes import routed
from clarion.api.user_lines import USER_LINES, write_users
from clarion.content import Renderer
from clarion.flow.ledger import Ledger
from clarion.flow.pipeline import Pipeline
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import (
    NO_TENANT,
    Category,
    EventMatch,
    Integration,
    Scope,
    SendAll,
    Step,
    Template,
    Tenant,
    Workflow,
)
from clarion.plugins import formats
from clarion.ports.provider import ProviderPlugin
from clarion.services.callback_urls import CallbackUrls
from clarion.services.consents import ConsentService
from clarion.services.last_checks import LastChecks
from clarion.services.message_references import MessageReferences
from clarion.services.registry import Services
from clarion.services.response_links import ResponseLinks
from clarion.services.unsubscribe import UnsubscribeLinks
from clarion.testing.memory_sink import MemorySink
from clarion.testing.memory_topic import MemoryTopic
from clarion.testing.ports import provider_tools
from tests.ledger_files import new_ledger
from tests.limited import InThread

ROUTES = routed("1.2.3")
ACME = TenantId(1)
OTHER = TenantId(2)


class MailerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings with a secret among them."""

    host: str
    password: str
    port: int = 587


MAILER = ProviderPlugin(
    name="mailer",
    title="Mailer",
    channels=frozenset({Channel.EMAIL}),
    config=MailerConfig,
    open=lambda integration, config, tools: capture.open(integration, capture.config(), tools),
    secrets=frozenset({"password"}),
)


PUBLIC_URL = "https://notify.example"


async def resolve(host: str) -> list[str]:
    """Stands in for the name server."""
    return ["10.0.0.8"] if host.endswith(".internal") else ["93.184.216.34"]


class Api:
    """An HTTP client with one credential."""

    def __init__(self, edge: Edge, credential: str) -> None:
        self.credential = credential
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(edge),
            base_url="http://clarion",
            headers={"authorization": f"Bearer {credential}"} if credential else {},
        )

    async def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> httpx.Response:
        if json is not None:
            more["content"] = msgspec.json.encode(json)
            more["headers"] = {"content-type": "application/json", **more.get("headers", {})}
        return await self._http.request(method, path, **more)

    async def ok(self, method: str, path: str, json: Any = None, **more: Any) -> Any:
        """The answer's body, which must be a success."""
        answer = await self(method, path, json, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def problem(self, method: str, path: str, json: Any = None, **more: Any) -> dict[str, Any]:
        """The problem of an answer, which must be one."""
        answer = await self(method, path, json, **more)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        shown: dict[str, Any] = answer.json()
        assert shown["status"] == answer.status_code
        return shown


class Installation:
    """One installation of Clarion, and clients for its API."""

    def __init__(self, directory: Path) -> None:
        path = directory / "clarion.db"
        if not path.exists():
            new_ledger(path)
        self.clock, self.random = SystemClock(), SystemRandom()
        self.vault = LocalVault(b"k" * 32, self.random)
        self.ledger = Ledger(SqliteLedger.open(path, vault=self.vault, clock=self.clock, random=self.random))
        self.fanout = MemoryFanout()
        self.providers = {
            "capture": capture,
            "inapp": inapp,
            "mailer": MAILER,
            "smtp": smtp,
            "webhook": webhook,
            "discord": discord,
        }
        tools = msgspec.structs.replace(
            provider_tools(self.clock, self.random, self.vault), allowed_networks=("127.0.0.1/32",)
        )
        self.caller = HttpClient(tools, timeout_s=9, resolve=resolve)
        tools = msgspec.structs.replace(
            tools,
            refusal=self.caller.refusal,
            reference=MessageReferences(self.vault).of,
            callback_url=CallbackUrls(self.vault, PUBLIC_URL).of,
        )
        last_checks = LastChecks(self.clock, 0)
        consents = ConsentService(self.ledger, last_checks, self.vault, self.clock, self.random)
        unsubscribe = UnsubscribeLinks(self.ledger, consents, self.vault, PUBLIC_URL)
        self.pipeline = Pipeline(
            ledger=self.ledger,
            broker=SqlBroker(self.ledger.log, self.clock),
            fanout=self.fanout,
            renderer=Renderer(),
            limited=InThread(),
            plugins=self.providers,
            tools=tools,
            unsubscribe_url=unsubscribe.url,
            opt_out=unsubscribe.leave_over,
            response_url=ResponseLinks(self.vault, PUBLIC_URL).url,
        )
        self.topic = MemoryTopic()
        """What sources of the kind `memory` read."""
        self.receiver = MemorySink()
        """What sinks of the kind `memory` write to."""
        self.services = Services.on(
            self.pipeline,
            ledger=self.ledger,
            fanout=self.fanout,
            tools=tools,
            limited=InThread(),
            last_checks=last_checks,
            consents=consents,
            unsubscribe=unsubscribe,
            lines=USER_LINES,
            write_users=write_users,
            base_url=PUBLIC_URL,
            sources={"memory": self.topic.plugin()},
            formats=formats(),
            sinks={"memory": self.receiver.plugin()},
        )
        self.keys, self.tokens = self.services.api_keys, self.services.user_tokens
        self.health = {"engine": "ok"}
        self.edge = self.with_limits(ApiLimits())

    async def ask_health(self) -> dict[str, str]:
        return self.health

    def with_limits(self, limits: ApiLimits, **other: Any) -> Edge:
        """The API with other limits, or other parts."""
        metrics = Metrics()
        metrics.add("store", self.ledger.stats)
        metrics.add("pipeline", self.pipeline.stats)
        metrics.add("pipeline", self.services.stats)
        parts: dict[str, Any] = {
            "pipeline": self.pipeline,
            "ledger": self.ledger,
            "vault": self.vault,
            "clock": self.clock,
            "random": self.random,
            "services": self.services,
            "providers": self.providers,
            "health": self.ask_health,
            "metrics": metrics,
            "version": "1.2.3",
            "limits": limits,
        }
        return Edge(ApiParts(**{**parts, **other}), ROUTES)

    async def client(self, scope: Scope, tenant: TenantId = ACME, edge: Edge | None = None) -> Api:
        """A client with a fresh key."""
        _, text = await self.keys.create(tenant, "test", scope)
        return Api(edge or self.edge, text)

    def bearer(self, credential: str, edge: Edge | None = None) -> Api:
        """A client with any credential."""
        return Api(edge or self.edge, credential)

    async def own(self, user_id: str, tenant: TenantId = ACME, ttl_s: int = 900) -> Api:
        """A client with a user's own token."""
        user = (await self.ledger.users.find(tenant, [user_id]))[user_id]
        return Api(self.edge, self.tokens.mint(user, ttl_s))

    async def create_setup(self) -> None:
        """Create two tenants; the first has one workflow that sends to email, SMS and the inbox."""
        setup = self.ledger.setup
        for key in ("acme", "other"):
            await setup.tenants.put(Tenant(id=TenantId(0), key=key))
        await setup.categories.put(ACME, Category(key="orders"))
        await setup.templates.put(
            ACME,
            Template(
                key="paid",
                channels={
                    Channel.EMAIL: {
                        "en": {"subject": "Order {{ data.id }}", "text": "Thanks, {{ data.id }}"}
                    },
                    Channel.SMS: {"en": {"text": "Paid {{ data.id }}"}},
                    Channel.IN_APP: {"en": {"title": "Paid {{ data.id }}", "body": "Thanks"}},
                },
            ),
        )
        for channel, provider in (
            (Channel.EMAIL, "capture"),
            (Channel.SMS, "capture"),
            (Channel.IN_APP, "inapp"),
        ):
            await setup.integrations.put(
                ACME, Integration(key=f"main-{channel}", channel=channel, provider=provider)
            )
        to = SendAll(channels=(Channel.EMAIL, Channel.SMS, Channel.IN_APP))
        await setup.workflows.put(
            ACME,
            Workflow(
                key="order-paid",
                category="orders",
                on=EventMatch(type="order.paid"),
                steps=(Step(key="note", template="paid", to=to),),
            ),
        )


@pytest.fixture
async def clarion(tmp_path: Path) -> AsyncIterator[Installation]:
    """A running installation with two tenants and one workflow."""
    clarion = Installation(tmp_path)
    await clarion.create_setup()
    await clarion.pipeline.start()
    clarion.services.start(clarion.pipeline)
    yield clarion
    await clarion.pipeline.drain(1.0)
    await clarion.caller.close()
    await clarion.ledger.close()


@pytest.fixture
async def admin(clarion: Installation) -> Api:
    """A client with an admin key."""
    return await clarion.client(Scope.ADMIN)


@pytest.fixture
async def ada(admin: Api) -> dict[str, Any]:
    """A user with email and phone."""
    body = {"email": "ada@example.com", "phone": "+4915112345678", "locale": "en"}
    user: dict[str, Any] = await admin.ok("PUT", "/v1/users/ada", body)
    return user


@pytest.fixture
async def operator(clarion: Installation) -> Api:
    """A client with an operator key."""
    return await clarion.client(Scope.OPERATOR, NO_TENANT)

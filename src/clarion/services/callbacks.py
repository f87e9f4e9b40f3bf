"""Callbacks of providers: verified, read, and stored before they are answered. Taking one again changes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
import structlog

from clarion.content.bounces import refused_email
from clarion.errors import CallbackForged, CallbackUnreadable, NotFound, Unavailable
from clarion.flow.ledger import Ledger
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.lru import Lru
from clarion.model.quarantine import KeptCallback, Quarantined, QuarantineKind
from clarion.model.receipt import Receipt
from clarion.model.setup import Integration
from clarion.ports.callback import (
    Callback,
    CallbackAnswer,
    CallbackRequest,
    Callbacks,
    CallbackTools,
    DocumentNeeded,
    Method,
    ReportedReceipt,
)
from clarion.ports.clock import Clock
from clarion.ports.provider import ProviderPlugin
from clarion.ports.vault import Vault, contact_hash
from clarion.services.callback_urls import CallbackUrls
from clarion.services.inbound_messages import InboundMessages
from clarion.services.message_references import MessageReferences
from clarion.services.receipt_groups import ReceiptGroups
from clarion.services.responses import Pressed, Responses, told
from clarion.services.whatsapp import WhatsAppService

log = structlog.get_logger(__name__)

MOST_BYTES = 10 * 1024 * 1024
"""Of one request."""
QUICK_BYTES = 64 * 1024
"""A larger body is read in a thread: it would keep everybody else waiting."""
MOST_KEPT = 256 * 1024
"""Bytes kept of a callback that waits for a person."""
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})
LONGEST_NAME = 200
"""Characters of who pressed a button."""
MOST_DOCUMENTS = 32
"""Certificates kept in memory."""

T = TypeVar("T")
Fetch = Callable[[str], Awaitable[bytes]]


class CallbackTarget(NamedTuple):
    """Whom a callback is for."""

    tenant: TenantId
    integration: Integration
    callbacks: Callbacks
    config: Any


class CallbackService:
    """Takes the callbacks of all integrations."""

    def __init__(
        self,
        ledger: Ledger,
        plugin: Callable[[str], ProviderPlugin | None],
        urls: CallbackUrls,
        store: ReceiptGroups,
        inbound: InboundMessages,
        responses: Responses,
        whatsapp: WhatsAppService,
        fetch: Fetch,
        vault: Vault,
        clock: Clock,
    ) -> None:
        """`plugin(name)`: the provider of that name. `fetch(url)` GETs something small; raises Unavailable."""
        self._integrations = ledger.setup.integrations
        self._quarantine = ledger.quarantine
        self._plugin = plugin
        self.urls = urls
        self._store = store
        self._inbound = inbound
        self._responses = responses
        self._whatsapp = whatsapp
        self._fetch = fetch
        self._vault = vault
        self._clock = clock
        self._references = MessageReferences(vault)
        self._configs: Lru[tuple[TenantId, str], tuple[Integration, Any]] = Lru(1_000)
        self._documents: Lru[str, bytes] = Lru(MOST_DOCUMENTS)
        self.taken: Counter[str] = Counter()
        """What became of callbacks, by outcome; read by metrics."""
        self.unknown_references = 0
        """Receipts about messages that are not ours."""

    def url(self, tenant: TenantId, integration: Integration) -> str:
        """Where its provider reports to; empty when it does not call."""
        plugin = self._plugin(integration.provider)
        if plugin is None or plugin.callbacks is None:
            return ""
        return self.urls.of(tenant, integration.key)

    def target(self, key: str, token: str) -> CallbackTarget:
        """The integration a URL belongs to. Raises NotFound when there is none."""
        tenant = self.urls.read(key, token)
        found = None if tenant is None else self._found(tenant, key)
        if found is None:
            self.taken["unknown_url"] += 1
            raise NotFound(
                "There is no such callback URL: copy `callback_url` of the integration into the provider's settings."
            )
        return found

    def target_of(self, tenant: TenantId, key: str) -> CallbackTarget:
        """The integration with this key. Raises NotFound when there is none whose provider reports."""
        found = self._found(tenant, key)
        if found is None:
            raise NotFound(f"The integration {key!r} is gone, or its provider reads no callbacks.")
        return found

    async def take(
        self, target: CallbackTarget, method: Method, query: str, headers: Mapping[str, str], body: bytes
    ) -> CallbackAnswer:
        """What to answer; everything is durable then. Raises CallbackForged, Busy or Unavailable, and nothing was
        stored."""
        url = self.urls.of(target.tenant, target.integration.key)
        request = CallbackRequest(
            method=method, url=f"{url}?{query}" if query else url, headers=headers, body=body
        )
        try:
            documents = await self._verified(target, request)
        except CallbackForged as forged:
            self.taken["forged"] += 1
            log.warning(
                "callback_forged",
                tenant=target.tenant,
                integration=target.integration.key,
                detail=forged.detail,
            )
            raise
        callback = await self._understood(target, request, documents)
        pressed = await self._carry_out(target, callback)
        if callback.unread:
            await self._keep(target, request, callback.unread)
        self.taken["unreadable" if callback.unread else "taken"] += 1
        if callback.told is not None and pressed is not None:
            return callback.told(told(pressed))
        return callback.answer

    async def take_queued(self, target: CallbackTarget, bodies: Sequence[bytes]) -> None:
        """Take reports from a queue that only the provider can write to. Everything is durable when this returns: also what
        makes no sense, which is kept for a person. Raises Busy or Unavailable, and is to be repeated then."""
        url = self.urls.of(target.tenant, target.integration.key)
        requests = [CallbackRequest(url=url, body=body) for body in bodies]
        read = [await self._understood(target, request, {}) for request in requests]
        # No visits: nobody has verified where they lead to.
        whole = Callback(
            receipts=tuple(chain.from_iterable(one.receipts for one in read)),
            messages=tuple(chain.from_iterable(one.messages for one in read)),
            pressed=tuple(chain.from_iterable(one.pressed for one in read)),
            templates=tuple(chain.from_iterable(one.templates for one in read)),
        )
        await self._carry_out(target, whole)
        for request, one in zip(requests, read, strict=True):
            if one.unread:
                await self._keep(target, request, one.unread)
            self.taken["unreadable" if one.unread else "taken"] += 1

    async def report(
        self, tenant: TenantId, integration: Integration, reported: Sequence[ReportedReceipt]
    ) -> None:
        """Take receipts that are known to be the provider's. They are durable when this returns. Raises Busy or
        Unavailable, and is to be repeated then."""
        if receipts := self._receipts(tenant, integration, reported):
            await self._store.store(receipts)

    async def retry(self, kept: Quarantined) -> bool:
        """Read a kept callback once more, with what the plug-in understands by now; whether all of it made sense: then
        it is no longer kept. Raises CallbackUnreadable, and it stays."""
        target = self.target_of(kept.tenant, kept.integration)
        callback = self.opened(kept)
        if callback.cut:
            raise CallbackUnreadable("its body was too large to be kept whole: only its beginning is there")
        url = self.urls.of(target.tenant, target.integration.key)
        request = CallbackRequest(
            method=callback.method,
            url=f"{url}?{callback.query}" if callback.query else url,
            headers=callback.headers,
            body=callback.body,
        )
        read = await self._read(target, request, {})
        await self._carry_out(target, read)
        if read.unread:
            raise CallbackUnreadable(read.unread)
        return await self._quarantine.drop(kept.tenant, kept.seq)

    def opened(self, kept: Quarantined) -> KeptCallback:
        """What is kept of a callback."""
        plain = self._vault.open(self._vault.tenant_key(kept.tenant), kept.sealed)
        return msgspec.msgpack.decode(plain, type=KeptCallback)

    def _found(self, tenant: TenantId, key: str) -> CallbackTarget | None:
        integration = self._integrations.all(tenant).get(key)
        plugin = None if integration is None else self._plugin(integration.provider)
        if integration is None or plugin is None or plugin.callbacks is None:
            return None
        return CallbackTarget(
            tenant, integration, plugin.callbacks, self._config(tenant, integration, plugin)
        )

    async def _keep(self, target: CallbackTarget, request: CallbackRequest, error: str) -> None:
        tenant = target.tenant
        log.warning("callback_kept", tenant=tenant, integration=target.integration.key, detail=error)
        callback = KeptCallback(
            error=error,
            method=request.method,
            query=urlsplit(request.url).query,
            headers={name: value for name, value in request.headers.items() if name not in _CREDENTIALS},
            body=request.body[:MOST_KEPT],
            cut=len(request.body) > MOST_KEPT,
        )
        kept = Quarantined(
            tenant=tenant,
            kind=QuarantineKind.CALLBACK,
            why="not_understood",
            integration=target.integration.key,
            sealed=self._vault.seal(self._vault.tenant_key(tenant), msgspec.msgpack.encode(callback)),
            digest=self._vault.hash("callback", request.url.encode() + b"\n" + request.body),
            at=self._clock.now(),
        )
        await retry_until_stored("quarantine", lambda: self._quarantine.keep(kept), self._clock)

    # -- verify and read ------------------------------------------------------------------------------------------

    async def _verified(self, target: CallbackTarget, request: CallbackRequest) -> Mapping[str, bytes]:
        """Returns what it took to verify the request."""
        documents: dict[str, bytes] = {}
        needed = await self._verify(target, request, documents)
        if needed is not None:
            documents[needed.url] = await self._document(needed.url)
            if await self._verify(target, request, documents) is not None:
                raise CallbackForged("it needs more than one certificate")
        return documents

    async def _verify(
        self, target: CallbackTarget, request: CallbackRequest, documents: Mapping[str, bytes]
    ) -> DocumentNeeded | None:
        try:
            return await self._asked(target.callbacks.verify, target, request, documents)
        except CallbackForged:
            raise
        except Exception as surprise:  # noqa: BLE001 - foreign code, whose words may hold what it was given
            log.error(
                "callback_not_verified", integration=target.integration.key, error=type(surprise).__name__
            )
            raise CallbackForged(f"the provider's plug-in failed ({type(surprise).__name__})") from None

    async def _document(self, url: str) -> bytes:
        known = self._documents.get(url)
        return known if known is not None else self._documents.put(url, await self._fetch(url))

    async def _understood(
        self, target: CallbackTarget, request: CallbackRequest, documents: Mapping[str, bytes]
    ) -> Callback:
        """What it says, or that it makes no sense."""
        try:
            return await self._read(target, request, documents)
        except CallbackUnreadable as wrong:
            return Callback(unread=wrong.detail or "it makes no sense")

    async def _read(
        self, target: CallbackTarget, request: CallbackRequest, documents: Mapping[str, bytes]
    ) -> Callback:
        try:
            return await self._asked(target.callbacks.read, target, request, documents)
        except CallbackUnreadable:
            raise
        except Exception as surprise:  # noqa: BLE001 - foreign code, whose words may hold what it was given
            log.error("callback_not_read", integration=target.integration.key, error=type(surprise).__name__)
            raise CallbackUnreadable(f"the provider's plug-in failed ({type(surprise).__name__})") from None

    async def _asked(
        self,
        what: Callable[[CallbackRequest, Any, CallbackTools], T],
        target: CallbackTarget,
        request: CallbackRequest,
        documents: Mapping[str, bytes],
    ) -> T:
        tools = CallbackTools(now=self._clock.now(), documents=documents, refused_email=refused_email)
        if len(request.body) <= QUICK_BYTES:
            return what(request, target.config, tools)
        return await asyncio.to_thread(what, request, target.config, tools)

    def _config(self, tenant: TenantId, integration: Integration, plugin: ProviderPlugin) -> Any:
        place = (tenant, integration.key)
        known = self._configs.get(place)
        if known is None or known[0] is not integration:
            try:
                known = self._configs.put(
                    place, (integration, msgspec.convert(integration.config, plugin.config))
                )
            except msgspec.ValidationError:
                raise Unavailable(
                    "the integration's settings are refused: `clarion check` says why"
                ) from None
        return known[1]

    # -- carry out ------------------------------------------------------------------------------------------------

    async def _carry_out(self, target: CallbackTarget, callback: Callback) -> Pressed | None:
        """What came of the last button."""
        if callback.templates:
            await self._whatsapp.change(target.tenant, target.integration, callback.templates)
        if callback.messages:
            if target.integration.channel is Channel.WHATSAPP:
                await self._whatsapp.hear(target.tenant, target.integration, callback.messages)
            await self._inbound.take(target.tenant, target.integration, callback.messages)
        await self.report(target.tenant, target.integration, callback.receipts)
        last = None
        for one in callback.pressed:
            channel = target.integration.channel.value
            last = await self._responses.press_by_id(
                one.id, channel, tenant=target.tenant, by=one.by[:LONGEST_NAME]
            )
        for url in callback.visits:
            await self._fetch(url)
        return last

    def _receipts(
        self, tenant: TenantId, integration: Integration, reported: Sequence[ReportedReceipt]
    ) -> Sequence[Receipt]:
        """Those about messages of this tenant."""
        now = self._clock.now()
        found: list[Receipt] = []
        for one in reported:
            about = self._references.read(one.reference)
            if about is None or about[0] != tenant:
                self.unknown_references += 1
                continue
            found.append(
                Receipt(
                    tenant=tenant,
                    message_id=about[1],
                    kind=one.kind,
                    at=now if one.at is None else one.at,
                    permanent=one.permanent,
                    reason=one.reason,
                    integration=integration.key,
                    contact=contact_hash(self._vault, tenant, integration.channel, one.address)
                    if one.address
                    else b"",
                    detail=one.detail,
                    provider_id=one.provider_id,
                )
            )
        return found

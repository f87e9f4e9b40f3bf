"""Apprise: one URL of https://appriseit.com/services/ opens any of its services. Needs the extra `apprise`.

Apprise says yes or no and nothing else: there is no id, no receipt and no reason. A no may hide a message that arrived,
so prefer a provider of Clarion's own where there is one. Its URL is the operator's; nothing of a user's gets into it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from clarion.adapters.chat import content_of, unmentioning, web_url
from clarion.adapters.extras import needs
from clarion.adapters.http.guard import UrlGuard
from clarion.adapters.http.requests import guarded
from clarion.adapters.isolation import surprised
from clarion.errors import ConfigError
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools

if TYPE_CHECKING:
    from apprise import NotifyBase

THREADS = 8
"""Apprise blocks: this many messages of an integration are under way at once."""
TIME_SHARE = 0.9
"""Part of the integration's time limit, so that every message gets its own outcome."""
TALKATIVE = ("apprise", "urllib3")
"""Loggers that would show content and URLs with their secrets."""


class AppriseConfig(ProviderSettings, frozen=True, kw_only=True):
    """A service of Apprise's."""

    url: str
    """Such as `ntfy://ntfy.example.com/orders` or `matrix://user:password@host/#room`: one service, the operator's."""


class AppriseBridge:
    """Implements `ports.provider.Provider` in threads of its own."""

    def __init__(self, service: NotifyBase, timeout_s: float, guard: UrlGuard) -> None:
        self._service = service
        self._guard = guard
        self._timeout_s = TIME_SHARE * timeout_s
        # Silence is ours to judge: Apprise would give up first, say no, and the message would go out twice.
        service.socket_read_timeout = timeout_s
        service.socket_connect_timeout = min(service.socket_connect_timeout, self._timeout_s)
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="apprise")

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """What has not begun in time never will, and is `Retry`; what has begun and not ended is `Unknown`."""
        calls = [self._threads.submit(self._notify, outgoing) for outgoing in batch]
        try:
            if calls:
                await asyncio.wait(map(asyncio.wrap_future, calls), timeout=self._timeout_s)
            return [_outcome(call) for call in calls]
        finally:
            for call in calls:
                call.cancel()

    async def ping(self) -> None:
        """Apprise has no way to ask a service without sending something."""

    async def close(self) -> None:
        """Let calls under way end by themselves, within the time limits of Apprise's own."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _notify(self, outgoing: Outgoing) -> Outcome:
        try:
            content = content_of(outgoing)
            body, title = text_of(content), unmentioning(content.title)
        except Exception as fault:  # noqa: BLE001 - concerns this message only
            return surprised(fault, idempotent=True)
        try:
            with guarded(self._guard):
                sent = self._service.notify(body=body or title, title=title)
        except ConfigError as refused:
            return Misconfigured(detail=refused.detail)
        except Exception as fault:  # noqa: BLE001 - a plug-in of Apprise's can raise anything
            return Unknown(detail=f"Apprise raised {type(fault).__name__}")
        return Accepted() if sent else Retry(detail="Apprise could not send it and does not say why")


def text_of(content: ChatContent) -> str:
    """Everything as lines of text: Apprise knows a title and a body."""
    lines = [content.text, web_url(content.url)]
    lines += [f"{label}: {value}" for label, value in content.fields.items()]
    lines += [f"{action.label}: {url}" for action in content.actions if (url := web_url(action.url))]
    return unmentioning("\n".join(filter(None, lines)))


def _outcome(call: Future[Outcome]) -> Outcome:
    if call.cancel():
        return Retry(reason=Reason.PROVIDER_TIMEOUT, detail="no thread became free in time")
    if not call.done():
        return Unknown(reason=Reason.PROVIDER_TIMEOUT, detail="Apprise did not come back in time")
    return call.result()


def _service(url: str) -> NotifyBase:
    with needs("apprise", "Apprise"):
        from apprise import Apprise, AppriseAsset, OverflowMode
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    asset = AppriseAsset(async_mode=False, http_redirects=False, storage_mode="memory")
    service = Apprise.instantiate(url, asset=asset)
    if service is None:
        raise ConfigError(
            "`url` is not one that Apprise understands: see https://appriseit.com/services/ for the form of each service",
            pointer="#/url",
        )
    if not hasattr(sys.modules[type(service).__module__], "requests"):
        raise ConfigError(
            f"the service `{url.partition('://')[0]}` does not speak HTTP, and its connections cannot be guarded: "
            "choose a service that does, or a provider of Clarion's own",
            pointer="#/url",
        )
    if service.overflow_mode is OverflowMode.UPSTREAM:
        service.overflow_mode = OverflowMode.TRUNCATE
    return service


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return AppriseBridge(_service(config.url), integration.limits.timeout_s, UrlGuard(tools.allowed_networks))


plugin = ProviderPlugin(
    name="apprise",
    title="Apprise (150 services)",
    channels=frozenset({Channel.CHAT}),
    config=AppriseConfig,
    open=_open,
    batch=THREADS,
    secrets=frozenset({"url"}),
    example={"url": "ntfy://ntfy.example.com/orders"},
)

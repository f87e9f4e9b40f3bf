"""A URL, called with signed CloudEvents as Standard Webhooks 1.0.0 wants them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec

from clarion.adapters.http import HttpClient, HttpFailure, HttpRequest
from clarion.adapters.webhook_signature import signature
from clarion.errors import ConfigError, Unavailable
from clarion.model.endpoint import secret_key
from clarion.ports.provider import ProviderSettings, ProviderTools, WebUrl
from clarion.ports.sink import MEDIA_TYPE, EventWriter, OutEvent, SinkPlugin

AT_ONCE = 16
"""Subjects that are told of at the same time; the events of each one after the other."""
MOST_ANSWER = 4_096
REFUSALS = frozenset({400, 413, 415, 422})
"""Answers that say that this event is wrong."""


class HttpSink(ProviderSettings, frozen=True, kw_only=True):
    """Where to, and with which secret."""

    url: WebUrl
    secret: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\Awhsec_[A-Za-z0-9+/]+=*\Z",
            description="a webhook secret: whsec_ and 24 to 64 bytes in base64",
        ),
    ]
    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 15.0


class HttpWriter:
    """Implements `ports.sink.EventWriter`."""

    def __init__(self, config: HttpSink, tools: ProviderTools) -> None:
        self._config = config
        self._tools = tools
        self._caller = HttpClient(tools, timeout_s=config.timeout_s)

    async def write(self, events: Sequence[OutEvent]) -> Sequence[str | None]:
        """The events of one subject go one after the other, those of several at once."""
        answers: list[str | None] = [None] * len(events)
        by_subject: dict[str, list[int]] = {}
        for place, event in enumerate(events):
            by_subject.setdefault(event.subject, []).append(place)
        free = asyncio.Semaphore(AT_ONCE)

        async def tell(places: list[int]) -> None:
            async with free:
                for place in places:
                    answers[place] = await self._call(events[place])

        told = await asyncio.gather(*map(tell, by_subject.values()), return_exceptions=True)
        for fault in told:
            if isinstance(fault, BaseException):
                raise fault
        return answers

    async def ping(self) -> None:
        refused = await self._tools.refusal(self._config.url)
        if refused is not None:
            raise ConfigError(refused, pointer="#/url")

    async def close(self) -> None:
        await self._caller.close()

    async def _call(self, event: OutEvent) -> str | None:
        now = self._tools.clock.now()
        request = HttpRequest(
            url=self._config.url,
            headers={
                "content-type": MEDIA_TYPE,
                "webhook-id": event.id,
                "webhook-timestamp": str(now // 1_000),
                "webhook-signature": signature([self._config.secret], event.id, now // 1_000, event.body),
            },
            body=event.body,
        )
        until_s = self._tools.clock.monotonic() + self._config.timeout_s
        reply = await self._caller.call(request, until_s=until_s, limit=MOST_ANSWER)
        if isinstance(reply, HttpFailure):
            if reply.kind == "refused":
                raise ConfigError(reply.detail, pointer="#/url")
            raise Unavailable(reply.detail)
        if reply.status in REFUSALS:
            return f"the receiver answered {reply.status}"
        if not 200 <= reply.status < 300:
            raise Unavailable(
                f"the receiver answered {reply.status}", retry_after_s=round(reply.retry_after_s or 5)
            )
        return None


def opened(config: HttpSink, tools: ProviderTools) -> EventWriter:
    """Raises ConfigError when the secret is none."""
    try:
        secret_key(config.secret)
    except ValueError as wrong:
        raise ConfigError(f"secret: {wrong}", pointer="#/secret") from None
    return HttpWriter(config, tools)


plugin = SinkPlugin(
    name="http",
    title="HTTP",
    config=HttpSink,
    open=opened,
    secrets=frozenset({"secret"}),
    example={"url": "https://shop.example/events", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
)

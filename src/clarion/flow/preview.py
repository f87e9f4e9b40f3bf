"""What one person would get, before anybody is sent anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.content import Renderer, Segments, prices, segments
from clarion.content.locales import choose
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import AnyContent, PushContent, SmsContent
from clarion.model.push import push_bytes
from clarion.model.setup import Template, Tenant
from clarion.model.user import User
from clarion.ports.clock import Clock

EXAMPLE_LINK = "https://example.com/unsubscribe"
"""Stands for the link that leaves a category."""
KEPT = 16
"""Templates kept compiled between two looks."""


class TextMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a text message takes, and costs."""

    encoding: str
    """`GSM-7`, or `UCS-2` when one character is outside it: then a segment holds less than half."""
    segments: int
    units: int
    """Septets, or UTF-16 code units."""
    cost: dict[str, float]
    """By country code or beginning of numbers, as in the tenant's `sms_prices`."""
    currency: str
    """The tenant's `sms_currency`."""
    priced_as: str
    """The row of `cost` that this reader's number falls under; empty: they have none, or there is no price for it."""
    expected: float | None
    """What it costs to send it to this reader: that row of `cost`."""


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is nothing to show."""

    detail: str
    pointer: str = ""
    line: int | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as one person would get it."""

    channel: Channel
    locale: str | None
    """The language of the template that was chosen; null: it has none for this channel."""
    content: AnyContent | None = None
    bytes: dict[str, int] = {}
    """Size per field in UTF-8, and `total`: the whole as JSON."""
    sms: TextMessage | None = None
    error: Broken | None = None


class Previews:
    """Renders whatever an author is looking at."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._renderer = Renderer(cache=KEPT)

    async def of(
        self,
        template: Template,
        tenant: Tenant,
        user: User,
        data: Mapping[str, Any],
        channels: Iterable[Channel],
        *,
        can_be_left: bool = False,
    ) -> list[Preview]:
        """Every channel asked for. `template.partials` are the partials it may use. `can_be_left`: it is sent in a
        category that people may opt out of.
        """
        link = EXAMPLE_LINK if can_be_left else ""
        return await asyncio.to_thread(
            lambda: [self._one(template, tenant, user, data, channel, link) for channel in channels]
        )

    def _one(
        self,
        template: Template,
        tenant: Tenant,
        user: User,
        data: Mapping[str, Any],
        channel: Channel,
        unsubscribe_url: str,
    ) -> Preview:
        wanted = (user.profile.locale, tenant.locale, template.default_locale)
        shown = Preview(channel=channel, locale=choose(template.channels.get(channel, ()), *wanted))
        try:
            content = self._renderer.render(
                template=template,
                channel=channel,
                user=user,
                tenant=tenant,
                event_data=data,
                unsubscribe_url=unsubscribe_url,
                now=self._clock.now(),
            )
        except ContentError as wrong:
            return replace(
                shown, error=Broken(detail=wrong.detail, pointer=wrong.pointer or "", line=wrong.line)
            )
        sms = billed(content.text, tenant, user) if isinstance(content, SmsContent) else None
        return replace(shown, content=content, bytes=sizes(content), sms=sms)


def billed(text: str, tenant: Tenant, user: User) -> TextMessage:
    """The segments of a text, and what they cost by the tenant's price table: everywhere, and for this reader."""
    cut: Segments = segments(text)
    cost = {name: prices.cost(cut.count, price) for name, price in sorted(tenant.sms_prices.items())}
    row = prices.row(_number(user), tenant.sms_prices)
    return TextMessage(
        encoding=cut.encoding,
        segments=cut.count,
        units=cut.units,
        cost=cost,
        currency=tenant.sms_currency,
        priced_as=row,
        expected=cost.get(row),
    )


def _number(user: User) -> str:
    """Where a text message would go; empty when nowhere."""
    numbers = user.usable(Channel.SMS)
    return numbers[0].address if numbers else ""


def sizes(content: AnyContent) -> dict[str, int]:
    """Bytes per field that has any, and of the whole as it is sent."""
    fields: dict[str, Any] = {name: getattr(content, name) for name in content.__struct_fields__}
    return {
        name: len(value.encode() if isinstance(value, str) else msgspec.json.encode(value))
        for name, value in fields.items()
        if value
    } | {
        "total": push_bytes(content)
        if isinstance(content, PushContent)
        else len(msgspec.json.encode(content))
    }

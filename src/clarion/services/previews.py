"""Renders what one user would receive, without sending it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.content import Renderer, Segments, segments
from clarion.content.localise.locales import choose
from clarion.errors import ContentError
from clarion.flow.limited_tasks import Task, done, shown
from clarion.model.channel import Channel
from clarion.model.content import AnyContent, PushContent, SmsContent
from clarion.model.ids import Instant
from clarion.model.push import push_bytes
from clarion.model.setup import Money, Template, Tenant
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.limited import Exceeded, Limited
from clarion.rules import prices

EXAMPLE_LINK = "https://example.com/unsubscribe"
"""Stands for the link that leaves a category."""
KEPT = 16
"""Templates kept compiled between two looks."""


class TextMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The segments and costs of an SMS."""

    encoding: str
    """`GSM-7`, or `UCS-2` when one character is outside it: then a segment holds less than half."""
    segments: int
    units: int
    """Septets, or UTF-16 code units."""
    cost: dict[str, Money]
    """By country code or beginning of numbers, as in the tenant's prices of text messages."""
    priced_as: str | None
    """The row of `cost` that this reader's number falls under; null: they have none, or there is no price for it."""
    expected: Money | None
    """What it costs to send it to this reader: that row of `cost`."""


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """Why a preview failed."""

    detail: str
    pointer: str | None = None
    line: int | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one channel for one user."""

    channel: Channel
    locale: str | None
    """The language of the template that was chosen; null: it has none for this channel."""
    content: AnyContent | None = None
    bytes: dict[str, int] = {}
    """Size per field in UTF-8, and `total`: the whole as JSON."""
    sms: TextMessage | None = None
    error: Broken | None = None


class PreviewTask(Task, frozen=True, kw_only=True):
    """The task to render a template for one user."""

    template: Template
    tenant: Tenant
    user: User
    data: dict[str, Any]
    channels: tuple[Channel, ...]
    unsubscribe_url: str
    now: Instant

    def done(self) -> list[Preview]:
        """Every channel asked for."""
        return [self._one(channel) for channel in self.channels]

    def _one(self, channel: Channel) -> Preview:
        template, tenant, user = self.template, self.tenant, self.user
        wanted = (user.profile.locale, tenant.locale, template.default_locale)
        preview = Preview(channel=channel, locale=choose(template.channels.get(channel, ()), *wanted))
        try:
            content = _renderer().render(
                template=template,
                channel=channel,
                user=user,
                tenant=tenant,
                event_data=self.data,
                unsubscribe_url=self.unsubscribe_url,
                now=self.now,
            )
        except ContentError as wrong:
            return replace(preview, error=Broken(detail=wrong.detail, pointer=wrong.pointer, line=wrong.line))
        sms = billed(content.text, tenant, user) if isinstance(content, SmsContent) else None
        return replace(preview, content=content, bytes=sizes(content), sms=sms)


@cache
def _renderer() -> Renderer:
    return Renderer(cache=KEPT)


class Previews:
    """Renders previews in the limited process."""

    def __init__(self, limited: Limited, clock: Clock) -> None:
        self._limited = limited
        self._clock = clock

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
        category that people may opt out of. Raises ContentError when it takes too much memory or time.
        """
        task = PreviewTask(
            template=template,
            tenant=tenant,
            user=shown(user),
            data=dict(data),
            channels=tuple(channels),
            unsubscribe_url=EXAMPLE_LINK if can_be_left else "",
            now=self._clock.now(),
        )
        previews = await done(self._limited, task, list[Preview])
        if isinstance(previews, Exceeded):
            raise ContentError(f"the template cannot be rendered with these data: {previews.detail}")
        return previews


def billed(text: str, tenant: Tenant, user: User) -> TextMessage:
    """The segments of a text, and what they cost by the tenant's price table: everywhere, and for this reader."""
    cut: Segments = segments(text)
    table = tenant.prices.get(Channel.SMS, {})
    cost = {name: prices.cost(cut.count, price) for name, price in sorted(table.items())}
    row = prices.row(_number(user), table)
    return TextMessage(
        encoding=cut.encoding,
        segments=cut.count,
        units=cut.units,
        cost=cost,
        priced_as=row or None,
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

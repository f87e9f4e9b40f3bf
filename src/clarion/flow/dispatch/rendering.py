"""Renders a message from its template and its event."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from clarion.content import Renderer
from clarion.errors import ContentError
from clarion.flow.lanes import InFlight
from clarion.flow.limited_tasks import Task, all_done, shown
from clarion.flow.lookups import template_of
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.content import AnyContent
from clarion.model.event import EMPTY_DATA, Event
from clarion.model.ids import Instant, TenantId
from clarion.model.lru import Lru
from clarion.model.message import Message
from clarion.model.setup import Template, Tenant
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.limited import Exceeded, Limited

LIMITED_KEPT = 64
"""Templates kept compiled in the limited process."""
OLD_KEPT = 256
"""Replaced versions kept in memory; what still waits rarely needs more than the last few of a template."""

NO_OVERRIDES = bytes(EMPTY_DATA)

_decode = msgspec.json.Decoder().decode


class Failed(msgspec.Struct, frozen=True):
    """Why there is no content."""

    detail: str
    pointer: str = ""
    line: int | None = None


class MessageTask(Task, frozen=True, kw_only=True):
    """Render a message whose caller set some of its content."""

    template: Template
    channel: Channel
    user: User
    tenant: Tenant
    data: msgspec.Raw
    overrides: msgspec.Raw
    workflow: str
    unsubscribe_url: str
    now: Instant

    def done(self) -> Rendered:
        """Render it: the content, or why there is none."""
        try:
            content = _renderer().render(
                template=self.template,
                channel=self.channel,
                user=self.user,
                tenant=self.tenant,
                event_data=self.data,
                overrides=self.overrides,
                workflow=self.workflow,
                unsubscribe_url=self.unsubscribe_url,
                now=self.now,
            )
        except ContentError as wrong:
            return Rendered(failed=Failed(wrong.detail, wrong.pointer or "", wrong.line))
        return Rendered(content=content)


class Rendered(msgspec.Struct, frozen=True):
    """The result of a MessageTask."""

    content: AnyContent | None = None
    failed: Failed | None = None


@cache
def _renderer() -> Renderer:
    return Renderer(cache=LIMITED_KEPT)


class Rendering:
    """Finds the template version of a message and renders it."""

    def __init__(self, setup: SetupView, renderer: Renderer, limited: Limited, clock: Clock) -> None:
        self._limited = limited
        self._setup = setup
        self._renderer = renderer
        self._clock = clock
        self._old: Lru[tuple[TenantId, str, int], Template] = Lru(OLD_KEPT)

    async def prepare(self, batch: Sequence[InFlight]) -> None:
        """Give every message the template it was planned with. Waits only for versions that were replaced since."""
        late = []
        for in_flight in batch:
            in_flight.template = self._at_hand(in_flight.message)
            if in_flight.template is None:
                late.append(in_flight)
        for in_flight in late:
            in_flight.template = await self.template(in_flight.message)

    async def template(self, message: Message) -> Template | None:
        """The template a message was planned with; None when it is nowhere to be found."""
        found = self._at_hand(message)
        version = message.template_version
        if found is None and version:
            found = await self._setup.templates.version(message.tenant, message.template, version)
            if found is not None:
                self._keep(message.tenant, found)
        return found

    async def overridden(
        self, batch: Sequence[tuple[InFlight, str]]
    ) -> Sequence[AnyContent | ContentError | Exceeded]:
        """The contents of prepared messages whose callers set some of it, each with its way to unsubscribe."""
        tasks = [self._task(in_flight, unsubscribe_url) for in_flight, unsubscribe_url in batch]
        sent = [task for task in tasks if isinstance(task, MessageTask)]
        made = iter(await all_done(self._limited, sent, Rendered))
        return [task if isinstance(task, ContentError) else _outcome(next(made)) for task in tasks]

    def content(self, in_flight: InFlight, unsubscribe_url: str) -> AnyContent:
        """The content of a prepared message; its event's data is decoded once.

        Raises ContentError, which concerns this message only.
        """
        if in_flight.data is None:
            in_flight.data = _decode(in_flight.event.data)
        return self.render(
            in_flight.template,
            in_flight.message,
            in_flight.user,
            in_flight.event,
            in_flight.data,
            unsubscribe_url,
        )

    def render(
        self,
        template: Template | None,
        message: Message,
        user: User,
        event: Event,
        data: Any,
        unsubscribe_url: str,
    ) -> AnyContent:
        """The content of the message's channel in the user's language. Raises ContentError."""
        return self._renderer.render(
            template=_found(template, message),
            channel=message.channel,
            user=user,
            tenant=self._setup.tenants.all()[message.tenant],
            event_data=data,
            overrides=event.overrides if is_overridden(event) else None,
            workflow=event.type or message.workflow,
            unsubscribe_url=unsubscribe_url,
            now=self._clock.now(),
        )

    def _task(self, in_flight: InFlight, unsubscribe_url: str) -> MessageTask | ContentError:
        message, event = in_flight.message, in_flight.event
        try:
            template = _found(in_flight.template, message)
        except ContentError as wrong:
            return wrong
        return MessageTask(
            template=template,
            channel=message.channel,
            user=shown(in_flight.user),
            tenant=self._setup.tenants.all()[message.tenant],
            data=event.data,
            overrides=event.overrides,
            workflow=event.type or message.workflow,
            unsubscribe_url=unsubscribe_url,
            now=self._clock.now(),
        )

    def _at_hand(self, message: Message) -> Template | None:
        """The live version if it is that one (or any will do), else an old one that is in memory."""
        live = template_of(self._setup, message.tenant, message.template)
        version = message.template_version
        if version == 0 or (live is not None and live.version == version):
            return live
        return self._old.get((message.tenant, message.template, version))

    def _keep(self, tenant: TenantId, template: Template) -> None:
        self._old.put((tenant, template.key, template.version), template)


def is_overridden(event: Event) -> bool:
    """Whether the caller set some of the content."""
    return event.overrides is not EMPTY_DATA and bytes(event.overrides) != NO_OVERRIDES


def _found(template: Template | None, message: Message) -> Template:
    if template is None:
        version = f" in version {message.template_version}" if message.template_version else ""
        raise ContentError(
            f"There is no template {message.template!r}{version}: create it, then retry the message."
        )
    return template


def _outcome(made: Rendered | Exceeded) -> AnyContent | ContentError | Exceeded:
    if isinstance(made, Exceeded):
        return made
    if made.content is not None:
        return made.content
    failed = made.failed or Failed("rendering broke")
    return ContentError(failed.detail, pointer=failed.pointer, line=failed.line)

"""Rendering a message from its tenant's template and its event."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from clarion.content import Renderer
from clarion.errors import ContentError
from clarion.flow.catalog import template_of
from clarion.flow.queues import Held
from clarion.model.content import AnyContent
from clarion.model.event import EMPTY_DATA, Event
from clarion.model.ids import TenantId
from clarion.model.message import Message
from clarion.model.setup import Template
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.ledger import Setup

OLD_KEPT = 256
"""Replaced versions kept in memory; what still waits rarely needs more than the last few of a template."""

_decode = msgspec.json.Decoder().decode


class Rendering:
    """Finds the template version of a message and renders it."""

    def __init__(self, setup: Setup, renderer: Renderer, clock: Clock) -> None:
        self._setup = setup
        self._renderer = renderer
        self._clock = clock
        self._old: OrderedDict[tuple[TenantId, str, int], Template] = OrderedDict()

    async def prepare(self, batch: Sequence[Held]) -> None:
        """Give every message the template it was planned with. Waits only for versions that were replaced since."""
        late = []
        for held in batch:
            held.template = self._at_hand(held.message)
            if held.template is None:
                late.append(held)
        for held in late:
            held.template = await self.template(held.message)

    async def template(self, message: Message) -> Template | None:
        """The template a message was planned with; None when it is nowhere to be found."""
        found = self._at_hand(message)
        version = message.template_version
        if found is None and version:
            found = await self._setup.templates.version(message.tenant, message.template, version)
            if found is not None:
                self._keep(message.tenant, found)
        return found

    def content(self, held: Held, unsubscribe_url: str) -> AnyContent:
        """The content of a prepared message; its event's data is decoded once.

        Raises ContentError, which concerns this message only.
        """
        if held.data is None:
            held.data = _decode(held.event.data)
        return self.render(held.template, held.message, held.user, held.event, held.data, unsubscribe_url)

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
        if template is None:
            version = f" in version {message.template_version}" if message.template_version else ""
            raise ContentError(
                f"There is no template {message.template!r}{version}: create it, then retry the message."
            )
        return self._renderer.render(
            template=template,
            channel=message.channel,
            user=user,
            tenant=self._setup.tenants.all()[message.tenant],
            event_data=data,
            overrides=None if event.overrides is EMPTY_DATA else event.overrides,
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
        self._old[tenant, template.key, template.version] = template
        if len(self._old) > OLD_KEPT:
            self._old.popitem(last=False)

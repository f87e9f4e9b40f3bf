"""Rendering a message from its tenant's template and its event."""

from __future__ import annotations

from typing import Any

import msgspec

from clarion.content import Renderer
from clarion.errors import ContentError
from clarion.flow.queues import Held
from clarion.model.content import AnyContent
from clarion.model.event import Event
from clarion.model.message import Message
from clarion.model.user import User
from clarion.ports.ledger import Setup

_decode = msgspec.json.Decoder().decode


class Rendering:
    """Finds the template and renders it; raises ContentError, which concerns one message only."""

    def __init__(self, setup: Setup, renderer: Renderer) -> None:
        self._setup = setup
        self._renderer = renderer

    def content(self, held: Held) -> AnyContent:
        """The content of a held message; its event's data is decoded once."""
        if held.data is None:
            held.data = _decode(held.event.data)
        return self.render(held.message, held.user, held.event, held.data)

    def render(self, message: Message, user: User, event: Event, data: Any) -> AnyContent:
        """The content of the message's channel in the user's language."""
        template = self._setup.templates.all(message.tenant).get(message.template)
        if template is None:
            raise ContentError(
                f"There is no template {message.template!r}: create it, then retry the message."
            )
        return self._renderer.render(
            template=template,
            channel=message.channel,
            user=user,
            tenant=self._setup.tenants.all()[message.tenant],
            event_data=data,
            overrides=event.overrides,
            workflow=message.workflow,
        )

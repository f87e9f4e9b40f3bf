"""Decrypts the content of a stored message."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from clarion.errors import ContentError, NotFound, SealBroken
from clarion.flow import verification_workflow
from clarion.flow.dispatch.rendering import Rendering
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import setup_of
from clarion.flow.sealing import opened
from clarion.model.content import AnyContent
from clarion.model.event import Event
from clarion.model.message import Message
from clarion.ports.vault import Vault


class MessageContents:
    """Renders stored messages again, to show their content."""

    def __init__(
        self, ledger: Ledger, rendering: Rendering, unsubscribe_url: Callable[[Message], str], vault: Vault
    ) -> None:
        self._ledger = ledger
        self._rendering = rendering
        self._unsubscribe_url = unsubscribe_url
        self._vault = vault

    async def render(self, message: Message) -> AnyContent:
        """The content of a stored message. Raises ContentError, or NotFound when it can no longer be opened."""
        users = await self._ledger.users.get([message.user])
        key = (message.event_id, message.workflow)
        entry = (await self._ledger.events.bodies([key])).get(key)
        user = users.get(message.user)
        event: Event | None = None
        with suppress(SealBroken, msgspec.DecodeError):
            event = opened(entry, users, self._vault) if entry is not None else None
        if (
            user is None
            or user.unreadable
            or event is None
            or setup_of(self._ledger.setup, message.tenant, message.workflow) is None
        ):
            raise NotFound(
                "The content of this message can no longer be read: its user or workflow was deleted, or the data is damaged."
            )
        if event.source == verification_workflow.SOURCE:
            raise ContentError("The content is not shown: it carries a one-time code.")
        template = await self._rendering.template(message)
        data, url = msgspec.json.decode(event.data), self._unsubscribe_url(message)
        return self._rendering.render(template, message, user, event, data, url)

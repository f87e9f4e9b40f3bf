"""The in-app inbox as a provider: an accepted message is stored in the inbox and thereby delivered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from clarion.adapters.isolation import each
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.inbox import InboxCard, InboxItem, InboxReplacement
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Outcome
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.setup import Integration
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, TakesBack

_encode = msgspec.json.Encoder().encode


class InAppConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The inbox needs no settings."""


class InApp:
    """Implements `ports.provider.Provider` without leaving the house.

    The ledger stores the items in the transaction that settles the messages, once per message id. What is sealed
    is the content as JSON, which goes along for devices that are connected.
    """

    def __init__(self, tools: ProviderTools) -> None:
        self._clock = tools.clock
        self._seal = tools.vault.seal

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """Accepts and delivers everything."""
        return each(batch, partial(self._accepted, self._clock.now()))

    async def withdraw(self, batch: Sequence[SentMessage]) -> Sequence[Outcome]:
        """The item goes from the inbox, and from every device that shows it."""
        return [Accepted(replaced=_replacement(sent.message, b"")) for sent in batch]

    def _accepted(self, now: Instant, outgoing: Outgoing) -> Accepted:
        message = outgoing.message
        content = _encode(outgoing.content)
        if outgoing.replaces:
            sealed = self._seal(outgoing.user.key, content)
            return Accepted(delivered=True, replaced=_replacement(message, sealed))
        item = InboxItem(
            tenant=message.tenant,
            user=message.user,
            message_id=message.id,
            sealed=self._seal(outgoing.user.key, content),
            at=now,
            workflow=message.workflow,
            category=message.category,
        )
        live, key = outgoing.live, outgoing.collapse_key
        if live is None and not (outgoing.supersedes and key):
            return Accepted(delivered=True, record=item, content=content)
        card = InboxCard(item=item, live=key, sequence=None if live is None else live.sequence)
        return Accepted(delivered=True, record=card, content=content)

    async def ping(self) -> None:
        """The inbox is where the ledger is."""

    async def close(self) -> None:
        """Holds nothing."""


def _replacement(message: Message, sealed: bytes) -> InboxReplacement:
    return InboxReplacement(user=message.user, message_id=message.id, sealed=sealed)


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return InApp(tools)


plugin = ProviderPlugin(
    name="inapp",
    title="In-app inbox",
    channels=frozenset({Channel.IN_APP}),
    config=InAppConfig,
    open=_open,
    idempotent=True,
    stores=lambda config: True,
    takes_back=TakesBack(edits=True, withdraws=True),
    batch=500,
)

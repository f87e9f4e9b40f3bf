"""Links under which people press the buttons of a message: signed, opaque tokens."""

from __future__ import annotations

from typing import NamedTuple

from clarion.model.ids import MessageId, TenantId
from clarion.model.message import Message
from clarion.ports.vault import Vault
from clarion.services.link_tokens import LinkTokens

PATH = "/a/"

_TENANT, _NUMBERS = 4, 4 + 16


class PressedLink(NamedTuple):
    """What a token stands for."""

    tenant: TenantId
    message: MessageId
    button: str
    """Empty: any of them."""


class ResponseLinks:
    """Creates and reads the links. What a token says cannot be read or changed by whoever has it."""

    def __init__(self, vault: Vault, public_url: str) -> None:
        self._base = f"{public_url}{PATH}" if public_url else ""
        self._tokens = LinkTokens(vault, b"a1")

    def url(self, message: Message, button: str) -> str:
        """Where somebody presses this button of a message, or any where none is named; empty when nobody can reach us."""
        if not self._base:
            return ""
        named = message.tenant.to_bytes(_TENANT, "big") + message.id + button.encode()
        return self._base + self._tokens.token(named)

    def read(self, token: str) -> PressedLink | None:
        """What a token stands for; None when it is not one of ours."""
        opened = self._tokens.opened(token)
        if opened is None or len(opened) < _NUMBERS:
            return None
        tenant = TenantId(int.from_bytes(opened[:_TENANT], "big"))
        return PressedLink(tenant, MessageId(opened[_TENANT:_NUMBERS]), opened[_NUMBERS:].decode())

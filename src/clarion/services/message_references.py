"""References to messages that travel outside: in a mail's return path, in a callback's URL, in a provider's metadata.

Signed, so that nobody can report about another's message; and whoever brings one back needs no look-up.
"""

from __future__ import annotations

import hmac

from clarion.model.ids import MessageId, TenantId
from clarion.model.message import Message
from clarion.ports.vault import Vault

_TENANT, _ID, _MAC = 4, 16, 8
_PURPOSE = "return-tag"


class MessageReferences:
    """Makes and reads references. Lower-case hex: some mail servers change the case of local parts."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def of(self, message: Message) -> str:
        """The reference to a message, always the same: 56 characters."""
        return self.about(message.tenant, message.id)

    def about(self, tenant: TenantId, message_id: MessageId) -> str:
        """The reference to the message with this id."""
        named = tenant.to_bytes(_TENANT, "big") + message_id
        return (named + self._vault.hash(_PURPOSE, named)[:_MAC]).hex()

    def read(self, reference: str) -> tuple[TenantId, MessageId] | None:
        """The message it is about; None when we did not make it."""
        try:
            data = bytes.fromhex(reference)
        except ValueError:
            return None
        named, mac = data[: _TENANT + _ID], data[_TENANT + _ID :]
        if not hmac.compare_digest(mac, self._vault.hash(_PURPOSE, named)[:_MAC]):
            return None
        return TenantId(int.from_bytes(named[:_TENANT], "big")), MessageId(named[_TENANT:])

"""What stands in a mail's return path: the message it belongs to, signed, so that nobody can bounce another's mail."""

from __future__ import annotations

import hmac

from clarion.model.ids import MessageId, TenantId
from clarion.model.message import Message
from clarion.ports.vault import Vault

_TENANT, _ID, _MAC = 4, 16, 8
_PURPOSE = "return-tag"


class BounceAddress:
    """Makes and reads tags. Lower-case hex: some mail servers change the case of local parts."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def of(self, message: Message) -> str:
        """The tag of a message, always the same: 56 characters."""
        named = message.tenant.to_bytes(_TENANT, "big") + message.id
        return (named + self._vault.hash(_PURPOSE, named)[:_MAC]).hex()

    def read(self, tag: str) -> tuple[TenantId, MessageId] | None:
        """Whose bounce it is; None when we did not make the tag."""
        try:
            data = bytes.fromhex(tag)
        except ValueError:
            return None
        named, mac = data[: _TENANT + _ID], data[_TENANT + _ID :]
        if not hmac.compare_digest(mac, self._vault.hash(_PURPOSE, named)[:_MAC]):
            return None
        return TenantId(int.from_bytes(named[:_TENANT], "big")), MessageId(named[_TENANT:])

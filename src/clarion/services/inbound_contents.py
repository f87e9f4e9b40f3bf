"""What is secret about inbound messages: sealed under the key of the person who wrote, else of the tenant."""

from __future__ import annotations

import msgspec

from clarion.errors import SealBroken
from clarion.model.ids import NO_USER, TenantId
from clarion.model.inbound import InboundContent, ReceivedMessage
from clarion.model.user import User
from clarion.ports.vault import Vault

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(InboundContent).decode


def sealed(vault: Vault, tenant: TenantId, user: User | None, content: InboundContent) -> bytes:
    """The content, for the user or for nobody who is known."""
    return vault.seal(vault.tenant_key(tenant) if user is None else user.key, _pack(content))


def opened(vault: Vault, inbound: ReceivedMessage, user: User | None) -> InboundContent | None:
    """The content; None when it can no longer be read. `user`: who wrote it."""
    if inbound.user != NO_USER and (user is None or user.unreadable):
        return None
    try:
        return _unpack(
            vault.open(vault.tenant_key(inbound.tenant) if user is None else user.key, inbound.sealed)
        )
    except (SealBroken, msgspec.DecodeError):
        return None

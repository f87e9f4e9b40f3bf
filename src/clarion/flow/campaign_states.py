"""Encrypts campaigns for the store, and decrypts them."""

from __future__ import annotations

import msgspec

from clarion.model.campaign import CampaignRow, CampaignState
from clarion.model.ids import TenantId
from clarion.ports.vault import Vault

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CampaignState).decode


def sealed_campaign(tenant: TenantId, state: CampaignState, vault: Vault) -> bytes:
    """Under the tenant's key."""
    return vault.seal(vault.tenant_key(tenant), _encode(state))


def opened_campaign(row: CampaignRow, vault: Vault) -> CampaignState:
    """Raises SealBroken or DecodeError when it cannot be read."""
    return _decode(vault.open(vault.tenant_key(row.tenant), row.sealed))

"""Opaque tokens in links: they say nothing to whoever reads them, and a changed one is worthless."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

from clarion.errors import SealBroken
from clarion.model.ids import TenantId
from clarion.ports.vault import Vault

_INSTALLATION = TenantId(0)
"""No tenant has this number: the key derived for it seals nothing but these tokens."""


class LinkTokens:
    """Tokens of one kind, told apart from all others by its first bytes."""

    def __init__(self, vault: Vault, kind: bytes, longest: int = 512) -> None:
        self._vault = vault
        self._kind = kind
        self._longest = longest
        self._key = vault.tenant_key(_INSTALLATION)

    def token(self, plain: bytes) -> str:
        """A token for these bytes; no two are the same."""
        return _text(self._vault.seal(self._key, self._kind + plain))

    def opened(self, token: str) -> bytes | None:
        """The bytes of a token; None when it is not one of ours."""
        if len(token) > self._longest or not token.isascii():
            return None
        try:
            sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            plain = self._vault.open(self._key, sealed)
        except (SealBroken, binascii.Error):
            return None
        if _text(sealed) != token or not plain.startswith(self._kind):
            return None  # The decoder passes over what it does not know.
        return plain[len(self._kind) :]


def _text(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).rstrip(b"=").decode()

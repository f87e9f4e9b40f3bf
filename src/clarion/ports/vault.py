"""Keys and sealing. Destroying one user's wrapped key makes everything sealed for them unreadable."""

from __future__ import annotations

from typing import Protocol

from clarion.model.ids import TenantId


class Vault(Protocol):
    """AES-256-GCM sealing with a data key per user, wrapped by the installation's key."""

    def new_key(self) -> tuple[bytes, bytes]:
        """A fresh data key and its wrapped form; only the wrapped form may be stored."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key. Raises SealBroken when the installation's key does not fit."""

    def tenant_key(self, tenant: TenantId) -> bytes:
        """The tenant's own data key, for what concerns many people at once. Derived, never stored."""

    def seal(self, key: bytes, plain: bytes) -> bytes:
        """Encrypted and authenticated bytes (version | nonce | ciphertext | tag)."""

    def open(self, key: bytes, sealed: bytes) -> bytes:
        """The plain bytes. Raises SealBroken when the key is wrong or the bytes were altered."""

    def hash(self, purpose: str, value: bytes) -> bytes:
        """16-byte keyed hash for look-ups; different purposes never collide on purpose."""

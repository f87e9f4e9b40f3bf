"""Keys and encryption."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from clarion.model.channel import PHONES, Channel
from clarion.model.ids import TenantId
from clarion.model.mail_address import normal_mail_address
from clarion.model.subscription import is_subscription, read_subscription


class Vault(Protocol):
    """AES-256-GCM sealing, under keys that are themselves wrapped by the installation's key."""

    def wrap(self, key: bytes) -> bytes:
        """A key in the only form it may be stored in."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key. Raises SealBroken when the installation's key does not fit."""

    def tenant_key(self, tenant: TenantId) -> bytes:
        """The tenant's own data key, for what concerns many people at once. Derived, never stored."""

    def seal(self, key: bytes, plain: bytes) -> bytes:
        """Encrypted and authenticated bytes (version | nonce | ciphertext | tag)."""

    def open(self, key: bytes, sealed: bytes) -> bytes:
        """The plain bytes. Raises SealBroken when the key is wrong or the bytes were altered."""

    def hash(self, purpose: str, value: bytes) -> bytes:
        """16-byte keyed hash for look-ups; different purposes never collide on purpose."""


def contact_hash(vault: Vault, tenant: TenantId, channel: Channel, address: str) -> bytes:
    """What an address is recognised by: the same for every spelling that reaches the same place."""
    return vault.hash(
        f"contact:{tenant}:{channel}", normal_address(channel, address).encode(errors="surrogatepass")
    )


def normal_address(channel: Channel, address: str) -> str:
    """One spelling for the addresses that reach the same place."""
    if channel is Channel.EMAIL:
        return normal_mail_address(address)
    if channel in PHONES:
        plus = "+" if address.strip().startswith("+") else ""
        return plus + "".join(c for c in address if c.isdecimal())
    if channel is Channel.PUSH and is_subscription(address):
        with suppress(ValueError):  # A broken one is refused where addresses come in.
            return read_subscription(address).endpoint
    return address

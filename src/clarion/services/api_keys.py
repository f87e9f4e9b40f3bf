"""API keys: minting, verifying, revoking. The key itself is shown once; only its keyed hash is stored.

A key reads `clr_` + 27 random characters (160 bits) + 6 characters of CRC-32 over what stands before, all in
base 62. The checksum says nothing about who may do what: it catches typos and truncated copies without a look-up.
"""

from __future__ import annotations

import binascii
import hmac

from clarion.errors import InvalidInput, NotFound, Unauthenticated
from clarion.model.ids import Instant, TenantId
from clarion.model.setup import NO_TENANT, ApiKey, Scope
from clarion.ports.clock import Clock, Random
from clarion.ports.ledger import ApiKeyStore
from clarion.ports.vault import Vault

PREFIX = "clr_"
RANDOM_BYTES = 20
RANDOM_CHARS = 27
CHECK_CHARS = 6
KEY_CHARS = len(PREFIX) + RANDOM_CHARS + CHECK_CHARS
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

REMEMBERED_S = 10.0
"""How long a verified key is believed without another look: the longest another process serves a revoked key."""
REMEMBERED_KEYS = 1024
TOUCH_EVERY_S = 30.0
"""How often last uses are written, at most."""

ALLOWED = {
    Scope.ADMIN: frozenset({Scope.ADMIN, Scope.SEND, Scope.READ}),
    Scope.SEND: frozenset({Scope.SEND, Scope.READ}),
    Scope.READ: frozenset({Scope.READ}),
    Scope.OPERATOR: frozenset({Scope.OPERATOR}),
}
"""What each scope includes."""


def mint(random: Random) -> str:
    """A fresh key's text. It means nothing until `ApiKeys.adopt` stores its hash."""
    body = PREFIX + _base62(random.bytes(RANDOM_BYTES), RANDOM_CHARS)
    return body + _checksum(body)


def well_formed(text: str) -> bool:
    """Whether `text` can be a key at all: length, prefix and checksum fit. Needs no store."""
    return (
        len(text) == KEY_CHARS
        and text.startswith(PREFIX)
        and text.isascii()
        and _checksum(text[:-CHECK_CHARS]) == text[-CHECK_CHARS:]
    )


class ApiKeys:
    """The keys of all tenants, with a small memory of those verified lately."""

    def __init__(self, keys: ApiKeyStore, vault: Vault, clock: Clock, random: Random) -> None:
        self._keys = keys
        self._vault = vault
        self._clock = clock
        self._random = random
        self._known: dict[bytes, tuple[ApiKey, float]] = {}
        self._used: dict[str, Instant] = {}
        self._touched_at = clock.monotonic()
        self._revocations = 0

    async def create(
        self, tenant: TenantId, name: str, scope: Scope, expires_at: Instant | None = None
    ) -> tuple[ApiKey, str]:
        """A new key and its text. The text exists only in this answer: show it once."""
        if (scope is Scope.OPERATOR) != (tenant == NO_TENANT):
            raise InvalidInput(
                "a key of a tenant is admin, send or read; operator keys are made on the server with "
                "`clarion keys create --operator`.",
                pointer="#/scope",
            )
        if expires_at is not None and expires_at <= self._clock.now():
            raise InvalidInput("expires_at has already passed: send a later time.", pointer="#/expires_at")
        text = mint(self._random)
        return await self._add(tenant, name, scope, text, expires_at), text

    async def adopt(self, tenant: TenantId, name: str, scope: Scope, text: str) -> ApiKey:
        """Store a key that was minted before, as `clarion dev` does with its own. Repeating it changes nothing."""
        if not well_formed(text):
            raise InvalidInput("this is not a well-formed API key: make one with `clarion keys create`.")
        known = await self._keys.find(self._hash(text))
        return known if known is not None else await self._add(tenant, name, scope, text, None)

    def recall(self, text: str) -> ApiKey | None:
        """The key if it was verified within the last seconds; never waits. None: ask `verify`."""
        known = self._known.get(self._hash(text))
        if known is None or known[1] < self._clock.monotonic():
            return None
        key = known[0]
        now = self._clock.now()
        if key.expires_at is not None and key.expires_at <= now:
            return None
        self._used[key.id] = now
        return key

    async def verify(self, text: str) -> ApiKey:
        """The live key of this text. Raises Unauthenticated saying what is wrong with it."""
        if not well_formed(text):
            raise Unauthenticated(
                "This is not an API key: it is misspelt or cut off (keys read clr_ and 33 more characters)."
            )
        if (recalled := self.recall(text)) is not None:
            return recalled
        hashed = self._hash(text)
        revocations = self._revocations
        key = await self._keys.find(hashed)
        if key is None or not hmac.compare_digest(key.hash, hashed):
            raise Unauthenticated("This API key is not known here. Create one with `clarion keys create`.")
        now = self._clock.now()
        if key.revoked_at is not None:
            raise Unauthenticated("This API key was revoked. Create another with `clarion keys create`.")
        if key.expires_at is not None and key.expires_at <= now:
            raise Unauthenticated("This API key has expired. Create another with `clarion keys create`.")
        self._used[key.id] = now
        if revocations == self._revocations:
            self._remember(hashed, key)
        if self._clock.monotonic() - self._touched_at >= TOUCH_EVERY_S:
            await self.flush()
        return key

    async def revoke(self, tenant: TenantId, key_id: str) -> None:
        """From the moment this returns the key is refused in this process, in others within seconds."""
        revoked = await self._keys.revoke(tenant, key_id, self._clock.now())
        self._revocations += 1
        self._known = {h: known for h, known in self._known.items() if known[0].id != key_id}
        if not revoked:
            raise NotFound(f"There is no live API key {key_id!r}: it does not exist or was revoked before.")

    async def flush(self) -> None:
        """Write the last uses that are still in memory; call it once more before closing."""
        used, self._used = self._used, {}
        self._touched_at = self._clock.monotonic()
        if used:
            await self._keys.touch(used)

    async def _add(
        self, tenant: TenantId, name: str, scope: Scope, text: str, expires_at: Instant | None
    ) -> ApiKey:
        key = ApiKey(
            id="key_" + _base62(self._random.bytes(8), 11),
            tenant=tenant,
            name=name,
            hash=self._hash(text),
            scope=scope,
            created_at=self._clock.now(),
            expires_at=expires_at,
        )
        await self._keys.add(key)
        return key

    def _hash(self, text: str) -> bytes:
        return self._vault.hash("api-key", text.encode())

    def _remember(self, hash: bytes, key: ApiKey) -> None:
        self._known.pop(hash, None)
        if len(self._known) >= REMEMBERED_KEYS:
            del self._known[next(iter(self._known))]
        self._known[hash] = key, self._clock.monotonic() + REMEMBERED_S


def _checksum(text: str) -> str:
    return _base62(binascii.crc32(text.encode()).to_bytes(4, "big"), CHECK_CHARS)


def _base62(value: bytes, length: int) -> str:
    number = int.from_bytes(value, "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))

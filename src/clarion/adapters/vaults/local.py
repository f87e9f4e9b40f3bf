"""A vault whose installation key is in a file. `docs/explanation/encryption.md` says what it protects."""

from __future__ import annotations

import base64
import binascii
import os
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from clarion.adapters.vaults.nonces import NONCE_BYTES, Nonces
from clarion.errors import ConfigError, SealBroken
from clarion.model.ids import TenantId
from clarion.model.lru import Lru
from clarion.ports.clock import Random

KEY_BYTES = 32
FILE_PREFIX = "clarion-key-v1:"
VERSION = b"\x01"
"""First byte of everything sealed, authenticated with the rest: a later format can stand beside this one."""
HEADER_BYTES = len(VERSION) + NONCE_BYTES
TAG_BYTES = 16
HASH_BYTES = 16
CACHED_CIPHERS = 4096
"""A prepared cipher costs more than sealing a short text with it, and 2.6 KiB to keep."""
CACHED_PURPOSES = 256


class LocalVault:
    """Implements `ports.vault.Vault` with one 32-byte master key. Safe to call from any thread."""

    def __init__(self, master: bytes, random: Random) -> None:
        if len(master) != KEY_BYTES:
            raise ConfigError(f"the installation key must have {KEY_BYTES} bytes, not {len(master)}")
        self._master = master
        self._wrapping_key = self._derive("wrap")
        self._hash_key = self._derive("hash")
        self._cipher = lru_cache(CACHED_CIPHERS)(_prepared)
        self._nonce = Nonces(random).next
        self._purposes: Lru[str, blake2b] = Lru(CACHED_PURPOSES)
        """Hashes that have taken in the key of their purpose: copying one costs less than making one."""
        self._tenants: dict[TenantId, bytes] = {}

    @classmethod
    def from_file(cls, path: Path, random: Random, *, create: bool = True) -> LocalVault:
        """The vault of the key file at `path`. A missing file is created, unless `create` is False because
        data sealed with the lost key are there.

        Raises ConfigError saying what to do when the file is missing, damaged, unreadable or open to others.
        """
        try:
            if create and not path.exists():
                _create_key(path, random)
            return cls(_read_key(path), random)
        except FileNotFoundError:
            raise ConfigError(
                f"the installation key {path} is missing, and what is stored cannot be read without it: "
                "restore the file from your backup. A new installation gets one from `clarion migrate`"
            ) from None
        except OSError as error:
            raise ConfigError(f"cannot use the installation key {path}: {error.strerror}") from None

    def wrap(self, key: bytes) -> bytes:
        """A key in 29 bytes more."""
        return self.seal(self._wrapping_key, key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key of a wrapped form."""
        return self.open(self._wrapping_key, wrapped)

    def tenant_key(self, tenant: TenantId) -> bytes:
        """The tenant's own data key, the same on every call."""
        key = self._tenants.get(tenant)
        if key is None:
            key = self._tenants[tenant] = self._derive(f"tenant/{tenant}")
        return key

    def seal(self, key: bytes, plain: bytes) -> bytes:
        """`plain` encrypted under `key`: 29 bytes longer, never the same twice."""
        nonce = self._nonce()
        return VERSION + nonce + self._cipher(key).encrypt(nonce, plain, VERSION)

    def open(self, key: bytes, sealed: bytes) -> bytes:
        """What `seal` was given."""
        if len(sealed) < HEADER_BYTES + TAG_BYTES or sealed[:1] != VERSION:
            raise SealBroken("these bytes were not encrypted by this version of Clarion, or were cut off")
        try:
            return self._cipher(key).decrypt(sealed[1:HEADER_BYTES], sealed[HEADER_BYTES:], VERSION)
        except InvalidTag:
            raise SealBroken("the key is wrong, or the encrypted bytes were altered") from None

    def hash(self, purpose: str, value: bytes) -> bytes:
        """Keyed BLAKE2b under a key of this purpose's own."""
        begun = self._purposes.get(purpose)
        if begun is None:
            key = blake2b(purpose.encode(), key=self._hash_key, digest_size=32).digest()
            begun = self._purposes.put(purpose, blake2b(key=key, digest_size=HASH_BYTES))
        hashing = begun.copy()
        hashing.update(value)
        return hashing.digest()

    def _derive(self, purpose: str) -> bytes:
        info = f"clarion/v1/{purpose}".encode()
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._master)


def _prepared(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise SealBroken(
            f"a data key has {KEY_BYTES} bytes, this one {len(key)}: it was destroyed or mixed up"
        )
    return AESGCM(key)


def _read_key(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        if os.fstat(descriptor).st_mode & 0o077:
            raise ConfigError(
                f"the installation key {path} can be read by other users: run `chmod 600 {path}`"
            )
        text = file.read(1024).strip()
    try:
        if not text.startswith(FILE_PREFIX):
            raise ValueError
        master = base64.b64decode(text.removeprefix(FILE_PREFIX), altchars=b"-_", validate=True)
        if len(master) != KEY_BYTES:
            raise ValueError
    except (ValueError, binascii.Error):
        raise ConfigError(
            f"the file {path} is not an installation key (`{FILE_PREFIX}` and {KEY_BYTES} bytes in base64url): "
            "restore it from your backup"
        ) from None
    return master


def _create_key(path: Path, random: Random) -> None:
    """Durably, and all or nothing: a crash leaves no half key, and of two processes one wins and both use its key."""
    text = FILE_PREFIX + base64.urlsafe_b64encode(random.bytes(KEY_BYTES)).decode() + "\n"
    draft = path.with_name(f".{path.name}.{random.bytes(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""Message encryption for web push (RFC 8291) as one record of aes128gcm (RFC 8188)."""

from __future__ import annotations

from hmac import digest

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.model.subscription import Subscription

RECORD_SIZE = (4_096).to_bytes(4, "big")
LAST_RECORD = b"\x02"

_P256 = SECP256R1()


def new_key() -> EllipticCurvePrivateKey:
    """A key pair for one message; it is the operating system's randomness."""
    return generate_private_key(_P256)


def encrypt(plain: bytes, subscription: Subscription, *, salt: bytes, key: EllipticCurvePrivateKey) -> bytes:
    """What the browser of `subscription`, and nobody on the way to it, can read.

    `salt` is 16 random bytes and `key` a fresh pair. ValueError when the subscription's key is no point on P-256.
    """
    theirs = subscription.public_key
    ours = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = key.exchange(ECDH(), EllipticCurvePublicKey.from_encoded_point(_P256, theirs))
    secret = _expand(digest(subscription.secret, shared, "sha256"), b"WebPush: info\0" + theirs + ours, 32)
    both = digest(salt, secret, "sha256")
    content_key = _expand(both, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _expand(both, b"Content-Encoding: nonce\0", 12)
    sealed = AESGCM(content_key).encrypt(nonce, plain + LAST_RECORD, None)
    return salt + RECORD_SIZE + len(ours).to_bytes(1, "big") + ours + sealed


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869) for at most one block, which is all that is needed here."""
    return digest(key, info + b"\x01", "sha256")[:length]

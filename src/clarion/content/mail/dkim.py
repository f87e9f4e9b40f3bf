"""DKIM signatures (RFC 6376, RFC 8463): relaxed/relaxed, From oversigned, the whole body, never `l=`."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from clarion.content.mail.addresses import wire_domain
from clarion.errors import ConfigError, ContentError
from clarion.ports.mail import DkimKey

SMALLEST_RSA = 1024
SIGNED = (
    b"from", b"subject", b"date", b"to", b"message-id", b"mime-version", b"content-type", b"content-transfer-encoding",
    b"reply-to", b"list-id", b"list-unsubscribe", b"list-unsubscribe-post", b"feedback-id", b"auto-submitted",
)  # fmt: skip
"""What is signed when it is there (RFC 6376 section 5.4.1; RFC 8058 section 4 for the one-click fields)."""
OVERSIGNED = b"from"
"""Named once more than it stands there, so that a second one breaks the signature."""

_SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?").fullmatch
_RUNS = re.compile(rb"[ \t]{2,}|\t").sub


class Signer:
    """One key, ready to sign. Raises ConfigError when the key cannot be used."""

    def __init__(self, key: DkimKey) -> None:
        self._domain, self._selector = check_names(key.domain, key.selector)
        self._algorithm, self._sign = _signing(key)

    def field(self, names: str, covered: bytes, body_hash: str, second: int) -> bytes:
        """The DKIM-Signature field over the canonical fields `covered` (`names`) and the hash of the body."""
        unsigned = (
            f" v=1; a={self._algorithm}; c=relaxed/relaxed;\r\n d={self._domain}; s={self._selector}; t={second};"
            f"\r\n h={names};\r\n bh={body_hash};\r\n b="
        )
        own = b"dkim-signature:" + unsigned.replace("\r\n ", " ").strip().encode()
        signature = b64encode(self._sign(covered + own)).decode()
        lines = "\r\n ".join(signature[at : at + 72] for at in range(0, len(signature), 72))
        return f"DKIM-Signature:{unsigned}{lines}\r\n".encode()


def signatures(signers: Iterable[Signer], head: bytes, body: bytes, second: int) -> bytes:
    """A DKIM-Signature field of every signer, for the header section `head` and `body`."""
    names, covered = _covered(head)
    body_hash = b64encode(sha256(relaxed_body(body)).digest()).decode()
    return b"".join(signer.field(names, covered, body_hash, second) for signer in signers)


def relaxed_body(body: bytes) -> bytes:
    """A body that ends in a line end, as RFC 6376 section 3.4.4 hashes it."""
    found = _RUNS(b" ", body) if b"  " in body or b"\t" in body else body
    found = found.replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return found + b"\r\n" if found else b""


def new_key(kind: Literal["rsa", "ed25519"]) -> str:
    """A fresh private key as PEM: RSA with 2048 bits, which every receiver verifies, or Ed25519, which is small."""
    key = generate_private_key(65_537, 2_048) if kind == "rsa" else Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_record(private_key: str) -> str:
    """The TXT record that goes with a private key (RFC 6376 section 3.6.1, RFC 8463 section 4.2)."""
    key = _parsed(private_key)
    if isinstance(key, RSAPrivateKey):
        shown = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={b64encode(shown).decode()}"
    shown = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k=ed25519; p={b64encode(shown).decode()}"


def _covered(head: bytes) -> tuple[str, bytes]:
    """Names for `h=`, and the fields in that order as RFC 6376 section 3.4.2 hashes them."""
    found: dict[bytes, bytes] = {}
    for line in head.replace(b"\r\n ", b" ").split(b"\r\n"):
        name, _, value = line.partition(b":")
        if b"  " in value or b"\t" in value:
            value = _RUNS(b" ", value)
        found[name.lower()] = value.strip()
    names = [name for name in SIGNED if name in found]
    covered = b"".join([b"%b:%b\r\n" % (name, found[name]) for name in names])
    return b":".join((OVERSIGNED, *names)).decode(), covered


def check_names(domain: str, selector: str) -> tuple[str, str]:
    """Both as they are written in a signature. Raises ConfigError when one cannot be."""
    try:
        written = wire_domain(domain)
    except ContentError:
        raise ConfigError(f"dkim: {domain!r} is not a domain") from None
    if _SELECTOR(selector) is None:
        raise ConfigError(f"dkim: {selector!r} is not a selector such as `clarion1`")
    return written, selector


def _signing(key: DkimKey) -> tuple[str, Callable[[bytes], bytes]]:
    private = _parsed(key.private_key)
    if isinstance(private, Ed25519PrivateKey):
        return "ed25519-sha256", lambda data: private.sign(sha256(data).digest())
    if private.key_size < SMALLEST_RSA:
        raise ConfigError(
            f"dkim: the RSA key of {key.selector!r} has {private.key_size} bits, and receivers ignore keys of "
            f"less than {SMALLEST_RSA}: create one with 2048 (`clarion dkim create`)"
        )
    padding, digest = PKCS1v15(), SHA256()
    return "rsa-sha256", lambda data: private.sign(data, padding, digest)


def _parsed(private_key: str) -> RSAPrivateKey | Ed25519PrivateKey:
    text = private_key.strip()
    try:
        if text.startswith("-----"):
            found = load_pem_private_key(text.encode(), password=None)
        else:
            found = load_der_private_key(b64decode(text, validate=True), password=None)
    except (ValueError, TypeError):
        raise ConfigError(
            "dkim: the private key cannot be read: give it as PEM (PKCS #8 or PKCS #1) without a passphrase"
        ) from None
    if not isinstance(found, RSAPrivateKey | Ed25519PrivateKey):
        raise ConfigError(
            "dkim: the private key is neither RSA nor Ed25519: make one with `clarion dkim create`"
        )
    return found

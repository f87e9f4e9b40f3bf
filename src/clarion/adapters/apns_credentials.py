"""How APNs knows the sender: a token signed with the team's key, or a certificate of one app."""

from __future__ import annotations

import binascii
from base64 import b64decode

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificates

from clarion.adapters.es256 import signed_es256
from clarion.errors import ConfigError
from clarion.model.ids import Instant

SLOT_S = 1_800
"""Tokens begin at multiples of this and are signed deterministically, so all processes send the same one. APNs takes
tokens of up to an hour, and a new one every 20 minutes at most."""
RENEW_AGAIN_S = 1_200


class ApnsToken:
    """The token of a team's key, at any time (Apple: "Establishing a token-based connection to APNs")."""

    def __init__(self, key_id: str, team_id: str, private_key: str) -> None:
        """Raises ConfigError when the key is none for APNs."""
        try:
            key = load_pem_private_key(private_key.encode(), None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise ConfigError(
                "private_key is not the contents of an AuthKey_….p8 file", pointer="#/private_key"
            )
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._issued_s = 0
        self._token = ""
        self._renewed_s = 0

    def at(self, now: Instant) -> str:
        """The token to send now."""
        now_s = now // 1000
        wanted_s = max(now_s - now_s % SLOT_S, self._renewed_s)
        if wanted_s != self._issued_s or not self._token:
            header = {"alg": "ES256", "kid": self._key_id}
            self._token = signed_es256(self._key, header, {"iss": self._team_id, "iat": wanted_s})
            self._issued_s = wanted_s
        return self._token

    def renew(self, now: Instant) -> bool:
        """APNs holds it to be expired. Whether another one is sent from now on: not when this one is new."""
        now_s = now // 1000
        if now_s - self._renewed_s < RENEW_AGAIN_S:
            return False
        self._renewed_s = now_s
        return True


def certificate_pem(text: str, password: str) -> bytes:
    """Certificates and private key as PEM, of PEM or of a .p12 file in base64. ConfigError when there are not both."""
    secret = password.encode() or None
    try:
        if "-----BEGIN" in text:
            key = load_pem_private_key(text.encode(), secret)
            chain = load_pem_x509_certificates(text.encode())
        else:
            found, own, others = pkcs12.load_key_and_certificates(b64decode(text, validate=False), secret)
            if found is None or own is None:
                raise ValueError
            key, chain = found, [own, *others]
    except (ValueError, TypeError, binascii.Error):
        raise ConfigError(
            "certificate does not hold a certificate and its private key, as PEM or as a .p12 file in base64; "
            "or certificate_password is wrong",
            pointer="#/certificate",
        ) from None
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return plain + b"".join(one.public_bytes(Encoding.PEM) for one in chain)

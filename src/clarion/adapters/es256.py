"""Signs JSON web tokens with ES256 (RFC 7515, RFC 7518): VAPID and APNs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from clarion.model.subscription import text_of

_encode = msgspec.json.Encoder().encode


def signed_es256(key: EllipticCurvePrivateKey, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """The token. The same key and claims make the same token (RFC 6979), in whichever process."""
    said = f"{text_of(_encode(header))}.{text_of(_encode(claims))}"
    r, s = decode_dss_signature(key.sign(said.encode(), ECDSA(SHA256(), deterministic_signing=True)))
    return f"{said}.{text_of(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

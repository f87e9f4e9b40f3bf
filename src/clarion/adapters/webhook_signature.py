"""Signatures as Standard Webhooks 1.0.0 wants them."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256

from clarion.model.endpoint import secret_key


def signature(secrets: Iterable[str], id: str, at_s: int, body: bytes) -> str:
    """One `v1` signature per secret, separated by spaces. ValueError for what is no secret."""
    signed = b"%s.%d.%s" % (id.encode(), at_s, body)
    return " ".join(
        "v1," + b64encode(hmac.digest(secret_key(secret), signed, sha256)).decode() for secret in secrets
    )

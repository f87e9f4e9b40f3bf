"""Google service accounts: their key files, and what they sign to get access tokens (RFC 7523)."""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.jwk import RSAKey

from clarion.adapters.oauth import Grant
from clarion.errors import ConfigError
from clarion.model.ids import Instant

LIFETIME_S = 3_600
"""The longest that Google allows."""


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of a key file."""

    project_id: str
    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - a URL

    def __repr__(self) -> str:
        return "ServiceAccount()"


def read_service_account(text: str, pointer: str) -> ServiceAccount:
    """The account of a key file's contents. Raises ConfigError with `pointer`."""
    try:
        return msgspec.json.decode(text, type=ServiceAccount)
    except (msgspec.DecodeError, RecursionError):
        raise ConfigError(
            "it is not the JSON of a service account's key, with project_id, client_email and private_key: "
            "make one in the Google Cloud console",
            pointer=pointer,
        ) from None


def grant(account: ServiceAccount, scope: str, pointer: str) -> Grant:
    """By what right tokens are asked for. Raises ConfigError when the key cannot sign."""
    try:  # Whether its primes are prime takes a fifth of a second, and a wrong key is told by Google as well.
        own = load_pem_private_key(account.private_key.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        own = None
    if not isinstance(own, RSAPrivateKey):
        raise ConfigError("its private_key is not an RSA key as PEM", pointer=pointer)
    key = RSAKey(own, own)

    def assertion(now: Instant) -> str:
        header = {"alg": "RS256", "typ": "JWT"}
        if account.private_key_id:
            header["kid"] = account.private_key_id
        claims = {
            "iss": account.client_email,
            "scope": scope,
            "aud": account.token_uri,
            "iat": now // 1000,
            "exp": now // 1000 + LIFETIME_S,
        }
        return jwt.encode(header, claims, key, algorithms=["RS256"])

    return Grant(token_url=account.token_uri, client_id=account.client_email, assertion=assertion)

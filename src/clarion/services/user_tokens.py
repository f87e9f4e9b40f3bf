"""Short-lived signed tokens that give one user's devices access to that user's inbox, and to nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from clarion.errors import TokenExpired, Unauthenticated
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault

ALGORITHM = "HS256"
AUDIENCE = "clarion-inbox"
LONGEST_TOKEN = 2048


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    aud: str
    tenant: int
    sub: str
    no: int
    """Which person it is: another one may get the same id after an erasure."""
    exp: int
    """Seconds since the Unix epoch, as RFC 7519 wants."""


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """The user that a valid token names."""

    tenant: TenantId
    user_id: str
    user: UserNo
    expires_at: Instant
    """From then on it is worthless."""

    def names(self, user: User | None) -> bool:
        """Whether `user`, who has this id now, is the person it was made for. An erased one never comes back."""
        return user is not None and user.no == self.user


class UserTokens:
    """Mints and verifies compact JWTs. One key per installation, the algorithm is not negotiable."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        material = b"".join(vault.hash(f"user-token/{half}", AUDIENCE.encode()) for half in (1, 2))
        self._key = OctKey.import_key(material)
        self._clock = clock

    def mint(self, user: User, ttl_s: int = 900) -> str:
        """A token for `user` that is good for `ttl_s` seconds."""
        claims: dict[str, Any] = {
            "aud": AUDIENCE,
            "tenant": user.tenant,
            "sub": user.id,
            "no": user.no,
            "exp": self._clock.now() // 1000 + ttl_s,
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, algorithms=[ALGORITHM])

    def verify(self, token: str) -> Bearer:
        """Whom the token names. Whether that person still exists is for the caller to look up.

        Raises TokenExpired for a genuine token whose time has passed, Unauthenticated for anything else.
        """
        claims = self._genuine(token)
        expires_at = Instant(claims.exp * 1000)
        if self._clock.now() >= expires_at:
            raise TokenExpired("the user token has expired: ask your backend for a new one")
        return Bearer(
            tenant=TenantId(claims.tenant),
            user_id=claims.sub,
            user=UserNo(claims.no),
            expires_at=expires_at,
        )

    def _genuine(self, token: str) -> _Claims:
        try:
            if len(token) > LONGEST_TOKEN:
                raise ValueError
            signed = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            claims = msgspec.convert(signed.claims, _Claims)
            if claims.aud != AUDIENCE:
                raise ValueError
        except (JoseError, ValueError):
            # msgspec.ValidationError is a ValueError. No cause: its text may quote the token.
            raise Unauthenticated(
                "this is not a user token of this installation: ask your backend for one"
            ) from None
        return claims

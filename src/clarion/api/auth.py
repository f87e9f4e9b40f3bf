"""Authenticates callers: API keys for programs, user tokens for one user's inbox."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clarion.errors import Forbidden, Unauthenticated
from clarion.model.ids import TenantId
from clarion.model.setup import ApiKey, Scope
from clarion.ports.ledger import Users
from clarion.services.api_keys import ALLOWED, PREFIX, ApiKeys
from clarion.services.user_tokens import UserTokens


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A verified credential, bound to its tenant."""

    tenant: TenantId
    scope: Scope | None = None
    """None: a person with a user token."""
    user_id: str = ""
    """Whose token it is; empty for API keys."""

    def require(self, scope: Scope) -> None:
        """Raises Forbidden unless the key's scope includes `scope`."""
        if self.scope is None:
            raise Forbidden("A user token opens that user's inbox only. Use an API key for this.")
        if scope not in ALLOWED[self.scope]:
            raise Forbidden(
                f"This key has the scope `{self.scope}`; this needs `{scope}`. Create one with `clarion keys create`."
            )

    def require_own(self, user_id: str, scope: Scope) -> None:
        """The same, but a user's own token will do."""
        if self.scope is not None:
            self.require(scope)
        elif self.user_id != user_id:
            raise Forbidden("This user token belongs to another user: it opens its own user's inbox only.")


class Authenticator:
    """Turns an Authorization header into a caller."""

    def __init__(self, keys: ApiKeys, tokens: UserTokens, users: Users) -> None:
        self._keys = keys
        self._tokens = tokens
        self._users = users

    async def key(self, headers: Mapping[bytes, bytes], scope: Scope) -> ApiKey:
        """The API key of a request, if it may do `scope`. The quick way in for the ingest routes."""
        text = _bearer(headers)
        key = self._keys.recall(text) or await self._keys.verify(text)
        if scope not in ALLOWED[key.scope]:
            Identity(tenant=key.tenant, scope=key.scope).require(scope)
        return key

    async def caller(self, headers: Mapping[bytes, bytes]) -> Identity:
        """The caller of a request, by API key or user token. Raises Unauthenticated."""
        text = _bearer(headers)
        if text.startswith(PREFIX) or "." not in text:
            key = self._keys.recall(text) or await self._keys.verify(text)
            return Identity(tenant=key.tenant, scope=key.scope)
        bearer = self._tokens.verify(text)
        found = await self._users.find(bearer.tenant, [bearer.user_id])
        if not bearer.names(found.get(bearer.user_id)):
            raise Unauthenticated("The user of this token was deleted.")
        return Identity(tenant=bearer.tenant, user_id=bearer.user_id)


def _bearer(headers: Mapping[bytes, bytes]) -> str:
    value = headers.get(b"authorization")
    if value is None:
        raise Unauthenticated("Send `Authorization: Bearer clr_...` with an API key.")
    if value[:7].lower() != b"bearer ":
        raise Unauthenticated(
            "The Authorization header must read `Bearer`, a space, and an API key or user token."
        )
    return value[7:].strip().decode("latin-1")

"""Authenticates a connection by origin, token and user, the same for every transport."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

from clarion.errors import TokenExpired, Unauthenticated
from clarion.gateway.asgi import Scope
from clarion.gateway.close_codes import BAD_TOKEN, ORIGIN_REFUSED, TOKEN_EXPIRED, USER_DELETED, CloseCode
from clarion.gateway.session import Resume
from clarion.model.ids import Instant
from clarion.model.user import User
from clarion.ports.ledger import Users
from clarion.rules.origins import Origins
from clarion.services.user_tokens import UserTokens

BEARER = "bearer "
MOST_PARAMETERS = 20
LARGEST_OFFSET = 2**63 - 1


class Visitor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with a good token."""

    user: User
    expires_at: Instant
    resume: Resume | None


class HandshakeRequest:
    """What a client said when it came: headers and query, read once."""

    def __init__(self, scope: Scope) -> None:
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._query = scope["query_string"].decode("latin-1")
        # The server logs the path of accepted connections; a token in its query must not get there.
        scope["query_string"] = b""

    @property
    def origin(self) -> str:
        """The page that opened the connection; empty outside browsers."""
        return self.headers.get("origin", "")

    def read(self) -> tuple[str, Resume | None]:
        """The token, and where the client stopped. ValueError on a hopeless query."""
        query = dict(parse_qsl(self._query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS))
        given = self.headers.get("authorization", "")
        token = given[len(BEARER) :].strip() if given.lower().startswith(BEARER) else query.get("token", "")
        # A browser repeats the URL when its EventSource reconnects; the header is newer than the query then.
        epoch, _, offset = self.headers.get("last-event-id", "").rpartition(":")
        return token, _resume(epoch or query.get("epoch", ""), offset or query.get("offset", ""))


def _resume(epoch: str, offset: str) -> Resume | None:
    if not epoch or not (offset.isascii() and offset.isdigit()) or int(offset[:20]) > LARGEST_OFFSET:
        return None
    return Resume(epoch, int(offset[:20]))


class DeviceAuthenticator:
    """Lets users in, one by one."""

    def __init__(self, users: Users, tokens: UserTokens, origins: Origins) -> None:
        self._users = users
        self._tokens = tokens
        self._origins = origins

    def allows(self, request: HandshakeRequest) -> bool:
        """Whether the page that asks may have an answer."""
        return self._origins.allows(request.origin, request.headers.get("host", ""))

    async def admit(self, request: HandshakeRequest) -> Visitor | CloseCode:
        """Who it is, or why they cannot come in."""
        if not self.allows(request):
            return ORIGIN_REFUSED
        try:
            token, resume = request.read()
            bearer = self._tokens.verify(token)
        except TokenExpired:
            return TOKEN_EXPIRED
        except (Unauthenticated, ValueError):
            return BAD_TOKEN
        user = (await self._users.find(bearer.tenant, [bearer.user_id])).get(bearer.user_id)
        if user is None or not bearer.names(user):
            return USER_DELETED
        return Visitor(user=user, expires_at=bearer.expires_at, resume=resume)

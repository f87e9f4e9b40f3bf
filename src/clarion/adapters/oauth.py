"""OAuth 2.0 access tokens (RFC 6749): cached in memory, renewed before they expire, one request at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import NoReturn
from urllib.parse import urlencode

import msgspec
import structlog

from clarion.adapters.http import HttpClient, HttpFailure, HttpReply, HttpRequest
from clarion.errors import ConfigError, Unavailable
from clarion.model.ids import Instant
from clarion.ports.provider import ProviderTools

TIMEOUT_S = 15.0
MOST_BYTES = 64 * 1024
EARLY_S = 300.0
"""A token is renewed so long before it runs out, but at most a tenth of its time."""
log = structlog.get_logger(__name__)

USUAL_S = 3_600.0
"""How long a token lives when its server does not say."""
LONGEST_S = 86_400.0
PAUSE_S = 10.0
"""A server that gave no token is not asked again for so long."""
LONGEST_PAUSE_S = 60.0
"""Whatever it asks for: mail waits meanwhile, and critical mail does not live long."""
JUST_NOW_S = 10.0
"""A token that is younger was not refused because it ran out."""
OK, REQUEST_TIMEOUT, TOO_MANY, SERVER_ERROR = 200, 408, 429, 500

_ADVICE = {
    "invalid_client": "it does not know the client id, or the client secret is wrong",
    "invalid_grant": "the refresh token has expired, was revoked, or belongs to another client: obtain a new one",
    "invalid_scope": "the scope is unknown to it or was not granted",
    "unauthorized_client": "the client may not ask for tokens in this way: allow it there",
    "unsupported_grant_type": "it gives no tokens in this way: set a refresh token, or leave it out",
    "invalid_request": "it misses something in the request: check the scope and its address",
    "access_denied": "it was not allowed there",
}
"""What RFC 6749 section 5.2 says, and what to do. Anything else a server writes may hold a secret and is not shown."""
_TOKEN = re.compile(r"[!-~]{1,8192}").fullmatch


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """By what right tokens are asked for: what the client signs (RFC 7523), a refresh token (RFC 6749, section 6), or
    without either the client's own (4.4)."""

    token_url: str
    client_id: str
    client_secret: str = ""
    refresh_token: str = ""
    scope: str = ""
    assertion: Callable[[Instant], str] | None = None
    """Signs the JWT that is exchanged for a token; it says client and scope."""

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Grant({'refresh token' if self.refresh_token else 'client credentials'})"


class _Answer(msgspec.Struct, frozen=True):
    """Section 5.1, and the one field of section 5.2 that has a meaning for us."""

    access_token: str = ""
    expires_in: float | str | None = None
    refresh_token: str = ""
    error: str = ""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    since_s: float
    renew_s: float
    until_s: float


_decode = msgspec.json.Decoder(_Answer, strict=False).decode


class AccessTokens:
    """The tokens of one grant. The URL must lead to a public address, or to one that the operator allows.

    A server may hand out a new refresh token with each answer. It is remembered, and used from then on until the
    settings name another one.
    """

    def __init__(self, grant: Grant, tools: ProviderTools) -> None:
        self._grant = grant
        self._clock = tools.clock
        self._caller = HttpClient(tools, timeout_s=TIMEOUT_S)
        self._memory = tools.memory
        self._unstored = ""
        """A refresh token that could not be stored."""
        named = f"{grant.token_url}\n{grant.client_id}\n{grant.refresh_token}".encode()
        self._known_as = "refresh-token-" + tools.vault.hash("oauth", named).hex()
        """One of the settings, so that another one there counts at once."""
        self._kept: _Kept | None = None
        self._asking: asyncio.Task[str] | None = None
        self._trouble: ConfigError | Unavailable | None = None
        self._ask_again_s = 0.0

    async def get(self) -> str:
        """A token that is good for a while. Raises ConfigError when the settings are wrong, else Unavailable."""
        kept = self._kept
        now_s = self._clock.monotonic()
        if kept is not None and now_s < kept.renew_s:
            return kept.token
        try:
            return await self._renewed()
        except Unavailable:
            if kept is not None and kept is self._kept and self._clock.monotonic() < kept.until_s:
                return kept.token
            raise

    def forget(self, token: str) -> bool:
        """A mail server refused it. Whether another one may do: not when this one is new."""
        kept = self._kept
        if kept is None or kept.token != token:
            return True
        if self._clock.monotonic() - kept.since_s < JUST_NOW_S:
            return False
        self._kept = None
        return True

    async def close(self) -> None:
        """Let go of connections."""
        if self._asking is not None:
            self._asking.cancel()
        await self._caller.close()

    async def _renewed(self) -> str:
        if self._trouble is not None and self._clock.monotonic() < self._ask_again_s:
            raise self._trouble.with_traceback(None)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)  # Others wait for the same answer.

    def _asked(self, task: asyncio.Task[str]) -> None:
        self._asking = None
        trouble = None if task.cancelled() else task.exception()
        self._trouble = trouble if isinstance(trouble, ConfigError | Unavailable) else None
        pause_s = trouble.retry_after_s if isinstance(trouble, Unavailable) else 0
        self._ask_again_s = self._clock.monotonic() + max(PAUSE_S, pause_s)

    async def _ask(self) -> str:
        began_s = self._clock.monotonic()
        reply = await self._caller.call(self._call(), until_s=began_s + TIMEOUT_S, limit=MOST_BYTES)
        answer = _read(reply)
        life_s = _life_s(answer.expires_in)
        if answer.refresh_token and answer.refresh_token != self._refresh_token:
            await self._remember(answer.refresh_token)
        self._kept = _Kept(
            token=answer.access_token,
            since_s=self._clock.monotonic(),
            renew_s=began_s + life_s - min(EARLY_S, life_s / 10),
            until_s=began_s + life_s,
        )
        return answer.access_token

    @property
    def _refresh_token(self) -> str:
        return self._unstored or self._memory.get(self._known_as) or self._grant.refresh_token

    async def _remember(self, refresh_token: str) -> None:
        """Before the access token is used: the server may take the old one no more."""
        self._unstored = refresh_token
        try:
            await self._memory.put(self._known_as, refresh_token)
            self._unstored = ""
        except Unavailable as trouble:
            log.error("refresh_token_not_stored", detail=trouble.detail)  # It is stored with the next one.

    def _call(self) -> HttpRequest:
        grant = self._grant
        fields = (
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": grant.assertion(self._clock.now()),
            }
            if grant.assertion is not None
            else {
                "grant_type": "refresh_token" if self._refresh_token else "client_credentials",
                "refresh_token": self._refresh_token,
                "client_id": grant.client_id,
                "client_secret": grant.client_secret,
                "scope": grant.scope,
            }
        )
        return HttpRequest(
            url=grant.token_url,
            headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
            body=urlencode({name: value for name, value in fields.items() if value}).encode(),
        )


def bearer(username: str, token: str) -> str:
    """What SASL XOAUTH2 sends: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol."""
    return f"user={username}\x01auth=Bearer {token}\x01\x01"


def checked(grant: Grant) -> Grant:
    """Raises ConfigError for one that can never work."""
    if not grant.client_id:
        raise ConfigError("OAuth needs a client id and a token URL")
    if not (grant.refresh_token or grant.client_secret):
        raise ConfigError("OAuth needs a refresh token, or a client secret (client credentials grant)")
    return grant


def _read(reply: HttpReply | HttpFailure) -> _Answer:
    """The answer when it brings a token; else raises what is wrong, in our words."""
    if isinstance(reply, HttpFailure):
        if reply.kind == "refused":
            raise ConfigError(f"the OAuth token URL cannot be used: {reply.detail}")
        raise Unavailable(f"no OAuth token: {reply.detail}")
    if reply.status in {REQUEST_TIMEOUT, TOO_MANY} or reply.status >= SERVER_ERROR:
        pause_s = round(min(reply.retry_after_s or PAUSE_S, LONGEST_PAUSE_S))
        raise Unavailable(
            f"the OAuth token server answers {reply.status}: it is tried again", retry_after_s=pause_s
        )
    try:
        answer = _decode(reply.body)
    except (msgspec.DecodeError, RecursionError):
        answer = _Answer()
    if reply.status != OK or answer.error:
        _refuse(reply.status, answer.error)
    if _TOKEN(answer.access_token) is None:
        raise ConfigError("the answer of the OAuth token URL is not an access token: check the URL")
    return answer


def _refuse(status: int, error: str) -> NoReturn:
    advice = _ADVICE.get(error)
    said = (
        f"({error}): {advice}"
        if advice
        else f"({status}): check the token URL and what the server's own log says"
    )
    raise ConfigError(f"the OAuth token server refuses {said}")


def _life_s(said: float | str | None) -> float:
    """`expires_in`, which some servers write as a text."""
    try:
        seconds = float(said) if said is not None else USUAL_S
    except ValueError:
        return USUAL_S
    return min(seconds, LONGEST_S) if seconds > 0 else USUAL_S

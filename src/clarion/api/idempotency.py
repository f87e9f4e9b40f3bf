"""`Idempotency-Key`: the same call again gets the first answer again, on every POST.

The ingest routes keep the key in the transaction of their event. Here it is kept, with the answer, before the answer is
sent: whoever has an answer gets the same one for 24 hours, also after a crash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request

from clarion.api.auth import Identity
from clarion.api.dependencies import ApiParts
from clarion.api.problems import wrong_header
from clarion.api.responses import Header, HttpScope, Send, answer
from clarion.errors import IdempotencyInFlight, IdempotencyMismatch
from clarion.flow.intake.intake import CLAIM_MS
from clarion.model.event import IdempotencyRecord
from clarion.model.ids import Instant, TenantId

HEADER = b"idempotency-key"
NAME = "Idempotency-Key"
KEY_CHARS = 255
REPLAYED: Header = (b"idempotency-replayed", b"true")
HELD = "clarion.held"
"""Where the key of a call that runs stands in its scope."""
REPEATED_HEADERS = frozenset({b"content-type", b"etag", b"location"})
"""What of the first answer's headers is said again."""

_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-+\--:<-~]+(?: +[!#-+\--:<-~]+)*")
_PARAMETERS = re.compile(
    r'(?: *; *[a-z*][a-z0-9_.*-]*(?:=(?:"(?:[ !#-\[\]-~]|\\["\\])*"|[A-Za-z0-9!#$%&\'*+.^_`|~:/?=-]+))?)*'
)


class KeptAnswer(msgspec.Struct, frozen=True, array_like=True):
    """The first answer, as it is kept."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A call that runs under a key."""

    tenant: TenantId
    key: bytes
    fingerprint: bytes


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(KeptAnswer)


def key_of(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The key of a call, empty without one: a structured-field string (RFC 8941) or bare; parameters mean nothing."""
    found = [value for name, value in headers if name == HEADER]
    if not found:
        return ""
    if len(found) > 1:
        raise wrong_header(NAME, "is there twice: send it once")
    text = found[0].decode("latin-1").strip()
    quoted = _STRING.match(text)
    item = quoted or _BARE.match(text)
    if item is None or not _PARAMETERS.fullmatch(text, item.end()):
        raise wrong_header(
            NAME, "cannot be read: send a string of printable ASCII characters, best in quotes"
        )
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else item[0]
    if not 0 < len(key) <= KEY_CHARS:
        raise wrong_header(NAME, f"must have 1 to {KEY_CHARS} characters")
    return key


def fingerprint(scope: HttpScope, body: bytes) -> bytes:
    """Tells one request from another."""
    query: bytes = scope["query_string"]
    target = f"{scope['method']} {scope['path']}".encode() + (b"?" + query if query else b"")
    return blake2b(target + b"\n" + body, digest_size=16).digest()


class IdempotentCalls:
    """One per process: knows which calls are running."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._running: set[tuple[TenantId, bytes]] = set()

    async def first(self, scope: HttpScope, caller: Identity, key: str, body: bytes) -> KeptAnswer | None:
        """The answer that the first call under `key` got; None when this is the first: it is held from here on.

        Raises IdempotencyInFlight while the first is running, IdempotencyMismatch when it was another request.
        """
        vault = self._parts.vault
        # One person's token never meets the keys of another, or those of the tenant's programs.
        purpose = "idempotency-of-user" if caller.user_id else "idempotency"
        owner = f"{caller.tenant}:{caller.user_id}\n{key}" if caller.user_id else f"{caller.tenant}:{key}"
        reservation = Reservation(
            tenant=caller.tenant,
            key=vault.hash(purpose, owner.encode()),
            fingerprint=fingerprint(scope, body),
        )
        if (reservation.tenant, reservation.key) in self._running:
            raise IdempotencyInFlight(
                f"The first request with this {NAME} is still running. Retry in a second."
            )
        self._running.add((reservation.tenant, reservation.key))
        scope[HELD] = reservation
        now = self._parts.clock.now()
        claimed = await self._parts.ledger.claims.claimed(reservation.tenant, [reservation.key], now)
        known = claimed.get(reservation.key)
        if known is None:
            return None
        if known.fingerprint != reservation.fingerprint:
            raise IdempotencyMismatch(
                f"This {NAME} was used with another request. Use a new key for a new request."
            )
        return _decoder.decode(vault.open(vault.tenant_key(reservation.tenant), known.answer))

    def done(self, scope: HttpScope) -> None:
        """The call has ended, however."""
        reservation: Reservation | None = scope.pop(HELD, None)
        if reservation is not None:
            self._running.discard((reservation.tenant, reservation.key))

    def keeping(self, send: Send, scope: HttpScope) -> Send:
        """Keeps a success under the key that is held, before anything of it is sent."""
        held_back: list[MutableMapping[str, Any]] = []

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and HELD in scope and 200 <= message["status"] < 300:
                held_back.append(message)
                return
            if held_back:
                start = held_back.pop()
                await self._keep(scope[HELD], start, message.get("body", b""))
                await send(start)
            await send(message)

        return sending

    async def _keep(self, reservation: Reservation, start: Mapping[str, Any], body: bytes) -> None:
        vault = self._parts.vault
        headers = tuple((name, value) for name, value in start["headers"] if name.lower() in REPEATED_HEADERS)
        first = _encode(KeptAnswer(start["status"], headers, body))
        await self._parts.ledger.claims.hold(
            IdempotencyRecord(
                tenant=reservation.tenant,
                key=reservation.key,
                fingerprint=reservation.fingerprint,
                answer=vault.seal(vault.tenant_key(reservation.tenant), first),
                expires_at=Instant(self._parts.clock.now() + CLAIM_MS),
            )
        )


REPEATS = "clarion.repeats"
"""Where the edge puts its `Repeats` in the scope of a request."""


class RepeatedCall(Exception):
    """The call was made before: its answer is given again."""

    def __init__(self, first: KeptAnswer) -> None:
        super().__init__()
        self.first = first


async def check_repeat(request: Request[Any, Any, Any]) -> None:
    """Stands before every ordinary route, behind its credential: raises Repeated for a repeat."""
    scope: Any = request.scope
    if scope["method"] != "POST" or not (key := key_of(scope["headers"])) or is_dry_run(scope):
        return
    repeats: IdempotentCalls = scope[REPEATS]
    first = await repeats.first(scope, scope["auth"], key, await request.body())
    if first is not None:
        raise RepeatedCall(first)


async def replay(send: Send, first: KeptAnswer) -> None:
    """The first answer again, from a route that does without the framework."""
    headers = dict(first.headers)
    media_type = headers.pop(b"content-type", b"application/json")
    await answer(send, first.status, first.body, *headers.items(), REPLAYED, media_type=media_type)


def is_dry_run(scope: HttpScope) -> bool:
    """A dry run stores nothing, so it needs no key."""
    query = parse_qsl(scope["query_string"].decode("latin-1"))
    return ("dry_run", "true") in [(name, value.lower()) for name, value in query]

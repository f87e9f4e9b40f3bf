"""Calls the HTTP services of tenants: for steps that ask, or have words written.

A service that is slow takes its own places only. Whoever finds none free comes again when its turn is likely to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec.structs import replace

from clarion.flow.ledger import Ledger
from clarion.model.connection import Connection, HttpMethod, SecretName
from clarion.model.ids import EventId, Instant, TenantId, id_text
from clarion.model.lru import Lru
from clarion.model.quota import QuotaAsk
from clarion.model.run import CallResult, StepCall
from clarion.model.status import Reason
from clarion.ports.clock import Clock
from clarion.ports.http import HttpFailure, HttpReply, HttpRequest
from clarion.ports.provider import ProviderTools
from clarion.rules.answers import ServiceAnswer, answered, retry_at
from clarion.rules.budgets import day_of
from clarion.rules.steps.call import CallStep
from clarion.rules.steps.kinds import KINDS

ANSWER_BYTES = 262_144
REDIRECTS = 3
KEPT_ANSWERS = 1_024
"""Each has at most 16 KiB."""
IN_LINE = 4
"""Calls that a process holds for every place of a connection."""
HELD = 1_024
"""Calls that a process holds in all."""
COME_AGAIN_MS = 500
FIRST_GUESS_MS = 100
"""How long a call takes, before any was made."""


class _Kept(NamedTuple):
    until: Instant
    result: CallResult


class ConnectionLine:
    """The calls of one connection in this process."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.places = asyncio.Semaphore(at_once)
        self.held: set[EventId] = set()
        """Under way, or waiting for a place."""
        self._takes_ms = float(FIRST_GUESS_MS)
        self._turn = Instant(0)

    def took(self, ms: int) -> None:
        """A call is over."""
        self._takes_ms += (ms - self._takes_ms) / 8

    def turn(self, now: Instant) -> Instant:
        """When one more is likely to find a place, behind all that were told so before."""
        apart_ms = max(1, round(self._takes_ms / self.at_once))
        self._turn = Instant(max(self._turn, now + COME_AGAIN_MS) + apart_ms)
        return self._turn


class ConnectionService:
    """Calls them, each within its limits."""

    def __init__(self, ledger: Ledger, tools: ProviderTools) -> None:
        self._setup = ledger.setup
        self._quotas = ledger.quotas
        self._tools = tools
        self._lines: dict[tuple[TenantId, str], ConnectionLine] = {}
        self._answers: Lru[bytes, _Kept] = Lru(KEPT_ANSWERS)
        self._held: dict[EventId, ConnectionLine] = {}

    @property
    def _clock(self) -> Clock:
        return self._tools.clock

    async def refusal(self, url: str) -> str | None:
        """Why it would not be called, as far as can be told without calling it."""
        return await self._tools.refusal(url)

    def known(self, tenant: TenantId, call: StepCall) -> CallResult | None:
        """What can be said of a call without making it; None: it is to be made now, and there is room for it."""
        connection = self._connection(tenant, call)
        if connection is None or (said := self._settled(tenant, connection, call)) is not None:
            return _gone(call) if connection is None else said
        line = self._line(tenant, connection)
        if len(line.held) < line.at_once * IN_LINE and len(self._held) < HELD:
            self._hold(line, call)
            return None
        turn = line.turn(self._clock.now())
        again_at = turn if call.until is None else min(turn, call.until)
        return CallResult(again_at=again_at, attempts=call.attempts, told=_tells(call))

    async def fetch(self, tenant: TenantId, call: StepCall) -> CallResult:
        """What the service answers. Asking again is harmless as far as it knows a repetition by its key."""
        try:
            connection = self._connection(tenant, call)
            if connection is None:
                return _gone(call)
            line = self._line(tenant, connection)
            self._hold(line, call)
            async with line.places:
                said = self._settled(tenant, connection, call)
                return await self._fetched(tenant, connection, call, line) if said is None else said
        finally:
            held = self._held.pop(call.id, None)
            if held is not None:
                held.held.discard(call.id)

    def _hold(self, line: ConnectionLine, call: StepCall) -> None:
        """Once, in the line where it came first."""
        self._held.setdefault(call.id, line).held.add(call.id)

    def _settled(self, tenant: TenantId, connection: Connection, call: StepCall) -> CallResult | None:
        """What comes of a call that is not made any more."""
        told = _tells(call)
        if call.request["method"] not in connection.methods:
            return _failed(told, "the connection does not allow this method any more")
        kept = self._kept(tenant, connection, call)
        if kept is not None:
            return replace(kept, told={**told, "cached": True})
        if call.until is not None and self._clock.now() >= call.until:
            return _failed({**told, "attempts": call.attempts}, "no answer came in time")
        return None

    async def _fetched(
        self, tenant: TenantId, connection: Connection, call: StepCall, line: ConnectionLine
    ) -> CallResult:
        begun = self._clock.now()
        if not await self._paid(tenant, connection, call, begun):
            return _failed(_tells(call), "what the connection may take in a day is used up")
        reply = await self._reply(tenant, connection, call, begun)
        now = self._clock.now()
        line.took(now - begun)
        answer = _answer(reply, call)
        attempts = call.attempts + 1
        told = {**_tells(call), "status": answer.status, "ms": now - begun, "attempts": attempts}
        if answer.error is None:
            result = CallResult(output={"status": answer.status, "body": answer.body}, told=told)
            self._keep(tenant, connection, call, result, now)
            return result
        again_at = retry_at(answer, call, now)
        if again_at is not None:
            return CallResult(again_at=again_at, attempts=attempts, told={**told, "error": answer.error})
        return replace(_failed(told, answer.error), output={"status": answer.status})

    async def _paid(self, tenant: TenantId, connection: Connection, call: StepCall, now: Instant) -> bool:
        """Whether the day has room for the tokens that a call may take, which are counted for all processes together."""
        tokens = call.request.get("tokens", 0)
        if not tokens:
            return True
        ask = QuotaAsk(
            costs=(tokens,),
            per_day=connection.limits.tokens_per_day,
            day=day_of(self._setup.tenants.all()[tenant], now),
        )
        grant = await self._quotas.take(tenant, f"connections/{connection.key}", ask, now)
        return grant.granted == 1

    async def _reply(
        self, tenant: TenantId, connection: Connection, call: StepCall, now: Instant
    ) -> HttpReply | HttpFailure:
        """Of the service, or of where it redirects to."""
        headers = self._headers(tenant, connection)
        if headers is None:
            return HttpFailure(kind="refused", detail="a secret that the connection names is gone")
        asked = call.request
        request = HttpRequest(
            url=connection.url.rstrip("/") + asked["path"],
            method=asked["method"].upper(),
            headers={
                "accept": "application/json",
                **({"content-type": "application/json"} if asked["has_body"] else {}),
                **headers,
                **asked["headers"],
                "idempotency-key": f'"{id_text(call.id)}"',
            },
            body=msgspec.json.encode(asked["body"]) if asked["has_body"] else b"",
        )
        timeout_s = asked["timeout_s"] or connection.timeout_s
        if call.until is not None:
            timeout_s = min(timeout_s, max(2.0, (call.until - now) / 1_000))
        until_s = self._clock.monotonic() + timeout_s
        for _ in range(REDIRECTS):
            reply = await self._tools.http(request, until_s=until_s, limit=ANSWER_BYTES)
            following = _redirected(request, reply)
            if following is None:
                return reply
            request = following
        return await self._tools.http(request, until_s=until_s, limit=ANSWER_BYTES)

    def _headers(self, tenant: TenantId, connection: Connection) -> Mapping[str, str] | None:
        """With the values of secrets; None: one is gone."""
        secrets = self._setup.secrets.all(tenant)
        found = {}
        for name, value in connection.headers.items():
            if not isinstance(value, SecretName):
                found[name.lower()] = value
            elif (secret := secrets.get(value.secret)) is not None:
                found[name.lower()] = secret.value
            else:
                return None
        return found

    def _connection(self, tenant: TenantId, call: StepCall) -> Connection | None:
        return self._setup.connections.all(tenant).get(call.request["connection"])

    def _line(self, tenant: TenantId, connection: Connection) -> ConnectionLine:
        key, at_once = (tenant, connection.key), connection.limits.at_once
        line = self._lines.get(key)
        if line is None or line.at_once != at_once:
            line = self._lines[key] = ConnectionLine(at_once)
        return line

    # -- answers that are kept for others -------------------------------------------------------------------

    def _kept(self, tenant: TenantId, connection: Connection, call: StepCall) -> CallResult | None:
        if call.request["cache_s"] is None:
            return None
        kept = self._answers.get(self._key(tenant, connection, call))
        return kept.result if kept is not None and self._clock.now() < kept.until else None

    def _keep(
        self, tenant: TenantId, connection: Connection, call: StepCall, result: CallResult, now: Instant
    ) -> None:
        if call.request["cache_s"] is not None:
            until = Instant(now + call.request["cache_s"] * 1_000)
            self._answers.put(self._key(tenant, connection, call), _Kept(until, result))

    def _key(self, tenant: TenantId, connection: Connection, call: StepCall) -> bytes:
        """Of what is asked, of whom, and as whom."""
        asked = {name: call.request[name] for name in ("path", "headers", "select")}
        whole = (tenant, connection, self._headers(tenant, connection), asked)
        return blake2b(msgspec.msgpack.encode(whole), digest_size=16).digest()


def _tells(call: StepCall) -> Mapping[str, Any]:
    kind = KINDS[call.type]
    assert isinstance(kind, CallStep)
    return kind.tells(call)


def _gone(call: StepCall) -> CallResult:
    return _failed(_tells(call), "there is no such connection any more")


def _answer(reply: HttpReply | HttpFailure, call: StepCall) -> ServiceAnswer:
    if isinstance(reply, HttpFailure):
        return ServiceAnswer(error=reply.detail, again=reply.kind != "refused")
    return answered(
        reply.status, reply.body, call.request["select"], cut=reply.cut, after_s=reply.retry_after_s
    )


def _failed(told: Mapping[str, Any], error: str) -> CallResult:
    return CallResult(reason=Reason.FETCH_FAILED, told={**told, "error": error})


def _redirected(request: HttpRequest, reply: HttpReply | HttpFailure) -> HttpRequest | None:
    """The request that a redirect asks for; None: it is none. What is meant for one server is told to no other."""
    if not isinstance(reply, HttpReply) or reply.status not in (301, 302, 303, 307, 308):
        return None
    if not (to := reply.headers.get("location")):
        return None
    url = urljoin(request.url, to)
    before, after = urlsplit(request.url), urlsplit(url)
    same = (before.scheme, before.netloc) == (after.scheme, after.netloc)
    headers = dict(request.headers) if same else {"accept": "application/json"}
    method, body = request.method, request.body
    if method != HttpMethod.GET.upper() and (reply.status in (301, 302, 303) or not same):
        method, body = HttpMethod.GET.upper(), b""
        headers.pop("content-type", None)
    return HttpRequest(url=url, method=method, headers=headers, body=body)

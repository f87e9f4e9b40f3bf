"""The outermost layer: every request by the one normal form of its path to its route, whose credential is checked
before a body is read, and every error into the catalogue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
import structlog
from litestar import Litestar

from clarion.api import docs_pages, request_bodies
from clarion.api.answer_page import AnswerPage
from clarion.api.auth import Authenticator
from clarion.api.callbacks import CallbackRoute
from clarion.api.cloudevents import is_json
from clarion.api.conditions import STATE
from clarion.api.confirm_page import ConfirmPage
from clarion.api.cors import Cors, is_preflight, with_headers
from clarion.api.dependencies import ApiParts
from clarion.api.events import Ingest
from clarion.api.guards import BODY, DOOR, PARTS
from clarion.api.idempotency import REPEATS, IdempotentCalls, RepeatedCall, replay
from clarion.api.inbound import InboundMailRoute
from clarion.api.pages import MOST_A_PAGE, NO_FILTER
from clarion.api.parameters import DRY, FIELDS, TOTAL, dry_run_answer, only
from clarion.api.preference_page import PreferencePage
from clarion.api.problems import MethodNotAllowed, Nowhere, cut_off, timed_out, wrong_header
from clarion.api.region import ForwardedRoute
from clarion.api.responses import SAFE, HttpScope, Send, answer, answer_problem
from clarion.api.unsubscribe import Farewell
from clarion.errors import ClarionError
from clarion.model.setup import Scope
from clarion.ports import terms
from clarion.rules.paths import SLASH, Segments, path_of, segments_of, sent_path
from clarion.services.preference_pages import PATH as PREFERENCES_HEAD
from clarion.services.response_links import PATH as ANSWER_HEAD
from clarion.services.unsubscribe import PATH as UNSUBSCRIBE_HEAD
from clarion.services.verifications import CONFIRM_PATH

ANSWER = (ANSWER_HEAD.strip("/"), "**")
UNSUBSCRIBE = (UNSUBSCRIBE_HEAD.strip("/"), "**")
CONFIRM = (CONFIRM_PATH.strip("/"), "**")
PREFERENCES_PAGE = (PREFERENCES_HEAD.strip("/"), "**")

BROKEN_LINKS = (
    (ANSWER_HEAD, ANSWER),
    (UNSUBSCRIBE_HEAD, UNSUBSCRIBE),
    (PREFERENCES_HEAD, PREFERENCES_PAGE),
)
"""Behind these paths are people, whatever is wrong with the rest."""

Serve = Callable[[str, HttpScope, request_bodies.Receive, Send], Awaitable[None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class BareRoute:
    """A route that does without the framework."""

    name: str
    """In metrics."""
    methods: tuple[str, ...]
    path: Segments
    """`*` stands for what is handed to `serve`, and so does `**` for everything that follows."""
    scope: Scope | None
    """The credential it needs; None: none."""
    serve: Serve

    def match(self, segments: Segments) -> str | None:
        """What stands for `*`, empty without one; None when this is another path."""
        if self.path[-1] == "**" and segments[: len(self.path) - 1] == self.path[:-1]:
            return "/".join(segments[len(self.path) - 1 :])
        if len(segments) != len(self.path):
            return None
        found = ""
        for wanted, given in zip(self.path, segments, strict=True):
            if wanted == "*":
                found = given.replace(SLASH, "/")
            elif wanted != given:
                return None
        return found


MOST_COUNTED = 10_000
"""Items of a list that `total` counts; more is "at least"."""

_log = structlog.get_logger("clarion.api")


class Edge:
    """The HTTP API as an ASGI application."""

    def __init__(self, parts: ApiParts, router: Litestar) -> None:
        self._parts = parts
        self._limits = parts.limits
        self._clock = parts.clock
        self._router = router
        self._door = Authenticator(parts.services.api_keys, parts.services.user_tokens, parts.ledger.users)
        repeats = IdempotentCalls(parts)
        self._bare = bare_routes(parts, repeats)
        self._cors = Cors(router, parts.origins)
        self._repeats = repeats
        self._requests: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()

    async def __call__(self, scope: HttpScope, receive: request_bodies.Receive, send: Send) -> None:
        """Answer one request."""
        request_id = self._parts.random.bytes(8).hex()
        send = _named(send, request_id)
        if any(name == b"origin" for name, _ in scope["headers"]):
            headers, segments = dict(scope["headers"]), segments_of(scope)
            allowed = self._cors.headers(segments, scope, headers) if segments is not None else []
            if allowed and is_preflight(scope, headers):
                await answer(send, 204, b"", *allowed)
                return
            send = with_headers(send, allowed)
        try:
            async with self._clock.timeout(self._limits.request_s):
                await self._dispatch(scope, receive, send)
        except request_bodies.ClientGone:
            return
        except ClarionError as error:
            if isinstance(error, Nowhere) and _opened_in_a_browser(scope):
                await _answer_missing(send)
            else:
                await self._refuse(send, request_id, error)
        except TimeoutError:
            await self._refuse(send, request_id, timed_out(self._limits.request_s))
        except asyncio.CancelledError:
            # Only a server that stops does that, to what has not ended by itself; it does not wait for us after this.
            await self._refuse(send, request_id, cut_off())
        except Exception as error:  # noqa: BLE001 (nothing is behind this but the server)
            await self._refuse(send, request_id, error)

    def stats(self) -> Mapping[str, float]:
        """Requests by route and problems by code, since the start."""
        return {f"requests.{route}": count for route, count in self._requests.items()} | {
            f"problems.{code}": count for code, count in self._problems.items()
        }

    async def _dispatch(self, scope: HttpScope, receive: request_bodies.Receive, send: Send) -> None:
        segments = segments_of(scope)
        if segments is None:
            for head, page in BROKEN_LINKS:
                if scope["path"].startswith(head):  # a broken link: behind it is a person
                    segments = page[:1]
            if segments is None:
                raise Nowhere(sent_path(scope))
        _check_once(scope)
        scope["path"] = path_of(segments)
        methods: list[str] = []
        for route in self._bare:
            found = route.match(segments)
            if found is None:
                continue
            if scope["method"] in route.methods:
                self._requests[route.name] += 1
                if route.scope is not None:
                    scope["auth"] = await self._door.key(dict(scope["headers"]), route.scope)
                await route.serve(found, scope, receive, send)
                return
            methods += route.methods
        self._requests["other"] += 1
        try:
            await self._ordinary(scope, receive, send)
        except (Nowhere, MethodNotAllowed) as wrong:
            if segments[:1] == ("v1",):
                await self._door.caller(dict(scope["headers"]))  # else it says what exists
            if methods:
                raise MethodNotAllowed({*methods, *getattr(wrong, "allowed", ())}) from None
            raise

    async def _ordinary(self, scope: HttpScope, receive: request_bodies.Receive, send: Send) -> None:
        scope[PARTS] = self._parts
        scope[DOOR] = self._door
        scope[REPEATS] = self._repeats
        finished = _finished(
            self._repeats.keeping(send, scope), scope, lambda: self._before(scope), lambda: self._total(scope)
        )
        try:
            await self._router(scope, self._checked(scope, receive), finished)  # type: ignore[arg-type]
        except RepeatedCall as again:
            await replay(send, again.first)
        finally:
            terms.leave()
            self._repeats.done(scope)

    async def _before(self, scope: HttpScope) -> dict[str, Any] | None:
        """The one resource that a dry run is about, as it still is; `{}` when there is none, None when it is about
        none."""
        if STATE not in scope:
            return None
        path = scope["path"].rpartition("/")[0] if scope["method"] == "POST" else scope["path"]
        return await self._read(scope, path) or {}

    async def _total(self, scope: HttpScope) -> dict[str, Any]:
        """How many items a list has, counted page by page up to `MOST_COUNTED`."""
        query = [one for one in parse_qsl(scope["query_string"].decode("latin-1")) if one[0] not in NO_FILTER]
        value, cursor = 0, ""
        for _ in range(MOST_COUNTED // MOST_A_PAGE):
            given = [*query, ("limit", str(MOST_A_PAGE)), *([("cursor", cursor)] if cursor else [])]
            page = await self._read(scope, scope["path"], urlencode(given)) or {
                "items": [],
                "next_cursor": None,
            }
            value += len(page["items"])
            cursor = page["next_cursor"] or ""
            if not cursor:
                return {"value": value, "exact": True}
        return {"value": value, "exact": False}

    async def _read(self, scope: HttpScope, path: str, query: str = "") -> dict[str, Any] | None:
        """What the caller of a request would read; None when there is nothing."""
        kept = ("asgi", "client", "headers", "http_version", "root_path", "scheme", "server", PARTS, DOOR)
        asked = {name: scope[name] for name in kept if name in scope}
        asked |= {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
        }
        told: list[MutableMapping[str, Any]] = []

        async def take(message: MutableMapping[str, Any]) -> None:
            told.append(message)

        async def nothing() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        router: Any = self._router
        try:
            await router(asked, nothing, take)
        except ClarionError:
            return None
        found: dict[str, Any] = msgspec.json.decode(b"".join(one.get("body", b"") for one in told))
        return found

    def _checked(self, scope: HttpScope, receive: request_bodies.Receive) -> request_bodies.Receive:
        """The whole body, within its limits, when the route asks for it; then whatever the server says next."""
        read = False

        async def once() -> MutableMapping[str, Any]:
            nonlocal read
            if read:
                return await receive()
            read = True
            headers = dict(scope["headers"])
            body = await request_bodies.read(receive, headers, self._limits.body_bytes)
            if body and is_json(headers.get(b"content-type", b"application/json").decode("latin-1")):
                request_bodies.check_text(body)
                request_bodies.check_depth(body, self._limits.depth)
            scope[BODY] = body
            return {"type": "http.request", "body": body, "more_body": False}

        return once

    async def _refuse(self, send: Send, request_id: str, error: Exception) -> None:
        if isinstance(error, ClarionError):
            self._problems[error.code] += 1
            await answer_problem(send, error)
            return
        # Nobody expected it: the log has the cause, once, under the id of the request.
        _log.error("unexpected error in a request", incident=request_id, exc_info=error)
        self._problems[ClarionError.code] += 1
        await answer_problem(send, ClarionError("unexpected"), request_id)


def _check_once(scope: HttpScope) -> None:
    """Who calls and what the body is are said once: which of two counts would be a guess."""
    names = [name for name, _ in scope["headers"]]
    for name in (b"authorization", b"content-type"):
        if names.count(name) > 1:
            raise wrong_header(name.decode(), "is given more than once")


def _opened_in_a_browser(scope: HttpScope) -> bool:
    """Whether a person typed this address or followed a link to it."""
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return scope["method"] == "GET" and b"text/html" in accepted and not scope["path"].startswith("/v1/")


async def _answer_missing(send: Send) -> None:
    """The page that says that there is none."""
    body, policy = docs_pages.missing()
    header = (b"content-security-policy", policy.encode())
    await answer(send, 404, body, header, media_type=b"text/html; charset=utf-8")


def bare_routes(parts: ApiParts, repeats: IdempotentCalls) -> tuple[BareRoute, ...]:
    """All of them."""
    ingest = Ingest(parts)
    return (
        BareRoute(
            name="events",
            methods=("POST",),
            path=("v1", "events"),
            scope=Scope.SEND,
            serve=ingest.events,
        ),
        BareRoute(
            name="trigger",
            methods=("POST",),
            path=("v1", "workflows", "*", "trigger"),
            scope=Scope.SEND,
            serve=ingest.trigger,
        ),
        BareRoute(
            name="inbound",
            methods=("POST",),
            path=("v1", "inbound", "email"),
            scope=Scope.SEND,
            serve=InboundMailRoute(parts, repeats),
        ),
        BareRoute(
            name="callbacks",
            methods=("GET", "POST"),
            path=("v1", "callbacks", "**"),
            scope=None,
            serve=CallbackRoute(parts),
        ),
        BareRoute(
            name="forwarded",
            methods=("POST",),
            path=("v1", "region", "events"),
            scope=None,
            serve=ForwardedRoute(parts),
        ),
        BareRoute(
            name="answer_page",
            methods=("GET", "HEAD", "POST"),
            path=ANSWER,
            scope=None,
            serve=AnswerPage(parts),
        ),
        BareRoute(
            name="unsubscribe",
            methods=("GET", "HEAD", "POST"),
            path=UNSUBSCRIBE,
            scope=None,
            serve=Farewell(parts),
        ),
        BareRoute(
            name="confirm",
            methods=("GET", "HEAD", "POST"),
            path=CONFIRM,
            scope=None,
            serve=ConfirmPage(parts),
        ),
        BareRoute(
            name="preferences_page",
            methods=("GET", "HEAD", "POST"),
            path=PREFERENCES_PAGE,
            scope=None,
            serve=PreferencePage(parts),
        ),
    )


def _finished(
    send: Send,
    scope: HttpScope,
    before: Callable[[], Awaitable[dict[str, Any] | None]],
    total: Callable[[], Awaitable[dict[str, Any]]],
) -> Send:
    """Adds the headers every answer carries, unless the route has its own, and the ETag of the one resource; leaves out
    the fields that were not asked for; says of a dry run what would change, and how long a list is. `before` and
    `total`: how to find that out."""
    held: list[MutableMapping[str, Any]] = []

    async def with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            terms.leave()  # what is written from here on is not the caller's
            headers = list(message.get("headers", ()))
            own = {name.lower() for name, _ in headers}
            message["headers"] = headers + [header for header in SAFE if header[0] not in own]
            if {STATE, FIELDS, DRY, TOTAL} & scope.keys() and 200 <= message["status"] < 300:
                held.append(message)  # until its body is known
                return
        elif held:
            start, body = held.pop(), message.get("body", b"")
            if STATE in scope and (tag := await scope[STATE].header(body)):
                start["headers"].append((b"etag", tag))
            if FIELDS in scope:
                body = only(body, scope[FIELDS])
                _instead(start, message, body)
            if scope.get(TOTAL):
                whole = msgspec.json.decode(body)
                _instead(start, message, msgspec.json.encode({**whole, "total": await total()}))
            if scope.get(DRY):
                start["status"] = 200 if start["status"] == 204 else start["status"]
                _instead(start, message, dry_run_answer(body, await before()))
            await send(start)
        await send(message)

    return with_headers


def _instead(start: MutableMapping[str, Any], message: MutableMapping[str, Any], body: bytes) -> None:
    """Another body for an answer."""
    message["body"] = body
    kept = [header for header in start["headers"] if header[0] not in (b"content-length", b"content-type")]
    start["headers"] = [*kept, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]


def _named(send: Send, request_id: str) -> Send:
    """Tells whoever asks for help how to name the request."""
    name = (b"clarion-request-id", request_id.encode())

    async def with_name(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), name]
        await send(message)

    return with_name

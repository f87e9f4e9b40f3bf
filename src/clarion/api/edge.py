"""The outermost layer: ingest routes straight to their handlers, everything else through limits and credentials
to the router, and every error into the catalogue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote

import structlog

from clarion.api import bodies
from clarion.api.access import PARTS, SLASH
from clarion.api.answers import SAFE, HttpScope, Send, answer_problem
from clarion.api.auth import Doorkeeper
from clarion.api.cloudevents import is_json
from clarion.api.events import Ingest
from clarion.api.inbound import PATH as INBOUND
from clarion.api.inbound import InboundMail
from clarion.api.parts import ApiParts
from clarion.api.problems import MethodNotAllowed, cut_off, timed_out
from clarion.api.unsubscribe import Farewell
from clarion.errors import ClarionError
from clarion.flow.unsubscribe import PATH as UNSUBSCRIBE

App = Callable[[Any, Any, Any], Awaitable[None]]

TRIGGER_HEAD = "/v1/workflows/"
TRIGGER_TAIL = "/trigger"
EVENTS = "/v1/events"

_log = structlog.get_logger("clarion.api")


class Edge:
    """The HTTP API as an ASGI application."""

    def __init__(self, parts: ApiParts, router: App) -> None:
        self._parts = parts
        self._limits = parts.limits
        self._clock = parts.clock
        self._router = router
        self._door = Doorkeeper(parts.keys, parts.tokens)
        self._ingest = Ingest(parts, self._door)
        self._farewell = Farewell(parts)
        self._mail = InboundMail(parts, self._door)
        self._requests: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()

    async def __call__(self, scope: HttpScope, receive: bodies.Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        try:
            async with self._clock.timeout(self._limits.request_s):
                await self._dispatch(scope, receive, send)
        except bodies.Gone:
            return
        except ClarionError as error:
            await self._refuse(send, error)
        except TimeoutError:
            await self._refuse(send, timed_out(self._limits.request_s))
        except asyncio.CancelledError:
            # Only a server that stops does that, to what has not ended by itself; it does not wait for us after this.
            await self._refuse(send, cut_off())
        except Exception as error:  # noqa: BLE001 (nothing is behind this but the server)
            await self._refuse(send, error)

    def stats(self) -> Mapping[str, float]:
        """Requests by route and problems by code, since the start."""
        return {f"requests.{route}": count for route, count in self._requests.items()} | {
            f"problems.{code}": count for code, count in self._problems.items()
        }

    async def _dispatch(self, scope: HttpScope, receive: bodies.Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == EVENTS:
            _need_post(scope)
            self._requests["events"] += 1
            await self._ingest.events(scope, receive, send)
            return
        if path.startswith(TRIGGER_HEAD) and path.endswith(TRIGGER_TAIL):
            workflow = path[len(TRIGGER_HEAD) : -len(TRIGGER_TAIL)]
            if workflow and "/" not in workflow:
                _need_post(scope)
                self._requests["trigger"] += 1
                await self._ingest.trigger(workflow, scope, receive, send)
                return
        if path == INBOUND:
            _need_post(scope)
            self._requests["inbound"] += 1
            await self._mail(scope, receive, send)
            return
        if path.startswith(UNSUBSCRIBE):
            self._requests["unsubscribe"] += 1
            await self._farewell(scope, receive, send)
            return
        self._requests["other"] += 1
        await self._ordinary(scope, receive, send)

    async def _ordinary(self, scope: HttpScope, receive: bodies.Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        scope[PARTS] = self._parts
        if scope["path"].startswith("/v1/"):
            scope["auth"] = await self._door.caller(headers)
            scope["path"] = _addressable(scope)
        body = await bodies.read(receive, headers, self._limits.body_bytes)
        if body and is_json(headers.get(b"content-type", b"application/json").decode("latin-1")):
            bodies.check_text(body)
            bodies.check_depth(body, self._limits.depth)
        await self._router(scope, _replay(body, receive), _safe(send))

    async def _refuse(self, send: Send, error: Exception) -> None:
        if isinstance(error, ClarionError):
            self._problems[error.code] += 1
            await answer_problem(send, error)
            return
        # Nobody expected it: the log has the cause, once, and the answer the id under which to find it there.
        incident = self._parts.entropy.bytes(8).hex()
        _log.error("unexpected error in a request", incident=incident, exc_info=error)
        self._problems[ClarionError.code] += 1
        await answer_problem(send, ClarionError("unexpected"), incident)


def _need_post(scope: HttpScope) -> None:
    if scope["method"] != "POST":
        raise MethodNotAllowed("POST")


def _addressable(scope: HttpScope) -> str:
    """The path with escaped slashes kept apart from those that separate segments."""
    raw: bytes = scope.get("raw_path") or b""
    path: str = scope["path"]
    if b"%2f" not in raw.lower():
        return path
    segments = raw.partition(b"?")[0].decode("latin-1").split("/")
    return "/".join(unquote(segment).replace("/", SLASH) for segment in segments)


def _replay(body: bytes, receive: bodies.Receive) -> bodies.Receive:
    """The body once more, then whatever the server says next."""
    pending = [body]

    async def once_more() -> MutableMapping[str, Any]:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return once_more


def _safe(send: Send) -> Send:
    """Adds the headers every answer carries, unless the route has its own."""

    async def with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            own = {name.lower() for name, _ in headers}
            message["headers"] = headers + [header for header in SAFE if header[0] not in own]
        await send(message)

    return with_headers

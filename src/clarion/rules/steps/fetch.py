"""`fetch`: an HTTP service of the tenant is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from clarion.model.connection import HttpMethod
from clarion.model.run import CallResult, StepCall
from clarion.model.setup import Step
from clarion.model.user import User
from clarion.rules.expressions import ExpressionError
from clarion.rules.steps.call import CallStep
from clarion.rules.steps.kind import Asked, StepFault
from clarion.rules.steps.walk import Walk

ATTEMPTS, WITHIN_S = 3, 60
SHORTEST_S, LONGEST_S = 2, 30
"""How long one call may take."""
PATH_CHARS, HEADER_CHARS = 1_500, 1_000
BODY_BYTES = OUTPUT_BYTES = 16_384
MOST_NAMES = 20
"""Parameters, or headers, of one step."""
_PATH = re.compile(r"/[!$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~%]*")
_UP = re.compile(r"(?i)(?:\.|%2e){1,2}")
_BETWEEN = re.compile(r"(?i)/|%2f|%5c")
_UNRESERVED = frozenset(b"-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
RESERVED = re.compile(
    r"(?i)connection|content-.*|host|idempotency-key|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade"
    r"|authorization|cookie"
)
"""Headers that no step sets."""


class FetchStep(CallStep):
    """Stops the run until the service has answered, or cannot."""

    fields = (
        *("connection", "method", "path", "query", "headers", "body", "select"),
        *("timeout_s", "attempts", "within_s", "cache_s", "fallback"),
    )
    needs = ("connection", "path")
    output = {"ok": False, "status": 0, "body": None}
    outside = True

    def expressions(self, step: Step) -> Iterable[Asked]:
        """What is asked for, and what is kept of the answer."""
        for name, source in (("path", step.path), ("body", step.body)):
            if source is not None:
                yield Asked(f"/{name}", source, condition=False)
        for name, values in (("query", step.query), ("headers", step.headers)):
            for key, source in values.items():
                pointer = key.replace("~", "~0").replace("/", "~1")
                yield Asked(f"/{name}/{pointer}", source, condition=False)
        if step.select is not None:
            yield Asked("/select", step.select, condition=False, answer=True)

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """What goes with one method only, and what is too much."""
        if step.body is not None and step.method is HttpMethod.GET:
            yield StepFault(f"{at}/body", 'a body goes with `"method": "post"`.')
        if step.cache_s is not None and step.method is not HttpMethod.GET:
            yield StepFault(f"{at}/cache_s", "only the answer to `get` is kept for other runs.")
        if step.timeout_s is not None and not SHORTEST_S <= step.timeout_s <= LONGEST_S:
            yield StepFault(f"{at}/timeout_s", f"one call takes {SHORTEST_S} to {LONGEST_S} seconds.")
        for name, values in (("query", step.query), ("headers", step.headers)):
            if len(values) > MOST_NAMES:
                yield StepFault(f"{at}/{name}", f"a step has at most {MOST_NAMES} of them.")
        for name in step.headers:
            pointer = f"{at}/headers/{name.replace('~', '~0').replace('/', '~1')}"
            if not _HEADER.fullmatch(name):
                yield StepFault(pointer, "this is no name of a header.")
            elif RESERVED.fullmatch(name):
                yield StepFault(pointer, "only the connection or Clarion sets this header.")
        if step.fallback is not None and len(msgspec.json.encode(step.fallback)) > OUTPUT_BYTES:
            yield StepFault(f"{at}/fallback", f"it has at most {OUTPUT_BYTES:,} bytes.")

    def request(self, walk: Walk, step: Step) -> Mapping[str, Any]:
        """The call, but for what the connection adds to it."""
        assert step.path is not None
        query = {name: _text(walk.value(source), f"query.{name}") for name, source in step.query.items()}
        headers = {
            name: _text(walk.value(source), f"headers.{name}") for name, source in step.headers.items()
        }
        for name, value in headers.items():
            if len(value) > HEADER_CHARS or not _VALUE.fullmatch(value):
                raise ExpressionError(
                    f"`headers.{name}` is longer than {HEADER_CHARS} characters, or has some that are not ASCII"
                )
        body = None if step.body is None else walk.value(step.body)
        if len(msgspec.json.encode(body)) > BODY_BYTES:
            raise ExpressionError(f"`body` has more than {BODY_BYTES:,} bytes")
        return {
            "connection": step.connection,
            "method": step.method.value,
            "path": _path(walk.value(step.path), query),
            "headers": headers,
            "body": body,
            "has_body": step.body is not None,
            "select": step.select,
            "timeout_s": step.timeout_s,
            "attempts": step.attempts or ATTEMPTS,
            "cache_s": step.cache_s,
        }

    def within_s(self, step: Step) -> int | None:
        """From when the step is reached."""
        return step.within_s or WITHIN_S

    def instead(self, step: Step) -> Mapping[str, Any] | None:
        """The body that the step itself has."""
        return None if step.fallback is None else {"body": step.fallback}

    def tells(self, call: StepCall) -> Mapping[str, Any]:
        """Whom it asks, and how; not what for, which may hold values of the data."""
        return {"connection": call.request["connection"], "method": call.request["method"].upper()}

    def assumed(self, call: StepCall, user: User) -> tuple[CallResult, User]:
        """The service answers what the step would have instead of an answer. Whoever rehearses sees what is asked for."""
        return CallResult(
            output={"status": 200}, told={**self.tells(call), "path": call.request["path"]}
        ), user


def _text(value: Any, name: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ExpressionError(f"`{name}` is neither a text nor a number")


def _path(value: Any, query: Mapping[str, str]) -> str:
    """Below the connection's URL, whatever the data say."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ExpressionError("`path` is no text that begins with `/` and has only characters of a URL")
    if any(_UP.fullmatch(segment) for segment in _BETWEEN.split(value.partition("?")[0])):
        raise ExpressionError("`path` leads above the connection's URL")
    asked = "&".join(f"{_escaped(name)}={_escaped(one)}" for name, one in query.items())
    path = value if not asked else f"{value}{'&' if '?' in value else '?'}{asked}"
    if len(path) > PATH_CHARS:
        raise ExpressionError(f"`path` has more than {PATH_CHARS:,} characters")
    return path


def _escaped(text: str) -> str:
    """As a part of a query (RFC 3986)."""
    return "".join(chr(one) if one in _UNRESERVED else f"%{one:02X}" for one in text.encode(errors="replace"))

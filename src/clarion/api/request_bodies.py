"""Reads request bodies within limits, decodes them, and says exactly what is wrong and where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from itertools import accumulate
from typing import Any, TypeVar

import msgspec
from litestar.connection import Request

from clarion.api.faults import faults
from clarion.api.problems import Fault, RejectedRequest, refuse
from clarion.errors import InvalidInput

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """The client went away before it had sent everything; nobody is left to answer."""


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The whole body. Stops at the first byte over `limit`, whether announced or merely sent."""
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding not in (b"identity", b""):
        raise refuse(
            "unsupported_media_type",
            f"Send the body as it is, without `Content-Encoding: {coding.decode('latin-1')}`: compressed bodies are not read.",
        )
    announced = headers.get(b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise too_large(limit)
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        if size > limit:
            raise too_large(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > limit:
        raise too_large(limit)
    return b"".join(parts)


def too_large(limit: int) -> InvalidInput:
    """The body exceeds `limit` bytes."""
    return refuse("body_too_large", f"The body may have at most {limit:,} bytes.")


DEPTH = 32
"""Deepest nesting of JSON."""
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = bytes(1 if byte in b"[{" else 255 for byte in range(256))
"""What a bracket does to the depth, as a signed byte."""
_AT_ONCE = 1024


def check_depth(raw: bytes, limit: int) -> None:
    """Refuse JSON nested deeper than `limit`, before a parser recurses into it. Time grows with the length only."""
    if raw.count(b"{") + raw.count(b"[") <= limit:
        return
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    structure = unescaped.translate(None, _NOT_STRUCTURE).replace(b'""', b"")
    brackets = b"".join(structure.split(b'"')[::2])  # every other piece between quotes is outside of strings
    depth = 0
    for start in range(0, len(brackets), _AT_ONCE):
        part = brackets[start : start + _AT_ONCE]
        opening = part.count(b"[") + part.count(b"{")
        steps = memoryview(part.translate(_STEPS)).cast("b")
        if depth + opening > limit and max(accumulate(steps, initial=depth)) > limit:
            raise refuse("too_deep", f"JSON may be nested at most {limit} levels deep.")
        depth += 2 * opening - len(part)


def check_text(raw: bytes) -> None:
    """Refuse bytes that are not UTF-8 (the parser skips over parts it keeps as they came)."""
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise refuse(
                "malformed_json", f"The body is not valid UTF-8 (byte {error.start}). Encode it as UTF-8."
            ) from None


def refused(raw: bytes | msgspec.Raw, kind: Any, error: Exception) -> InvalidInput:
    """Our error for a JSON text that is no `kind`, of which the parser told the first fault: with all of them."""
    if isinstance(error, RecursionError):
        return refuse("too_deep", "The JSON is nested far too deeply.")
    if not bytes(raw).strip():
        return refuse("malformed_json", "The body is empty: send one JSON document.")
    try:
        value = msgspec.json.decode(raw)
    except msgspec.ValidationError as wrong:  # a number that no computer holds
        return RejectedRequest(f"{wrong}.", [Fault(detail=f"{wrong}.", code="out_of_range", pointer="#")])
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        return malformed(wrong)
    return mismatch(value, kind, error)


def malformed(error: Exception) -> InvalidInput:
    """The text is no JSON."""
    if isinstance(error, UnicodeDecodeError):
        return refuse("malformed_json", "The body is not valid UTF-8. Encode it as UTF-8.")
    what = str(error).rstrip(".")
    if what == "Input data was truncated":
        what = "The JSON document ends too early"
    return refuse("malformed_json", f"{what}. Send one valid JSON document.")


def mismatch(value: Any, kind: Any, error: Exception, *, quote: bool = True) -> RejectedRequest:
    """Our error for a value that is no `kind`, with everything that is wrong with it."""
    found = faults(value, kind, quote=quote) or [Fault(detail=f"{error}.", pointer="#")]
    return RejectedRequest(found[0].detail, found)


def decode(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw) -> T:
    """The value of a JSON text. Raises InvalidInput with everything that is wrong with it."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise refused(raw, decoder.type, error) from None


class StrictRequest(Request[Any, Any, Any]):
    """Its body is of the types its route declares: the framework would take `"7"` for 7 and a number for a time."""

    async def json(self) -> Any:
        body, field = await self.body(), self.route_handler.parsed_data_field
        return decode(msgspec.json.Decoder(Any if field is None else field.annotation), body)


def convert(value: Any, expected: type[T], *, quote: bool = True) -> T:
    """The value of an already decoded document, likewise. Without `quote` nothing of it is told back."""
    try:
        return msgspec.convert(value, expected)
    except msgspec.ValidationError as error:
        raise mismatch(value, expected, error, quote=quote) from None

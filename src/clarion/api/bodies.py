"""Request bodies: read within limits, decode into values, and say exactly what is wrong and where."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from difflib import get_close_matches
from itertools import accumulate
from typing import Any, TypeVar

import msgspec

from clarion.api.problems import refuse
from clarion.errors import InvalidInput

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

OTHER_NAMES = {
    "payload": "data",
    "to": "recipients",
    "recipient": "recipients",
    "transactionId": "Idempotency-Key (a header)",
    "idempotency_key": "Idempotency-Key (a header)",
    "subscriberId": "user_id",
    "subscriber_id": "user_id",
    "distinct_id": "user_id",
    "external_id": "user_id",
    "id": "user_id",
    "topicKey": "topic",
    "topic_key": "topic",
    "userId": "user_id",
    "phone_number": "phone",
    "time_zone": "timezone",
    "priority": "lane",
    "workflow_key": "workflow",
    "expiry": "expires_at",
    "channel_data": "overrides",
    "rungs": "channels",
}
"""What other systems call our fields."""


class Gone(Exception):
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
        raise Gone
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
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > limit:
        raise too_large(limit)
    return b"".join(parts)


def too_large(limit: int) -> InvalidInput:
    """The body exceeds `limit` bytes."""
    return refuse("body_too_large", f"The body may have at most {limit:,} bytes.")


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


def invalid(error: msgspec.DecodeError | RecursionError, expected: Any) -> InvalidInput:
    """Our error for one of the parser's: where, what, and the nearest valid name."""
    text = str(error)
    if isinstance(error, RecursionError):
        return refuse("too_deep", "The JSON is nested far too deeply.")
    if not isinstance(error, msgspec.ValidationError):
        return refuse("malformed_json", f"{text.rstrip('.')}. Send one valid JSON document.")
    what, _, path = text.partition(" - at `")
    path = path.rstrip("`")
    in_key = path.startswith("key` in `")
    steps = list(_steps(path.removeprefix("key` in `")))
    unknown = _UNKNOWN.match(what)
    if unknown is None:
        allowed = _values_at(expected, steps, in_key=in_key) if what.startswith("Invalid ") else []
        hint = f"; valid here: {', '.join(f'`{value}`' for value in allowed)}" if allowed else ""
        if " matching regex " in what and (right := _described_at(expected, steps)):
            what = f"expected {right}"  # A pattern is for programs.
        return InvalidInput(f"{what}{hint}.", pointer=pointer(steps))
    name = unknown.group(1)
    return InvalidInput(
        f"unknown field `{name}`{_did_you_mean(name, _names_at(expected, steps))}",
        pointer=pointer([*steps, name]),
    )


def decode(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw) -> T:
    """The value of a JSON text, or InvalidInput with a pointer."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(error, decoder.type) from None
    except UnicodeDecodeError:
        raise refuse("malformed_json", "The body is not valid UTF-8. Encode it as UTF-8.") from None


def convert(value: Any, expected: type[T]) -> T:
    """The value of an already decoded document, or InvalidInput with a pointer."""
    try:
        return msgspec.convert(value, expected)
    except msgspec.ValidationError as error:
        raise invalid(error, expected) from None


def pointer(steps: list[str]) -> str:
    """`["recipients", "0"]` -> `#/recipients/0`."""
    return "#" + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def nearest(name: str, valid: list[str]) -> str:
    """The valid name that was probably meant, or nothing."""
    if (other := OTHER_NAMES.get(name)) is not None and (other in valid or " " in other):
        return other
    close = get_close_matches(name, valid, n=1, cutoff=0.6) or get_close_matches(
        name.lower(), valid, n=1, cutoff=0.6
    )
    return close[0] if close else ""


_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")


def _steps(path: str) -> Iterator[str]:
    for step in _STEP.finditer(path):
        found = step.group(1) or step.group(2)
        if found is None:
            return  # inside a mapping: the parser does not say under which key
        yield found


def _did_you_mean(name: str, valid: list[str]) -> str:
    if (near := nearest(name, valid)) != "":
        return f"; did you mean `{near}`?" if " " not in near else f"; did you mean {near}?"
    return "; valid here: " + ", ".join(f"`{v}`" for v in valid) + "." if valid else "."


def _names_at(expected: Any, steps: list[str]) -> list[str]:
    """The field names a struct at this place may have."""
    names: dict[str, None] = {}
    for kind in _kinds_at(expected, steps):
        if isinstance(kind, msgspec.inspect.StructType):
            names.update(dict.fromkeys(field.encode_name for field in kind.fields))
    return list(names)


def _values_at(expected: Any, steps: list[str], *, in_key: bool) -> list[str]:
    """The values an enum at this place may have: a field, the keys or values of a mapping, or a tag."""
    values: dict[str, None] = {}
    for found in _kinds_at(expected, steps):
        kind = found
        if isinstance(kind, msgspec.inspect.DictType):
            kind = kind.key_type if in_key else kind.value_type
        if isinstance(kind, msgspec.inspect.EnumType):
            values.update(dict.fromkeys(str(member.value) for member in kind.cls))
    for kind in _kinds_at(expected, steps[:-1]):
        if isinstance(kind, msgspec.inspect.StructType) and steps and kind.tag_field == steps[-1]:
            values[str(kind.tag)] = None
    return list(values)


def _described_at(expected: Any, steps: list[str]) -> str:
    """What the type at this place says would be right there."""
    for kind in _folded_at(expected, steps):
        if isinstance(kind, msgspec.inspect.Metadata):
            return str((kind.extra_json_schema or {}).get("description", ""))
    return ""


def _kinds_at(expected: Any, steps: list[str]) -> Iterator[msgspec.inspect.Type]:
    yield from _unfolded(_folded_at(expected, steps))


def _folded_at(expected: Any, steps: list[str]) -> list[msgspec.inspect.Type]:
    kinds = [msgspec.inspect.type_info(expected)]
    for step in steps:
        kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    return kinds


def _unfolded(kinds: list[msgspec.inspect.Type]) -> Iterator[msgspec.inspect.Type]:
    for kind in kinds:
        if isinstance(kind, msgspec.inspect.UnionType):
            yield from _unfolded(list(kind.types))
        elif isinstance(kind, msgspec.inspect.Metadata):
            yield from _unfolded([kind.type])
        else:
            yield kind


def _inside(kind: msgspec.inspect.Type, step: str) -> Iterator[msgspec.inspect.Type]:
    for inner in _unfolded([kind]):
        match inner:
            case msgspec.inspect.StructType():
                yield from (field.type for field in inner.fields if field.encode_name == step)
            case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
                yield inner.item_type
            case msgspec.inspect.DictType():
                yield inner.value_type
            case _:
                return

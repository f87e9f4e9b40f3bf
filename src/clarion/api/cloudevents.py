"""CloudEvents 1.0 over HTTP, in each of its content modes, as submissions."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec.structs import replace

from clarion.api import request_bodies
from clarion.api.problems import Fault, RejectedRequest, refuse, wrong_header
from clarion.api.times import Moment, instant_or_none
from clarion.errors import InvalidInput
from clarion.model.event import EMPTY_DATA
from clarion.model.submission import Submission

SPECVERSION = "1.0"
NULL = b"null"

RESERVED = "clarion."
"""Types that begin with it are Clarion's own events."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
"""What no string of a CloudEvent may contain."""
_TEXTS = ("id", "source", "type", "subject", "datacontenttype", "dataschema")


def no_data() -> msgspec.Raw:
    """What stands for absent data."""
    return EMPTY_DATA


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A CloudEvent in the JSON format. Further attributes (extensions) are allowed and not used; `null` is unset."""

    specversion: str
    id: Text
    """Together with `source`, the identity of the event: a repeat within 24 hours gets the first answer again."""
    source: Text
    type: Text
    """Starts the workflows whose `on.type` matches. The prefix `clarion.` is reserved."""
    subject: Text | None = None
    """The recipient, unless the workflow's `on.recipients` points into `data`."""
    time: Moment | None = None
    datacontenttype: Text | None = None
    """JSON, if given: workflows and templates read the fields of `data`."""
    dataschema: Text | None = None
    data: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})] = msgspec.field(
        default_factory=no_data
    )
    data_base64: str | None = None
    traceparent: str | None = None


_DECODER = msgspec.json.Decoder(CloudEvent)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_JSON_TYPES = ("application/json", "text/json")


def structured(raw: bytes) -> Submission:
    """The submission of one event in structured mode."""
    event = request_bodies.decode(_DECODER, raw)
    data = event.data
    if event.data_base64 is not None:
        data = _from_base64(event)
    elif event.datacontenttype and not is_json(event.datacontenttype):
        raise _not_json(event.datacontenttype, "#/datacontenttype")
    check(event)
    return _submission(event, checked_data(data, "#/data"))


def binary(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Submission:
    """The submission of one event in binary mode: attributes in `ce-` headers, data in the body."""
    media_type = ""
    attributes: dict[str, str] = {}
    for header, value in headers:
        if header == b"content-type":
            media_type = value.decode("latin-1")
        elif header.startswith(b"ce-"):
            name = header[3:].decode("latin-1")
            if name in attributes:
                raise wrong_header(f"ce-{name}", "is there twice: send it once")
            attributes[name] = _decoded(f"ce-{name}", value)
    if body and not is_json(media_type):
        raise _not_json(media_type, None)
    for name in ("data", "data_base64", "datacontenttype"):  # the body and its own header say that
        attributes.pop(name, None)
    try:
        event = msgspec.convert(attributes, CloudEvent)
    except msgspec.ValidationError as error:
        faults = [
            _of_header(fault) for fault in request_bodies.mismatch(attributes, CloudEvent, error).faults
        ]
        raise RejectedRequest(faults[0].detail, faults) from None
    try:
        check(event)
    except InvalidInput as wrong:
        fault = _of_header(Fault(detail=wrong.detail, pointer=wrong.pointer or "#/#"))
        raise RejectedRequest(fault.detail, [fault]) from None
    return _submission(event, checked_data(msgspec.Raw(body) if body else EMPTY_DATA, "#"))


def _decoded(header: str, value: bytes) -> str:
    """The text of a header value (HTTP binding 1.0.2, 3.1.3.2): quotes, then escapes, then UTF-8, each strictly."""
    text = value
    if text.startswith(b'"'):
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            raise wrong_header(header, "begins with a quote and does not end with one")
        text = _QUOTED_PAIR.sub(rb"\1", quoted[1])
    try:
        return _ESCAPE.sub(_byte, text).decode()
    except ValueError:
        raise wrong_header(
            header,
            "is not UTF-8 after percent-decoding: escape each byte of the UTF-8 text, and `%` as `%25`",
        ) from None


def _byte(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        raise ValueError
    return bytes.fromhex(escape[1].decode("ascii"))


def _of_header(fault: Fault) -> Fault:
    name = fault.pointer.removeprefix("#/")
    if name == "#":
        return replace(fault, detail=f"ce- headers: {fault.detail}", pointer="", header="ce-")
    return replace(fault, detail=f"header ce-{name}: {fault.detail}", pointer="", header=f"ce-{name}")


def is_json(media_type: str) -> bool:
    """`application/json`, or anything that ends in `+json`."""
    main = media_type.partition(";")[0].strip().lower()
    return main in _JSON_TYPES or main.endswith("+json")


def checked_data(data: msgspec.Raw, pointer: str) -> msgspec.Raw:
    """`data` as it came, if it is a JSON object; `null` counts as empty."""
    if data is EMPTY_DATA:
        return data
    try:
        _OBJECT.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if bytes(data) == NULL:
            return EMPTY_DATA
        if isinstance(error, msgspec.ValidationError) and " - at " not in str(error):
            raise InvalidInput("data must be a JSON object.", pointer=pointer) from None
        raise InvalidInput(f"data: {error}.", pointer=pointer) from None
    return data


def check(event: CloudEvent) -> None:
    """What its types do not say."""
    texts = f"{event.id}{event.source}{event.type}{event.subject}{event.datacontenttype}{event.dataschema}"
    if not texts.isprintable():  # Some characters are not printable and yet allowed.
        for name in _TEXTS:
            if _CONTROL.search(getattr(event, name) or ""):
                raise InvalidInput(f"{name} must not contain control characters.", pointer=f"#/{name}")
    if event.specversion != SPECVERSION:
        raise InvalidInput(
            f"specversion {event.specversion!r} is not understood: send CloudEvents {SPECVERSION}.",
            pointer="#/specversion",
        )
    if event.type.lower().startswith(RESERVED):
        raise InvalidInput(
            f"types that begin with `{RESERVED}` are Clarion's own events: choose another name.",
            pointer="#/type",
        )


def _submission(event: CloudEvent, data: msgspec.Raw) -> Submission:
    return Submission(
        data=data,
        source=event.source,
        type=event.type,
        subject=event.subject or "",
        time=instant_or_none(event.time),
        event_key=event.id,
        traceparent=event.traceparent or "",
    )


def _from_base64(event: CloudEvent) -> msgspec.Raw:
    if event.data is not EMPTY_DATA:
        raise InvalidInput("an event has `data` or `data_base64`, not both.", pointer="#/data_base64")
    if event.datacontenttype and not is_json(event.datacontenttype):
        raise _not_json(event.datacontenttype, "#/datacontenttype")
    try:
        data = b64decode(event.data_base64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("data_base64 is not base64.", pointer="#/data_base64") from None
    request_bodies.check_text(data)
    request_bodies.check_depth(data, request_bodies.DEPTH)
    return msgspec.Raw(data)


def _not_json(media_type: str, pointer: str | None) -> InvalidInput:
    return refuse(
        "unsupported_media_type",
        f"The data of an event must be JSON, not {media_type or 'of an unnamed type'!r}: workflows and templates read its fields.",
        pointer=pointer,
    )

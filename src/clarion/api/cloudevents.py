"""CloudEvents 1.0 over HTTP, in each of its content modes, as submissions."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from clarion.api import bodies
from clarion.api.problems import Fault, Rejected, refuse
from clarion.api.times import Moment, instant_or_none
from clarion.errors import InvalidInput
from clarion.model.event import EMPTY_DATA
from clarion.model.submission import Submission

SPECVERSION = "1.0"
NULL = b"null"

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


def no_data() -> msgspec.Raw:
    """What stands for absent data."""
    return EMPTY_DATA


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A CloudEvent in the JSON format. Further attributes (extensions) are allowed and not used."""

    specversion: str
    id: Text
    """With `source` the identity of the event: a repeat within 24 hours is answered like the first."""
    source: Text
    type: Text
    """Workflows whose `on.type` matches are started."""
    subject: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    """The recipient, unless the workflow's `on.recipients` points into `data`."""
    time: Moment | None = None
    datacontenttype: str = ""
    dataschema: str = ""
    data: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})] = msgspec.field(
        default_factory=no_data
    )
    data_base64: str = ""
    traceparent: str = ""


_DECODER = msgspec.json.Decoder(CloudEvent)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_JSON_TYPES = ("application/json", "text/json")


def structured(raw: bytes) -> Submission:
    """The submission of one event in structured mode."""
    event = bodies.decode(_DECODER, raw)
    data = event.data
    if event.data_base64:
        data = _from_base64(event)
    elif event.datacontenttype and not is_json(event.datacontenttype):
        raise _not_json(event.datacontenttype, "#/datacontenttype")
    return _submission(event, checked_data(data, "#/data"))


def binary(headers: Mapping[bytes, bytes], body: bytes) -> Submission:
    """The submission of one event in binary mode: attributes in `ce-` headers, data in the body."""
    media_type = headers.get(b"content-type", b"").decode("latin-1")
    if body and not is_json(media_type):
        raise _not_json(media_type, None)
    attributes = {
        name[3:].decode("latin-1"): unquote(value.decode("latin-1"))
        for name, value in headers.items()
        if name.startswith(b"ce-")
    }
    attributes.pop("data", None)
    try:
        event = msgspec.convert(attributes, CloudEvent)
    except msgspec.ValidationError as error:
        faults = [_of_header(fault) for fault in bodies.mismatch(attributes, CloudEvent, error).faults]
        raise Rejected(faults[0].detail, faults) from None
    return _submission(event, checked_data(msgspec.Raw(body) if body else EMPTY_DATA, "#"))


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


def _submission(event: CloudEvent, data: msgspec.Raw) -> Submission:
    if event.specversion != SPECVERSION:
        raise InvalidInput(
            f"specversion {event.specversion!r} is not understood: send CloudEvents {SPECVERSION}.",
            pointer="#/specversion",
        )
    return Submission(
        data=data,
        source=event.source,
        type=event.type,
        subject=event.subject,
        time=instant_or_none(event.time),
        event_key=event.id,
        traceparent=event.traceparent,
    )


def _from_base64(event: CloudEvent) -> msgspec.Raw:
    if event.data is not EMPTY_DATA:
        raise InvalidInput("an event has `data` or `data_base64`, not both.", pointer="#/data_base64")
    if event.datacontenttype and not is_json(event.datacontenttype):
        raise _not_json(event.datacontenttype, "#/datacontenttype")
    try:
        return msgspec.Raw(b64decode(event.data_base64, validate=True))
    except (binascii.Error, ValueError):
        raise InvalidInput("data_base64 is not base64.", pointer="#/data_base64") from None


def _not_json(media_type: str, pointer: str | None) -> InvalidInput:
    return refuse(
        "unsupported_media_type",
        f"The data of an event must be JSON, not {media_type or 'of an unnamed type'!r}: workflows and templates read its fields.",
        pointer=pointer,
    )

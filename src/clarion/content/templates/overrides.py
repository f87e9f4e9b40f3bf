"""Content fields set by the caller of an event: used as given, sanitised like rendered ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from clarion.content.html.plaintext import plain
from clarion.content.templates.fields import LAYOUTS, FieldKind, finish
from clarion.content.templates.sandbox import MAX_SOURCE
from clarion.errors import ContentError
from clarion.model.channel import Channel

_JSON_KINDS = frozenset(
    {
        FieldKind.OBJECT,
        FieldKind.DOCUMENT,
        FieldKind.FACTS,
        FieldKind.ACTIONS,
        FieldKind.ATTACHMENTS,
        FieldKind.CALENDAR,
        FieldKind.DEVICE,
        FieldKind.PARAMETERS,
        FieldKind.MEDIA,
    }
)

_decode = msgspec.json.Decoder(dict[Channel, dict[str, Any]]).decode

text_of = lru_cache(maxsize=32)(plain)
"""The plain text of an overriding HTML: made once, however many people an event goes to."""


def overridden(raw: msgspec.Raw, channel: Channel) -> dict[str, Any]:
    """The fields of this channel that are set. Raises ContentError with the pointer of one that cannot be."""
    return _fields(_read(raw).get(channel, {}), channel)


def check_overrides(raw: msgspec.Raw) -> None:
    """Raises ContentError with the pointer of the first field that cannot be set like this."""
    for channel, given in _read(raw).items():
        _fields(given, channel)


def _read(raw: msgspec.Raw) -> Mapping[Channel, dict[str, Any]]:
    try:
        return _decode(raw)
    except (ValueError, RecursionError):
        raise ContentError(
            'overrides must be an object like `{"email": {"subject": "..."}}`', pointer="#/overrides"
        ) from None


def _fields(given: Mapping[str, Any], channel: Channel) -> dict[str, Any]:
    layout = LAYOUTS[channel]
    values: dict[str, Any] = {}
    for field, value in given.items():
        pointer = f"#/overrides/{channel}/{field}"
        kind = layout.kinds.get(field)
        if kind is None:
            raise ContentError(layout.unknown(field), pointer=pointer)
        if kind is FieldKind.MJML:
            raise ContentError("MJML cannot be set for one event: set `html`", pointer=pointer)
        if not isinstance(value, str) and kind not in _JSON_KINDS:
            raise ContentError(f"`{field}` must be a string", pointer=pointer)
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if len(text) > MAX_SOURCE and kind not in _JSON_KINDS:
            raise ContentError(
                f"`{field}` has {len(text):,} characters, at most {MAX_SOURCE:,} are allowed", pointer=pointer
            )
        try:
            values[field] = finish(kind, text)(text)
        except ValueError as error:
            raise ContentError(f"`{field}`: {error}", pointer=pointer) from None
    return values

"""Media types with their parameters (RFC 2045 section 5.1), and what may stand in `cid:`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_WORD = r"[!#$%&'*+.^_`{|}~0-9A-Za-z-]+"
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_TYPE = re.compile(rf"\s*({_NAME})/({_NAME})\s*(?=;|\Z)", re.ASCII)
_PARAMETER = re.compile(
    rf';\s*(?:({_WORD})=(?:({_WORD})|"((?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\[\x20-\x7e])*)")\s*)?(?=;|\Z)',
    re.ASCII,
)
_QUOTED = re.compile(r"\\(.)")
_IS_WORD = re.compile(_WORD, re.ASCII).fullmatch
_INLINE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}", re.ASCII).fullmatch
LONGEST = 500
"""Characters of a type with its parameters."""
_COMPOSITE = ("multipart", "message")
OCTETS = "application/octet-stream"


class MediaType(NamedTuple):
    """A type as it can be written down."""

    name: str
    """`type/subtype`, in lower case."""
    parameters: Mapping[str, str]

    def written(self) -> str:
        """As the value of Content-Type, parameters quoted where they must be."""
        parts = [self.name]
        for name, value in self.parameters.items():
            if not _IS_WORD(value):
                parts.append('{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"')))
            else:
                parts.append(f"{name}={value}")
        return ";\r\n ".join(parts)


def media_type(text: str) -> MediaType:
    """The type that `text` names. ValueError when it is none."""
    found = _TYPE.match(text) if len(text) <= LONGEST else None
    parameters: dict[str, str] = {}
    at = found.end() if found else -1
    while found and at < len(text):
        parameter = _PARAMETER.match(text, at)
        if parameter is None or (parameter[1] and parameter[1].lower() in parameters):
            found = None
        else:
            at = parameter.end()
            if parameter[1]:
                value = parameter[2] if parameter[2] is not None else _QUOTED.sub(r"\1", parameter[3])
                parameters[parameter[1].lower()] = value
    if found is None:
        raise ValueError(
            "the `type` of an attachment is a media type like `application/pdf` or `text/csv; charset=utf-8`"
        )
    if found[1].lower() in _COMPOSITE:
        return MediaType(OCTETS, {})  # RFC 2045 section 6.4: these may not be base64
    return MediaType(f"{found[1]}/{found[2]}".lower(), parameters)


def with_charset(kind: MediaType, content: bytes) -> MediaType:
    """A text's type with the charset of its octets, unless it names one: without any, readers take ASCII for granted."""
    if not kind.name.startswith("text/") or "charset" in kind.parameters:
        return kind
    charset = _charset(content)
    return kind._replace(parameters={**kind.parameters, "charset": charset}) if charset else kind


def check_inline_id(text: str) -> None:
    """ValueError when it cannot stand in `cid:`."""
    if _INLINE_ID(text) is None:
        raise ValueError(
            "the `inline_id` of an attachment is used in `cid:` links: use at most 128 letters, digits, dots and dashes"
        )


def _charset(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        content.decode()
    except UnicodeDecodeError:
        return ""
    return "utf-8"

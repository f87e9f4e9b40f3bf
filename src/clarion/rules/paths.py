"""Normalises the path of a request, so that routing sees one spelling only."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

SLASH = "\ue000"
"""Stands for an escaped slash inside a segment: it belongs to a name and never separates (no user id can contain it)."""

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_FORBIDDEN = re.compile(rf"[\x00-\x1f\x7f{SLASH}]")

Segments = tuple[str, ...]


def segments_of(scope: MutableMapping[str, Any]) -> Segments | None:
    """The decoded segments of a request's path; None when it has no normal form, so that nothing can be there.

    No normal form: an empty segment (`//v1`), `.` or `..` (also escaped), a backslash, a control character, a broken
    escape, bytes that are not UTF-8. One slash at the end is left out.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode().replace(b"%", b"%25")
    if _PLAIN.fullmatch(raw):
        return tuple(raw[1:].decode("ascii").split("/"))
    if not raw.startswith(b"/") or b"\\" in raw:
        return None
    parts = raw[1:].removesuffix(b"/").split(b"/") if raw != b"/" else []
    try:
        found = tuple(_ESCAPE.sub(_unescaped, part).decode() for part in parts)
    except ValueError:  # a broken escape, or no UTF-8
        return None
    if any(part in ("", ".", "..") or _FORBIDDEN.search(part) for part in found):
        return None
    return tuple(part.replace("/", SLASH) for part in found)


def sent_path(scope: MutableMapping[str, Any]) -> str:
    """The path as it was sent, to be told to whoever sent it."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("ascii", "backslashreplace")


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        raise ValueError
    return bytes.fromhex(escape[1].decode("ascii"))


def path_of(segments: Segments) -> str:
    """The path in its normal form."""
    return "/" + "/".join(segments)

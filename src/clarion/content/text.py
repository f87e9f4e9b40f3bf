"""Rendered text made fit for where it goes: no control characters, one-line headers, harmless links."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BREAK = re.compile(r"[\r\n\x0b\x0c\x85\u2028\u2029]+")
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\x9f]+")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_ACTIVE_SCHEMES = frozenset({"javascript", "vbscript", "data", "blob", "file", "filesystem"})


def clean(text: str) -> str:
    """Without control characters; every line break is `\\n`, and tabs stay."""
    if text.isprintable():
        return text
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """Fit for a header (subject, title): line breaks are spaces, so nobody can smuggle in another header."""
    if text.isprintable():
        return text.strip()
    return clean(_BREAK.sub(" ", text)).strip()


def link(text: str) -> str:
    """A link as one word. ValueError for schemes that run or embed something instead of leading somewhere."""
    address = _UNSEEN.sub("", text)
    scheme = _SCHEME.match(address)
    if scheme and scheme[1].lower() in _ACTIVE_SCHEMES:
        raise ValueError(
            f"a link must not use the scheme `{scheme[1].lower()}:`; use https, mailto, tel or your app's own"
        )
    return address

"""Makes rendered text safe: no control characters, one-line headers, harmless links."""

from __future__ import annotations

import re
from collections.abc import Collection

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BREAK = re.compile(r"[\r\n\x0b\x0c\x85\u2028\u2029]+")
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\x9f]+")
_SCHEME = re.compile(r"([^/?#:]*):")
SCHEMES = frozenset({"http", "https", "mailto", "tel"})
"""What a link may lead to. Schemes of apps are for the author to write, not for the data to bring."""
WEB = frozenset({"http", "https"})
_ACTIVE = frozenset(
    {
        "about",
        "blob",
        "chrome",
        "data",
        "file",
        "filesystem",
        "intent",
        "jar",
        "javascript",
        "jscript",
        "livescript",
        "mhtml",
        "mocha",
        "ms-its",
        "resource",
        "res",
        "shell",
        "vbscript",
        "view-source",
        "wyciwyg",
    }
)
"""Schemes that run or embed something instead of leading somewhere."""
_QUOTED = re.compile(r'"\s*([a-zA-Z][a-zA-Z0-9+.-]*):(?=[^\s"])')
_WRITTEN = re.compile(r"\s*([a-zA-Z][a-zA-Z0-9+.-]*):")


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


def link(text: str, schemes: Collection[str] = SCHEMES) -> str:
    """A link as one word, relative or with one of `schemes`. ValueError for any other."""
    address = _UNSEEN.sub("", text)
    found = _SCHEME.match(address)
    if found and found[1].lower() not in schemes:
        raise ValueError(
            "a link must be relative or start with https:, http:, mailto: or tel:; "
            "write your app's own scheme literally in the template"
        )
    return address


def app_scheme(source: str) -> Collection[str]:
    """The schemes allowed for a link that begins like `source`: one that is written out there is the author's."""
    written = _WRITTEN.match(source)
    return SCHEMES | {written[1].lower()} - _ACTIVE if written else SCHEMES


def app_schemes(source: str) -> Collection[str]:
    """As `app_scheme`, for all strings of a JSON source."""
    return SCHEMES | {scheme.lower() for scheme in _QUOTED.findall(source)} - _ACTIVE

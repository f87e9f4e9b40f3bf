"""Parses untrusted email: sizes, counts and depth are bounded, and nothing raises."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32
from html import unescape
from itertools import islice
from typing import NamedTuple

MOST_BYTES = 1024 * 1024
"""What is read of a mail; what was returned stands at its end and is of no interest."""
MOST_HEAD = 64 * 1024
MOST_PARTS = 64
MOST_NESTED = 48
"""Multiparts and attached mails, counted before parsing: the parser recurses into each."""
MOST_TEXT = 128 * 1024
"""Characters of one part."""
MOST_VALUE = 4_000
"""Characters of one header field."""

MOST_TYPE = 4_000
"""Bytes of a content type: reading its parameters takes the parser time in proportion to their square."""

_TYPE = re.compile(rb"^content-type[ \t]*:", re.IGNORECASE | re.MULTILINE)
_FIELD_END = re.compile(rb"\r?\n(?![ \t])|\r(?![\n \t])")
_NESTED = re.compile(
    rb"^content-type:[ \t]*(?:\r?\n[ \t]+)?(?:multipart|message)/", re.IGNORECASE | re.MULTILINE
)
_BREAKS = re.compile(r"<(?:br|/p|/div|/tr|/td|/h[1-6]|/li)\b[^<>]{0,200}>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_SEAM = re.compile(
    r"^(?:--\S{1,200}|[ \t]*boundary=.{0,200}|content-(?!type: text/rfc822|type: message/rfc822)[a-z-]{1,40}:.{0,998})$",
    re.IGNORECASE | re.MULTILINE,
)
_REPORT = "delivery-status"
_NO_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape"})
"""Encodings of Python that no mail is written in; reading some takes time in proportion to the square of the text."""


class Part(NamedTuple):
    """A leaf of the mail, decoded."""

    type: str
    text: str


class ParsedMail(NamedTuple):
    """A mail, opened."""

    headers: Message
    parts: tuple[Part, ...]

    def header(self, name: str) -> str:
        """A header field's value on one line, decoded; empty when it is not there."""
        return next((decoded(value) for key, value in self.headers.raw_items() if key.lower() == name), "")

    def text(self, *types: str) -> str:
        """The text of the parts of these types."""
        return "\n".join(part.text for part in self.parts if part.type in types)


def opened(raw: bytes) -> ParsedMail:
    """The mail, as far as it can be read."""
    raw = raw[:MOST_BYTES].lstrip()
    if raw.startswith((b"From ", b">From ")):  # a mailbox separator
        raw = re.split(rb"\r\n?|\n", raw, maxsplit=1)[-1]
    try:
        if len(_NESTED.findall(raw)) > MOST_NESTED or _longest_type(raw) > MOST_TYPE:
            raise ValueError("nested too deeply, or a content type without an end")
        message = BytesParser(policy=compat32).parsebytes(raw)
        return ParsedMail(message, tuple(_parts(message)))
    except Exception:  # noqa: BLE001 (a stranger's mail finds every corner of the parser)
        head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
        text = body[:MOST_TEXT].decode("utf-8", "replace")
        headers = BytesHeaderParser(policy=compat32).parsebytes(head)
        del headers["content-type"]
        return ParsedMail(headers, (Part("text/plain", text),))


def headers_of(raw: bytes) -> ParsedMail:
    """The mail without its body: cheap, for a first look."""
    head = re.split(rb"\r\n\r\n|\n\n|\r\r", raw[:MOST_HEAD].lstrip(), maxsplit=1)[0]
    return ParsedMail(BytesHeaderParser(policy=compat32).parsebytes(head), ())


def decoded(value: object) -> str:
    """A header value on one line, encoded words decoded."""
    text = _unescaped(str(value)[:MOST_VALUE])
    try:
        if "\x1b$" in text:  # Japanese without encoding
            return " ".join(text.encode("ascii", "replace").decode("iso-2022-jp").split())
        return " ".join(str(make_header(decode_header(text))).split())
    except Exception:  # noqa: BLE001 (unknown charsets, broken encodings: shown as they came)
        return " ".join(text.split())


def _unescaped(text: str) -> str:
    """Bytes that are no ASCII, which the parser hides in the text, in the encoding they most likely have."""
    if text.isascii():
        return text
    try:
        return _decoded(text.encode("utf-8", "surrogateescape"), "utf-8")
    except UnicodeEncodeError:
        return text


def plain(html: str) -> str:
    """The words of HTML. Takes time in proportion to its length, whatever it is."""
    for name in ("head", "style", "script"):
        html = _without(html, name)
    return unescape(_TAG.sub(" ", _BREAKS.sub("\n", html)))


def _longest_type(raw: bytes) -> int:
    """Bytes of the longest content type field, its folded lines included."""
    ends = ((found.start(), _FIELD_END.search(raw, found.end())) for found in _TYPE.finditer(raw))
    return max(((end.start() if end else len(raw)) - start for start, end in ends), default=0)


def _parts(message: Message) -> Iterator[Part]:
    """Leaves in order; of an attached mail its headers, then its leaves' place is taken by them."""
    count = 0
    pending = [message]
    while pending and count < MOST_PARTS:
        part = pending.pop()
        count += 1
        kind = part.get_content_type()
        payload = part.get_payload()
        if kind.endswith(_REPORT) or kind == "message/feedback-report":
            yield Part(kind, _fields(part))
        elif part.get_content_maintype() == "message" and isinstance(payload, list):
            yield from (
                Part("message/rfc822", _head(inner)) for inner in payload[:1] if isinstance(inner, Message)
            )
        elif isinstance(payload, list):
            pending.extend(inner for inner in reversed(payload) if isinstance(inner, Message))
        elif part.get_content_maintype() == "multipart":  # its boundary is broken
            yield Part("text/plain", _SEAM.sub("", _text(part)))
        else:
            yield Part(kind, _text(part))


def _fields(part: Message) -> str:
    """Groups of fields as text, whether or not the parser took them for mails."""
    payload = part.get_payload()
    if not isinstance(payload, list):
        return _text(part)
    groups = [
        _head(group) + "\n" + _text(group) for group in payload[:MOST_PARTS] if isinstance(group, Message)
    ]
    if str(part.get("content-transfer-encoding", "")).strip().lower() not in ("base64", "quoted-printable"):
        return "\n\n".join(groups)
    whole = Message()
    whole["Content-Transfer-Encoding"] = part["content-transfer-encoding"]
    whole.set_payload("\n\n".join(groups))
    return _text(whole)


def _head(message: Message) -> str:
    return "\n".join(f"{name}: {decoded(value)}" for name, value in islice(message.raw_items(), 500))


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    text = _decoded(payload[: 4 * MOST_TEXT], part.get_content_charset() or "utf-8")[:MOST_TEXT]
    return plain(text) if part.get_content_type() == "text/html" else text


def _decoded(data: bytes, charset: str) -> str:
    for name in (charset, "utf-8"):
        try:
            if codecs.lookup(name).name not in _NO_CHARSETS:
                return data.decode(name)
        except (LookupError, ValueError):
            continue
    return data.decode("latin-1")


def _without(html: str, name: str) -> str:
    """Everything but the elements of this name; from one that is never closed, nothing."""
    kept = []
    low = html.lower()
    at = 0
    while (start := low.find(f"<{name}", at)) >= 0:
        kept.append(html[at:start])
        end = low.find(f"</{name}", start)
        if end < 0:
            return "".join(kept)
        at = end
    return "".join([*kept, html[at:]])

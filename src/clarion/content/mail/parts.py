"""The MIME tree of an email (RFC 2045, 2046, 2387): alternatives, inline images, attachments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from clarion.content.mail.bodies import base64_body, text_body
from clarion.content.mail.headers import cleaned
from clarion.errors import ContentError
from clarion.model.content import Attachment, EmailContent

Part = tuple[str, bytes]
"""Content header fields, each with its line end, and the body."""

LONGEST_NAME = 150
"""Octets of a file name."""
CACHED_BYTES = 256 * 1024
"""The largest attachment whose encoding is kept for the next mail."""

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*").fullmatch
_INLINE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}").fullmatch


def entity(content: EmailContent, mark: str, *, seven_bit: bool) -> Part:
    """The whole content as one part; `mark` makes its boundaries, which no body may contain."""
    while mark in content.text or mark in content.html:
        mark += "x"
    found = _readable(content, mark, seven_bit)
    files = [_file(one) for one in content.attachments if not one.inline_id]
    return _multipart("mixed", mark + "m", [found, *files]) if files else found


def _readable(content: EmailContent, mark: str, seven_bit: bool) -> Part:
    inline = [_file(one) for one in content.attachments if one.inline_id]
    if not content.html:
        found = _text("plain", content.text, seven_bit)
        return _multipart("mixed", mark + "i", [found, *inline]) if inline else found
    shown = _text("html", content.html, seven_bit)
    if inline:
        shown = _multipart('related; type="text/html"', mark + "r", [shown, *inline])
    if not content.text:
        return shown
    return _multipart("alternative", mark + "a", [_text("plain", content.text, seven_bit), shown])


def _text(subtype: str, text: str, seven_bit: bool) -> Part:
    encoding, data = text_body(text, seven_bit=seven_bit)
    return (
        f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n",
        data,
    )


def _multipart(kind: str, boundary: str, parts: Sequence[Part]) -> Part:
    pieces: list[bytes] = []
    for fields, body in parts:
        pieces += (f"--{boundary}\r\n{fields}\r\n".encode(), body, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n', b"".join(pieces)


def _file(attachment: Attachment) -> Part:
    if attachment.url and not attachment.content:
        raise ContentError(f"the attachment {_shown(attachment)} was not fetched")
    return _fields(attachment), _base64(attachment.content)


def _fields(attachment: Attachment) -> str:
    kind = attachment.type
    if _TYPE(kind) is None:
        raise ContentError(
            f"the attachment {_shown(attachment)} has no media type such as application/pdf: correct `type`"
        )
    if kind.lower().startswith(("multipart/", "message/")):
        kind = "application/octet-stream"  # RFC 2045 section 6.4: these may not be base64
    fields = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n"
    if not attachment.inline_id:
        return f"{fields}Content-Disposition: attachment{_filename(attachment.name)}\r\n"
    if _INLINE_ID(attachment.inline_id) is None:
        raise ContentError(
            f"the attachment {_shown(attachment)} has an `inline_id` that cannot stand in `cid:`: "
            "use letters, digits, dots and dashes"
        )
    return (
        f"{fields}Content-ID: <{attachment.inline_id}>\r\n"
        f"Content-Disposition: inline{_filename(attachment.name)}\r\n"
    )


def _filename(name: str) -> str:
    """The parameter, RFC 2231 when the name is not ASCII; without a folder."""
    name = cleaned(name).replace("\\", "/").rpartition("/")[2]
    name = name.encode("utf-8", "replace")[:LONGEST_NAME].decode("utf-8", "ignore")
    if not name:
        return ""
    if name.isascii():
        return ';\r\n filename="{}"'.format(name.replace('"', "'"))
    return f";\r\n filename*=utf-8''{quote(name, safe='')}"


def _base64(data: bytes) -> bytes:
    return _kept(data) if len(data) <= CACHED_BYTES else base64_body(data)


_kept = lru_cache(maxsize=32)(base64_body)


def _shown(attachment: Attachment) -> str:
    return repr(cleaned(attachment.name)[:LONGEST_NAME])

"""The MIME tree of an email (RFC 2045, 2046, 2387): alternatives, inline images, attachments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from clarion.content.mail.bodies import base64_body, text_body
from clarion.content.mail.headers import cleaned
from clarion.content.mail.media_types import check_inline_id, media_type, with_charset
from clarion.errors import ContentError
from clarion.model.content import Attachment, EmailContent

Part = tuple[str, bytes]
"""Content header fields, each with its line end, and the body."""


class Invited(NamedTuple):
    """An invitation as iCalendar, and its method."""

    text: str
    method: str


LONGEST_NAME = 150
"""Octets of a file name."""
CACHED_BYTES = 256 * 1024
"""The largest attachment whose encoding is kept for the next mail."""

_EXTENSION = re.compile(r"(?<=.)(?:\.tar)?\.[^.\s]{1,16}\Z")


def entity(content: EmailContent, mark: str, *, seven_bit: bool, invitation: Invited | None = None) -> Part:
    """The whole content as one part; `mark` makes its boundaries, which no body may contain."""
    while mark in content.text or mark in content.html or (invitation and mark in invitation.text):
        mark += "x"
    found = _readable(content, mark, seven_bit, invitation)
    files = [_file(one) for one in content.attachments if not one.inline_id]
    if invitation:
        files.append(
            _file(Attachment(name="invite.ics", type="application/ics", content=invitation.text.encode()))
        )
    return _multipart("mixed", mark + "m", [found, *files]) if files else found


def _readable(content: EmailContent, mark: str, seven_bit: bool, invitation: Invited | None) -> Part:
    inline = [_file(one) for one in content.attachments if one.inline_id]
    ways: list[Part] = []
    if content.text or not content.html:
        ways.append(_text("plain", content.text, seven_bit))
    if content.html:
        shown = _text("html", content.html, seven_bit)
        ways.append(
            _multipart('related; type="text/html"', mark + "r", [shown, *inline]) if inline else shown
        )
    if invitation:
        ways.append(_text("calendar", invitation.text, seven_bit, f"; method={invitation.method}"))
    found = _multipart("alternative", mark + "a", ways) if len(ways) > 1 else ways[0]
    return _multipart("mixed", mark + "i", [found, *inline]) if inline and not content.html else found


def _text(subtype: str, text: str, seven_bit: bool, parameters: str = "") -> Part:
    encoding, data = text_body(text, seven_bit=seven_bit)
    return (
        f"Content-Type: text/{subtype}; charset=utf-8{parameters}\r\nContent-Transfer-Encoding: {encoding}\r\n",
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
    try:
        kind = with_charset(media_type(attachment.type), attachment.content)
        if attachment.inline_id:
            check_inline_id(attachment.inline_id)
    except ValueError as wrong:
        raise ContentError(f"the attachment {_shown(attachment)}: {wrong}") from None
    fields = f"Content-Type: {kind.written()}\r\nContent-Transfer-Encoding: base64\r\n"
    if not attachment.inline_id:
        return f"{fields}Content-Disposition: attachment{_filename(attachment.name)}\r\n"
    return (
        f"{fields}Content-ID: <{attachment.inline_id}>\r\n"
        f"Content-Disposition: inline{_filename(attachment.name)}\r\n"
    )


def _filename(name: str) -> str:
    """The parameter, RFC 2231 when the name is not ASCII; without a folder."""
    name = _shortened(cleaned(name).replace("\\", "/").rpartition("/")[2])
    if not name:
        return ""
    if name.isascii():
        return ';\r\n filename="{}"'.format(name.replace('"', "'"))
    return f";\r\n filename*=utf-8''{quote(name, safe='')}"


def _shortened(name: str) -> str:
    """At most LONGEST_NAME octets, cut before the extension: it says what opens the file."""
    data = name.encode("utf-8", "replace")
    if len(data) <= LONGEST_NAME:
        return data.decode()
    found = _EXTENSION.search(name)
    extension = found.group().encode("utf-8", "replace") if found else b""
    stem = data[: LONGEST_NAME - len(extension)] if len(extension) < LONGEST_NAME else data[:LONGEST_NAME]
    return stem.decode("utf-8", "ignore").rstrip() + (
        extension.decode() if len(extension) < LONGEST_NAME else ""
    )


def _base64(data: bytes) -> bytes:
    return _kept(data) if len(data) <= CACHED_BYTES else base64_body(data)


_kept = lru_cache(maxsize=32)(base64_body)


def _shown(attachment: Attachment) -> str:
    return repr(cleaned(attachment.name)[:LONGEST_NAME])

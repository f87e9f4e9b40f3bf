"""Encodes text as the body of a MIME part."""

from __future__ import annotations

from binascii import b2a_base64, b2a_qp

LONGEST_LINE = 998
"""Octets without the line end, RFC 5322 section 2.1.1."""
BASE64_LINE = 76
_ASCII = bytes(range(128))
_CONTROLS = bytes({*range(32), 127} - {9, 10, 13})


def text_body(text: str, *, seven_bit: bool) -> tuple[str, bytes]:
    """The Content-Transfer-Encoding and the octets of a text. It ends in a line end; control characters are gone."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    data = text.replace("\n", "\r\n").encode("utf-8", "replace").translate(None, _CONTROLS)
    plain = text.isascii()
    if (plain or not seven_bit) and has_short_lines(data):
        return ("7bit" if plain else "8bit"), data
    if plain or 6 * len(data.translate(None, _ASCII)) < len(data):
        return "quoted-printable", b2a_qp(data)
    return "base64", base64_body(data)


def base64_body(data: bytes) -> bytes:
    """Base64 in lines (RFC 2045 section 6.8)."""
    encoded = b2a_base64(data, newline=False)
    lines = [encoded[at : at + BASE64_LINE] for at in range(0, len(encoded), BASE64_LINE)]
    lines.append(b"")
    return b"\r\n".join(lines)


def has_short_lines(data: bytes) -> bool:
    """Whether no line is longer than mail allows. Looks at one place per line's worth of octets."""
    at, last = 0, len(data) - LONGEST_LINE - 2
    while at <= last:
        end = data.rfind(b"\n", at, at + LONGEST_LINE + 2)
        if end < 0:
            return False
        at = end + 1
    return True

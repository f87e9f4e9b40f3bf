"""Encodes and folds header field values, so that no value can start another field."""

from __future__ import annotations

import re
from binascii import b2a_base64
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

LINE = 76
"""RFC 2047 section 2: the longest line with an encoded word; also what RFC 5322 asks for (78)."""
LONGEST_WORD = 900
"""A word that would come near the 998 octets a line may have is encoded, which splits it."""
WORD_BYTES = 39
"""Of UTF-8 in one encoded word: 64 characters, which fit on a line behind a field's name."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*").fullmatch
_TOKEN = re.compile(r"[^A-Za-z0-9_-]+")


def cleaned(text: str) -> str:
    """The text on one line, without control characters."""
    if not text.isprintable():
        text = _CONTROL.sub(" ", text)
    return text.strip()


def unstructured(text: str, name_length: int) -> str:
    """The value of a field that is free text (Subject); `name_length` characters stand before it on the line."""
    text = cleaned(text)
    if text.isascii() and "=?" not in text:
        if len(text) + name_length <= LINE:
            return text
        if (folded := _fold(text, name_length)) is not None:
            return folded
    return encoded_words(text)


def mailbox(name: str, address: str) -> str:
    """`Name <address>`, or the address alone; `address` as `wire_address` made it."""
    name = cleaned(name)
    if not name:
        return address
    gap = " " if name.isascii() and len(name) + len(address) < LINE - 14 else "\r\n "
    return f"{_phrase(name)}{gap}<{address}>"


def token(text: str) -> str:
    """The text as one word of letters, digits, `_` and `-`."""
    return _TOKEN.sub("-", text)


def encoded_words(text: str) -> str:
    """RFC 2047: as many words as needed, one on each line, split between characters."""
    data = text.encode("utf-8", "replace")
    words: list[str] = []
    at = 0
    while at < len(data):
        end = min(at + WORD_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?B?{b2a_base64(data[at:end], newline=False).decode()}?=")
        at = end
    return "\r\n ".join(words)


@lru_cache(maxsize=4)
def date(second: int) -> str:
    """Seconds since the epoch as RFC 5322 writes them."""
    return format_datetime(datetime.fromtimestamp(second, UTC))


def _phrase(name: str) -> str:
    if not name.isascii() or "=?" in name or len(name) > LINE - 12:
        return encoded_words(name)
    if _ATOMS(name) is not None:
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _fold(text: str, name_length: int) -> str | None:
    """Broken at spaces; None where that cannot be done without changing the text."""
    lines: list[str] = []
    line, room = "", LINE - name_length
    for word in text.split(" "):
        if not word or len(word) > LONGEST_WORD:
            return None
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line, room = word, LINE - 1
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return "\r\n ".join(lines)

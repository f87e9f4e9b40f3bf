"""Parses SMTP replies (RFC 5321 section 4.2) from chunks of bytes."""

from __future__ import annotations

import re

LONGEST_LINE = 4096
"""RFC 5321 allows 512; some servers write more."""
MOST_LINES = 200
"""Of one reply."""
Reply = tuple[int, bytes]
"""Code and text; the lines of the text are joined by a line feed."""

_ENHANCED = re.compile(rb"([245])\.(\d{1,3})\.(\d{1,3})(?:\s|$)")
_CODES = {str(code).encode(): code for code in range(200, 600)}


class BadReply(Exception):
    """What came is no SMTP reply."""


class ReplyReader:
    """Feed it bytes, get replies. Refuses what is no reply and what would grow without end."""

    __slots__ = ("_lines", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete now. Raises BadReply."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE:
            raise BadReply("a line without end")
        found: list[Reply] = []
        for line in lines:
            code = _CODES.get(line[:3])
            if code is None or len(line) > LONGEST_LINE:
                raise BadReply("no reply code")
            if line[3:4] == b"-":
                self._continue(line[4:])
            elif self._lines:
                found.append((code, b"\n".join((*self._lines, line[4:].rstrip(b"\r")))))
                self._lines.clear()
            else:
                found.append((code, line[4:].rstrip(b"\r")))
        return found

    @property
    def is_empty(self) -> bool:
        """Nothing of a next reply has arrived."""
        return not self._rest and not self._lines

    def _continue(self, text: bytes) -> None:
        if len(self._lines) >= MOST_LINES:
            raise BadReply("a reply without end")
        self._lines.append(text.rstrip(b"\r"))


def enhanced(text: bytes) -> tuple[int, int, int] | None:
    """The enhanced status code (RFC 2034) at the beginning of a reply's text."""
    found = _ENHANCED.match(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found is not None else None


class Capabilities:
    """What a server offered in its answer to EHLO."""

    __slots__ = ("auth", "eight_bit", "pipelining", "size", "starttls", "utf8")

    def __init__(self, text: bytes = b"") -> None:
        words = [line.upper().split() for line in text.split(b"\n")[1:] if line.strip()]
        offered = {line[0]: line[1:] for line in words}
        self.pipelining = b"PIPELINING" in offered
        self.eight_bit = b"8BITMIME" in offered
        self.utf8 = b"SMTPUTF8" in offered
        self.starttls = b"STARTTLS" in offered
        self.size = _number(offered.get(b"SIZE", []))
        """Largest mail in octets; None: no limit known."""
        old_style = [line[0][5:] for line in words if line[0].startswith(b"AUTH=")]
        self.auth = frozenset(offered.get(b"AUTH", [])) | frozenset(old_style)


def _number(words: list[bytes]) -> int | None:
    """RFC 1870: no number and 0 mean no limit."""
    return int(words[0]) or None if words and words[0].isdigit() else None

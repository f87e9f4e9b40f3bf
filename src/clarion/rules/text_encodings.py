"""The encoding of a text whose sender did not say it."""

from __future__ import annotations

import re

SAMPLE = 64 * 1024
"""Bytes of lines that are not ASCII; so many tell."""
MOSTLY = 0.9
"""So much of the sample is UTF-8: then that is meant, and the rest is broken."""
_LINE = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")


class EncodingLook:
    """Looks at a file piece by piece."""

    def __init__(self) -> None:
        self._beginning = b""
        self._sample: list[bytes] = []
        self._size = 0

    def feed(self, content: bytes) -> None:
        """The next bytes."""
        if len(self._beginning) < SAMPLE:
            self._beginning = (self._beginning + content)[:SAMPLE]
        if self._size < SAMPLE:
            # What a piece cuts in two would tell the wrong thing.
            for line in _LINE.findall(content)[:-1] or _LINE.findall(content):
                self._sample.append(line[:SAMPLE])
                self._size += len(line)
                if self._size >= SAMPLE:
                    break

    @property
    def is_sure(self) -> bool:
        """It has seen enough."""
        return self._size >= SAMPLE

    def encoding(self) -> str:
        """What the file was written with, as far as can be seen."""
        if wide := _wide(self._beginning):
            return wide
        if sum(map(_is_utf8, self._sample)) >= MOSTLY * len(self._sample):
            return "utf-8"
        from charset_normalizer import from_bytes

        best = from_bytes(b"\n".join(self._sample)).best()
        return "cp1252" if best is None else best.encoding


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _wide(beginning: bytes) -> str:
    """UTF-16 without a mark has a NUL in every other byte of plain letters."""
    half = len(beginning) // 2
    if half and beginning[1::2].count(0) > MOSTLY * half / 2:
        return "utf-16-le"
    return "utf-16-be" if half and beginning[::2].count(0) > MOSTLY * half / 2 else ""

"""The languages a reader's browser asks for (RFC 9110 section 12.5.4)."""

from __future__ import annotations

from collections.abc import Mapping

LONGEST = 512


def languages_of(headers: Mapping[bytes, bytes]) -> list[str]:
    """Best first."""
    asked: list[tuple[float, str]] = []
    for part in headers.get(b"accept-language", b"")[:LONGEST].decode("latin-1").split(","):
        tag, _, quality = part.partition(";")
        try:
            asked.append((float(quality.strip().removeprefix("q=") or 1), tag.strip()))
        except ValueError:
            continue
    return [tag for quality, tag in sorted(asked, key=lambda one: -one[0]) if tag and quality > 0]

"""Speech: words become a sound, to listen to what a call would say."""

from __future__ import annotations

from typing import Protocol


class Speech(Protocol):
    """A program that speaks."""

    async def spoken(self, text: str, language: str) -> bytes:
        """`text`, which may be SSML, as a WAV file, in the voice of `language` (BCP 47) or of one close to it. Raises
        Unavailable when it cannot be spoken."""

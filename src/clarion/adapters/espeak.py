"""Speaks through espeak-ng, where that is installed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator

from clarion.errors import Unavailable
from clarion.ports.clock import Clock

PROGRAM = "espeak-ng"
LONGEST_CHARS = 5_000
LONGEST_S = 10.0
HEADER = 44
"""Bytes before the sound."""


class Espeak:
    """Implements `ports.speech.Speech`: a process for each text, which reads it from its standard input."""

    def __init__(self, program: str, clock: Clock) -> None:
        self._program = program
        self._clock = clock

    @classmethod
    def found(cls, clock: Clock) -> Espeak | None:
        """None: it is not installed."""
        program = shutil.which(PROGRAM)
        return None if program is None else cls(program, clock)

    async def spoken(self, text: str, language: str) -> bytes:
        """The voice of the language and country, else of the language, else English."""
        for voice in _voices(language):
            sound = await self._spoken(text[:LONGEST_CHARS], voice)
            if sound:
                return sound
        raise Unavailable(f"{PROGRAM} cannot speak this text.")

    async def _spoken(self, text: str, voice: str) -> bytes:
        """Empty: there is no such voice."""
        marked = ["-m"] if text.lstrip().startswith("<speak") else []
        process = await asyncio.create_subprocess_exec(
            self._program,
            *("-v", voice, "--stdin", "--stdout", *marked),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with self._clock.timeout(LONGEST_S):
                sound, _ = await process.communicate(text.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise Unavailable(f"{PROGRAM} took longer than {LONGEST_S:g} s.") from None
        return measured(sound) if process.returncode == 0 else b""


def measured(sound: bytes) -> bytes:
    """A WAV file whose header says how long it is: written to a pipe, the program could not know."""
    sizes = (len(sound) - 8).to_bytes(4, "little"), (len(sound) - HEADER).to_bytes(4, "little")
    return sound[:4] + sizes[0] + sound[8 : HEADER - 4] + sizes[1] + sound[HEADER:]


def _voices(language: str) -> Iterator[str]:
    tag = language.lower()
    yield from dict.fromkeys((tag, tag.partition("-")[0], "en"))

"""Captured calls are spoken by espeak-ng."""

from __future__ import annotations

import asyncio
import io
import wave
from pathlib import Path

import pytest

from clarion.adapters import espeak
from clarion.adapters.espeak import Espeak
from clarion.adapters.system import SystemClock
from clarion.errors import Unavailable
from clarion.testing.ports import ManualClock
from tests.needs import require


def program(tmp_path: Path, script: str) -> str:
    """A program that stands in for espeak-ng."""
    path = tmp_path / "espeak-ng"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def content(path: Path) -> str:
    """What stands in a file; nothing when there is none."""
    return path.read_text().strip() if path.exists() else ""


async def written(path: Path) -> int:
    """The number in a file, once it stands there."""
    for _ in range(3_000):
        if text := content(path):
            return int(text)
        await asyncio.sleep(0.01)
    raise AssertionError("the program did not start")


def runs(pid: int) -> bool:
    """Whether this process is still there."""
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def speech() -> Espeak:
    """The real one."""
    return Espeak(require("espeak-ng", "it speaks captured calls"), SystemClock())


def seconds(sound: bytes) -> float:
    """How long a WAV file lasts, by its header."""
    with wave.open(io.BytesIO(sound)) as opened:
        assert opened.getnframes() * opened.getsampwidth() == len(sound) - espeak.HEADER
        return opened.getnframes() / opened.getframerate()


@pytest.mark.parametrize("language", ["de", "en-GB", "de-AT", "tlh"])
async def test_a_text_is_spoken_in_the_nearest_voice(speech, language):
    """Country and language, the language alone, else English: somebody always speaks."""
    assert 0.5 < seconds(await speech.spoken("One, two, three.", language)) < 10


async def test_marks_for_the_voice_are_obeyed_and_not_read_aloud(speech):
    """A pause of three seconds is silence."""
    text = "<speak>One.<break time='3s'/>Two.</speak>"
    spoken = await speech.spoken(text, "en")
    assert seconds(spoken) > seconds(await speech.spoken("One. Two.", "en")) + 2


async def test_words_are_not_taken_for_options(speech):
    """They are read from the standard input."""
    assert seconds(await speech.spoken("--version", "en")) > 0.5


async def test_a_machine_without_it_has_no_speech(monkeypatch, tmp_path):
    """Then calls are shown as text only."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Espeak.found(SystemClock()) is None
    program(tmp_path, "cat")
    assert Espeak.found(SystemClock()) is not None


async def test_a_program_that_only_fails_is_said(tmp_path):
    """After every voice was tried."""
    broken = Espeak(program(tmp_path, f"echo $2 >> {tmp_path}/voices; exit 1"), SystemClock())
    with pytest.raises(Unavailable, match="cannot speak this text"):
        await broken.spoken("Hello", "de-AT")
    assert (tmp_path / "voices").read_text().split() == ["de-at", "de", "en"]


async def test_a_program_that_hangs_is_ended(tmp_path):
    """Nobody waits for it for long, and it does not stay behind."""
    clock = ManualClock()
    pid_file = tmp_path / "pid"
    hanging = Espeak(program(tmp_path, f"echo $$ > {pid_file}; exec sleep 600"), clock)
    speaking = asyncio.ensure_future(hanging.spoken("Hello", "en"))
    pid = await written(pid_file)
    while not speaking.done():  # It writes its number before anybody here waits for it.
        clock.advance(espeak.LONGEST_S + 1)
        await asyncio.sleep(0.001)
    with pytest.raises(Unavailable, match="longer than 10 s"):
        await speaking
    assert not runs(pid)

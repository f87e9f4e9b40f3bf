"""Starts the limited process with the first task, and replaces it when it dies."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence

import structlog

from clarion.adapters.limited.worker import HEADER, IDLE_EXIT
from clarion.ports.limited import Exceeded

log = structlog.get_logger(__name__)

_START = "import sys; sys.path[:] = sys.argv[4:]; from clarion.adapters.limited.worker import main; main()"
LONGEST_ANSWER = 64 * 1024 * 1024
WAIT = 6
"""Seconds of the clock for each second of CPU time: on a busy machine a task gets that little."""


class LimitedProcess:
    """Implements `ports.limited.Limited` with one process, in which `target` (`module:function`) does the tasks.

    It begins with an empty environment, may neither open files for writing nor leave a core, and goes when it was idle
    for some minutes or its owner is gone.
    """

    def __init__(self, target: str, *, memory_bytes: int, cpu_s: int) -> None:
        """`memory_bytes` is what tasks may take together beside the program itself; `cpu_s` is for each task."""
        self._target = target
        self._memory_bytes = memory_bytes
        self._cpu_s = cpu_s
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def run(self, tasks: Sequence[bytes]) -> Sequence[bytes | Exceeded]:
        async with self._turn:
            return [await self._one(task) for task in tasks]

    async def close(self) -> None:
        async with self._turn:
            await self._end()

    async def _one(self, task: bytes) -> bytes | Exceeded:
        for _ in range(2):
            process = self._process or await self._start()
            try:
                async with asyncio.timeout(self._cpu_s * WAIT):
                    return await _exchange(process, task)
            except (
                TimeoutError,
                OSError,
                EOFError,
                RuntimeError,
            ):  # the last is how uvloop says that it is gone
                ended = await self._end()
            except BaseException:  # nobody waits for the answer any more: the next one must not get it
                await self._end()
                raise
            if ended != IDLE_EXIT:
                detail = self._detail(ended)
                log.warning("limited_task_ended", exit=ended)
                return Exceeded(detail)
        return Exceeded(self._detail(None))

    def _detail(self, ended: int | None) -> str:
        if ended in (-signal.SIGXCPU, -signal.SIGKILL):
            return f"it takes more than {self._cpu_s} s of CPU time"
        return f"it takes more than {self._memory_bytes >> 20} MB of memory, or nests too deep"

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _START,
            self._target,
            str(self._memory_bytes),
            str(self._cpu_s),
            *sys.path,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            limit=LONGEST_ANSWER,
            start_new_session=True,  # what stops the server by Ctrl-C is for its owner
        )
        return self._process

    async def _end(self) -> int | None:
        """Its exit code; killed where it has none yet."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            async with asyncio.timeout(0.2):  # it may be about to say why it ends
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()
        return process.returncode


async def _exchange(process: asyncio.subprocess.Process, task: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(HEADER.pack(len(task)) + task)
    await process.stdin.drain()
    (length,) = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
    return await process.stdout.readexactly(length)

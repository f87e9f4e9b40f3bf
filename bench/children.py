"""Other people's servers that a figure needs: started on a port of their own, gone with the bench."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""The kernel ends a child when whoever started it is gone: no run leaves a process behind."""


class Missing(Exception):
    """Something that a figure needs is not installed; says what to do."""


def program(name: str, package: str, *folders: str) -> str:
    """The path of an installed program. Raises Missing."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(["/usr/sbin", *folders]))
    if found is None:
        raise Missing(f"{name} is not installed (apt install {package})")
    return found


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str],
    *,
    log: Path | None = None,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    stop: signal.Signals = signal.SIGKILL,
) -> AsyncIterator[int]:
    """A child with all its own children, while the block runs: its process id. It is ready when something listens on `port`.

    It uses the cores that the bench uses now.
    """
    with (log or Path(os.devnull)).open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - single-threaded here, and nothing else can do it
        )
    try:
        if port is not None:
            await _listening(child, port, log)
        yield child.pid
    finally:
        child.send_signal(stop)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


async def _listening(child: subprocess.Popen[bytes], port: int, log: Path | None) -> None:
    for _ in range(2_400):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        if child.poll() is not None:
            break
        await asyncio.sleep(0.05)
    said = log.read_text(errors="replace")[-2_000:] if log else ""
    raise RuntimeError(f"{child.args!r} does not listen on port {port}:\n{said}")


def die_with_parent() -> None:
    """To be called in a child before it becomes another program."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

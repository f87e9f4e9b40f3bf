"""A mail server that takes everything and keeps nothing: Postfix's `smtp-sink`, on the generator's core."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator

from bench.server import free_port

PROGRAM = "smtp-sink"


@contextlib.asynccontextmanager
async def mail_sink() -> AsyncIterator[int]:
    """Its port. RuntimeError saying what to install when it is not there."""
    found = shutil.which(PROGRAM) or shutil.which(PROGRAM, path="/usr/sbin")
    if found is None:
        raise RuntimeError("smtp-sink is not installed: it comes with Postfix (apt install postfix)")
    port = free_port()
    account = ["-u", "nobody"] if os.geteuid() == 0 else []
    # It inherits the generator's core.
    running = subprocess.Popen([found, *account, f"127.0.0.1:{port}", "1000"], start_new_session=True)  # noqa: ASYNC220
    try:
        await _listening(port)
        yield port
    finally:
        running.kill()
        running.wait()


async def _listening(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("smtp-sink does not listen")

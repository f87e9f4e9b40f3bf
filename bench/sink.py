"""Servers that take everything and keep nothing, on the generator's cores: a mail server, and an HTTP service."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator

from bench.children import program, running
from bench.server import free_port


@contextlib.asynccontextmanager
async def mail_sink() -> AsyncIterator[int]:
    """The port of Postfix's `smtp-sink`. Raises Missing when it is not installed."""
    port, user = free_port(), "nobody" if os.geteuid() == 0 else None
    async with running([program("smtp-sink", "postfix"), f"127.0.0.1:{port}", "1000"], port=port, user=user):
        yield port


@contextlib.asynccontextmanager
async def http_sink(status: int, body: str, delay_s: float = 0.0) -> AsyncIterator[str]:
    """The URL of an HTTP/1.1 server that gives every request this answer, after a while."""
    port = free_port()
    command = [sys.executable, "-m", "bench.http_sink", str(port), str(status), body, str(delay_s)]
    async with running(command, port=port):
        yield f"http://127.0.0.1:{port}"

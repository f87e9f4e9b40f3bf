"""A mail server that takes everything and keeps nothing: Postfix's `smtp-sink`, on the generator's cores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

from bench.children import program, running
from bench.server import free_port


@contextlib.asynccontextmanager
async def mail_sink() -> AsyncIterator[int]:
    """Its port. Raises Missing when it is not installed."""
    port, user = free_port(), "nobody" if os.geteuid() == 0 else None
    async with running([program("smtp-sink", "postfix"), f"127.0.0.1:{port}", "1000"], port=port, user=user):
        yield port

"""A process that does nothing but serve: its event loop, and the signals that end it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine

import uvloop

from clarion.adapters.telemetry import logs

SWITCH_INTERVAL_S = 0.0002
"""The writer thread must get the interpreter back soon after each file system call."""
GC_THRESHOLD = (50_000, 20, 100)
"""A batch allocates thousands of short-lived values; the default would collect in the middle of every one."""


def on_a_fast_loop(work: Coroutine[None, None, int], *, log_level: str, log_format: str) -> int:
    """What `work` returns, in a process that does nothing else."""
    logs.set_up(log_level, log_format)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLD)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def stop_signal() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; the second ends the process at once."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            # What was accepted is durable, and what is under way is recovered by its lease.
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop

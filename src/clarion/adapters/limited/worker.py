"""The main loop of the limited process: reads tasks and writes results."""

from __future__ import annotations

import importlib
import os
import resource
import select
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

HEADER = struct.Struct("!I")
"""Before a task and before an answer: its length."""
IDLE_S = 300
IDLE_EXIT = 0
MEMORY_EXIT = 3


def main() -> None:
    """`target memory_bytes cpu_s`, as `LimitedProcess` says."""
    target, memory_bytes, cpu_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    module, _, function = target.partition(":")
    answer = getattr(importlib.import_module(module), function)
    with suppress(OSError, ValueError):  # not every system tells the size, or keeps to the limit
        resource.setrlimit(resource.RLIMIT_AS, (_size() + memory_bytes,) * 2)
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    serve(answer, cpu_s)


def serve(answer: Callable[[bytes], bytes], cpu_s: int) -> None:
    """Until there is nobody to serve."""
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    while task := _task(tasks):
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + cpu_s + 1, hard))
        try:
            made = answer(task)
        except MemoryError:
            os._exit(MEMORY_EXIT)
        answers.write(HEADER.pack(len(made)) + made)
        answers.flush()


def _task(tasks: BinaryIO) -> bytes:
    """The next one; empty when none came for some minutes, or none will."""
    if not select.select([tasks], [], [], IDLE_S)[0]:
        return b""
    header = tasks.read(HEADER.size)
    return tasks.read(HEADER.unpack(header)[0]) if len(header) == HEADER.size else b""


def _size() -> int:
    """Of the address space now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()

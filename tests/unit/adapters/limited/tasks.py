"""Tasks that behave well, and tasks that do not."""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def answer(task: bytes) -> bytes:
    """What the task asks for."""
    name, _, given = task.partition(b" ")
    return TASKS.get(name, lambda given: task.upper())(given)


def recursion(given: bytes) -> bytes:
    sys.setrecursionlimit(10**9)

    def go(n: int) -> list:
        return [go(n + 1)]

    return bytes(go(0))


def busy(given: bytes) -> bytes:
    while True:
        pass


TASKS: dict[bytes, Callable[[bytes], Any]] = {
    b"memory": lambda given: bytes(bytearray(2 << 30))[:1],
    b"panic": lambda given: os.abort(),
    b"crash": lambda given: ctypes.string_at(0),
    b"deep": recursion,
    b"cpu": busy,
    b"sleep": lambda given: time.sleep(3600),
    b"raise": lambda given: 1 / 0,
    b"file": lambda given: str(Path(given.decode()).write_text("x")).encode(),
    b"pid": lambda given: str(os.getpid()).encode(),
    b"environment": lambda given: repr(dict(os.environ)).encode(),
    b"big": lambda given: b"x" * 5_000_000,
}

"""A server that Clarion is measured on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from bench import processes


@dataclass(frozen=True, kw_only=True)
class BackendServer:
    """One that runs."""

    setting: str
    """Of Clarion, which names it: `database` or `broker`."""
    url: str
    """Its value, for something empty on this server."""
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        return processes.cpu_s(self.pid)


Start = Callable[[Path], AbstractAsyncContextManager[BackendServer]]
"""Starts one in a new folder of its own, on the cores of the bench."""

"""What a running process has used so far, read from `/proc`: CPU by thread, memory, bytes written to the disk.

A process counts together with its children, so a server may be made of several. Reading costs the process nothing.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and its living descendants; the process itself comes first."""
    parents: dict[int, int] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(entry)):
            parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for one in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == one]
    return found


def end(pids: list[int]) -> None:
    """Kill them, and wait until none of them does anything any more."""
    for one in pids:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    while any(is_alive(one) for one in pids):
        time.sleep(0.001)


def is_alive(pid: int) -> bool:
    """Whether it may still do something."""
    return _stat(PROC / str(pid))[:1] not in ([], ["Z"], ["X"])


def command(pid: int) -> str:
    """What it was started with; empty when it has ended."""
    return _read(PROC / str(pid) / "cmdline").replace("\0", " ")


def cpu_s(pid: int) -> float:
    """CPU seconds of the family, user and system, all threads, children that have ended included."""
    return sum(sum(map(int, _stat(PROC / str(one))[11:15])) for one in family(pid)) / TICKS


def thread_cpu_s(pid: int) -> dict[tuple[int, int], float]:
    """(process id, thread id) to the CPU seconds of that thread, for every thread of the family.

    The thread whose id is that of its process is the main one.
    """
    found = {}
    for one in family(pid):
        for thread in (PROC / str(one) / "task").iterdir():
            try:
                on_cpu_ns = int((thread / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            found[one, int(thread.name)] = on_cpu_ns / 1e9
    return found


def memory_kib(pid: int) -> dict[str, int]:
    """`Rss` and `Pss` of the family in KiB. `Rss` counts what processes share once for each of them."""
    total = {"Rss": 0, "Pss": 0}
    for one in family(pid):
        text = _read(PROC / str(one) / "smaps_rollup")
        for name, kib in re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.MULTILINE):
            total[name] += int(kib)
    return total


def written_bytes(pid: int) -> int:
    """Bytes that the family has sent to the disk. Always 0 on a file system in memory."""
    total = 0
    for one in family(pid):
        fields = dict(line.split(": ") for line in _read(PROC / str(one) / "io").splitlines())
        total += int(fields.get("write_bytes", 0)) - int(fields.get("cancelled_write_bytes", 0))
    return total


def _stat(process: Path) -> list[str]:
    """The fields of `stat` from the state on; [] when the process has ended."""
    return _read(process / "stat").rpartition(")")[2].split()


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""

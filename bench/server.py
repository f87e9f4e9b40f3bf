"""A Clarion process to measure or to mistreat: started, watched, stopped and killed from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import processes
from bench.backend_server import BackendServer
from bench.children import die_with_parent
from bench.wire import Api

ROOT = Path(__file__).parents[1]
# Below the kernel's ephemeral ports: a client that retries an ephemeral port of a server that is down can end up
# connected to itself.
# Test processes that run side by side have ports of their own: one may be chosen for a server that is not there yet.
SIDE_BY_SIDE = 8
START_S = 120.0
"""Most time that a process may take to be ready, on a machine with much else to do."""
_PLACE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = range(18_000, 32_000)[_PLACE % SIDE_BY_SIDE :: SIDE_BY_SIDE]


def free_port() -> int:
    """A port nobody listens on, and that no outgoing connection will take."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


STORE = "clarion.app.store_program"
"""What the command of a store process contains."""


class Server:
    """`clarion dev` on a data directory and a port that stay the same over restarts."""

    def __init__(self, data: Path, *, core: int | None = None, env: dict[str, str] | None = None) -> None:
        self.data, self.port, self.core = data, free_port(), core
        self.python = sys.executable
        self.module = "clarion"
        """What is run; one that takes the same command line."""
        self.env = dict(env or {})
        self.uses: Sequence[BackendServer] = ()
        """The servers that have what it does not keep itself."""
        self.log = data.with_name(data.name + ".log")
        self.started_in = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._api: Api | None = None

    @property
    def api(self) -> Api:
        """A client with the demo tenant's key; survives restarts."""
        if self._api is None:
            self._api = Api(self.port, self.dev["api_key"])
        return self._api

    @property
    def dev(self) -> dict[str, Any]:
        """What the server wrote for scripts."""
        found: dict[str, Any] = json.loads((self.data / "dev.json").read_text())
        return found

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def store_pid(self) -> int:
        """The id of its store process."""
        (found,) = [one for one in processes.family(self.pid) if STORE in processes.command(one)]
        return found

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    async def start(self, *, within: float = START_S) -> Server:
        """Start and wait until it says that it is ready."""
        began = time.perf_counter()
        self.launch()
        await self.ready(within)
        self.started_in = time.perf_counter() - began
        return self

    def launch(self) -> None:
        """Start the process and do not wait for it."""
        self._process = self._spawn()

    async def ready(self, within: float = START_S) -> None:
        """Wait until `/readyz` says so and `dev.json` is there; RuntimeError with its output if that does not come."""
        assert self._process is not None
        probe = Api(self.port)
        until = time.perf_counter() + within
        while time.perf_counter() < until:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}:\n{self.tail()}")
            try:
                answer = await probe.call("GET", "/readyz", within=within)
                if answer.status == 200 and (self.data / "dev.json").exists():
                    return
            except OSError:
                pass
            finally:
                probe.close()
            await asyncio.sleep(0.01)
        raise RuntimeError(f"the server was not ready within {within} s:\n{self.tail()}")

    @property
    def words(self) -> list[str]:
        """What `clarion` is started with."""
        return ["dev", "--port", str(self.port), "--data-dir", str(self.data)]

    @property
    def environment(self) -> dict[str, str]:
        """Ours and its own; settings of the machine this runs on are none of ours."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")}
        return {**inherited, **self.env}

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [self.python, "-m", self.module, *self.words],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                start_new_session=True,
                preexec_fn=self._in_the_child,  # noqa: PLW1509 - single-threaded here, and nothing else can do it
            )

    def _in_the_child(self) -> None:
        die_with_parent()
        if self.core is not None:
            os.sched_setaffinity(0, {self.core})

    def kill(self) -> None:
        """End it and its child processes at once, as a crash of the machine would."""
        if self.running:
            processes.end([*processes.family(self.pid)[1:], self.pid])
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def discard(self) -> None:
        """Leave nothing behind: no process, no connection."""
        self.kill()
        if self._api is not None:
            self._api.close()
            await asyncio.sleep(0)  # lets the loop close the socket

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and do not wait."""
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, within: float = 15) -> int:
        """The exit code, once it has ended."""
        assert self._process is not None
        until = time.perf_counter() + within
        while self._process.poll() is None:
            if time.perf_counter() > until:
                raise TimeoutError(f"still running {within} s later:\n{self.tail()}")
            await asyncio.sleep(0.01)
        return self._process.returncode

    async def stop(self, within: float = 15) -> int:
        """Ask it to finish, and wait; the exit code."""
        self.signal()
        return await self.ended(within)

    def tail(self, lines: int = 40) -> str:
        """The end of its output."""
        if not self.log.exists():
            return "(no output)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # -- what it costs --

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system, all threads and child processes."""
        return processes.cpu_s(self.pid)

    def memory_kib(self) -> dict[str, int]:
        """`Rss` and `Pss` in KiB, child processes included."""
        return processes.memory_kib(self.pid)

    def thread_cpu_s(self) -> dict[tuple[int, int], float]:
        """(process id, thread id) to CPU seconds; the first thread of the server itself is `(pid, pid)`."""
        return processes.thread_cpu_s(self.pid)

    def written_bytes(self) -> int:
        """Bytes sent to the disk so far, the write-ahead log included."""
        return processes.written_bytes(self.pid)

    def stored_bytes(self) -> int:
        """The size of everything in the data folder."""
        total = 0
        for file in self.data.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # temporary files come and go
                total += file.stat().st_size if file.is_file() else 0
        return total

    async def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its full name with labels."""
        answer = await self.api.call("GET", "/metrics")
        samples = (
            line.rpartition(" ") for line in answer.body.decode().splitlines() if line[:1] not in {"#", ""}
        )
        return {name: float(value) for name, _, value in samples}

"""Starts a server in a folder of its own, and shares it between all processes that run tests."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

PORTS = range(20_000, 32_000)
"""Below those that the system gives to outgoing connections, which could take one before the server does."""
START_S = 120.0
STOP_S = 30.0

_given: set[int] = set()
_begun: list[subprocess.Popen[bytes]] = []
"""Servers that this process started and perhaps another one stops."""


class Started(NamedTuple):
    """A server that runs, the leader of its process group."""

    process: subprocess.Popen[bytes]
    facts: Mapping[str, str | int]
    """How to reach it: ports, folders, names."""
    stop: int = signal.SIGTERM
    """The signal that it stops at."""


class _Shared(msgspec.Struct):
    pid: int
    facts: dict[str, str | int]
    stop: int
    home: str
    users: int


def free_port() -> int:
    """A port of this machine that nothing listens on and that this process has not given away yet."""
    start = os.getpid() * 7 % len(PORTS)
    for port in [*PORTS[start:], *PORTS[:start]]:
        if port in _given:
            continue
        with contextlib.closing(socket.socket()) as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no port is free")


def home_for(name: str, user: str | None = None) -> Path:
    """A new folder which `user` owns and can reach; those of pytest are root's alone."""
    home = Path(tempfile.mkdtemp(prefix=f"clarion-{name}-"))
    home.chmod(0o755)
    if user and os.geteuid() == 0:
        found = pwd.getpwnam(user)
        os.chown(home, found.pw_uid, found.pw_gid)
    return home


def start(
    command: Sequence[str | Path],
    *,
    home: Path,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in `home`, where `server.log` tells what it says; as `user` if we are root."""
    with (home / "server.log").open("ab") as log:
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=home,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **_as(user),
        )


def run(
    command: Sequence[str | Path],
    *,
    home: Path,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a command of a server to its end; what it says is in the error if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=home,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        **_as(user),
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stdout + done.stderr).decode()[-2000:]}")


def wait_for(ready: Callable[[], object], process: subprocess.Popen[bytes], home: Path) -> None:
    """Until `ready` returns without an error; raises with the end of the log when the server ends before that."""
    until = time.monotonic() + START_S
    while True:
        try:
            ready()
            return
        except Exception as error:  # whatever a client raises while its server is starting
            if process.poll() is not None or time.monotonic() > until:
                log = (home / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the server did not start ({error!r}): {log}") from error
        time.sleep(0.05)


def listens(port: int) -> None:
    """Raises OSError unless something accepts connections there."""
    socket.create_connection(("127.0.0.1", port), 1).close()


def stop(pid: int, by: int = signal.SIGTERM) -> None:
    """End a server and everything it started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, by)
    until = time.monotonic() + STOP_S
    while _runs(pid):
        if time.monotonic() > until:
            break
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


@contextlib.contextmanager
def shared(
    name: str, folders: pytest.TempPathFactory, begin: Callable[[Path], Started], *, user: str | None = None
) -> Iterator[Mapping[str, str | int]]:
    """The facts of one server for all test processes: the first that asks starts it, the last that leaves stops it.

    `begin` starts it in the folder that it is given and returns when it can be used.
    """
    base = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    note = base / f"{name}.json"
    with _locked(note):
        if note.exists():
            found = msgspec.json.decode(note.read_bytes(), type=_Shared)
        else:
            home = home_for(name, user)
            started = begin(home)
            _begun.append(started.process)
            found = _Shared(started.process.pid, dict(started.facts), started.stop, str(home), 0)
        found.users += 1
        note.write_bytes(msgspec.json.encode(found))
    try:
        yield found.facts
    finally:
        with _locked(note):
            found = msgspec.json.decode(note.read_bytes(), type=_Shared)
            found.users -= 1
            if found.users:
                note.write_bytes(msgspec.json.encode(found))
            else:
                note.unlink()
                stop(found.pid, found.stop)
                shutil.rmtree(found.home, ignore_errors=True)


@contextlib.contextmanager
def _locked(note: Path) -> Iterator[None]:
    with note.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _as(user: str | None) -> dict[str, Any]:
    if not user or os.geteuid():
        return {}
    found = pwd.getpwnam(user)
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"

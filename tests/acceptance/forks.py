"""Servers and commands that are forked from one process which has imported everything: a start costs a third of the usual."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

# What `clarion dev` imports while it starts.
import clarion.adapters.ledgers.migrate
import clarion.adapters.ledgers.postgresql.ledger
import clarion.adapters.ledgers.sqlite.ledger
import clarion.app.server
import clarion.cli.client
import clarion.cli.demo
import clarion.cli.dev
import clarion.cli.migrate  # noqa: F401
from bench.children import die_with_parent
from bench.server import Server
from clarion.cli.main import program

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


class Fork:
    """As much of `subprocess.Popen` as a `Server` needs."""

    def __init__(
        self,
        words: list[str],
        log: Path,
        env: Mapping[str, str],
        *,
        errors: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        """`errors`: where what it says on standard error goes, if not to the log as well. `folder`: where it works."""
        files = (log, log if errors is None else errors)
        self._process = _forks.Process(target=_run, args=(words, files, dict(env), folder), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """What it ended with, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it is gone."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self) -> None:
        """Wait until it is gone."""
        self._process.join()


class ForkedServer(Server):
    """`clarion dev` in a process of its own, like any server, but forked: unless a test asks for another interpreter or
    for an environment that matters before the first line of Python."""

    settings: Mapping[str, str] = {}
    """Variables of Clarion."""

    @property
    def environment(self) -> dict[str, str]:
        """With these."""
        return {**super().environment, **self.settings}

    def _spawn(self) -> Any:
        if self.env or self.python != sys.executable:
            return super()._spawn()
        return Fork(self.words, self.log, self.environment)


class Done(NamedTuple):
    """What a command ended with, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read."""
        return json.loads(self.out)


async def run_command(*words: str | Path, cwd: Path, **environment: str) -> Done:
    """Run a command to its end."""
    with TemporaryDirectory() as said:
        out, err = Path(said) / "out", Path(said) / "err"
        env = {**os.environ, **environment}
        command = Fork(list(map(str, words)), out, env, errors=err, folder=cwd)
        await asyncio.wait_for(asyncio.to_thread(command.wait), 60)
        assert command.returncode is not None
        return Done(command.returncode, out.read_text(), err.read_text())


def _run(words: list[str], files: tuple[Path, Path], env: Mapping[str, str], folder: Path | None) -> None:
    die_with_parent()
    os.setsid()
    output, errors = (os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for file in files)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, own in ((nothing, 0), (output, 1), (errors, 2)):
        os.dup2(descriptor, own)
    if folder is not None:
        os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["clarion", *words]
    program()

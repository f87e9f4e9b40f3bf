"""Servers that are forked from one process which has imported everything: a start costs a third of the usual."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What `clarion dev` imports while it starts.
import clarion.adapters.ledgers.migrate
import clarion.adapters.ledgers.postgresql.ledger
import clarion.adapters.ledgers.sqlite.ledger
import clarion.app.server
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

    def __init__(self, words: list[str], log: Path, env: Mapping[str, str]) -> None:
        self._process = _forks.Process(target=_run, args=(words, log, dict(env)), daemon=True)
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


def _run(words: list[str], log: Path, env: Mapping[str, str]) -> None:
    die_with_parent()
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, own in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, own)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["clarion", *words]
    program()

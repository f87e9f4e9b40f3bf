"""The data directory: held by one process, or by one and its store process."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError
from clarion.ports.backend import BackendTools


@contextlib.contextmanager
def only_process(data_dir: Path) -> Iterator[int]:
    """Hold the data directory; ConfigError when another process has it, or it is not ours to write into.

    What comes is the descriptor of a second lock, for the store process to inherit: when only its parent was killed, the
    next one that wants the directory waits until it is gone too.
    """
    with _opened(data_dir / "clarion.lock") as lock, _opened(data_dir / "store.lock") as of_store:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"{data_dir} is in use by another Clarion process: stop it, or choose another directory with --data-dir."
            ) from None
        fcntl.flock(of_store, fcntl.LOCK_EX)
        yield of_store.fileno()


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a+")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}): the data directory must belong to the user Clarion runs as."
        ) from None


def tools_in(data_dir: Path, key_path: Path, *, again: bool = False) -> BackendTools:
    """What every backend is opened with. Raises ConfigError without the installation's key."""
    random = SystemRandom()
    # A new key beside an old database would read nothing.
    vault = LocalVault.from_file(key_path, random, create=False)
    return BackendTools(data_dir=data_dir, clock=SystemClock(), random=random, vault=vault, again=again)

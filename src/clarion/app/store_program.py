"""The program of the store process: opens the database, and answers the process that started it until that is gone.

It loads neither the edges nor the engine. The stop signals are not for it: whoever stops Clarion stops its parent, which
needs the store to the last.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from clarion.adapters.ledgers.remote import answer
from clarion.adapters.ledgers.remote.wire import WireFault, encode, fault_of
from clarion.app.backends import store_of
from clarion.app.data_directory import tools_in
from clarion.app.event_loop import on_a_fast_loop
from clarion.errors import ConfigError
from clarion.ports.ledger import Store

PR_SET_PDEATHSIG = 1


class StoreOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What the store process is started with."""

    parent: int
    socket: int
    """The descriptor it answers at."""
    lock: int
    """The descriptor by which it holds the data directory, as long as it lives."""
    database: str
    data_dir: str
    key_path: str
    prepare: bool
    """Make first what is missing in the data directory."""
    again: bool
    """See `ports.backend.BackendTools`."""
    log_level: str
    log_format: str


def main() -> int:
    """Until the parent is gone; the exit code."""
    order = msgspec.json.decode(sys.argv[1], type=StoreOrder)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _end_with(order.parent)
    return on_a_fast_loop(_run(order), log_level=order.log_level, log_format=order.log_format)


async def _run(order: StoreOrder) -> int:
    with socket.socket(fileno=order.socket) as parent, contextlib.suppress(BrokenPipeError):
        async with contextlib.AsyncExitStack() as ends:
            try:
                store = await ends.enter_async_context(_opened(order))
            except ConfigError as refused:
                parent.sendall(_first_word(fault_of(refused)))
                return 1
            parent.sendall(_first_word(None))
            parent.setblocking(False)
            gc.freeze()
            await answer(store, parent)
        return 0
    return 1  # the parent was gone before it was open


def _opened(order: StoreOrder) -> AbstractAsyncContextManager[Store]:
    data_dir, key_path = Path(order.data_dir), Path(order.key_path)
    if order.prepare:
        from clarion.app.preparation import prepare  # not needed otherwise

        prepare(data_dir / order.database.removeprefix("sqlite:"), key_path)
    return store_of(order.database, tools_in(data_dir, key_path, again=order.again))


def _first_word(fault: WireFault | None) -> bytes:
    """That it is open, or why it is not, behind its length."""
    word = encode(fault)
    return len(word).to_bytes(4) + word


def _end_with(parent: int) -> None:
    """At once when the parent is killed. Elsewhere than on Linux: when what it asked is done."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())

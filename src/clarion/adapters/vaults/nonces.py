"""Nonces for AES-GCM, which must never meet the same key twice.

A block begins at a random one of the 2^96 nonces and counts on from there. Two blocks of this or any other process that
shares the key hold a common nonce with a chance of 2 * BLOCK / 2^96, so for n seals with one key it is n^2 / (BLOCK * 2^96)
that any nonce comes back: 2^-32, the limit of NIST SP 800-38D, is reached at 2^40 seals, a billion a day for three
years. Random nonces reach it at 2^32. A key that seals once in a block is as safe as with random nonces.

A process that is forked starts a block of its own. A machine that is copied while it runs repeats what is left of a block.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from operator import methodcaller
from weakref import WeakSet

from clarion.ports.clock import Random

NONCE_BYTES = 12
BLOCK = 65_536
"""Nonces that follow each other."""

_FIRST = 2 ** (8 * NONCE_BYTES) - BLOCK
"""A block begins below this one."""


class Nonces:
    """May be used from any thread."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._lock = threading.Lock()
        self._block: Iterator[bytes] = iter(())
        _alive.add(self)

    def next(self) -> bytes:
        """A nonce that nobody had."""
        while True:
            block = self._block
            nonce = next(block, None)  # In one step of the interpreter: no other thread gets the same.
            if nonce is not None:
                return nonce
            with self._lock:
                if block is self._block:
                    self._block = self._begun()

    def _begun(self) -> Iterator[bytes]:
        start = int.from_bytes(self._random.bytes(NONCE_BYTES)) % _FIRST
        return map(methodcaller("to_bytes", NONCE_BYTES), range(start, start + BLOCK))

    def start_over(self) -> None:
        """Leave the block, which another process goes on with."""
        self._lock = threading.Lock()
        self._block = iter(())


_alive: WeakSet[Nonces] = WeakSet()


def _start_over() -> None:
    for nonces in _alive:
        nonces.start_over()


os.register_at_fork(after_in_child=_start_over)

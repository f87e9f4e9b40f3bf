"""Nonces: none comes back, whoever asks for it and from where."""

import subprocess
import sys
from threading import Thread

from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.nonces import BLOCK, NONCE_BYTES, Nonces

FORKED = """
import os
from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.nonces import Nonces

nonces = Nonces(SystemRandom())
nonces.next()
child = os.fork()
if child:
    os.waitpid(child, 0)
os.write(1, nonces.next())
"""


class Fixed:
    """Random bytes that were given."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)

    def bytes(self, n: int) -> bytes:
        assert n == NONCE_BYTES
        return self.parts.pop(0)

    def uniform(self) -> float:
        raise NotImplementedError


def test_a_block_counts_on_from_a_random_place():
    """And the next block begins somewhere else."""
    nonces = Nonces(Fixed(bytes(11) + b"\x07", b"\x01" + bytes(11)))
    found = [nonces.next() for _ in range(BLOCK + 2)]
    assert found[0] == bytes(11) + b"\x07"
    assert [int.from_bytes(nonce) for nonce in found[:BLOCK]] == list(range(7, 7 + BLOCK))
    assert found[BLOCK:] == [b"\x01" + bytes(11), b"\x01" + bytes(10) + b"\x01"]


def test_a_block_ends_before_the_numbers_do():
    """Whatever number it begins with, all its nonces have their length."""
    nonces = Nonces(Fixed(b"\xff" * NONCE_BYTES))
    assert {len(nonces.next()) for _ in range(BLOCK)} == {NONCE_BYTES}


def test_threads_share_no_nonce():
    """Also where one block ends and the next begins."""
    nonces = Nonces(SystemRandom())
    found: list[list[bytes]] = [[] for _ in range(4)]

    def take(own: list[bytes]) -> None:
        own.extend(nonces.next() for _ in range(BLOCK // 2))

    threads = [Thread(target=take, args=(own,)) for own in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set().union(*found)) == 4 * (BLOCK // 2)


def test_two_vaults_share_no_nonce():
    """Each begins at a random place of its own."""
    one, other = Nonces(SystemRandom()), Nonces(SystemRandom())
    assert {one.next() for _ in range(1000)}.isdisjoint({other.next() for _ in range(1000)})


def test_a_forked_process_starts_a_block_of_its_own():
    """It does not go on with the numbers of the process it was forked from."""
    both = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, check=True).stdout
    parent, child = both[:NONCE_BYTES], both[NONCE_BYTES:]
    assert len(child) == NONCE_BYTES
    assert abs(int.from_bytes(parent) - int.from_bytes(child)) > 1

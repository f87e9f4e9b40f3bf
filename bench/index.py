"""The machine index: how fast this machine is now, where 1.0 is the machine of the table in performance.md.

Four fixed pieces of work that Clarion's speed depends on are timed in turns, on the server's core. None of them
uses Clarion's code, so a change of the code cannot change the index.

How its constants were chosen: docs/explanation/performance.md.
"""

from __future__ import annotations

import math
import os
import socket
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NOISY = 0.10
"""Indexes further apart than this, or so much of a core taken by other work, make figures doubtful."""
SAMPLES = 15


@dataclass(frozen=True, kw_only=True)
class Part:
    """A fixed piece of work, how long the machine of index 1.0 takes for it, and its share in Clarion's time."""

    name: str
    reference_s: float
    share: float


PARTS = (
    Part(name="interpreter", reference_s=0.0109, share=0.6),
    Part(name="group commit", reference_s=0.0042, share=0.2),
    Part(name="AES-GCM", reference_s=0.0026, share=0.05),
    Part(name="loopback", reference_s=0.0024, share=0.15),
)


@dataclass(frozen=True, kw_only=True)
class Index:
    """One measurement. Every number is a speed: 2.0 is twice as fast as the machine of index 1.0."""

    value: float
    cpu: float
    """The speed of the interpreter while it has the core: it does not fall when other work takes the core away."""
    parts: dict[str, float]

    @classmethod
    def of(cls, seconds: dict[str, float], cpu_s: float) -> Index:
        """From the seconds of each part and the CPU seconds of the interpreter: the weighted geometric mean."""
        parts = {part.name: part.reference_s / seconds[part.name] for part in PARTS}
        value = math.exp(sum(part.share * math.log(parts[part.name]) for part in PARTS))
        return cls(value=value, cpu=PARTS[0].reference_s / cpu_s, parts=parts)

    @property
    def taken(self) -> float:
        """The share of the core that other work took."""
        return max(1 - self.parts[PARTS[0].name] / self.cpu, 0.0)


def between(*indexes: Index) -> Index:
    """What holds for the time between these: the geometric mean of each number."""
    names = indexes[0].parts
    return Index(
        value=_mean([one.value for one in indexes]),
        cpu=_mean([one.cpu for one in indexes]),
        parts={name: _mean([one.parts[name] for one in indexes]) for name in names},
    )


def noise(indexes: Sequence[Index]) -> str:
    """Why figures measured between these are doubtful; empty when nothing speaks against them."""
    if not indexes:
        return ""
    values, doubts = [one.value for one in indexes], []
    if max(values) > min(values) * (1 + NOISY):
        doubts.append(
            f"The machine index was {values[0]:.2f} before and {values[-1]:.2f} after the run "
            f"(lowest {min(values):.2f}, highest {max(values):.2f})."
        )
    if (taken := max(one.taken for one in indexes)) > NOISY:
        doubts.append(f"Other work took up to {taken:.0%} of a core.")
    if doubts:
        doubts.append("Do not rely on differences of that size: repeat the run while nothing else runs.")
    return " ".join(doubts)


def measure(samples: int = SAMPLES, core: int | None = None) -> Index:
    """Measure it now, on `core` if given."""
    with on_core(core), _work() as work:
        taken: dict[str, list[float]] = {name: [] for name in work}
        cpu: list[float] = []
        for _ in range(samples):
            for name, run in work.items():
                began, began_cpu = time.perf_counter(), time.thread_time()
                run()
                taken[name].append(time.perf_counter() - began)
                if name == PARTS[0].name:
                    cpu.append(time.thread_time() - began_cpu)
    return Index.of({name: statistics.median(all_) for name, all_ in taken.items()}, statistics.median(cpu))


def _mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """This process, and what it starts meanwhile, runs on one core; on its own cores when there is none with that number."""
    before = os.sched_getaffinity(0)
    if core is not None and core in range(os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _work() -> Iterator[dict[str, Callable[[], None]]]:
    with (
        tempfile.TemporaryDirectory(prefix="clarion-index-") as folder,
        closing(_store(Path(folder) / "index.db")) as store,
        _connected() as ends,
    ):
        yield {
            "interpreter": _interpret,
            "group commit": lambda: _commit(store),
            "AES-GCM": _encrypt,
            "loopback": lambda: _round_trips(*ends),
        }


# ── The four pieces of work. Any change here makes all earlier indexes worthless. ──────────────────────────────


class _Item:
    __slots__ = ("key", "rank")

    def __init__(self, key: str, rank: int) -> None:
        self.key, self.rank = key, rank


def _interpret() -> None:
    """What event handling is made of: small objects, dict look-ups, calls, string formatting, sorting."""
    found: dict[str, _Item] = {}
    for n in range(80_000):
        key = f"user-{n % 4_001}"
        item = found.get(key)
        if item is None:
            found[key] = _Item(key, n)
        else:
            item.rank = (item.rank * 31 + n) & 0xFFFF
    ordered = sorted(found.values(), key=lambda item: item.rank)
    assert len(ordered) == 4_001


ROWS, ROW = 512, b"x" * 400
COMMITS = 4


def _store(path: Path) -> sqlite3.Connection:
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB)")
    return store


def _commit(store: sqlite3.Connection) -> None:
    """Four commits of 512 rows of 400 bytes, each synced to the disk."""
    for _ in range(COMMITS):
        store.execute("BEGIN IMMEDIATE")
        store.executemany("INSERT INTO rows (body) VALUES (?)", [(ROW,)] * ROWS)
        store.execute("COMMIT")


_CIPHER, _PLAIN, _NONCE = AESGCM(bytes(32)), b"x" * 50, bytes(12)


def _encrypt() -> None:
    """10,000 values of 50 bytes."""
    for _ in range(10_000):
        _CIPHER.encrypt(_NONCE, _PLAIN, None)


@contextmanager
def _connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as here,
        listener.accept()[0] as there,
    ):
        for end in (here, there):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield here, there


def _round_trips(here: socket.socket, there: socket.socket) -> None:
    """1,000 times 400 bytes over TCP and back; one thread holds both ends."""
    for _ in range(1_000):
        here.sendall(ROW)
        there.sendall(there.recv(4096))
        here.recv(4096)

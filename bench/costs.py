"""What a message costs in CPU: Clarion, or the client in the bench, and each of the servers that it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bench.backend_server import BackendServer
from bench.report import CPU, Figure


class Costs:
    """CPU seconds of the times that are counted."""

    def __init__(self, servers: Sequence[BackendServer], client: Callable[[], float]) -> None:
        """`client`: the CPU seconds of whoever uses the servers, so far."""
        self._clocks = {"": client, **{f" of the {one.setting}": one.cpu_s for one in servers}}
        self._spent = dict.fromkeys(self._clocks, 0.0)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """What is spent meanwhile."""
        before = {name: clock() for name, clock in self._clocks.items()}
        yield
        for name, clock in self._clocks.items():
            self._spent[name] += clock() - before[name]

    def figures(self, title: str, messages: int, took_s: float | None = None) -> list[Figure]:
        """Of each message; and how many cores that is, when it is known how long it took."""
        return [
            Figure(
                name=f"{title}: CPU{name}",
                value=spent / messages * 1e6,
                unit=CPU,
                note="" if took_s is None else f"{spent / took_s:.2f} cores",
            )
            for name, spent in self._spent.items()
        ]

"""What a message costs in CPU, where several servers work on it."""

from dataclasses import dataclass, field

from bench.costs import Costs


@dataclass
class Clocks:
    """CPU seconds that a test sets."""

    client: float = 5.0
    server: float = 7.0
    setting: str = field(default="broker")

    def cpu_s(self) -> float:
        """Of the server."""
        return self.server


def test_only_what_is_spent_meanwhile_counts_for_whoever_spent_it():
    """Twice, and not between the two; the client has the plain name."""
    clocks = Clocks()
    costs = Costs([clocks], lambda: clocks.client)  # type: ignore[list-item]
    for _ in range(2):
        with costs.counted():
            clocks.client += 0.5
            clocks.server += 0.25
        clocks.client += 100
        clocks.server += 100
    client, server = costs.figures("row", 1_000, took_s=2.0)
    assert (client.name, client.value, client.note) == ("row: CPU", 1_000, "0.50 cores")
    assert (server.name, server.value, server.note) == ("row: CPU of the broker", 500, "0.25 cores")
    assert [figure.note for figure in costs.figures("row", 1_000)] == ["", ""]

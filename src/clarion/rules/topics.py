"""Topics below one another: `orders.eu.berlin` is below `orders.eu`, and that below `orders`."""

from __future__ import annotations

from collections.abc import Iterator


def lineage(key: str) -> Iterator[str]:
    """A topic and those above it, the nearest first. Who is subscribed to one of them gets what goes to the topic."""
    while key:
        yield key
        key = key.rpartition(".")[0]

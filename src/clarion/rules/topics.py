"""Topics below one another: `orders.eu.berlin` is below `orders.eu`, and that below `orders`."""

from __future__ import annotations

from collections.abc import Iterator

from clarion.model.recipient_object import is_object_key


def lineage(key: str) -> Iterator[str]:
    """A topic and those above it, the nearest first. Who is subscribed to one of them gets what goes to the topic. An object has
    nobody above it, whatever dots are in its id."""
    if is_object_key(key):
        yield key
        return
    while key:
        yield key
        key = key.rpartition(".")[0]

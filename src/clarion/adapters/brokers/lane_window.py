"""What a process holds of a lane: entries that were delivered to it and are not acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from clarion.adapters.brokers.turns import Turns
from clarion.model.event import Entry
from clarion.model.ids import Instant, time_of

MOST_BYTES = 32 * 1024 * 1024
MOST_ENTRIES = 4_096
ENTRY_BYTES = 1_000
"""What an entry takes in memory besides its data."""


class _Held(NamedTuple):
    entry: Entry
    handle: Any
    since_s: float


class LaneWindow:
    """Entries wait in it, the tenants in turn, until they are taken, and are held until they are finished, in any order.

    Their `seq` is a number of this window, by which whoever took one says that it is finished. A handle is what the
    server calls a delivery.
    """

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        """By `seq`, in order."""
        self._handles: set[Any] = set()
        self._taken: set[int] = set()
        self._waiting: Turns[Entry] = Turns()
        self._last = 0
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self.arrived = asyncio.Event()
        """Set when there is something new to look at."""

    def __len__(self) -> int:
        """Entries that are held, taken or not."""
        return len(self._held)

    @property
    def oldest_at(self) -> Instant | None:
        """When the oldest of them was accepted."""
        return min((time_of(one.entry.event_id) for one in self._held.values()), default=None)

    async def room(self) -> None:
        """Wait until more may be put in."""
        await self._room.wait()

    def next_seq(self) -> int:
        """The `seq` of the next entry that is put in."""
        self._last += 1
        return self._last

    def put(self, delivered: Iterable[tuple[Entry, Any]], now_s: float) -> None:
        """Entries and the handles of their deliveries, at `now_s` of a clock that never goes backwards. What is held already
        was delivered again because nobody kept it in time: it is held once."""
        for entry, handle in delivered:
            if handle in self._handles:
                continue
            self._handles.add(handle)
            self._held[entry.seq] = _Held(entry, handle, now_s)
            self._waiting.put(entry.tenant, entry)
            self._bytes += _size(entry)
        self._look_for_room()
        self.arrived.set()

    def take(self, limit: int) -> tuple[Entry, ...]:
        """Up to `limit` of those that wait."""
        taken = self._waiting.take(limit)
        self._taken.update(entry.seq for entry in taken)
        return tuple(taken)

    def finish(self, entries: Iterable[Entry]) -> list[Any]:
        """Hold them no longer; the handles of those that were held."""
        handles = []
        for entry in entries:
            if (one := self._held.pop(entry.seq, None)) is not None:
                self._taken.discard(entry.seq)
                self._handles.discard(one.handle)
                self._bytes -= _size(entry)
                handles.append(one.handle)
        self._look_for_room()
        return handles

    def restart(self) -> None:
        """Whoever took entries has ended: they wait again, before those that came later."""
        self._taken.clear()
        self._waiting = Turns()
        for one in self._held.values():
            self._waiting.put(one.entry.tenant, one.entry)
        self.arrived.set()

    def drop(self) -> list[Any]:
        """Hold nothing that only waits; its handles."""
        waiting = [one.entry for seq, one in self._held.items() if seq not in self._taken]
        self._waiting = Turns()
        return self.finish(waiting)

    def held_since(self, before_s: float) -> Sequence[Any]:
        """The handles of what has been here since then or longer."""
        return [one.handle for one in self._held.values() if one.since_s <= before_s]

    def _look_for_room(self) -> None:
        if len(self._held) < MOST_ENTRIES and self._bytes < MOST_BYTES:
            self._room.set()
        else:
            self._room.clear()


def _size(entry: Entry) -> int:
    return ENTRY_BYTES + len(entry.sealed)

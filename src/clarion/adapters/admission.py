"""How much of what waits to be stored may belong to one tenant.

A tenant may hold, in a lane, as many rows as are still free for everybody. So one that floods gets half of the room,
two get a third each, and whoever sends little is always let in. Critical events have a room of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from clarion.errors import Busy
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import TenantId

ROOM = 20_000
"""Rows of accepted events that may wait to be stored; the same again for critical ones."""

Share = tuple[TenantId, Lane]


class Admission:
    """Used on the event loop only. What `enter` let in must `leave`."""

    def __init__(self) -> None:
        self._held: Counter[Share] = Counter()
        self._taken = {False: 0, True: 0}
        """By whether it is the room of critical events."""

    def enter(self, entries: Sequence[Entry]) -> Counter[Share]:
        """Let a call in as a whole. Raises Busy when one of its shares is used up."""
        wanted = Counter([(entry.tenant, entry.lane) for entry in entries])
        for share, rows in wanted.items():
            taken = self._taken[share[1] is Lane.CRITICAL]
            if taken and self._held[share] + rows > ROOM - taken:
                raise Busy(
                    f"Nothing was stored: too many `{share[1]}` events of this tenant wait to be stored "
                    f"({self._held[share]:,}). Other tenants and lanes are not affected."
                )
        for share, rows in wanted.items():
            self._held[share] += rows
            self._taken[share[1] is Lane.CRITICAL] += rows
        return wanted

    def leave(self, wanted: Counter[Share]) -> None:
        """A call that was let in is done, however it ended."""
        for share, rows in wanted.items():
            self._taken[share[1] is Lane.CRITICAL] -= rows
            self._held[share] -= rows
            if not self._held[share]:
                del self._held[share]

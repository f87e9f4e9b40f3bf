"""What became of messages and users, in one order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.model.ids import TenantId
from clarion.model.message import Change
from clarion.model.reading import FOLLOWED, USERS, ReadingKind
from clarion.model.user_change import JournalPage, UserChange


class MemoryJournal:
    """Implements `ports.ledger.Journal`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def page(self, tenant: TenantId, after: int, limit: int) -> JournalPage:
        records: dict[int, Change | UserChange] = {**self._tables.changes, **self._tables.user_changes}
        behind = (records[seq] for seq in sorted(records) if seq > after and records[seq].tenant == tenant)
        found = list(islice(behind, limit))
        return JournalPage(
            changes=tuple(one for one in found if isinstance(one, Change)),
            users=tuple(one for one in found if isinstance(one, UserChange)),
        )


def record(tables: Tables, said: Iterable[UserChange]) -> None:
    """In a transaction: what became of users, if anybody is told."""
    followed = {
        place.tenant
        for place, readings in tables.readings.items()
        for reading in readings.values()
        if place.kind is ReadingKind.SINK and reading.position.get(USERS) == FOLLOWED
    }
    for change in said:
        if change.tenant in followed:
            seq = tables.next("changes")
            tables.user_changes[seq] = replace(change, seq=seq)

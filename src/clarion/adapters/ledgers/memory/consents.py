"""Consent records: only ever added, together with what follows from them for their user."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.model.consent import Consent, ConsentFilter, ConsentId
from clarion.model.ids import TenantId


class MemoryConsents:
    """Implements `ports.ledger.Consents`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def page(
        self, tenant: TenantId, where: ConsentFilter, before: ConsentId | None, limit: int
    ) -> Sequence[Consent]:
        found = [
            one
            for one in self._tables.consents.values()
            if one.tenant == tenant and (before is None or one.id < before) and _matches(one, where)
        ]
        return sorted(found, key=lambda one: one.id, reverse=True)[:limit]


def _matches(one: Consent, where: ConsentFilter) -> bool:
    wanted = (
        (where.user, one.user),
        (where.purpose, one.purpose),
        (where.channel, one.channel),
        (where.action, one.action),
        (where.source, one.source),
    )
    return (
        all(asked is None or asked == is_ for asked, is_ in wanted)
        and (where.since is None or one.recorded_at >= where.since)
        and (where.before is None or one.recorded_at < where.before)
    )


# Inside a transaction:


def add(tables: Tables, new: Sequence[Consent]) -> None:
    """What is there already stays as it is."""
    for one in new:
        tables.consents.setdefault(one.id, one)

"""Consent records: only ever added, together with what follows from them for their user."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.consent_rows import (
    COLUMNS,
    consent_of,
    page_statement,
    page_values,
    row_of,
)
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.model.consent import Consent, ConsentFilter, ConsentId
from clarion.model.ids import TenantId

ADD = f"INSERT OR IGNORE INTO consents ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PAGE = page_statement("?").format(of_user="")
PAGE_OF_USER = page_statement("?").format(of_user='AND "user" = ?10')


class SqliteConsents:
    """Implements `ports.ledger.Consents`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def page(
        self, tenant: TenantId, where: ConsentFilter, before: ConsentId | None, limit: int
    ) -> Sequence[Consent]:
        values = page_values(tenant, where, before, limit)
        statement = PAGE if where.user is None else PAGE_OF_USER
        found: list[Any] = await self._readers.call(
            lambda connection: connection.execute(statement, values).fetchall()
        )
        return [consent_of(row) for row in found]


def add(connection: sqlite3.Connection, new: Sequence[Consent]) -> None:
    """In a transaction of the writer."""
    if new:
        connection.executemany(ADD, [row_of(one) for one in new])

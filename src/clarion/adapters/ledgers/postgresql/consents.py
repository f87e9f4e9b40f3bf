"""Consent records: only ever added, together with what follows from them for their user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.consent_rows import (
    COLUMNS,
    consent_of,
    page_statement,
    page_values,
    row_of,
)
from clarion.adapters.ledgers.postgresql.database import Database
from clarion.model.consent import Consent, ConsentFilter, ConsentId
from clarion.model.ids import TenantId

ADD = f"""
    INSERT INTO consents ({COLUMNS})
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
        $9::text[], $10::text[], $11::bytea[])
    ON CONFLICT (id) DO NOTHING
"""
PAGE = page_statement("$").format(of_user="")
PAGE_OF_USER = page_statement("$").format(of_user='AND "user" = $10')


class PostgresConsents:
    """Implements `ports.ledger.Consents`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, tenant: TenantId, where: ConsentFilter, before: ConsentId | None, limit: int
    ) -> Sequence[Consent]:
        statement = PAGE if where.user is None else PAGE_OF_USER
        found = await self._database.lists.rows(statement, *page_values(tenant, where, before, limit))
        return [consent_of(row) for row in found]


async def add(connection: Any, new: Sequence[Consent]) -> None:
    """In a transaction."""
    if new:
        columns = zip(*(row_of(one) for one in new), strict=True)
        await connection.execute(ADD, *(list(column) for column in columns))

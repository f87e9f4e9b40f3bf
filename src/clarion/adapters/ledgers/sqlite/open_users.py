"""What every write of users does for conditions, in its transaction: it stores what is open, and says who changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from clarion.adapters.ledgers.documents import SEGMENTS, tenant_of
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.model.ids import TenantId, UserNo
from clarion.model.setup import Tenant
from clarion.model.user import User
from clarion.rules.exact import open_json

TENANT = "SELECT body FROM tenants WHERE id = ?"
CHANGED = f"""
    INSERT INTO segment_changes (tenant, user) SELECT ?2, value FROM json_each(?1)
    WHERE EXISTS (SELECT 1 FROM documents WHERE shelf = '{SEGMENTS}' AND tenant = ?2)
"""
MEMBERS_CHANGED = f"""
    INSERT INTO segment_changes (tenant, user) SELECT tenant, user FROM subscriptions WHERE tenant = ?1 AND topic = ?2
    AND EXISTS (SELECT 1 FROM documents WHERE shelf = '{SEGMENTS}' AND tenant = ?1)
"""

_tenant = lru_cache(maxsize=100)(tenant_of)


def opened(connection: sqlite3.Connection, users: Iterable[User]) -> Mapping[UserNo, str | None]:
    """What of these users is open now."""
    found: dict[UserNo, str | None] = {}
    tenants: dict[TenantId, Tenant | None] = {}
    for user in users:
        if user.tenant not in tenants:
            tenants[user.tenant] = tenant(connection, user.tenant)
        of = tenants[user.tenant]
        found[user.no] = None if of is None else open_json(of, user.profile)
    return found


def tenant(connection: sqlite3.Connection, no: TenantId) -> Tenant | None:
    """As it is in this transaction."""
    row = connection.execute(TENANT, (no,)).fetchone()
    return None if row is None else _tenant(row[0])


def changed(connection: sqlite3.Connection, tenant: TenantId, users: Sequence[UserNo]) -> None:
    """These users may belong to other segments now."""
    connection.execute(CHANGED, (encoded(users), tenant))

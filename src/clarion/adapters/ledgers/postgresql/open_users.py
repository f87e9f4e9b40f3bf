"""What every write of users does for conditions, in its transaction: it stores what is open, and says who changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from clarion.adapters.ledgers.documents import SEGMENTS, tenant_of
from clarion.model.ids import TenantId, UserNo
from clarion.model.setup import Tenant
from clarion.model.user import User
from clarion.rules.exact import open_json

TENANT = "SELECT body FROM tenants WHERE id = $1 FOR SHARE"
"""Whoever changes it, or begins to go through its users, waits for those who write users by what they read here."""
_HAS_SEGMENTS = f"EXISTS (SELECT 1 FROM documents WHERE shelf = '{SEGMENTS}' AND tenant = $1)"
CHANGED = f"""
    INSERT INTO segment_changes (tenant, "user") SELECT $1, new FROM unnest($2::bigint[]) AS new WHERE {_HAS_SEGMENTS}
"""
MEMBERS_CHANGED = f"""
    INSERT INTO segment_changes (tenant, "user")
    SELECT tenant, "user" FROM subscriptions WHERE tenant = $1 AND topic = $2 AND {_HAS_SEGMENTS}
"""

_tenant = lru_cache(maxsize=100)(tenant_of)


async def opened(connection: Any, users: Iterable[User]) -> Mapping[UserNo, str | None]:
    """What of these users, who are of one tenant, is open now."""
    users = list(users)
    of = await tenant(connection, users[0].tenant) if users else None
    return {user.no: None if of is None else open_json(of, user.profile) for user in users}


async def tenant(connection: Any, no: TenantId) -> Tenant | None:
    """As it is until this transaction ends."""
    body = await connection.fetchval(TENANT, no)
    return None if body is None else _tenant(body)


async def changed(connection: Any, tenant: TenantId, users: Sequence[UserNo]) -> None:
    """These users, who or whose topics and devices this transaction wrote, may belong to other segments now."""
    if users:
        await connection.execute(CHANGED, tenant, users)

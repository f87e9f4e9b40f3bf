"""Suppressions as rows: what is the same in SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.suppression import Suppression, SuppressionFilter

FOREVER = 2**63 - 1

KEEP_LASTING = """
    ON CONFLICT (tenant, hash, channel) DO UPDATE
    SET reason = excluded.reason, at = excluded.at, source = excluded.source, expires_at = excluded.expires_at
    WHERE suppressions.expires_at < coalesce(excluded.expires_at, 9223372036854775807)
"""
"""SQL for `rules.exact.outlasts`."""


def page_values(
    tenant: TenantId, where: SuppressionFilter, before: tuple[Instant, bytes] | None, limit: int
) -> tuple[Any, ...]:
    """The parameters of a page."""
    at, digest = before or (FOREVER, b"")
    return (
        tenant,
        at,
        digest,
        limit,
        where.since or 0,
        FOREVER if where.before is None else where.before,
        None if where.channel is None else where.channel.value,
        where.reason,
        where.source,
    )


def suppression_of(tenant: TenantId, digest: bytes, rest: Sequence[Any]) -> Suppression:
    """From the columns behind the hash."""
    channel, reason, at, source, expires_at = rest
    return Suppression(
        tenant=tenant,
        channel=Channel(channel),
        hash=digest,
        reason=reason,
        at=Instant(at),
        source=source,
        expires_at=None if expires_at is None else Instant(expires_at),
    )

"""The state of single resources, each as a short tag that changes with the resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clarion.adapters.ledgers.resource_tags import ResourceKind, hash_key, id_key
from clarion.ports.terms import Subject

TENANT = "SELECT body FROM tenants WHERE id = $1 AND $2::text IS NOT NULL"
TENANT_NAMED = "SELECT body FROM tenants WHERE $1::bigint IS NOT NULL AND key = $2"
DOCUMENT = "SELECT body FROM documents WHERE tenant = $1 AND shelf = '{shelf}' AND key = $2 AND live = 1"
VERSION = "SELECT version FROM documents WHERE tenant = $1 AND shelf = '{shelf}' AND key = $2 AND live = 1"
DRAFT = """
    SELECT convert_from(body, 'UTF8')::json ->> 'revision' FROM documents
    WHERE tenant = $1 AND shelf = 'draft' AND key = $2 AND live = 1
"""
USER = """
    SELECT no, revision, ARRAY(
        SELECT s.hash FROM contact_hashes AS c JOIN suppressions AS s
            ON s.tenant = c.tenant AND s.hash = c.hash AND s.channel = c.channel
        WHERE c."user" = users.no ORDER BY s.hash)
    FROM users WHERE tenant = $1 AND user_id = $2
"""
TOPIC = """
    SELECT name, (SELECT count(*) FROM subscriptions WHERE tenant = $1 AND topic = $2)
    FROM topics WHERE tenant = $1 AND key = $2
"""
KEY = "SELECT name, scope, expires_at, revoked_at FROM api_keys WHERE tenant = $1 AND id = $2"
ENDPOINT = """
    SELECT e."user", e.failing_since, u.revision, s.at, s.reason
    FROM endpoints AS e JOIN users AS u ON u.no = e."user"
    LEFT JOIN suppressions AS s ON s.tenant = e.tenant AND s.hash = e.id AND s.channel = 'webhook'
    WHERE e.tenant = $1 AND e.id = $2
"""
DEVICE = """
    SELECT d."user", d.seen_at, d.error_at, u.revision, s.at
    FROM devices AS d JOIN users AS u ON u.no = d."user"
    LEFT JOIN suppressions AS s ON s.tenant = d.tenant AND s.hash = d.hash AND s.channel = 'push'
    WHERE d.tenant = $1 AND d.device_id = $2
"""
SUPPRESSION = "SELECT at FROM suppressions WHERE tenant = $1 AND hash = $2"
MESSAGE = """
    SELECT m.status, m.reason, m.attempt, m.due_at, m.updated_at, m.integration, m.sent_at, m.delivered_at,
      m.seen_at, m.read_at, m.clicked_at, m.archived_at
    FROM messages AS m JOIN routes AS r ON r.no = m.route WHERE r.tenant = $1 AND m.id = $2
"""
LIVE = "SELECT id, sequence FROM lives WHERE tenant = $1 AND key = $2"
OPERATION = "SELECT status, total, done, failed, updated_at FROM operations WHERE tenant = $1 AND id = $2"

KINDS: Mapping[str, ResourceKind] = {
    "tenant": ResourceKind(TENANT),
    "tenant_by_key": ResourceKind(TENANT_NAMED),
    "user": ResourceKind(USER),
    "topic": ResourceKind(TOPIC),
    "key": ResourceKind(KEY),
    "device": ResourceKind(DEVICE),
    "endpoint": ResourceKind(ENDPOINT, id_key),
    "suppression": ResourceKind(SUPPRESSION, hash_key),
    "message": ResourceKind(MESSAGE, id_key),
    "operation": ResourceKind(OPERATION, id_key),
    "live": ResourceKind(LIVE),
    "category": ResourceKind(DOCUMENT.format(shelf="category")),
    **{shelf: ResourceKind(DOCUMENT.format(shelf=shelf)) for shelf in ("integration", "source", "sink")},
    "draft": ResourceKind(DRAFT, tag=lambda row: f"d{row[0]}"),
    **{
        shelf: ResourceKind(VERSION.format(shelf=shelf), tag=lambda row: f"v{row[0]}")
        for shelf in ("workflow", "template", "partial")
    },
}
"""A resource that can be read alone stands here; its route names the kind."""


async def tag_of(connection: Any, subject: Subject) -> str | None:
    """The tag of a resource as this connection sees it; None when there is none."""
    if subject.version is not None:
        return f"v{subject.version}"  # An old version never changes.
    kind = KINDS[subject.kind]
    key = kind.key(subject.key)
    if key is None:
        return None
    row = await connection.fetchrow(kind.statement, subject.tenant, key)
    return None if row is None else kind.tag(tuple(row))

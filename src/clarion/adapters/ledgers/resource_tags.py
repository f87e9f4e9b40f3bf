"""The state of single resources, each as a short tag that changes with the resource: what is the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from clarion.model.ids import parse_id
from clarion.ports.terms import Subject


def text_key(key: str) -> str | None:
    """No engine stores a NUL: SQLite would end the text there and find somebody else."""
    return None if "\0" in key else key


def id_key(key: str) -> bytes | None:
    """Of a resource that has an id."""
    try:
        return parse_id(key)
    except ValueError:
        return None


def hash_key(key: str) -> bytes | None:
    """Of a resource that is named by a hash."""
    try:
        return bytes.fromhex(key)
    except ValueError:
        return None


def digest(row: tuple[Any, ...]) -> str:
    """Another one for every other row."""
    return "x" + blake2b(msgspec.msgpack.encode(row), digest_size=8).hexdigest()


class ResourceKind(msgspec.Struct, frozen=True):
    """How the state of one kind of resource is found, and told."""

    statement: str
    """By tenant and key."""
    key: Callable[[str], str | bytes | None] = text_key
    tag: Callable[[tuple[Any, ...]], str] = digest


_TENANT = "SELECT body FROM tenants WHERE id = $1 AND CAST($2 AS text) IS NOT NULL"
_TENANT_BY_KEY = "SELECT body FROM tenants WHERE CAST($1 AS bigint) IS NOT NULL AND key = $2"
_TOPIC = """
    SELECT name, (SELECT count(*) FROM subscriptions WHERE tenant = $1 AND topic = $2)
    FROM topics WHERE tenant = $1 AND key = $2
"""
_OBJECT = """
    SELECT t.name, (SELECT count(*) FROM subscriptions WHERE tenant = $1 AND topic = $2), u.no, u.revision
    FROM topics AS t LEFT JOIN users AS u ON u.tenant = t.tenant AND u.user_id = t.key
    WHERE t.tenant = $1 AND t.key = $2
"""
_KEY = "SELECT name, scope, expires_at, revoked_at FROM api_keys WHERE tenant = $1 AND id = $2"
_ENDPOINT = """
    SELECT e."user", e.failing_since, u.revision, s.at, s.reason
    FROM endpoints AS e JOIN users AS u ON u.no = e."user"
    LEFT JOIN suppressions AS s ON s.tenant = e.tenant AND s.hash = e.id AND s.channel = 'webhook'
    WHERE e.tenant = $1 AND e.id = $2
"""
_DEVICE = """
    SELECT d."user", d.seen_at, d.error_at, u.revision, s.at
    FROM devices AS d JOIN users AS u ON u.no = d."user"
    LEFT JOIN suppressions AS s ON s.tenant = d.tenant AND s.hash = d.hash AND s.channel = 'push'
    WHERE d.tenant = $1 AND d.device_id = $2
"""
_SUPPRESSION = "SELECT at FROM suppressions WHERE tenant = $1 AND hash = $2"
_LIVE = "SELECT id, sequence FROM lives WHERE tenant = $1 AND key = $2"
_SCHEDULE = "SELECT id, revision FROM schedules WHERE tenant = $1 AND key = $2"
_CAMPAIGN = "SELECT revision FROM campaigns WHERE tenant = $1 AND id = $2"
_OPERATION = "SELECT status, total, done, failed, updated_at FROM operations WHERE tenant = $1 AND id = $2"
_LIVE_DOCUMENT = (
    "SELECT {column} FROM documents WHERE tenant = $1 AND shelf = '{shelf}' AND key = $2 AND live = 1"
)


def resource_kinds(
    *, user: str, message: str, draft_revision: str, marker: str = "$"
) -> Mapping[str, ResourceKind]:
    """Every resource that can be read alone; its route names the kind.

    `user` and `message` are statements, `draft_revision` is an expression over `documents`: each engine has its own.
    Parameters of a statement begin with `marker`.
    """

    def kind(statement: str, **how: Any) -> ResourceKind:
        return ResourceKind(statement.replace("$", marker), **how)

    def live(shelf: str, column: str, tagged: str | None = None) -> ResourceKind:
        statement = _LIVE_DOCUMENT.format(shelf=shelf, column=column)
        return kind(statement) if tagged is None else kind(statement, tag=lambda row: f"{tagged}{row[0]}")

    return {
        "tenant": kind(_TENANT),
        "tenant_by_key": kind(_TENANT_BY_KEY),
        "user": kind(user),
        "topic": kind(_TOPIC),
        "object": kind(_OBJECT),
        "key": kind(_KEY),
        "device": kind(_DEVICE),
        "endpoint": kind(_ENDPOINT, key=id_key),
        "suppression": kind(_SUPPRESSION, key=hash_key),
        "message": kind(message, key=id_key),
        "operation": kind(_OPERATION, key=id_key),
        "live": kind(_LIVE),
        "schedule": kind(_SCHEDULE),
        "campaign": kind(_CAMPAIGN, key=id_key),
        "draft": live("draft", draft_revision, "d"),
        **{
            shelf: live(shelf, "body")
            for shelf in ("category", "integration", "source", "sink", "segment", "secret", "connection")
        },
        **{shelf: live(shelf, "version", "v") for shelf in ("workflow", "template", "partial")},
    }


def lookup(kinds: Mapping[str, ResourceKind], subject: Subject) -> tuple[ResourceKind, str | bytes] | None:
    """What finds the state of a resource, and by which key; None when nothing can have such a name."""
    kind = kinds[subject.kind]
    key = kind.key(subject.key)
    return None if key is None else (kind, key)

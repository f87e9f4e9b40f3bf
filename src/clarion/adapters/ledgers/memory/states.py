"""The state of single resources, each as a short tag that changes with the resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from clarion.adapters.ledgers.memory.calls import found
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.model.channel import Channel
from clarion.model.ids import MessageId, TenantId, parse_id
from clarion.model.operation import OperationId
from clarion.model.user import User
from clarion.ports.terms import Subject

Find = Callable[[Tables, TenantId, str], Any]
"""What a resource is told by; None: there is none."""


def _tenant(tables: Tables, tenant: TenantId, key: str) -> Any:
    return _tenants(tables).get(tenant)


def _tenant_by_key(tables: Tables, tenant: TenantId, key: str) -> Any:
    return next((one for one in _tenants(tables).values() if one.key == key), None)


def _tenants(tables: Tables) -> Mapping[TenantId, Any]:
    return tables.tenants.get("all", {})


def _user(tables: Tables, tenant: TenantId, key: str) -> Any:
    user = _owner(tables, tenant, key)
    return None if user is None else (user.no, user.revision, sorted(user.suppressed))


def _owner(tables: Tables, tenant: TenantId, key: str) -> User | None:
    no = tables.user_numbers.get((tenant, key))
    return None if no is None else tables.users[no]


def _topic(tables: Tables, tenant: TenantId, key: str) -> Any:
    name = tables.topics.get((tenant, key))
    return None if name is None else (name, len(tables.subscriptions.get((tenant, key), ())))


def _object(tables: Tables, tenant: TenantId, key: str) -> Any:
    topic = _topic(tables, tenant, key)
    return None if topic is None else (topic, _user(tables, tenant, key))


def _key(tables: Tables, tenant: TenantId, key: str) -> Any:
    found = tables.keys.get((tenant, key))
    return None if found is None else (found.name, found.scope, found.expires_at, found.revoked_at)


def _endpoint(tables: Tables, tenant: TenantId, key: str) -> Any:
    endpoint = _id(key)
    row = tables.endpoints.get((tenant, endpoint))
    if row is None:
        return None
    off = tables.suppressions.get((tenant, Channel.WEBHOOK, endpoint))
    why = None if off is None else (off.at, off.reason)
    return row.user, row.failing_since, tables.users[row.user].revision, why


def _device(tables: Tables, tenant: TenantId, key: str) -> Any:
    state = tables.devices.get((tenant, key))
    if state is None:
        return None
    user = tables.users[state.user]
    device = user.profile.device(key)
    gone = None if device is None else tables.suppressions.get((tenant, Channel.PUSH, device.hash))
    error = state.last_error
    return (
        user.no,
        state.seen_at,
        None if error is None else error.at,
        user.revision,
        None if gone is None else gone.at,
    )


def _suppression(tables: Tables, tenant: TenantId, key: str) -> Any:
    return next(
        (s.at for (of, _, hash_), s in tables.suppressions.items() if of == tenant and hash_.hex() == key),
        None,
    )


def _message(tables: Tables, tenant: TenantId, key: str) -> Any:
    message = found(tables, MessageId(_id(key)))
    return None if message is None or message.tenant != tenant else message


def _operation(tables: Tables, tenant: TenantId, key: str) -> Any:
    found = tables.operations.get(OperationId(_id(key)))
    if found is None or found.tenant != tenant:
        return None
    return found.status, found.total, found.done, found.failed, found.updated_at


def _live_resource(tables: Tables, tenant: TenantId, key: str) -> Any:
    found = tables.lives.get((tenant, key))
    return None if found is None else (found.id, found.sequence)


def _schedule(tables: Tables, tenant: TenantId, key: str) -> Any:
    found = tables.schedules.get((tenant, key))
    return None if found is None else (found.id, found.revision)


def _campaign(tables: Tables, tenant: TenantId, key: str) -> Any:
    found = tables.campaigns.get(_id(key))
    return None if found is None or found.tenant != tenant else found.revision


def _id(key: str) -> bytes:
    try:
        return parse_id(key)
    except ValueError:
        return b""


def _live(kind: str) -> Find:
    return lambda tables, tenant, key: tables.documents.get((kind, tenant), {}).get(key)


KINDS: Mapping[str, Find] = {
    "tenant": _tenant,
    "tenant_by_key": _tenant_by_key,
    "user": _user,
    "topic": _topic,
    "object": _object,
    "key": _key,
    "device": _device,
    "endpoint": _endpoint,
    "suppression": _suppression,
    "message": _message,
    "operation": _operation,
    "live": _live_resource,
    "schedule": _schedule,
    "campaign": _campaign,
    **{
        kind: _live(kind)
        for kind in (
            *("category", "integration", "source", "sink", "segment", "secret", "connection"),
            *("draft", "workflow", "template", "partial"),
        )
    },
}


def tag_of(tables: Tables, subject: Subject) -> str | None:
    """The tag of a resource; None when there is none."""
    if subject.version is not None:
        return f"v{subject.version}"  # An old version never changes.
    found = KINDS[subject.kind](tables, subject.tenant, subject.key)
    if found is None:
        return None
    if subject.kind in ("workflow", "template", "partial"):
        return f"v{found.version}"
    if subject.kind == "draft":
        return f"d{found.revision}"
    return "x" + blake2b(msgspec.msgpack.encode(found), digest_size=8).hexdigest()

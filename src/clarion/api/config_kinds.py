"""The kinds of documents that a tenant's configuration is made of. A new kind needs one entry in `KINDS`.

Each goes through the functions of its own routes, so that a plan refuses what `PUT` would refuse.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any

import msgspec

from clarion.api import (
    budgets,
    categories,
    connections,
    integrations,
    partials,
    prices,
    retention,
    schedules,
    secret_fields,
    segments,
    sinks,
    sms_guard,
    sources,
    templates,
    tenant,
    workflows,
)
from clarion.api.auth import Identity
from clarion.api.dependencies import ApiParts
from clarion.api.stored_documents import shown
from clarion.api.times import instant
from clarion.model.ids import TenantId
from clarion.model.setup import SmsGuard, Tenant
from clarion.model.sink import Sink
from clarion.model.source import Source
from clarion.model.user import Value
from clarion.rules.time_format import rfc3339

Live = Callable[[Identity, ApiParts], Awaitable[Mapping[str, Value]]]
Put = Callable[[str, Any, Identity, ApiParts], Awaitable[Any]]
Delete = Callable[[str, Identity, ApiParts], Awaitable[Any]]
After = Callable[[ApiParts, TenantId, str], Awaitable[None]]
PAGE = 200
"""Schedules that are read at once."""
NO_DISCRIMINATORS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ConfigKind:
    """One kind of document."""

    name: str
    """Of its folder, and of its path in the API."""
    noun: str
    """Of one document, as conditions (`If-Match`) call it."""
    document: type[Value]
    """What is written in a file, as the API takes it."""
    live: Live
    """What is live, by key, without secrets. Settings of the tenant have the key `""`."""
    put: Put
    delete: Delete | None = None
    """None: settings of the tenant, which are always there."""
    try_delete: Delete | None = None
    """For a plan, where `delete` reaches beyond the set-up."""
    stored: After | None = None
    """What follows when a document was stored with others in one transaction."""
    deleted: After | None = None
    """What follows when a document was deleted with others in one transaction."""
    made_by_clarion: frozenset[str] = frozenset()
    """Fields that Clarion sets; they stand in no file."""
    secrets: Mapping[str, str] = field(default_factory=lambda: NO_DISCRIMINATORS)
    """Fields that may hold secrets, each with the field that says whose they are."""

    @property
    def single(self) -> bool:
        """There is one for the tenant, without a key."""
        return self.delete is None

    def written(self, document: Value) -> dict[str, Any]:
        """A document as it stands in a file: without what Clarion sets, what has its default, and secrets."""
        plain: dict[str, Any] = msgspec.to_builtins(document, builtin_types=(datetime,))
        for name, value in plain.items():
            if isinstance(value, datetime):  # the same moment is written the same, whatever its offset was
                plain[name] = rfc3339(instant(value))
        for name in self.secrets:
            kept = {key: value for key, value in plain[name].items() if value != secret_fields.MASK}
            plain[name] = kept
        defaults = _defaults(type(document))
        return {
            name: value
            for name, value in plain.items()
            if name not in self.made_by_clarion
            and name != "key"
            and not (name in defaults and defaults[name] == value)
        }

    def whole(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """The same with its defaults."""
        defaults = _defaults(self.document)
        mine = {name: value for name, value in defaults.items() if name not in {*self.made_by_clarion, "key"}}
        return {**mine, **written}

    def with_masks(self, wanted: Mapping[str, Any], live: Value | None) -> dict[str, Any]:
        """What a file says, with masks for the stored secrets that no file has: they stay as they are."""
        whole = dict(wanted)
        for name, discriminator in self.secrets.items() if live is not None else ():
            if whole.get(discriminator, getattr(live, discriminator)) != getattr(live, discriminator):
                continue
            said = whole.get(name, {})
            if isinstance(said, dict):
                stored = getattr(live, name).items()
                whole[name] = {key: mask for key, mask in stored if mask == secret_fields.MASK} | said
        return whole


@cache
def _defaults(document: type[Value]) -> Mapping[str, Any]:
    found = {}
    for one in msgspec.structs.fields(document):
        if one.default is not msgspec.NODEFAULT:
            found[one.encode_name] = msgspec.to_builtins(one.default)
        elif one.default_factory is not msgspec.NODEFAULT:
            found[one.encode_name] = msgspec.to_builtins(one.default_factory())
    return found


def _stored(name: str, show: Callable[[Any, Identity, ApiParts], Value]) -> Live:
    """Documents of the set-up that has this name, as `show` makes them."""

    async def live(caller: Identity, parts: ApiParts) -> Mapping[str, Value]:
        found = getattr(parts.ledger.setup, name).all(caller.tenant)
        return {key: show(document, caller, parts) for key, document in sorted(found.items())}

    return live


def _as(document: type[Value]) -> Callable[[Any, Identity, ApiParts], Value]:
    return lambda stored, caller, parts: shown(document, stored)


def _of_tenant(show: Callable[[Tenant], Value]) -> Live:
    """Settings that are part of the tenant."""

    async def live(caller: Identity, parts: ApiParts) -> Mapping[str, Value]:
        return {"": show(parts.ledger.setup.tenants.all()[caller.tenant])}

    return live


async def _live_schedules(caller: Identity, parts: ApiParts) -> Mapping[str, Value]:
    found: dict[str, Value] = {}
    after: str | None = ""
    while after is not None:
        page, after = await parts.services.schedules.page(caller.tenant, after, PAGE)
        found |= {state.schedule.key: schedules.body(state.schedule) for state in page}
    return found


def _putting(route: Any) -> Put:
    return lambda key, document, caller, parts: route.fn(key=key, data=document, caller=caller, parts=parts)


def _deleting(route: Any) -> Delete:
    return lambda key, caller, parts: route.fn(key=key, caller=caller, parts=parts)


def _patching(route: Any) -> Put:
    """Settings are replaced by a patch that names every field: what a file does not name has its default again."""

    def put(key: str, document: Value, caller: Identity, parts: ApiParts) -> Awaitable[Any]:
        plain = msgspec.to_builtins(document)
        defaults = _defaults(type(document))
        patch = {
            name: None if name in defaults and defaults[name] == value else value
            for name, value in plain.items()
        }
        done: Awaitable[Any] = route.fn(data=patch, caller=caller, parts=parts)
        return done

    return put


async def _put_tenant(key: str, document: TenantSettings, caller: Identity, parts: ApiParts) -> None:
    stored = parts.ledger.setup.tenants.all()[caller.tenant]
    fields = {name: getattr(document, name) for name in TenantSettings.__struct_fields__}
    await _patching(tenant.patch_tenant)(
        key, tenant.TenantDocument(**{**fields, "key": stored.key}), caller, parts
    )


async def _put_budgets(key: str, document: budgets.BudgetList, caller: Identity, parts: ApiParts) -> None:
    await budgets.put_budgets.fn(data=document, caller=caller, parts=parts)


async def _put_prices(key: str, document: prices.PriceList, caller: Identity, parts: ApiParts) -> None:
    await prices.store(parts, caller, lambda _: document)


def _forget(document: Any) -> Delete:
    """Delete from the set-up alone."""

    async def delete(key: str, caller: Identity, parts: ApiParts) -> None:
        await parts.services.setup.delete(caller.tenant, document, key)

    return delete


class TenantSettings(tenant.TenantDocument, frozen=True, kw_only=True, omit_defaults=False):
    """The tenant's own defaults and limits."""

    key: str = ""


KINDS = (
    ConfigKind(
        name="tenant",
        noun="tenant",
        document=TenantSettings,
        live=_of_tenant(lambda stored: TenantSettings(**msgspec.structs.asdict(tenant.document(stored)))),
        put=_put_tenant,
    ),
    ConfigKind(
        name="retention",
        noun="tenant",
        document=retention.RetentionDocument,
        live=_of_tenant(retention.changed_days),
        put=_patching(retention.patch_retention),
    ),
    ConfigKind(
        name="prices",
        noun="tenant",
        document=prices.PriceList,
        live=_of_tenant(prices.document),
        put=_put_prices,
    ),
    ConfigKind(
        name="budgets",
        noun="tenant",
        document=budgets.BudgetList,
        live=_of_tenant(lambda stored: budgets.BudgetList(budgets=stored.budgets)),
        put=_put_budgets,
    ),
    ConfigKind(
        name="sms-guard",
        noun="tenant",
        document=SmsGuard,
        live=_of_tenant(lambda stored: stored.sms_guard),
        put=_patching(sms_guard.patch_sms_guard),
    ),
    ConfigKind(
        name="categories",
        noun="category",
        document=categories.CategoryDocument,
        live=_stored("categories", _as(categories.CategoryDocument)),
        put=_putting(categories.put_category),
        delete=_deleting(categories.delete_category),
    ),
    ConfigKind(
        name="partials",
        noun="partial",
        document=partials.PartialDocument,
        live=_stored("partials", lambda stored, caller, parts: partials.document(stored)),
        put=_putting(partials.put_partial),
        delete=_deleting(partials.delete_partial),
        made_by_clarion=frozenset({"version", "published_at"}),
    ),
    ConfigKind(
        name="templates",
        noun="template",
        document=templates.TemplateDocument,
        live=_stored("templates", lambda stored, caller, parts: templates.document_of(stored)),
        put=_putting(templates.put_template),
        delete=_deleting(templates.delete_template),
        made_by_clarion=frozenset({"version", "partials", "published_at", "origin"}),
    ),
    ConfigKind(
        name="segments",
        noun="segment",
        document=segments.SegmentDocument,
        live=_stored("segments", _as(segments.SegmentDocument)),
        put=_putting(segments.put_segment),
        delete=_deleting(segments.delete_segment),
        stored=lambda parts, tenant, key: parts.services.segments.changed(tenant, key),
    ),
    ConfigKind(
        name="connections",
        noun="connection",
        document=connections.ConnectionDocument,
        live=_stored("connections", _as(connections.ConnectionDocument)),
        put=_putting(connections.put_connection),
        delete=_deleting(connections.delete_connection),
    ),
    ConfigKind(
        name="workflows",
        noun="workflow",
        document=workflows.WorkflowDocument,
        live=_stored("workflows", _as(workflows.WorkflowDocument)),
        put=_putting(workflows.put_workflow),
        delete=_deleting(workflows.delete_workflow),
        made_by_clarion=frozenset({"version", "earlier_events"}),
    ),
    ConfigKind(
        name="schedules",
        noun="schedule",
        document=schedules.ScheduleBody,
        live=_live_schedules,
        put=_putting(schedules.put_schedule),
        delete=_deleting(schedules.delete_schedule),
    ),
    ConfigKind(
        name="integrations",
        noun="integration",
        document=integrations.IntegrationDocument,
        live=_stored("integrations", integrations.masked),
        put=_putting(integrations.put_integration),
        delete=_deleting(integrations.delete_integration),
        made_by_clarion=frozenset({"callback_url"}),
        secrets={"config": "provider"},
    ),
    ConfigKind(
        name="sources",
        noun="source",
        document=sources.SourceDocument,
        live=_stored("sources", lambda stored, caller, parts: sources.masked(stored, parts)),
        put=_putting(sources.put_source),
        delete=_deleting(sources.delete_source),
        try_delete=_forget(Source),
        deleted=lambda parts, tenant, key: parts.services.sources.forget(tenant, key),
        secrets={"connection": "kind", "schema_registry": "format"},
    ),
    ConfigKind(
        name="sinks",
        noun="sink",
        document=sinks.SinkDocument,
        live=_stored("sinks", lambda stored, caller, parts: sinks.masked(stored, parts)),
        put=_putting(sinks.put_sink),
        delete=_deleting(sinks.delete_sink),
        try_delete=_forget(Sink),
        deleted=lambda parts, tenant, key: parts.services.sinks.forget(tenant, key),
        secrets={"connection": "kind"},
    ),
)
BY_NAME: Mapping[str, ConfigKind] = MappingProxyType({kind.name: kind for kind in KINDS})

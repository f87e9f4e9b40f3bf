"""The demo tenant of `clarion dev`: people, workflows and words, put in place once and left alone afterwards."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.content import partials_used
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import Category, Integration, Partial, Template, Tenant, Workflow
from clarion.model.user import Contact, Preferences, Profile, UserPut

LETTER = "letter"
"""Key of the layout that all emails share."""

LEAVE = {"en": "Unsubscribe", "de": "Abmelden", "ja": "配信停止"}


class _User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    locale: str
    timezone: str
    attributes: dict[str, Any]
    contacts: tuple[Contact, ...]
    preferences: Preferences = Preferences()


class _Partial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    source: str


class Demo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`demo.toml`, checked."""

    tenant: dict[str, str]
    users: tuple[_User, ...]
    categories: tuple[Category, ...]
    integrations: tuple[Integration, ...]
    workflows: tuple[Workflow, ...]
    schemas: dict[str, dict[str, Any]]
    """The data a template needs, by its key."""
    partials: dict[str, _Partial]
    templates: dict[str, dict[Channel, dict[str, dict[str, str]]]]


def load() -> Demo:
    """The demo as it is shipped."""
    text = files("clarion.cli").joinpath("demo.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Demo)


async def seed(ledger: Ledger, demo: Demo) -> Tenant:
    """Put in place what is missing. What is there stays as it is, so that changes made while playing survive."""
    known = {tenant.key: tenant for tenant in ledger.setup.tenants.all().values()}
    tenant = known.get(demo.tenant["key"]) or await ledger.setup.tenants.put(
        Tenant(id=TenantId(0), key=demo.tenant["key"], name=demo.tenant["name"])
    )
    await _seed_setup(ledger, tenant.id, demo)
    await _seed_users(ledger, tenant.id, demo)
    return tenant


async def _seed_setup(ledger: Ledger, tenant: TenantId, demo: Demo) -> None:
    setup = ledger.setup
    for category in demo.categories:
        if category.key not in setup.categories.all(tenant):
            await setup.categories.put(tenant, category)
    for integration in demo.integrations:
        if integration.key not in setup.integrations.all(tenant):
            await setup.integrations.put(tenant, integration)
    for key, partial in demo.partials.items():
        if key not in setup.partials.all(tenant):
            await setup.partials.put(tenant, Partial(key=key, name=partial.name, source=partial.source))
    for template in templates(demo):
        if template.key not in setup.templates.all(tenant):
            await setup.templates.put(tenant, template)
    for workflow in demo.workflows:
        if workflow.key not in setup.workflows.all(tenant):
            await setup.workflows.put(tenant, workflow)


async def _seed_users(ledger: Ledger, tenant: TenantId, demo: Demo) -> None:
    known = await ledger.users.find(tenant, [user.id for user in demo.users])
    await ledger.users.put(
        tenant,
        [
            UserPut(
                id=user.id,
                profile=Profile(
                    contacts=user.contacts,
                    attributes=user.attributes,
                    locale=user.locale,
                    timezone=user.timezone,
                    preferences=user.preferences,
                ),
            )
            for user in demo.users
            if user.id not in known
        ],
    )


def templates(demo: Demo) -> list[Template]:
    """The templates as they would be published: their emails laid out, the layout with them."""
    examples = {
        template: workflow.example_data for workflow in demo.workflows for template in workflow.templates()
    }
    sources = {key: partial.source for key, partial in demo.partials.items()}
    written = [
        Template(
            key=key,
            channels={
                channel: {
                    locale: _laid_out(locale, fields) if channel is Channel.EMAIL else fields
                    for locale, fields in locales.items()
                }
                for channel, locales in channels.items()
            },
            example_data=examples.get(key, {}),
            data_schema=demo.schemas.get(key),
            origin="document",
        )
        for key, channels in demo.templates.items()
    ]
    return [replace(template, partials=partials_used(template, sources)) for template in written]


def _laid_out(locale: str, words: Mapping[str, str]) -> dict[str, str]:
    """An email of the demo in a few words: they fill the blocks of the layout."""
    blocks = {name: words[name] for name in ("heading", "body", "url", "button")} | {"leave": LEAVE[locale]}
    filled = "\n".join(f"{{% block {name} %}}{text}{{% endblock %}}" for name, text in blocks.items())
    return {
        "subject": words["subject"],
        "html": f'{{% extends "{LETTER}" %}}\n{filled}\n',
        "text": f"{words['heading']}\n\n{words['body']}\n\n{words['button']}: {words['url']}\n",
    }

"""The demo tenant of `clarion dev`: people, workflows and words, put in place once and left alone afterwards."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import Category, Integration, Template, Tenant, Workflow
from clarion.model.user import Contact, Preferences, Profile
from clarion.ports.ledger import Ledger, UserPut

LAYOUT = """\
<!doctype html>
<html lang="{lang}">
<body style="margin:0;background:#f3f2ee;font:16px/1.55 -apple-system,'Segoe UI',Roboto,'Hiragino Sans',sans-serif;color:#1b1c20">
  <div style="max-width:520px;margin:0 auto;padding:22px 14px">
    <p style="margin:0 0 14px;font-size:14px;font-weight:600;color:#4350c4">{{{{ tenant.name }}}}</p>
    <div style="background:#fff;border-radius:14px;padding:26px 24px">
      <h1 style="margin:0 0 10px;font-size:21px;line-height:1.3">{heading}</h1>
      <p style="margin:0 0 20px">{body}</p>
      <a href="{url}" style="display:inline-block;background:#4350c4;color:#fff;text-decoration:none;padding:11px 20px;border-radius:10px;font-weight:600">{button}</a>
    </div>
    {{% if unsubscribe_url %}}<p style="margin:14px 0 0;font-size:13px"><a href="{{{{ unsubscribe_url }}}}" style="color:#5d5e66">{leave}</a></p>{{% endif %}}
  </div>
</body>
</html>
"""


LEAVE = {"en": "Unsubscribe", "de": "Abmelden", "ja": "配信停止"}


class _User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    locale: str
    timezone: str
    attributes: dict[str, Any]
    contacts: tuple[Contact, ...]
    preferences: Preferences = Preferences()


class Demo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`demo.toml`, checked."""

    tenant: dict[str, str]
    users: tuple[_User, ...]
    categories: tuple[Category, ...]
    integrations: tuple[Integration, ...]
    workflows: tuple[Workflow, ...]
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
    """The templates, their emails laid out."""
    examples = {
        step.template: workflow.example_data for workflow in demo.workflows for step in workflow.steps
    }
    return [
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
        )
        for key, channels in demo.templates.items()
    ]


def _laid_out(locale: str, words: Mapping[str, str]) -> dict[str, str]:
    return {
        "subject": words["subject"],
        "html": LAYOUT.format(lang=locale, leave=LEAVE[locale], **words),
        "text": f"{words['heading']}\n\n{words['body']}\n\n{words['button']}: {words['url']}\n",
    }

"""A reader, a tenant and templates for the tests of content."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from clarion.content import Renderer
from clarion.model.channel import Channel
from clarion.model.content import AnyContent
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.setup import Template, Tenant
from clarion.model.user import Profile, User

TENANT = Tenant(id=TenantId(1), key="demo", name="Demo & Co", locale="en", timezone="Europe/Berlin")


def reader(locale: str = "en", timezone: str = "UTC", **attributes: Any) -> User:
    profile = Profile(locale=locale, timezone=timezone, attributes=attributes)
    return User(no=UserNo(1), tenant=TENANT.id, id="ada", key=bytes(32), profile=profile)


def template(channel: Channel = Channel.SMS, locale: str = "en", version: int = 1, **fields: str) -> Template:
    return Template(key="order", version=version, channels={channel: {locale: fields}})


def sms(source: str) -> Template:
    return template(text=source)


def render(
    content: Template,
    data: Any = None,
    *,
    channel: Channel = Channel.SMS,
    user: User | None = None,
    renderer: Renderer | None = None,
    overrides: Any = None,
    workflow: str = "shipped",
    now: int | None = None,
    unsubscribe_url: str = "",
    tenant: Tenant = TENANT,
) -> AnyContent:
    return (renderer or Renderer()).render(
        template=content,
        channel=channel,
        user=user or reader(),
        tenant=tenant,
        event_data={} if data is None else data,
        overrides=None if overrides is None else msgspec.Raw(json.dumps(overrides).encode()),
        workflow=workflow,
        now=None if now is None else Instant(now),
        unsubscribe_url=unsubscribe_url,
    )


def text(source: str, data: Any = None, **how: Any) -> str:
    """What an SMS of `source` says."""
    content = render(sms(source), data, **how)
    return content.text  # type: ignore[union-attr]

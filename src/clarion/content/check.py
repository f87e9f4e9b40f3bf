"""Everything wrong with a template, before anybody is sent it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from clarion.content.engine import Engine
from clarion.content.locales import canonical
from clarion.content.partials import pointer_to
from clarion.content.scope import voice
from clarion.content.variant import Variant
from clarion.model.channel import Channel
from clarion.model.ids import TenantId, UserNo
from clarion.model.setup import Template, Tenant
from clarion.model.user import Profile, User


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to correct. `pointer` leads to the field, `line` into its source."""

    pointer: str
    line: int | None = None
    detail: str


class AnyAttribute:
    """Stands for the attributes of a person we do not know: every name has a text."""

    def __getitem__(self, name: str) -> str:
        return name


def check(template: Template) -> list[Problem]:
    """All problems of all fields; empty when the template may be used.

    Every source is compiled. When there are `example_data`, every source is also rendered with them.
    """
    problems = list(_structure(template))
    engine = Engine()
    for channel, locales in template.channels.items():
        for locale in locales:
            variant = Variant(engine, template, channel, locale)
            engine.reader.locale = locale
            example = _example(template, variant) if template.example_data else None
            problems += [
                Problem(
                    pointer=pointer_to(channel, locale, field, fault), line=fault.line, detail=fault.detail
                )
                for field, fault in variant.try_out(example)
            ]
    return problems


def _structure(template: Template) -> Iterator[Problem]:
    if not template.channels:
        yield Problem(pointer="#/channels", detail="a template needs content for at least one channel")
    if not canonical(template.default_locale):
        yield Problem(pointer="#/default_locale", detail="not a language tag like `en` or `pt-BR`")
    for channel, locales in template.channels.items():
        if not locales:
            yield Problem(pointer=f"#/channels/{channel}", detail="needs at least one locale, like `en`")
        yield from _locales(channel, locales)


def _locales(channel: Channel, locales: dict[str, dict[str, str]]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for locale in locales:
        pointer = f"#/channels/{channel}/{locale}"
        tag = canonical(locale)
        if not tag:
            yield Problem(pointer=pointer, detail=f"`{locale}` is not a language tag like `en` or `pt-BR`")
        elif tag in seen:
            yield Problem(pointer=pointer, detail=f"the same language as `{seen[tag]}`: keep one of them")
        seen[tag] = locale


def _example(template: Template, variant: Variant) -> dict[str, Any]:
    locale = variant.locale
    profile = Profile(locale=locale, timezone="UTC")
    tenant = Tenant(id=TenantId(1), key="example", name="Example")
    user = User(no=UserNo(1), tenant=tenant.id, id="example", key=b"", profile=profile)
    context = variant.scope.context(
        template.example_data, user, tenant, voice(locale, locale), "https://example.com/"
    )
    if "user" in context:
        context["user"]["attributes"] = AnyAttribute()
    return context

"""From a template and an event to what one person gets on one channel."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

import msgspec

from clarion.content.engine import Engine
from clarion.content.fields import FINISH, LAYOUTS, Kind
from clarion.content.locales import choose, language_of
from clarion.content.variant import Variant
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import AnyContent, WebhookContent
from clarion.model.ids import TenantId
from clarion.model.setup import Template, Tenant
from clarion.model.user import User

PICKS_KEPT = 1024
"""Choices of a variant remembered per template version."""

_decode = msgspec.json.Decoder().decode
_decode_overrides = msgspec.json.Decoder(dict[Channel, dict[str, Any]]).decode


class Compiled:
    """A template version and its variants, each compiled when first needed."""

    __slots__ = ("picks", "template", "variants")

    def __init__(self, template: Template) -> None:
        self.template = template
        self.variants: dict[tuple[Channel, str], Variant] = {}
        self.picks: dict[tuple[Channel, str, str], tuple[Variant, str]] = {}


class Renderer:
    """Renders content: CPU only, one rendering at a time, callable from any thread.

    Keeps the `cache` most recently used template versions compiled.
    """

    def __init__(self, *, cache: int = 1024) -> None:
        self._engine = Engine()
        self._lock = Lock()
        self._room = cache
        self._compiled: OrderedDict[tuple[TenantId, str, int], Compiled] = OrderedDict()

    def render(
        self,
        *,
        template: Template,
        channel: Channel,
        user: User,
        tenant: Tenant,
        event_data: Any,
        overrides: msgspec.Raw | None = None,
        workflow: str = "",
    ) -> AnyContent:
        """The content for `user` on `channel`, in the best locale the template has for them.

        `event_data` is the event's JSON (`msgspec.Raw`) or what was decoded from it: decode once per event when
        it goes to many. Raises ContentError, and nothing else, with a pointer into the template and the line.
        """
        context = context_of(event_data, user, tenant)
        given = _overridden(overrides, channel) if overrides is not None else {}
        with self._lock:
            variant, locale = self._pick(self._lookup(template, tenant.id), channel, user, tenant)
            reader = self._engine.reader
            reader.locale = locale
            reader.timezone = user.profile.timezone or tenant.timezone
            content = variant.fill(context, given)
        if isinstance(content, WebhookContent) and not content.type:
            return msgspec.structs.replace(content, type=workflow)
        return content

    def _lookup(self, template: Template, tenant: TenantId) -> Compiled:
        key = (tenant, template.key, template.version)
        compiled = self._compiled.get(key)
        if compiled is not None:
            if compiled.template is template or compiled.template == template:
                self._compiled.move_to_end(key)
                return compiled
            self._forget(self._compiled.pop(key))  # deleted, and made anew under the same version
        elif len(self._compiled) >= self._room:
            self._forget(self._compiled.popitem(last=False)[1])
        compiled = self._compiled[key] = Compiled(template)
        return compiled

    def _forget(self, compiled: Compiled) -> None:
        for variant in compiled.variants.values():
            variant.forget()

    def _pick(self, compiled: Compiled, channel: Channel, user: User, tenant: Tenant) -> tuple[Variant, str]:
        """The variant for this reader, and the locale in which dates and numbers are written."""
        asked = (channel, user.profile.locale, tenant.locale)
        pick = compiled.picks.get(asked)
        if pick is None:
            if len(compiled.picks) >= PICKS_KEPT:
                compiled.picks.clear()
            variant = self._variant(compiled, channel, user.profile.locale, tenant.locale)
            own = user.profile.locale or tenant.locale
            same_language = language_of(own) == language_of(variant.locale)
            pick = compiled.picks[asked] = (variant, own if same_language else variant.locale)
        return pick

    def _variant(self, compiled: Compiled, channel: Channel, *wanted: str) -> Variant:
        template = compiled.template
        locale = choose(template.channels.get(channel, ()), *wanted, template.default_locale)
        if locale is None:
            raise ContentError(
                f"template `{template.key}` has no content for {channel}: add it, or take the channel out of the step",
                pointer=f"#/channels/{channel}",
            )
        variant = compiled.variants.get((channel, locale))
        if variant is None:
            variant = Variant(self._engine, template, channel, locale)
            compiled.variants[channel, locale] = variant
        return variant


def context_of(event_data: Any, user: User, tenant: Tenant) -> dict[str, Any]:
    """What a template can see: the event's fields by name, and `data`, `user` and `tenant`, which win."""
    if isinstance(event_data, msgspec.Raw):
        try:
            event_data = _decode(event_data)
        except (ValueError, RecursionError):
            raise ContentError("the event's data are not JSON", pointer="#/data") from None
    fields = event_data if isinstance(event_data, dict) else {}
    profile = user.profile
    return {
        **fields,
        "data": event_data,
        "user": {
            "id": user.id,
            "locale": profile.locale or tenant.locale,
            "timezone": profile.timezone or tenant.timezone,
            "attributes": profile.attributes,
        },
        "tenant": {"key": tenant.key, "name": tenant.name},
    }


def _overridden(overrides: msgspec.Raw, channel: Channel) -> dict[str, Any]:
    """The fields of this channel that the caller set, made safe like rendered ones."""
    try:
        given = _decode_overrides(overrides).get(channel, {})
    except (ValueError, RecursionError):
        raise ContentError(
            'overrides must be an object like `{"email": {"subject": "..."}}`', pointer="#/overrides"
        ) from None
    layout = LAYOUTS[channel]
    values: dict[str, Any] = {}
    for field, value in given.items():
        pointer = f"#/overrides/{channel}/{field}"
        kind = layout.kinds.get(field)
        if kind is None:
            raise ContentError(layout.unknown(field), pointer=pointer)
        if not isinstance(value, str) and kind not in (Kind.OBJECT, Kind.DOCUMENT):
            raise ContentError(f"`{field}` must be a string", pointer=pointer)
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        try:
            values[field] = FINISH[kind](text)
        except ValueError as error:
            raise ContentError(f"`{field}`: {error}", pointer=pointer) from None
    return values

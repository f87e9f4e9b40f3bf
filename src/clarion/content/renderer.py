"""Renders a template for one user on one channel."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

import msgspec

from clarion.content.localise.locales import choose, spoken
from clarion.content.sms.segmentation import plain_spaces, smart
from clarion.content.ssml import plain
from clarion.content.templates.compiled_channel import CompiledChannel
from clarion.content.templates.engine import Engine
from clarion.content.templates.overrides import overridden, text_of
from clarion.content.templates.scope import Voice, voice
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import (
    AnyContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WebhookContent,
    WhatsAppContent,
)
from clarion.model.ids import Instant, TenantId
from clarion.model.push import fitted
from clarion.model.setup import Template, Tenant
from clarion.model.user import User
from clarion.rules.places import locale, zone_of

PICKS_KEPT = 1024
"""Choices of a variant remembered per template version."""

_decode = msgspec.json.Decoder().decode


class CompiledTemplate:
    """A template version and its variants, each compiled when first needed."""

    __slots__ = ("picks", "template", "tenant", "variants")

    def __init__(self, template: Template, tenant: TenantId) -> None:
        self.template = template
        self.tenant = tenant
        self.variants: dict[tuple[Channel, str], CompiledChannel] = {}
        self.picks: dict[tuple[Channel, str, str], tuple[CompiledChannel, Voice]] = {}


class Renderer:
    """Renders content: CPU only, one rendering at a time, callable from any thread.

    Keeps the `cache` most recently used template versions compiled.
    """

    def __init__(self, *, cache: int = 1024) -> None:
        self._engine = Engine()
        self._reader = self._engine.reader
        self._lock = Lock()
        self._room = cache
        self._last: CompiledTemplate | None = None
        self._compiled: OrderedDict[tuple[TenantId, str, int], CompiledTemplate] = OrderedDict()

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
        unsubscribe_url: str = "",
        now: Instant | None = None,
    ) -> AnyContent:
        """The content for `user` on `channel`, in the best locale the template has for them.

        `event_data` is the event's JSON (`msgspec.Raw`) or what was decoded from it: decode once per event when
        it goes to many. `now` is the time that relative times (`at|ago`) are told from. `unsubscribe_url` leads
        this reader out of the category; empty where they cannot leave it. Raises ContentError, and nothing else,
        with a pointer into the template and the line.
        """
        if event_data.__class__ is msgspec.Raw:
            event_data = _decoded(event_data)
        given = None
        if overrides is not None:
            given = overridden(overrides, channel)
            text_of(given.get("html", ""))  # before others have to wait for it
        with self._lock:
            variant, spoken = self._pick(self._lookup(template, tenant.id), channel, user, tenant)
            reader = self._reader
            reader.locale = spoken.forms
            reader.timezone = zone_of(user, tenant)
            reader.now = now
            context = _seen(variant, event_data, user, tenant, spoken, unsubscribe_url)
            content = variant.fill(context, given)
        kind = content.__class__
        if kind is WebhookContent and not content.type:  # type: ignore[union-attr]
            return msgspec.structs.replace(content, type=workflow)
        if kind is PushContent:
            return fitted(content)  # type: ignore[arg-type]
        if kind is WhatsAppContent and content.template and not content.language:  # type: ignore[union-attr]
            return msgspec.structs.replace(content, language=variant.locale.replace("-", "_"))
        if kind is VoiceContent:
            return _call(content, variant.locale)  # type: ignore[arg-type]
        if kind is SmsContent:
            return text_message(content, tenant)  # type: ignore[arg-type]
        return content

    def _lookup(self, template: Template, tenant: TenantId) -> CompiledTemplate:
        last = self._last
        if last is not None and last.template is template and last.tenant == tenant:
            return last
        last = self._last = self._found(template, tenant)
        return last

    def _found(self, template: Template, tenant: TenantId) -> CompiledTemplate:
        key = (tenant, template.key, template.version)
        compiled = self._compiled.get(key)
        if compiled is not None:
            if compiled.template is template or compiled.template == template:
                self._compiled.move_to_end(key)
                return compiled
            self._forget(self._compiled.pop(key))  # deleted, and made anew under the same version
        elif len(self._compiled) >= self._room:
            self._forget(self._compiled.popitem(last=False)[1])
        compiled = self._compiled[key] = CompiledTemplate(template, tenant)
        return compiled

    def _forget(self, compiled: CompiledTemplate) -> None:
        for variant in compiled.variants.values():
            variant.forget()

    def _pick(
        self, compiled: CompiledTemplate, channel: Channel, user: User, tenant: Tenant
    ) -> tuple[CompiledChannel, Voice]:
        """The variant for this reader, and how it speaks to them."""
        own = locale(user.profile, tenant)[0]
        asked = (channel, own, tenant.locale)
        pick = compiled.picks.get(asked)
        if pick is None:
            if len(compiled.picks) >= PICKS_KEPT:
                compiled.picks.clear()
            variant = self._variant(compiled, channel, own, tenant.locale)
            spoken = voice(variant.locale, own)
            pick = compiled.picks[asked] = (variant, spoken)
        return pick

    def _variant(self, compiled: CompiledTemplate, channel: Channel, *wanted: str) -> CompiledChannel:
        template = compiled.template
        found = choose(template.channels.get(channel, ()), *wanted, template.default_locale)
        if found is None:
            raise ContentError(
                f"template `{template.key}` has no content for {channel}: add it, or take the channel out of the step",
                pointer=f"#/channels/{channel}",
            )
        variant = compiled.variants.get((channel, found))
        if variant is None:
            variant = CompiledChannel(self._engine, template, channel, found)
            compiled.variants[channel, found] = variant
        return variant


def _seen(
    variant: CompiledChannel, event_data: Any, user: User, tenant: Tenant, spoken: Voice, unsubscribe_url: str
) -> dict[str, Any]:
    try:
        return variant.scope.context(event_data, user, tenant, spoken, unsubscribe_url)
    except RecursionError:
        raise ContentError(
            "the event's data are nested too deep for this template", pointer="#/data"
        ) from None


def _call(content: VoiceContent, locale: str) -> VoiceContent:
    """What is said, also in plain words, and in whose voice."""
    return msgspec.structs.replace(
        content,
        text=content.text or plain(content.ssml),
        language=content.language or spoken(locale),
    )


def text_message(content: SmsContent, tenant: Tenant) -> SmsContent:
    """The text as it is sent: smartly encoded if the tenant says so, and never dearer for the spaces in a date."""
    text = smart(content.text) if tenant.sms_smart else plain_spaces(content.text)
    return content if text is content.text else msgspec.structs.replace(content, text=text)


def _decoded(event_data: msgspec.Raw) -> Any:
    try:
        return _decode(event_data)
    except (ValueError, RecursionError):
        raise ContentError("the event's data are not JSON", pointer="#/data") from None

"""Finds texts that are not translated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clarion.content.catalogues.units import fields_in, translatable
from clarion.content.localise.locales import canonical, choose
from clarion.model.channel import Channel
from clarion.model.setup import Template
from clarion.model.user import Value


class ChannelReport(Value, frozen=True, kw_only=True):
    """One channel of a template."""

    channel: Channel
    fields: int
    """Fields with words in the source."""
    missing: tuple[str, ...]
    served: str | None
    """The locale that readers of this language get today."""


class TemplateReport(Value, frozen=True, kw_only=True):
    """One template."""

    template: str
    source: str
    """The locale it is translated from."""
    fields: int
    missing: int
    percent: float
    """Translated, of 100."""
    channels: tuple[ChannelReport, ...]


class MissingReport(Value, frozen=True, kw_only=True):
    """What a language lacks."""

    locale: str
    fields: int
    missing: int
    percent: float
    """Translated, of 100."""
    templates: tuple[TemplateReport, ...] = ()


def report(templates: Iterable[Template], locale: str) -> MissingReport:
    """Every template with what it lacks in exactly this locale; those that lack most come first."""
    found = [_template(template, canonical(locale) or locale) for template in templates]
    found.sort(key=lambda one: (-one.missing, one.template))
    fields, missing = sum(one.fields for one in found), sum(one.missing for one in found)
    return MissingReport(
        locale=canonical(locale) or locale,
        fields=fields,
        missing=missing,
        percent=_percent(fields, missing),
        templates=tuple(found),
    )


def summary(templates: Sequence[Template], required: Iterable[str] = ()) -> list[MissingReport]:
    """One line for each locale that is in use or required, without the templates."""
    used = {canonical(tag) or tag for t in templates for locales in t.channels.values() for tag in locales}
    used |= {canonical(tag) or tag for tag in required}
    reports = [report(templates, locale) for locale in sorted(used)]
    return [
        MissingReport(locale=one.locale, fields=one.fields, missing=one.missing, percent=one.percent)
        for one in reports
    ]


def source_of(template: Template, channel: Channel) -> str:
    """The locale a channel is translated from."""
    return choose(template.channels[channel], template.default_locale) or template.default_locale


def _template(template: Template, locale: str) -> TemplateReport:
    channels = tuple(_channel(template, channel, locale) for channel in template.channels)
    fields, missing = sum(one.fields for one in channels), sum(len(one.missing) for one in channels)
    return TemplateReport(
        template=template.key,
        source=template.default_locale,
        fields=fields,
        missing=missing,
        percent=_percent(fields, missing),
        channels=channels,
    )


def _channel(template: Template, channel: Channel, locale: str) -> ChannelReport:
    wanted = translatable(channel, fields_in(template, channel, source_of(template, channel)) or {})
    given = fields_in(template, channel, locale) or {}
    return ChannelReport(
        channel=channel,
        fields=len(wanted),
        missing=tuple(field for field in wanted if not given.get(field, "").strip()),
        served=choose(template.channels[channel], locale, template.default_locale) or None,
    )


def _percent(fields: int, missing: int) -> float:
    """Rounded down, so that 100 means everything."""
    return 100.0 if not missing else int(1000 * (fields - missing) / fields) / 10
